package toxic

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pulso/test/crash/internal/load"
	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

var (
	lasts = flag.Duration("lasts", 3*time.Second, "how long each network is bad")
	seed  = flag.Uint64("seed", 0, "what random choices are made from; 0: another one each time")
)

// both is a toxin for each direction.
func both(kind, attributes string) []toxin {
	return []toxin{{kind, "upstream", attributes}, {kind, "downstream", attributes}}
}

// TestToxic lets publishers and subscribers reach the hub by bad networks only: nothing acknowledged is lost, everything is in
// order, QoS 2 comes once. Another publisher and subscriber with a good network meanwhile see how the hub serves them.
func TestToxic(t *testing.T) {
	cases := []struct {
		name   string
		toxins []toxin
		manner manner
	}{
		{"reset by the peer", both("reset_peer", `"timeout": 10`), inTurns},
		{"black hole", both("timeout", `"timeout": 0`), inTurns},
		{"black hole for what the hub sends", []toxin{{"timeout", "downstream", `"timeout": 0`}}, inTurns},
		{"narrow", both("bandwidth", `"rate": 20`), throughout},
		{"far away", both("latency", `"latency": 100, "jitter": 50`), throughout},
		{"sliced", both("slicer", `"average_size": 16, "size_variation": 8, "delay": 200`), throughout},
		{"narrow, far away and unplugged", []toxin{
			{"bandwidth", "downstream", `"rate": 40`}, {"latency", "upstream", `"latency": 50, "jitter": 40`},
		}, unplugged},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := *seed
			if s == 0 {
				s = rand.Uint64()
			}
			t.Logf("seed %d", s)
			rng := rand.New(rand.NewPCG(s, 0))
			h := hub.Start(t)
			networks := []*network{newNetwork(t, "publishers", h.MQTT), newNetwork(t, "subscribers", h.MQTT)}
			l := load.New(rng)
			l.Subscribers(networks[1].addr(), 1, 2)
			l.Subscribers(networks[1].addr(), 2, 2)
			l.Publishers(networks[0].addr(), 1, 4)
			l.Publishers(networks[0].addr(), 2, 4)
			l.Run(t)
			good := bystand(t, h)
			time.Sleep(time.Second) // of a good network, to compare with
			before := good.measure()
			suffer(networks, c.toxins, c.manner, rng)
			meanwhile := good.measure()
			l.Finish(t)
			after := good.measure()
			t.Logf("from a bystander to another: %v before, %v meanwhile, %v after", before, meanwhile, after)
			load.Verdict(t, l.Books)
		})
	}
}

// A manner is how networks are bad.
type manner int

const (
	throughout manner = iota // all the time
	inTurns                  // one of them for a moment, then another
	unplugged                // all the time, and one after the other loses its connections
)

// suffer makes networks bad for as long as the test is to last.
func suffer(networks []*network, toxins []toxin, how manner, rng *rand.Rand) {
	moment := func() { time.Sleep(50*time.Millisecond + time.Duration(rng.Int64N(int64(300*time.Millisecond)))) }
	until := time.Now().Add(*lasts)
	if how != inTurns {
		cures := make([]func(), len(networks))
		for i, n := range networks {
			cures[i] = n.poison(toxins)
			if how == unplugged {
				cures[i] = n.replace
			}
		}
		defer func() {
			for _, cure := range cures {
				cure()
			}
		}()
	}
	for time.Now().Before(until) {
		n := networks[rng.IntN(len(networks))]
		switch how {
		case throughout:
			time.Sleep(time.Until(until))
		case inTurns:
			cure := n.poison(toxins)
			moment()
			cure()
			time.Sleep(time.Duration(rng.Int64N(int64(200 * time.Millisecond)))) // of a good network
		case unplugged:
			moment()
			n.unplug()
		}
	}
}

// A bystander has a good network: it publishes a message at QoS 1 every few milliseconds and measures when another gets it.
type bystander struct {
	mu    sync.Mutex
	times []time.Duration
}

// A delay is how long deliveries took.
type delay struct {
	n                 int
	median, p99, most time.Duration
}

func (d delay) String() string {
	return fmt.Sprintf("p50 %v p99 %v max %v (%d)", d.median.Round(time.Microsecond), d.p99.Round(time.Microsecond), d.most.Round(time.Microsecond), d.n)
}

// bystand starts the two; they end with the test.
func bystand(t *testing.T, h *hub.Hub) *bystander {
	t.Helper()
	from, err := mqtt.Open(h.MQTT, "", &mqtt.Connect{ID: "bystander-1"})
	if err != nil {
		t.Fatal(err)
	}
	to, err := mqtt.Open(h.MQTT, "", &mqtt.Connect{ID: "bystander-2"})
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Subscribe(0, "bystander"); err != nil {
		t.Fatal(err)
	}
	b := &bystander{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			if err := b.once(from, to, n); err != nil {
				t.Errorf("message %d of the bystander: %v", n, err)
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		wg.Wait()
		from.Close()
		to.Close()
	})
	return b
}

// once publishes a message and waits until it is acknowledged and has come.
func (b *bystander) once(from, to *mqtt.Conn, n int) error {
	began := time.Now()
	m := mqtt.Publish{Topic: "bystander", Payload: fmt.Append(nil, n), QoS: 1, ID: 1 + n%1000}
	if _, err := from.Write(m.Bytes(from.Version)); err != nil {
		return err
	}
	if _, err := from.Expect(mqtt.PUBACK, 20*time.Second); err != nil {
		return err
	}
	if _, err := to.Expect(mqtt.PUBLISH, 20*time.Second); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.times = append(b.times, time.Since(began))
	return nil
}

// measure sums up the deliveries since it was called last.
func (b *bystander) measure() delay {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.times)
	n := len(b.times)
	if n == 0 {
		return delay{}
	}
	d := delay{n: n, median: b.times[n/2], p99: b.times[n*99/100], most: b.times[n-1]}
	b.times = nil
	return d
}
