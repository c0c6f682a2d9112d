package attack

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// A canary publishes and receives at QoS 1 all the time and measures how long each message takes.
type canary struct {
	pub, sub *mqtt.Conn
	cancel   context.CancelFunc
	done     chan struct{}
	warmed   chan struct{}

	// Once done is closed:
	err  error
	took []time.Duration
}

const canaryTopic = "canary/topic"

func startCanary(t *testing.T, h *hub.Hub) *canary {
	t.Helper()
	c := &canary{done: make(chan struct{}), warmed: make(chan struct{})}
	var err error
	if c.sub, err = mqtt.Open(h.MQTT, "127.0.0.1", &mqtt.Connect{ID: "canary-sub", KeepAlive: 60}); err != nil {
		t.Fatal(err)
	}
	if err = c.sub.Subscribe(1, canaryTopic); err != nil {
		t.Fatal(err)
	}
	if c.pub, err = mqtt.Open(h.MQTT, "127.0.0.1", &mqtt.Connect{ID: "canary-pub", KeepAlive: 60}); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, c.cancel = context.WithCancel(context.Background())
	go c.run(ctx)
	t.Cleanup(func() {
		c.cancel()
		<-c.done
		c.pub.Close()
		c.sub.Close()
	})
	return c
}

func (c *canary) run(ctx context.Context) {
	defer close(c.done)
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for n := 1; ctx.Err() == nil; n++ {
		began := time.Now()
		if c.err = c.once(n); c.err != nil {
			c.err = fmt.Errorf("the canary's message %d: after %v: %w", n, time.Since(began).Round(time.Millisecond), c.err)
			return
		}
		c.took = append(c.took, time.Since(began))
		if n == 50 {
			close(c.warmed)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

// once publishes a message, waits until it is acknowledged and delivered and acknowledges it.
func (c *canary) once(n int) error {
	id := n%65_535 + 1
	m := mqtt.Publish{Topic: canaryTopic, QoS: 1, ID: id, Payload: binary.BigEndian.AppendUint64(nil, uint64(n))}
	if _, err := c.pub.Write(m.Bytes(c.pub.Version)); err != nil {
		return err
	}
	ack, err := c.pub.Expect(mqtt.PUBACK, patience)
	if err != nil {
		return err
	}
	if got := int(binary.BigEndian.Uint16(ack)); got != id {
		return fmt.Errorf("PUBACK of %d, want %d", got, id)
	}
	_ = c.sub.SetReadDeadline(time.Now().Add(patience))
	first, body, err := c.sub.Next()
	if err != nil {
		return fmt.Errorf("wait for delivery: %w", err)
	}
	p, err := c.sub.ParsePublish(first, body)
	if err != nil {
		return err
	}
	if got := binary.BigEndian.Uint64(p.Payload); got != uint64(n) {
		return fmt.Errorf("delivered number %d, want %d", got, n)
	}
	_, err = c.sub.Write(mqtt.Ack(mqtt.PUBACK, p.ID))
	return err
}

// warm waits until the canary has been served for a while, so that the hub has the memory that it needs for that.
func (c *canary) warm(t *testing.T) {
	t.Helper()
	select {
	case <-c.warmed:
	case <-c.done:
		t.Fatal(c.err)
	}
}

// stop ends the canary and fails the test if it ever was not served.
func (c *canary) stop(t *testing.T) {
	t.Helper()
	c.cancel()
	<-c.done
	if c.err != nil {
		t.Error(c.err)
	}
	slices.Sort(c.took)
}

// String is for a canary that has been stopped.
func (c *canary) String() string {
	n := len(c.took)
	at := func(q float64) time.Duration { return c.took[int(q*float64(n-1))].Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d messages: p50 %v, p99 %v, at most %v", n, at(.5), at(.99), at(1))
}

// A memoryWatch samples how much memory a hub has resident.
type memoryWatch struct {
	t          *testing.T
	h          *hub.Hub
	base, peak int64
	quit, done chan struct{}
}

func watchMemory(t *testing.T, h *hub.Hub) *memoryWatch {
	t.Helper()
	base, err := hub.RSS(h.Pid())
	if err != nil {
		t.Fatal(err)
	}
	w := &memoryWatch{t: t, h: h, base: base, peak: base, quit: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

func (w *memoryWatch) run() {
	defer close(w.done)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if rss, err := hub.RSS(w.h.Pid()); err == nil {
			w.peak = max(w.peak, rss)
		}
		select {
		case <-tick.C:
		case <-w.quit:
			return
		}
	}
}

// stop returns by how many bytes the memory had grown at the most.
func (w *memoryWatch) stop() int64 {
	close(w.quit)
	<-w.done
	return w.peak - w.base
}
