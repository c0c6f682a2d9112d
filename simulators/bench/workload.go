package bench

import (
	"slices"
	"time"
)

// A Workload is a load with a name and usual figures.
type Workload struct {
	Name string
	// Help says what it measures, in one line.
	Help string
	// Load is what it does if nothing else is asked for.
	Load Load
	kind kind
}

// What happens in a workload.
type kind int

const (
	steady  kind = iota // messages are published at a rate, or as fast as they are taken
	idle                // nothing is published
	stalled             // half-way, some receivers stop reading
)

// Load is how much a workload does. In a [Config] all of it counts: there is no default for a zero.
type Load struct {
	// Rate is messages a second, of all publishers; 0 is as many as the server takes.
	Rate int `json:"rate"`
	// Bunch is how far apart messages are sent together; 0 spaces them evenly. Messages that come alone cost a server more than those that
	// come together.
	Bunch Duration `json:"bunch_seconds,omitempty"`
	// Devices are topics, each with sequence numbers of its own.
	Devices int `json:"devices"`
	// Publishers are MQTT connections; each publishes for its part of the devices.
	Publishers int `json:"publishers"`
	// Subscribers each receive everything.
	Subscribers int `json:"subscribers"`
	// Slow is how many of them stop reading for a while, in the workload that is about it.
	Slow int `json:"slow,omitempty"`
	// Size is a payload's bytes.
	Size int `json:"size"`
	// QoS is that of the publishers, and of subscribers over MQTT: 0 or 1.
	QoS int `json:"qos"`
	// Window is how many messages of a publisher may wait for their acknowledgement at QoS 1.
	Window int `json:"window"`
	// Measure, Warmup and Drain are how long it is measured, what goes before, and how long to wait at most for what is still on its
	// way after.
	Measure Duration `json:"seconds"`
	Warmup  Duration `json:"warmup_seconds"`
	Drain   Duration `json:"drain_seconds"`
}

// Workloads are those that there are, in the order in which they are run.
func Workloads() []Workload {
	return []Workload{
		{Name: "fan-out", Help: "1,000 messages a second to 200 subscribers.", Load: load(1000, 1000, 20, 200)},
		{Name: "ingest", Help: "20,000 messages a second in, one subscriber.", Load: load(20000, 1000, 20, 1)},
		{Name: "devices", Help: "10,000 devices, a message a second each, to 20 subscribers.", Load: load(10000, 10000, 20, 20)},
		{Name: "lone", Help: "50 messages a second on an otherwise idle server, one subscriber.", Load: load(50, 1, 1, 1)},
		{Name: "acknowledged", Help: "As many QoS 1 messages as are acknowledged, 16 publishers, each verified at a subscriber.", Load: acknowledged()},
		{Name: "idle", Help: "2,000 subscribers and nothing to tell them: memory of each.", Load: idleLoad(), kind: idle},
		{Name: "slow", Help: "As fan-out; half-way, 100 of the 200 subscribers stop reading.", Load: slowLoad(), kind: stalled},
	}
}

// WorkloadByName returns the workload of the name.
func WorkloadByName(name string) (Workload, bool) {
	all := Workloads()

	i := slices.IndexFunc(all, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		return Workload{}, false
	}

	return all[i], true
}

func load(rate, devices, publishers, subscribers int) Load {
	return Load{
		Rate: rate, Devices: devices, Publishers: publishers, Subscribers: subscribers, Size: 128, Window: 64,
		Measure: Duration(8 * time.Second), Warmup: Duration(2 * time.Second), Drain: Duration(10 * time.Second),
	}
}

func acknowledged() Load {
	l := load(0, 1000, 16, 1)
	l.QoS = 1

	return l
}

func idleLoad() Load {
	l := load(0, 1, 0, 2000)
	l.Warmup = 0

	return l
}

func slowLoad() Load {
	l := load(1000, 1000, 20, 200)
	l.Slow = 100
	l.Drain = Duration(30 * time.Second)

	return l
}
