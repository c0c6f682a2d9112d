package bench

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
)

// complete fails the test unless everything came once and in order.
func complete(t *testing.T, r *Result) {
	t.Helper()

	d := r.Received
	if r.Sent.Messages == 0 || d == nil || d.Share == nil {
		t.Fatalf("nothing was measured: %+v, %v", r.Sent, r.NotMeasured)
	}

	if *d.Share != 1 || *d.Missing != 0 || *d.Doublets != 0 || *d.Disorder != 0 || d.Broken != 0 {
		t.Errorf("share %v, missing %d, twice %d, out of order %d, broken %d; notes %v",
			*d.Share, *d.Missing, *d.Doublets, *d.Disorder, d.Broken, r.Notes)
	}

	if *d.Expected != r.Sent.Messages*int64(r.Load.Subscribers) || *d.Delivered != *d.Expected {
		t.Errorf("expected %d, delivered %d of %d messages", *d.Expected, *d.Delivered, r.Sent.Messages)
	}

	l := r.Latency
	if l == nil || l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.Max {
		t.Errorf("latency %+v", l)
	}
}

// told fails the test unless the result says that a figure was not measured.
func told(t *testing.T, r *Result, figure string) {
	t.Helper()

	for _, m := range r.NotMeasured {
		if strings.Contains(m.Figure, figure) && m.Why != "" {
			return
		}
	}

	t.Errorf("that %q was not measured is not said: %v", figure, r.NotMeasured)
}

// Every workload on a hub: whatever subscribers speak, all of it comes.
func TestHub(t *testing.T) {
	t.Parallel()

	_, target := startHub(t)

	for i, c := range []struct {
		name, workload string
		change         func(*Target)
	}{
		{"fan-out", "fan-out", func(*Target) {}},
		{"devices over protobuf", "devices", func(t *Target) { t.Wire = wireProto }},
		{"ingest over MQTT", "ingest", func(t *Target) { t.Via = viaMQTT }},
		{"lone over MQTT in WebSockets", "lone", func(t *Target) {
			t.Via, t.URL = viaMQTT, strings.Replace(t.HTTP, "http", "ws", 1)+"/mqtt"
		}},
		{"published over WebSockets", "fan-out", func(t *Target) { t.MQTT = strings.Replace(t.HTTP, "http", "ws", 1) + "/mqtt" }},
		{"compressed", "fan-out", func(t *Target) { t.Compress = true }},
		{"raw", "fan-out", func(t *Target) {
			t.Via, t.URL, t.Subprotocol = viaRaw, strings.Replace(t.HTTP, "http", "ws", 1)+"/ws", subprotocolJSON
			t.Hello = []string{`{"id":1,"subscribe":{"filters":["` + t.Prefix + `/#"]}}`}
		}},
		{"metrics instead of a process", "fan-out", func(t *Target) { t.PID = 0 }},
		{"slow", "slow", func(*Target) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it waits, most of the time

			target := target
			target.Prefix = "bench/" + strconv.Itoa(i)
			c.change(&target)

			r := measure(t.Context(), t, target, small(t, c.workload))
			complete(t, r)
			told(t, r, "acknowledged")

			if r.Server == nil || r.Server.RSS < 1<<20 {
				t.Errorf("server %+v", r.Server)
			}

			if len(r.Samples) < 2 || r.Samples[0].Sent <= 0 {
				t.Errorf("samples %+v", r.Samples)
			}

			if c.workload == "slow" && (r.Before == nil || r.Before.Count == 0 || len(r.Samples) < 4) {
				t.Errorf("before %+v, %d samples", r.Before, len(r.Samples))
			}
		})
	}
}

func TestAcknowledged(t *testing.T) {
	_, target := startHub(t)

	for _, via := range []string{viaMQTT, viaStream} {
		t.Run(via, func(t *testing.T) {
			target := target
			target.Via = via

			r := measure(t.Context(), t, target, small(t, "acknowledged", func(l *Load) { l.Rate = 300 }))
			complete(t, r)

			if *r.Received.AcknowledgedLost != 0 || r.Lost() != nil {
				t.Errorf("lost %d: %v", *r.Received.AcknowledgedLost, r.Lost())
			}

			if a := r.Acknowledgement; a == nil || a.Count != r.Sent.Messages || *r.Sent.Unacknowledged != 0 {
				t.Errorf("acknowledgements %+v of %d, unacknowledged %d", a, r.Sent.Messages, *r.Sent.Unacknowledged)
			}
		})
	}

	t.Run("as fast as they are taken", func(t *testing.T) {
		target := target
		target.Via = viaMQTT

		r := measure(t.Context(), t, target, small(t, "acknowledged", func(l *Load) { l.Rate, l.Window = 0, 8 }))
		complete(t, r)

		if *r.Sent.AcknowledgedPerSecond <= 0 {
			t.Errorf("%+v", r.Sent)
		}
	})
}

