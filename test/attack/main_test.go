// Package attack attacks a real hub through its ports with what broke brokers before, and with what may. Throughout each attack a
// client that minds its own business must be served, the hub's memory must not grow by more than a bound, and when the attack
// is over a new client must be served at once. PULSO_ATTACK makes attacks longer (a duration; 1s by default each).
package attack

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

const (
	// maxGrowth bounds the memory, in bytes, that an attack may make the hub take.
	maxGrowth = 64 << 20
	// patience bounds the time in which the canary's message is acknowledged and delivered. It is far more than it should take, and
	// less than what attacks have cost that worked.
	patience = 2 * time.Second
)

// duration is how long an attack lasts that could go on for ever.
var duration = time.Second

func TestMain(m *testing.M) {
	if s := os.Getenv("PULSO_ATTACK"); s != "" {
		var err error
		if duration, err = time.ParseDuration(s); err != nil {
			fmt.Fprintln(os.Stderr, "PULSO_ATTACK:", err)
			os.Exit(2)
		}
	}
	os.Exit(hub.Main(m))
}

// A siege is an attack on one hub.
type siege struct {
	t   *testing.T
	h   *hub.Hub
	end time.Time

	mu    sync.Mutex
	conns map[*mqtt.Conn]bool
	from  atomic.Int64
}

// withstand starts a hub, attacks it and checks all that the package promises.
func withstand(t *testing.T, attack func(s *siege), options ...hub.Option) {
	t.Helper()
	withstandWithin(t, maxGrowth, attack, options...)
}

// withstandWithin is withstand for clients that are entitled to more memory than others.
func withstandWithin(t *testing.T, maxGrowth int64, attack func(s *siege), options ...hub.Option) {
	t.Helper()
	h := hub.Start(t, options...)
	c := startCanary(t, h)
	c.warm(t)
	memory := watchMemory(t, h)
	s := &siege{t: t, h: h, end: time.Now().Add(duration), conns: map[*mqtt.Conn]bool{}}
	defer s.release()
	attack(s)
	if err := h.Alive(); err != nil {
		t.Fatal(err)
	}
	s.release()
	recovered := recovery(t, h)
	growth := memory.stop()
	c.stop(t)
	t.Logf("canary %v; memory grew by at most %.1f MB; served a new client %v after the attack",
		c, float64(growth)/(1<<20), recovered.Round(time.Millisecond))
	if growth > maxGrowth {
		t.Errorf("the hub's memory grew by %d MB, want at most %d", growth>>20, maxGrowth>>20)
	}
}

// recovery is how long it takes until a new client has been served.
func recovery(t *testing.T, h *hub.Hub) time.Duration {
	t.Helper()
	began := time.Now()
	hub.Eventually(t, 5*time.Second, "a new client is served after the attack", func() error {
		c, err := mqtt.Open(h.MQTT, "127.0.0.1", &mqtt.Connect{ID: "after"})
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.Subscribe(1, "after"); err != nil {
			return err
		}
		m := mqtt.Publish{Topic: "after", QoS: 1, ID: 1}
		if _, err := c.Write(m.Bytes(c.Version)); err != nil {
			return err
		}
		_, err = c.Expect(mqtt.PUBLISH, patience)
		return err
	})
	return time.Since(began)
}

// over says that the attack has lasted long enough.
func (s *siege) over() bool { return time.Now().After(s.end) || s.h.Alive() != nil }

// address is one of many that the attackers come from, so that what holds a single address back does not hide what is behind it.
func (s *siege) address() string {
	n := s.from.Add(1)
	return fmt.Sprintf("127.1.%d.%d", n/250%250, n%250+1)
}

// dial connects and says nothing. The connection is closed when the attack is over.
func (s *siege) dial() (*mqtt.Conn, error) {
	c, err := mqtt.Dial(s.h.MQTT, s.address())
	return s.keep(c, err)
}

// open connects with CONNECT. The connection is closed when the attack is over.
func (s *siege) open(connect *mqtt.Connect) (*mqtt.Conn, error) {
	c, err := mqtt.Open(s.h.MQTT, s.address(), connect)
	return s.keep(c, err)
}

func (s *siege) keep(c *mqtt.Conn, err error) (*mqtt.Conn, error) {
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
	return c, nil
}

// drop closes a connection before the attack is over.
func (s *siege) drop(c *mqtt.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *siege) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
	clear(s.conns)
}

// send writes what the hub will take of b, within a second: it may well have closed the connection, or not read.
func send(c *mqtt.Conn, b []byte) error {
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_, err := c.Write(b)
	return err
}

// drain reads whatever the hub sends, so that it cannot be held up, until the connection ends.
func drain(c *mqtt.Conn) {
	for {
		if _, _, err := c.Next(); err != nil {
			return
		}
	}
}

// discard drains in the background.
func (s *siege) discard(c *mqtt.Conn) { go drain(c) }

// each runs do for each of n attackers side by side and waits for them.
func (s *siege) each(n int, do func(i int)) {
	s.t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

// hold keeps what the attackers have for a while.
func (s *siege) hold() { time.Sleep(duration / 2) }

// flood has n attackers do the same thing again and again until the attack is over, and says how often that was.
func (s *siege) flood(n int, do func(i int) error) {
	s.t.Helper()
	var done, failed atomic.Int64
	s.each(n, func(i int) {
		for !s.over() {
			if err := do(i); err != nil {
				failed.Add(1)
				time.Sleep(time.Millisecond) // who is refused would only burn this machine's time
				continue
			}
			done.Add(1)
		}
	})
	s.t.Logf("%d times, and %d refused", done.Load(), failed.Load())
}

// gone waits until the hub has closed the connection and reports whether it did in time.
func gone(c *mqtt.Conn, deadline time.Time) bool {
	_ = c.SetReadDeadline(deadline)
	for {
		if _, _, err := c.Next(); err != nil {
			return !isTimeout(err)
		}
	}
}
