// Package load is a crowd of clients that publish and subscribe with persistent sessions, mixed in version, quality of service
// and manners, and the books about them.
package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pulso/test/crash/internal/client"
	"pulso/test/crash/internal/ledger"
	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// Filter is what the subscribers subscribe to.
const Filter = "load/#"

// A Load is publishers below `load/` and subscribers to all of it. Clients are added before they run.
type Load struct {
	Books *ledger.Ledger
	// Retained are the topics of retained messages, `load/+/state`.
	Retained []*ledger.Topic

	rng         *rand.Rand
	publishers  []*client.Publisher
	subscribers []*client.Subscriber
	readers     []*ledger.Reader // of the subscribers, in their order
	cancel      context.CancelFunc
	publishing  sync.WaitGroup
	subscribing sync.WaitGroup
}

// New makes a load that chooses by rng.
func New(rng *rand.Rand) *Load { return &Load{Books: ledger.New(), rng: rng} }

// Version alternates between MQTT 3.1.1 and 5.
func Version(i int) byte {
	if i%2 == 0 {
		return mqtt.V311
	}
	return mqtt.V5
}

// Publishers adds n publishers to the hub at an address, at a QoS. Each has two topics and, above QoS 0, one of retained messages.
// In pairs of both versions, they use the lowest free packet identifier or go round.
func (l *Load) Publishers(addr string, qos byte, n int) {
	for i := range n {
		id := fmt.Sprintf("pub-q%d-%d", qos, i)
		cfg := &client.PublisherConfig{
			Ledger: l.Books, Addr: addr, ID: id, Version: Version(i), Window: 16, LowIDs: i/2%2 == 0,
			Burst: 32, Rest: 100 * time.Millisecond, Seed: l.rng.Uint64(),
		}
		for _, topic := range []string{"a", "b"} {
			cfg.Topics = append(cfg.Topics, l.Books.Topic("load/"+id+"/"+topic, qos, id))
		}
		if qos > 0 {
			cfg.Retain = l.Books.Topic("load/"+id+"/state", qos, id)
			l.Retained = append(l.Retained, cfg.Retain)
		}
		l.publishers = append(l.publishers, client.NewPublisher(cfg))
	}
}

// Subscribers adds n subscribers to the hub at an address, at a QoS. Those of MQTT 5 have a small receive maximum, and the third
// holds its answers back.
func (l *Load) Subscribers(addr string, qos byte, n int) {
	for i := range n {
		cfg := &client.SubscriberConfig{
			Ledger: l.Books, Addr: addr, ID: fmt.Sprintf("sub-q%d-%d", qos, i), Version: Version(i), QoS: qos, Filter: Filter,
		}
		cfg.Reader = l.Books.Reader(cfg.ID, qos)
		if cfg.Version == mqtt.V5 {
			cfg.ReceiveMaximum = 20
		}
		if i == 2 {
			cfg.Hold = 5 * time.Millisecond
		}
		l.subscribers = append(l.subscribers, client.NewSubscriber(cfg))
		l.readers = append(l.readers, cfg.Reader)
	}
}

// Run lets the clients live until the test ends: the subscribers first, the publishers when all of these have subscribed.
func (l *Load) Run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l.cancel = cancel
	t.Cleanup(l.end)
	for _, s := range l.subscribers {
		l.subscribing.Go(func() { s.Run(ctx) })
	}
	for i, s := range l.subscribers {
		select {
		case <-s.Ready():
		case <-time.After(20 * time.Second):
			t.Fatalf("subscriber %d has not subscribed in 20 s", i)
		}
	}
	for _, p := range l.publishers {
		l.publishing.Go(func() { p.Run(ctx) })
	}
}

func (l *Load) end() {
	l.cancel()
	l.publishing.Wait()
	l.subscribing.Wait()
}

// Finish lets the publishers come to an end and the readers get everything.
func (l *Load) Finish(t *testing.T) {
	t.Helper()
	for _, p := range l.publishers {
		p.Stop()
	}
	done := make(chan struct{})
	go func() { l.publishing.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("not everything is acknowledged 30 s after the publishers were stopped")
	}
	l.Books.Settle(500*time.Millisecond, 10*time.Second)
}

// Acknowledged is how many messages at QoS 1 and 2 the hub has acknowledged.
func (l *Load) Acknowledged() int { return l.Books.Acknowledged(1) + l.Books.Acknowledged(2) }

// Doom lets some clients die soon and returns how many.
func (l *Load) Doom() int {
	const publishers, subscribers = 4, 2
	for range publishers {
		l.publishers[l.rng.IntN(len(l.publishers))].Doom(1 + l.rng.IntN(200))
	}
	for range subscribers {
		l.subscribers[l.rng.IntN(len(l.subscribers))].Doom(1 + l.rng.IntN(2000))
	}
	return publishers + subscribers
}

// KeepUp waits until the readers are not far behind, so that a long run tests deaths and not patience. As long as it waits, the
// publishers pause.
func (l *Load) KeepUp(t *testing.T) {
	t.Helper()
	const far = 2000
	behind := func() error {
		for i, r := range l.readers {
			if behind := r.Behind(); behind > far {
				return fmt.Errorf("subscriber %d is %d messages behind", i, behind)
			}
		}
		return nil
	}
	if behind() == nil {
		return
	}
	l.Pause(true)
	defer l.Pause(false)
	hub.Eventually(t, time.Minute, "the subscribers keep up", behind)
}

// Pause lets the publishers begin no new messages for the time being, or again.
func (l *Load) Pause(paused bool) {
	for _, p := range l.publishers {
		p.Pause(paused)
	}
}

// Verdict closes the books, logs the figures, and fails the test if there was a fault.
func Verdict(t *testing.T, books *ledger.Ledger) {
	t.Helper()
	report := books.Close()
	if report.Faultless() {
		t.Logf("\n%s", report)
		return
	}
	t.Errorf("\n%s", report)
}
