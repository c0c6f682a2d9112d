// Command stall measures what subscribers that stop reading for a while cost the others, and whether they lose anything. Publishers
// publish at a steady rate; witnesses and stallers subscribe to it all at QoS 1. First everybody reads, then the stallers stop, then
// they read on until they have everything. It prints one JSON line, and fails if anything was lost or out of order.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"pulso/test/bench/internal/load"
	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

type config struct {
	addr       string
	stallers   int
	witnesses  int
	publishers int
	rate       int
	size       int
	version    int
	persistent bool
	before     time.Duration
	stall      time.Duration
	catchUp    time.Duration
	pid        int
}

// A result is the line that is printed. Times are in milliseconds, from when a message should have been published to its arrival.
type result struct {
	Stallers   int     `json:"stallers"`
	Published  int     `json:"published"`
	P50Before  float64 `json:"p50_before_ms"`
	P99Before  float64 `json:"p99_before_ms"`
	P50During  float64 `json:"p50_during_ms"`
	P99During  float64 `json:"p99_during_ms"`
	Ratio      float64 `json:"p99_ratio"`
	CaughtUp   float64 `json:"caught_up_s"` // after the stallers read on
	Lost       int     `json:"lost"`        // all stallers together, as are the next
	Disordered int     `json:"out_of_order"`
	Again      int     `json:"delivered_again"`
	Reconnects int     `json:"reconnects"`
	Memory     int64   `json:"rss_growth_mb,omitempty"` // during the stall
}

var errLost = errors.New("the subscribers that stopped reading lost messages or got them out of order")

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:1883", "server")
	flag.IntVar(&c.stallers, "stallers", 100, "subscribers that stop reading")
	flag.IntVar(&c.witnesses, "witnesses", 10, "subscribers that read on")
	flag.IntVar(&c.publishers, "pubs", 10, "publishers")
	flag.IntVar(&c.rate, "rate", 200, "messages a second of all publishers")
	flag.IntVar(&c.size, "size", 1024, "bytes of a payload")
	flag.IntVar(&c.version, "v", mqtt.V311, "version of MQTT: 3, 4 (3.1.1) or 5")
	flag.BoolVar(&c.persistent, "persistent", false, "stallers have sessions that outlive their connection, and come back if it is closed")
	flag.DurationVar(&c.before, "before", 10*time.Second, "measured time before anybody stops reading")
	flag.DurationVar(&c.stall, "stall", 30*time.Second, "how long nothing is read")
	flag.DurationVar(&c.catchUp, "catch-up", 2*time.Minute, "most time to have everything afterwards")
	flag.IntVar(&c.pid, "pid", 0, "the server's process, for its memory")
	flag.Parse()
	os.Exit(load.Main(c.run))
}

func (c *config) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	pace := newPace(c)
	witnessed := &load.Durations{}
	failures := make(chan error, c.witnesses+c.publishers)
	subscribers := make([]*subscriber, 0, c.witnesses+c.stallers)
	for i := range c.witnesses + c.stallers {
		s := &subscriber{c: c, pace: pace, id: fmt.Sprint("stall-", i), last: make([]int, c.publishers), resume: make(chan struct{})}
		if i < c.witnesses {
			s.took = witnessed
		}
		if err := s.connect(); err != nil {
			return err
		}
		subscribers = append(subscribers, s)
	}
	witnesses, stallers := subscribers[:c.witnesses], subscribers[c.witnesses:]
	for i, s := range subscribers {
		wg.Go(func() {
			if err := s.run(ctx); err != nil && i < c.witnesses {
				failures <- fmt.Errorf("a subscriber that reads: %w", err)
			}
		})
	}
	publishing := make(chan struct{})
	var publishers sync.WaitGroup
	for i := range c.publishers {
		publishers.Go(func() {
			if err := c.publish(ctx, i, pace, publishing); err != nil {
				failures <- fmt.Errorf("publisher %d: %w", i, err)
			}
		})
	}

	r, err := c.phases(ctx, stallers, witnessed, failures)
	close(publishing)
	publishers.Wait()
	if err != nil {
		return err
	}
	r.Published = pace.published()
	began := time.Now()
	for _, s := range stallers {
		close(s.resume)
	}
	c.await(ctx, append(stallers, witnesses...), pace)
	r.CaughtUp = time.Since(began).Seconds()
	c.judge(r, stallers, pace)
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return err
	}
	if r.Lost+r.Disordered > 0 {
		return errLost
	}
	return nil
}

// phases measures the witnesses before and during the stall.
func (c *config) phases(ctx context.Context, stallers []*subscriber, witnessed *load.Durations, failures <-chan error) (*result, error) {
	wait := func(d time.Duration) error {
		select {
		case err := <-failures:
			return err
		case <-time.After(d):
			return ctx.Err()
		}
	}
	if err := wait(2 * time.Second); err != nil { // until all is warm
		return nil, err
	}
	witnessed.Take()
	if err := wait(c.before); err != nil {
		return nil, err
	}
	before := witnessed.Take()
	memory, err := c.memory()
	if err != nil {
		return nil, err
	}
	for _, s := range stallers {
		s.stalled.Store(true)
	}
	if err := wait(c.stall); err != nil {
		return nil, err
	}
	during := witnessed.Take()
	grown, err := c.memory()
	if err != nil {
		return nil, err
	}
	r := &result{
		Stallers:  c.stallers,
		P50Before: load.Milliseconds(before.At(.5)), P99Before: load.Milliseconds(before.At(.99)),
		P50During: load.Milliseconds(during.At(.5)), P99During: load.Milliseconds(during.At(.99)),
		Memory: (grown - memory) >> 20,
	}
	r.Ratio = r.P99During / r.P99Before
	return r, nil
}

// await waits until all subscribers have all that was published, or for as long as the flags allow.
func (c *config) await(ctx context.Context, all []*subscriber, pace *pace) {
	deadline := time.Now().Add(c.catchUp)
	for _, s := range all {
		for !s.has(pace) && time.Now().Before(deadline) {
			if load.Sleep(ctx, 20*time.Millisecond) != nil {
				return
			}
		}
	}
}

func (c *config) judge(r *result, stallers []*subscriber, pace *pace) {
	for _, s := range stallers {
		s.mu.Lock()
		r.Disordered += s.disordered
		r.Again += s.again
		r.Reconnects += s.reconnects
		r.Lost += pace.published() - s.distinct
		s.mu.Unlock()
	}
}

func (c *config) memory() (int64, error) {
	if c.pid == 0 {
		return 0, nil
	}
	return hub.RSS(c.pid)
}
