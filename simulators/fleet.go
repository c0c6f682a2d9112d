package simulators

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"pulso/simulators/profile"
)

// FleetConfig describes a fleet. The zero value is a hundred devices of all kinds at 1 Hz on the local broker.
type FleetConfig struct {
	Broker Broker
	// Devices is how many devices there are; 0 means 100.
	Devices int
	// Rate is each device's messages a second; 0 means 1. Fractions are fine.
	Rate float64
	// Profiles are the kinds of devices, taken in turn; empty means all that there are (see [profile.Kinds]).
	Profiles []string
	// Seed decides every device's character and values. Any number is fine, 0 too.
	Seed uint64
	// QoS of telemetry, 0 or 1.
	QoS byte
	// Prefix is the topic above the devices; empty means "devices".
	Prefix string
	// TimeScale is how many seconds pass for the modelled world in one second; 0 means 1. Above 1, distances and
	// energies no longer fit the arrival times of the messages.
	TimeScale float64
	// Start is the model time at which the devices begin; zero means [profile.Epoch].
	Start time.Time
	// Flaky is the part of the devices that loses its connection in a minute, for a few seconds; 0 means none.
	Flaky float64
	// ConnectRate is how many devices connect in a second; 0 means 500.
	ConnectRate float64
	// Window is how many QoS 1 messages of a device may be unacknowledged; 0 means 16.
	Window int
}

func (c FleetConfig) withDefaults() FleetConfig {
	c.Devices = cmp.Or(c.Devices, 100)
	c.Rate = cmp.Or(c.Rate, 1)
	c.Prefix = cmp.Or(c.Prefix, "devices")
	c.TimeScale = cmp.Or(c.TimeScale, 1)
	c.ConnectRate = cmp.Or(c.ConnectRate, 500)
	c.Window = cmp.Or(c.Window, 16)

	if len(c.Profiles) == 0 {
		c.Profiles = profile.Kinds()
	}

	return c
}

// maxDevices bounds a fleet: beyond it one process has neither the ports nor the descriptors.
const maxDevices = 1_000_000

func (c FleetConfig) check() error {
	switch {
	case c.Devices < 1 || c.Devices > maxDevices:
		return fmt.Errorf("devices: want 1 to %d, have %d", maxDevices, c.Devices)
	case !(c.Rate > 0 && c.Rate <= 1000):
		return fmt.Errorf("rate: want above 0 and at most 1000 messages a second and device, have %g", c.Rate)
	case !(c.TimeScale > 0 && c.TimeScale <= 100_000):
		return fmt.Errorf("time scale: want above 0 and at most 100000, have %g", c.TimeScale)
	case c.QoS > 1:
		return fmt.Errorf("qos: want 0 or 1, have %d", c.QoS)
	case !(c.Flaky >= 0 && c.Flaky <= 1):
		return fmt.Errorf("flaky: want a part from 0 to 1, have %g", c.Flaky)
	case !(c.ConnectRate > 0):
		return fmt.Errorf("connect rate: want above 0, have %g", c.ConnectRate)
	case c.Window < 1 || c.Window > maxWindow:
		return fmt.Errorf("window: want 1 to %d, have %d", maxWindow, c.Window)
	}

	return errors.Join(checkPrefix(c.Prefix), profile.Check(c.Profiles...), checkDescriptors(c.Devices))
}

// maxWindow bounds the unacknowledged messages of a device.
const maxWindow = 1000

// A Fleet is a number of simulated devices. Topics of a device are <prefix>/<id>/telemetry (the cold-chain logger:
// /temperature, /door and /battery), and, retained, /status ("online", "offline", the latter also as will) and /info
// ([profile.Info] as JSON). A device that takes commands listens on <prefix>/<id>/set and answers with a report.
type Fleet struct {
	config  FleetConfig
	group   group
	devices []*device
}

// device is a model with its connection.
type device struct {
	id     string
	base   string // topic, with the slash at its end
	qos    byte
	phase  float64 // where in the period it reports, 0 to 1
	link   *link
	counts *counters

	mu    sync.Mutex
	model profile.Model
}

// NewFleet returns the fleet of the configuration. It does not connect yet.
func NewFleet(config FleetConfig) (*Fleet, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}

	end, err := newEndpoint(config.Broker)
	if err != nil {
		return nil, err
	}

	counts := &counters{}
	f := &Fleet{config: config, group: group{counters: counts}}
	pace := newPacer(config.ConnectRate)

	for i := range config.Devices {
		d, err := newDevice(config, end, counts, pace, i)
		if err != nil {
			return nil, err
		}

		f.devices = append(f.devices, d)
		f.group.links = append(f.group.links, d.link)
	}

	return f, nil
}