func TestIdle(t *testing.T) {
	_, target := startHub(t)
	r := measure(t.Context(), t, target, small(t, "idle", func(l *Load) { l.Subscribers, l.Publishers = 200, 0 }))

	if r.Server == nil || r.Server.PerConnection == nil || *r.Server.PerConnection <= 0 || *r.Server.PerConnection > 500 {
		t.Errorf("server %+v", r.Server)
	}

	if r.Connect.Count != 200 || r.Received != nil {
		t.Errorf("connected %+v, received %+v", r.Connect, r.Received)
	}
}

// What a form of the stream does not carry is said, not guessed.
func TestNotMeasured(t *testing.T) {
	_, target := startHub(t)

	values := target
	values.Form, values.Delivery, values.PID, values.HTTP = formValues, delivLatest, 0, ""
	values.Via, values.URL = viaStream, strings.Replace(target.HTTP, "http", "ws", 1)+"/ws"

	r := measure(t.Context(), t, values, small(t, "fan-out"))
	told(t, r, "latency")
	told(t, r, "processor time")

	if r.Latency != nil || r.Received.Share != nil || r.Received.EventsPerSecond != nil || r.Server != nil || r.Received.FramesPerSecond <= 0 {
		t.Errorf("%+v, latency %+v, server %+v", r.Received, r.Latency, r.Server)
	}

	// A payload has two numbers that are measurements, or more if the hub takes the sequence number for one.
	for _, wire := range []string{"json", wireProto} {
		values.Wire = wire
		r = measure(t.Context(), t, values, small(t, "fan-out"))

		least := 2 * r.Sent.PerSecond * float64(r.Load.Subscribers) * .8 // what is merged at the ends belongs to the time beside
		if d := r.Received; *d.ValuesStandFor < least || *d.ValuesPerSecond > *d.ValuesStandFor || *d.BytesPerValue < 1 {
			t.Errorf("%s: %v values a second for %v, want at least %v; %v bytes each", wire, *d.ValuesPerSecond, *d.ValuesStandFor, least, *d.BytesPerValue)
		}
	}

	latest := target
	latest.Delivery = delivLatest

	r = measure(t.Context(), t, latest, small(t, "fan-out"))
	told(t, r, "delivered share")

	if r.Received.Missing != nil || r.Latency == nil {
		t.Errorf("%+v, latency %+v", r.Received, r.Latency)
	}

	r = measure(t.Context(), t, target, small(t, "ingest", func(l *Load) { l.Subscribers = 0 }))
	told(t, r, "delivery")

	if r.Received != nil || r.Sent.Messages == 0 {
		t.Errorf("%+v, %+v", r.Sent, r.Received)
	}
}

func TestMosquitto(t *testing.T) {
	tcp, ws, pid := mosquitto(t)

	for name, url := range map[string]string{"TCP": tcp, "WebSocket": ws} {
		t.Run(name, func(t *testing.T) {
			r := measure(t.Context(), t, Target{MQTT: tcp, URL: url, Via: viaMQTT, Prefix: "bench", PID: pid}, small(t, "fan-out"))
			complete(t, r)
		})
	}

	r := measure(t.Context(), t, Target{MQTT: tcp, Via: viaAuto, Prefix: "bench"}, small(t, "acknowledged", func(l *Load) { l.Rate = 200 }))
	complete(t, r)
	told(t, r, "processor time")
}

