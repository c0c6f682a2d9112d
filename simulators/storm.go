package simulators

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// StormConfig describes waves of connections.
type StormConfig struct {
	Broker Broker
	// Clients is how many connect in a wave; 0 means 1000.
	Clients int
	// Waves is how often they do; 0 means 3.
	Waves int
	// Hold is how long a wave stays connected; 0 means not at all.
	Hold time.Duration
	// Abrupt is the part of the clients that hangs up without DISCONNECT, so that its will is published.
	Abrupt float64
	// ConnectRate is how many connect in a second; 0 means all at once.
	ConnectRate float64
	// Parallel is how many handshakes are under way at the same time; 0 means 256.
	Parallel int
	// Prefix is the topic above the clients' wills, which are not retained; empty means "storm".
	Prefix string
	// Seed decides who is abrupt.
	Seed uint64
}

func (c StormConfig) withDefaults() StormConfig {
	c.Clients = cmp.Or(c.Clients, 1000)
	c.Waves = cmp.Or(c.Waves, 3)
	c.Parallel = cmp.Or(c.Parallel, 256)
	c.Prefix = cmp.Or(c.Prefix, "storm")

	return c
}

func (c StormConfig) check() error {
	switch {
	case c.Clients < 1 || c.Clients > maxDevices:
		return fmt.Errorf("clients: want 1 to %d, have %d", maxDevices, c.Clients)
	case c.Waves < 1:
		return fmt.Errorf("waves: want 1 or more, have %d", c.Waves)
	case c.Hold < 0:
		return fmt.Errorf("hold: want 0 or more, have %s", c.Hold)
	case !(c.Abrupt >= 0 && c.Abrupt <= 1):
		return fmt.Errorf("abrupt: want a part from 0 to 1, have %g", c.Abrupt)
	case !(c.ConnectRate >= 0):
		return fmt.Errorf("connect rate: want 0 or more, have %g", c.ConnectRate)
	case c.Parallel < 1:
		return fmt.Errorf("parallel: want 1 or more, have %d", c.Parallel)
	}

	return errors.Join(checkPrefix(c.Prefix), checkDescriptors(c.Clients))
}

// A Wave is what came of one wave.
type Wave struct {
	Connected, Failed, Abrupt int
	// P50, P99 and Max of the time from the first packet to CONNACK, of those that connected; 0 if none did.
	P50, P99, Max time.Duration
	// Took is the time until the last client was connected.
	Took time.Duration
}

// A Storm connects many clients at once and disconnects them again.
type Storm struct {
	config StormConfig
	end    *endpoint
	counts counters
	onWave func(Wave)
}

// NewStorm returns the storm of the configuration. OnWave, if not nil, is called after each wave.
func NewStorm(config StormConfig, onWave func(Wave)) (*Storm, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}

	end, err := newEndpoint(config.Broker)
	if err != nil {
		return nil, err
	}

	return &Storm{config: config, end: end, onWave: onWave}, nil
}

// Stats returns what the storm has done so far; it sends no messages.
func (s *Storm) Stats() Stats { return s.counts.snapshot() }

// Run sends the waves. It returns nil after the last or when ctx ends, or an error if not one client of a wave
// could connect.
func (s *Storm) Run(ctx context.Context) error {
	s.counts.begin()
	s.counts.devices.Store(int64(s.config.Clients))

	rng := rand.New(rand.NewPCG(s.config.Seed, uint64(s.config.Clients)))

	for range s.config.Waves {
		wave, conns, err := s.rise(ctx)
		if wave.Connected > 0 {
			_ = sleep(ctx, s.config.Hold)
		}

		wave.Abrupt = s.fall(conns, rng)

		if ctx.Err() != nil {
			break
		}

		if wave.Connected == 0 {
			return fmt.Errorf("no client could connect to %s: %w", s.end.url.Redacted(), err)
		}

		if s.onWave != nil {
			s.onWave(wave)
		}
	}

	return nil //nolint:nilerr // What a wave met that was cut short by ctx is no error.
}

// rise connects all clients of a wave. The error is the last that any of them met.
func (s *Storm) rise(ctx context.Context) (Wave, []net.Conn, error) {
	var (
		mu      sync.Mutex
		conns   []net.Conn
		latency []time.Duration
		last    error
		workers sync.WaitGroup
	)

	began, pace := time.Now(), newPacer(s.config.ConnectRate)
	numbers := make(chan int)

	for range min(s.config.Parallel, s.config.Clients) {
		workers.Go(func() {
			for i := range numbers {
				if pace.wait(ctx) != nil {
					continue
				}

				conn, took, err := s.connect(ctx, i)

				mu.Lock()
				if err != nil {
					last = err
				} else {
					conns, latency = append(conns, conn), append(latency, took)
				}
				mu.Unlock()
			}
		})
	}

	for i := range s.config.Clients {
		numbers <- i
	}

	close(numbers)
	workers.Wait()

	wave := Wave{Connected: len(conns), Failed: s.config.Clients - len(conns), Took: time.Since(began)}
	wave.P50, wave.P99, wave.Max = quantiles(latency)

	return wave, conns, last
}

func (s *Storm) connect(ctx context.Context, i int) (net.Conn, time.Duration, error) {
	id := fmt.Sprintf("storm-%05d", i+1)
	will := &message{topic: s.config.Prefix + "/" + id + "/status", payload: []byte("offline"), qos: 1}
	began := time.Now()

	conn, _, err := s.end.connect(ctx, i, hello{id: id, will: will})
	if err != nil {
		if ctx.Err() == nil {
			s.counts.problem(reason(err))
		}

		return nil, 0, err
	}

	s.counts.connects.Add(1)
	s.counts.connected.Add(1)

	return conn, time.Since(began), nil
}

// fall ends the connections and returns how many of them abruptly.
func (s *Storm) fall(conns []net.Conn, rng *rand.Rand) int {
	abrupt := 0

	for _, conn := range conns {
		if rng.Float64() < s.config.Abrupt {
			abrupt++

			s.counts.dropped.Add(1)
		} else if conn.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
			_ = packets.NewControlPacket(packets.Disconnect).Write(conn)
		}

		_ = conn.Close()
		s.counts.connected.Add(-1)
	}

	return abrupt
}

// quantiles sorts the list and returns its median, 99th percentile and maximum.
func quantiles(list []time.Duration) (time.Duration, time.Duration, time.Duration) {
	if len(list) == 0 {
		return 0, 0, 0
	}

	slices.Sort(list)
	last := len(list) - 1

	return list[last/2], list[last*99/100], list[last]
}