func newDevice(c FleetConfig, end *endpoint, counts *counters, pace *pacer, i int) (*device, error) {
	kind := c.Profiles[i%len(c.Profiles)]
	id := fmt.Sprintf("%s-%04d", kind, i/len(c.Profiles)+1)

	model, err := profile.New(kind, id, c.Seed, c.Start)
	if err != nil {
		return nil, err
	}

	info, err := json.Marshal(model.Info())
	if err != nil {
		return nil, fmt.Errorf("info of %s: %w", id, err)
	}

	// Multiples of the golden section spread any number of devices evenly over the period.
	_, phase := math.Modf(float64(i) * math.Phi)
	d := &device{id: id, base: c.Prefix + "/" + id + "/", qos: c.QoS, phase: phase, counts: counts, model: model}
	config := linkConfig{
		endpoint: end, counters: counts, pacer: pace, index: i, id: id, window: c.Window,
		will: new(d.status("offline")),
		announce: []message{
			{topic: d.base + "info", payload: info, qos: 1, retain: true, announcement: true},
			d.status("online"),
		},
	}

	if _, ok := model.(profile.Commander); ok {
		config.subscribe, config.command = d.base+"set", d.command
	}

	d.link = newLink(config)

	return d, nil
}

func (d *device) status(text string) message {
	return message{topic: d.base + "status", payload: []byte(text), qos: 1, retain: true, announcement: true}
}

// Stats returns what the fleet has done so far.
func (f *Fleet) Stats() Stats { return f.group.counters.snapshot() }

// Run connects the devices and lets them report until ctx ends; then each says that it is offline and disconnects,
// which takes about two seconds at most. It returns nil then, or at once a [RefusedError] if the broker will not have them.
// It may be called once.
func (f *Fleet) Run(ctx context.Context) error {
	farewell := func(i int) message { return f.devices[i].status("offline") }

	return f.group.run(ctx, farewell, func(ctx context.Context) error {
		var workers sync.WaitGroup

		for _, shard := range f.shards() {
			workers.Go(func() { f.drive(ctx, shard) })
		}

		workers.Go(func() { f.disturb(ctx) })
		workers.Wait()

		return nil
	})
}

// maxShards is how many devices may be held up in a write at the same time without holding up the others.
const maxShards = 64

// shards deals the devices out to the workers, each shard in the order in which its devices report.
func (f *Fleet) shards() [][]*device {
	shards := make([][]*device, min(maxShards, len(f.devices)))
	for i, d := range f.devices {
		shards[i%len(shards)] = append(shards[i%len(shards)], d)
	}

	for _, shard := range shards {
		slices.SortFunc(shard, func(a, b *device) int { return cmp.Compare(a.phase, b.phase) })
	}

	return shards
}

// drive lets the devices of a shard report, each once in a period. A shard that has fallen behind by a period moves its
// schedule instead of hurrying, so that a device's nth report is the same however busy the machine is.
func (f *Fleet) drive(ctx context.Context, shard []*device) {
	period := time.Duration(float64(time.Second) / f.config.Rate)
	stride := time.Duration(float64(period) * f.config.TimeScale)
	patience := max(period, time.Second)

	for start := time.Now(); ; start = start.Add(period) {
		for _, d := range shard {
			due := start.Add(time.Duration(d.phase * float64(period)))

			if lag := time.Since(due); lag > patience {
				start = start.Add(lag)
				f.group.counters.late.Add(1)
			} else if sleep(ctx, -lag) != nil {
				return
			}

			if d.link.seen.Load() {
				d.report(stride)
			}
		}

		if ctx.Err() != nil {
			return
		}
	}
}

// report moves the model on by the stride and publishes what it says.
func (d *device) report(stride time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.model.Advance(stride)

	for _, m := range d.model.Report() {
		err := d.link.publish(message{topic: d.base + m.Topic, payload: m.Payload, qos: d.qos, retain: m.Retain})

		switch {
		case errors.Is(err, errOffline):
			d.counts.missed.Add(1)
		case errors.Is(err, errWindowFull):
			d.counts.heldBack.Add(1)
		}
	}
}

// command hands a received command to the model and reports at once, which is the answer.
func (d *device) command(p *packets.PublishPacket) {
	commander, ok := d.model.(profile.Commander)
	if !ok {
		return
	}

	d.counts.commands.Add(1)
	d.mu.Lock()
	err := commander.Command(p.Payload)
	d.mu.Unlock()

	if err != nil {
		d.counts.refused.Add(1)
	}

	d.report(0)
}

// How long a device stays away that has lost its connection.
const (
	shortestOutage = 2 * time.Second
	longestOutage  = 10 * time.Second
)

// disturb breaks connections at random.
func (f *Fleet) disturb(ctx context.Context) {
	if f.config.Flaky == 0 {
		return
	}

	rng := rand.New(rand.NewPCG(f.config.Seed, uint64(len(f.devices))))
	mean := float64(time.Minute) / (f.config.Flaky * float64(len(f.devices)))

	for sleep(ctx, time.Duration(min(rng.ExpFloat64()*mean, float64(24*time.Hour)))) == nil {
		victim := f.devices[rng.IntN(len(f.devices))]
		victim.link.drop(shortestOutage + time.Duration(rng.Int64N(int64(longestOutage-shortestOutage))))
	}
}

// Broker returns the address of the broker, without a password.
func (f *Fleet) Broker() string { return f.devices[0].link.endpoint.url.Redacted() }