// An interrupt ends the run soon, with what it has.
func TestInterrupt(t *testing.T) {
	_, target := startHub(t)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	b, err := New(Config{
		Target: target, Interval: 200 * time.Millisecond,
		Workload: small(t, "fan-out", func(l *Load) { l.Measure = Duration(time.Hour) }),
		Progress: func(p Progress) {
			if p.Phase == "measuring" {
				cancel()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}

	r, err := b.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}

	if !r.Interrupted || r.Seconds > 60 {
		t.Errorf("interrupted %v after %v s", r.Interrupted, r.Seconds)
	}

	complete(t, r)
}

// A server that goes away while it is measured leaves a result that says so.
func TestServerGone(t *testing.T) {
	hub, err := StartHub(t.Context(), HubConfig{Program: program(t)})
	if err != nil {
		t.Fatal(err)
	}

	gone := make(chan struct{})

	b, err := New(Config{
		Target:   hub.Target(Target{Via: viaStream, Wire: "json", Form: "events", Delivery: delivEvery, Prefix: "bench"}),
		Workload: small(t, "acknowledged", func(l *Load) { l.Rate, l.Measure, l.Drain = 200, Duration(3*time.Second), Duration(time.Second) }),
		Interval: 500 * time.Millisecond,
		Progress: func(p Progress) {
			if p.Phase == "measuring" && p.Done >= 1 {
				select {
				case <-gone:
				default:
					close(gone)

					_ = hub.command.Process.Kill()
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}

	r, err := b.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	if hub.Close() == nil {
		t.Error("a hub that was killed ended well")
	}

	if r.Sent.Broken == 0 || r.Received.Broken == 0 || r.Received.AcknowledgedLost != nil {
		t.Errorf("%+v, %+v", r.Sent, r.Received)
	}

	told(t, r, "acknowledged")
	told(t, r, "processor time")

	if !strings.Contains(strings.Join(r.Notes, "\n"), "Lost connections") {
		t.Errorf("notes %v", r.Notes)
	}
}

// What cannot be connected to is named.
func TestNobodyThere(t *testing.T) {
	address, err := freeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		target Target
		want   string
	}{
		"MQTT":   {Target{MQTT: "tcp://" + address, Prefix: "b"}, "subscriber 1 of 1: connect to tcp://" + address},
		"stream": {Target{MQTT: "tcp://" + address, HTTP: "http://" + address, Prefix: "b", Wire: "json"}, "WebSocket to ws://" + address + "/ws"},
	} {
		b, err := New(Config{Target: c.target, Workload: small(t, "lone")})
		if err != nil {
			t.Fatal(err)
		}

		if _, err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}

	_, target := startHub(t)
	target.URL, target.Via, target.Wire = strings.Replace(target.HTTP, "http", "ws", 1)+"/nothing", viaStream, "json"

	b, err := New(Config{Target: target, Workload: small(t, "lone")})
	if err != nil {
		t.Fatal(err)
	}

	if _, err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a stream that is not there: %v", err)
	}
}

// What is asked for and makes no sense is refused by the name of its flag.
func TestConfig(t *testing.T) {
	good := Target{MQTT: "tcp://127.0.0.1:1", Prefix: "b"}

	for want, c := range map[string]struct {
		target Target
		change func(*Load)
	}{
		"--mqtt tcp://HOST:PORT":       {Target{Prefix: "b"}, nil},
		"--mqtt \"udp://127.0.0.1:1\"": {Target{MQTT: "udp://127.0.0.1:1", Prefix: "b"}, nil},
		"--mqtt \"ftp://x:1\"":         {Target{MQTT: "ftp://x:1", Prefix: "b"}, nil},
		"--http \"ws://x\"":            {Target{MQTT: "tcp://x", HTTP: "ws://x", Prefix: "b"}, nil},
		"--url \"tcp://x\"":            {Target{MQTT: "tcp://x", Via: viaRaw, URL: "tcp://x", Prefix: "b"}, nil},
		"--via raw needs --url":        {Target{MQTT: "tcp://x", Via: viaRaw, Prefix: "b"}, nil},
		"--metrics":                    {Target{MQTT: "tcp://x", Metrics: "x", Prefix: "b"}, nil},
		"--prefix \"a/#\"":             {Target{MQTT: "tcp://x", Prefix: "a/#"}, nil},
		"--ca":                         {Target{MQTT: "tcp://x", Prefix: "b", CA: "/nothing"}, nil},
		"--size 10":                    {good, func(l *Load) { l.Size = 10 }},
		"--qos 2":                      {good, func(l *Load) { l.QoS = 2 }},
		"--publishers 9 is more":       {good, func(l *Load) { l.Publishers, l.Devices = 9, 3 }},
		"--rate -1":                    {good, func(l *Load) { l.Rate = -1 }},
		"--window 70000":               {good, func(l *Load) { l.Window = 70000 }},
		"--seconds 1ms":                {good, func(l *Load) { l.Measure = Duration(time.Millisecond) }},
		"--drain 2h0m0s":               {good, func(l *Load) { l.Drain = Duration(2 * time.Hour) }},
		"sequence numbers":             {good, func(l *Load) { l.Devices, l.Subscribers = 10_000_000, 50_000 }},
		"--subscribers 99999":          {good, func(l *Load) { l.Subscribers = 99999 }},
	} {
		w := small(t, "fan-out")
		if c.change != nil {
			c.change(&w.Load)
		}

		if _, err := New(Config{Target: c.target, Workload: w}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s: %v", want, err)
		}
	}
}
