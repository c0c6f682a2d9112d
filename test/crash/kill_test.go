package crash

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

// A load is publishers and subscribers on `load/#`, their sessions persistent.
type load struct {
	books       *ledger.Ledger
	publishers  []*client.Publisher
	retained    []*ledger.Topic
	subscribers []*client.Subscriber
	readers     []*ledger.Reader // of the subscribers, in their order
	publishing  sync.WaitGroup
	subscribing sync.WaitGroup
}

// version alternates between MQTT 3.1.1 and 5.
func version(i int) byte {
	if i%2 == 0 {
		return mqtt.V311
	}
	return mqtt.V5
}

// addPublishers adds n publishers at a QoS. Each has two topics and one of retained messages. In pairs of a version, one uses the
// lowest free packet identifier and one goes round.
func (l *load) addPublishers(h *hub.Hub, rng *rand.Rand, qos byte, n int) {
	for i := range n {
		id := fmt.Sprintf("pub-q%d-%d", qos, i)
		cfg := &client.PublisherConfig{
			Ledger: l.books, Addr: h.MQTT, ID: id, Version: version(i), Window: 16, LowIDs: i/2%2 == 0,
			Burst: 32, Rest: 100 * time.Millisecond, Seed: rng.Uint64(),
		}
		for _, topic := range []string{"a", "b"} {
			cfg.Topics = append(cfg.Topics, l.books.Topic("load/"+id+"/"+topic, qos, id))
		}
		if qos > 0 {
			cfg.Retain = l.books.Topic("load/"+id+"/state", qos, id)
			l.retained = append(l.retained, cfg.Retain)
		}
		l.publishers = append(l.publishers, client.NewPublisher(cfg))
	}
}

// addSubscribers adds n subscribers at a QoS; those of MQTT 5 have a small receive maximum, and one holds its answers back.
func (l *load) addSubscribers(h *hub.Hub, qos byte, n int) {
	for i := range n {
		cfg := &client.SubscriberConfig{
			Ledger: l.books, Addr: h.MQTT, ID: fmt.Sprintf("sub-q%d-%d", qos, i), Version: version(i), QoS: qos, Filter: "load/#",
		}
		cfg.Reader = l.books.Reader(cfg.ID, qos)
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

// subscribe lets the subscribers live until ctx ends, and waits until all have subscribed.
func (l *load) subscribe(ctx context.Context, t *testing.T) {
	t.Helper()
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
}

func (l *load) publish(ctx context.Context) {
	for _, p := range l.publishers {
		l.publishing.Go(func() { p.Run(ctx) })
	}
}

// finish lets the publishers come to an end and the readers get everything.
func (l *load) finish(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, p := range l.publishers {
		p.Stop()
	}
	if !within(30*time.Second, &l.publishing) {
		t.Error("not everything is acknowledged 30 s after the publishers have stopped")
	}
	if ctx.Err() == nil {
		l.books.Settle(500*time.Millisecond, 10*time.Second)
	}
}

func within(d time.Duration, wg *sync.WaitGroup) bool {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

// TestKill kills the hub with SIGKILL at random times, under load from 16 publishers at QoS 1 and 2 and one at QoS 0, and
// some of the clients with it. Clients and hub keep what they must: nothing acknowledged is lost, nothing at QoS 2 comes twice,
// everything comes in order, retained values and sessions are there right after each restart.
func TestKill(t *testing.T) {
	rng := random(t)
	h := hub.Start(t)
	l := &load{books: ledger.New()}
	l.addSubscribers(h, 1, 2)
	l.addSubscribers(h, 2, 3)
	l.addPublishers(h, rng, 0, 1)
	l.addPublishers(h, rng, 1, 8)
	l.addPublishers(h, rng, 2, 8)
	absentee := newAbsentee(h, l.books)

	ctx, cancel := context.WithCancel(t.Context())
	defer l.subscribing.Wait()
	defer l.publishing.Wait()
	defer absentee.leave()
	defer cancel()
	absentee.come(ctx)
	l.subscribe(ctx, t)
	l.publish(ctx)

	var worst time.Duration
	clients := 0
	for round := range *rounds {
		l.keepUp(t)
		clients += l.doom(rng)
		p := newProbe(t, h, l.books, round)
		absentee.change(ctx, rng)
		time.Sleep(50*time.Millisecond + time.Duration(rng.Int64N(int64(600*time.Millisecond))))
		p.prepare()
		l.books.Event("", "is killed")
		h.Kill()
		began := time.Now()
		h.Again()
		l.books.Event("", "is ready")
		worst = max(worst, time.Since(began))
		checkRetained(t, h, l.books, l.retained, version(round))
		p.check()
		if t.Failed() {
			break
		}
	}
	absentee.come(ctx)
	l.finish(ctx, t)
	t.Logf("%d rounds of kill -9, %d deaths of clients, ready again after at most %v", *rounds, clients, worst.Round(time.Millisecond))
	verdict(t, l.books)
}

// doom lets some clients die soon and returns how many.
func (l *load) doom(rng *rand.Rand) int {
	for range 4 {
		l.publishers[rng.IntN(len(l.publishers))].Doom(1 + rng.IntN(200))
	}
	for range 2 {
		l.subscribers[rng.IntN(len(l.subscribers))].Doom(1 + rng.IntN(2000))
	}
	return 6
}

// keepUp waits until the readers are not far behind, so that a long run tests deaths and not patience.
func (l *load) keepUp(t *testing.T) {
	t.Helper()
	const far = 5000
	hub.Eventually(t, time.Minute, "the subscribers keep up", func() error {
		for i, r := range l.readers {
			if behind := r.Behind(); behind > far {
				return fmt.Errorf("subscriber %d is %d messages behind", i, behind)
			}
		}
		return nil
	})
}

// An absentee is a subscriber that is offline for most of the time: across kills the hub keeps its queue.
type absentee struct {
	subscriber *client.Subscriber
	cancel     context.CancelFunc // nil while it is offline
	running    sync.WaitGroup
}

func newAbsentee(h *hub.Hub, books *ledger.Ledger) *absentee {
	return &absentee{subscriber: client.NewSubscriber(&client.SubscriberConfig{
		Ledger: books, Reader: books.Reader("absentee", 2), Addr: h.MQTT, ID: "absentee", Version: mqtt.V5, QoS: 2, Filter: "load/#",
	})}
}

func (a *absentee) come(ctx context.Context) {
	if a.cancel != nil {
		return
	}
	ctx, a.cancel = context.WithCancel(ctx)
	a.running.Go(func() { a.subscriber.Run(ctx) })
	select {
	case <-a.subscriber.Ready():
	case <-time.After(20 * time.Second):
	}
}

func (a *absentee) leave() {
	if a.cancel != nil {
		a.cancel()
		a.running.Wait()
		a.cancel = nil
	}
}

// change lets it come in one round of four, and leave in the others.
func (a *absentee) change(ctx context.Context, rng *rand.Rand) {
	if rng.IntN(4) == 0 {
		a.come(ctx)
	} else {
		a.leave()
	}
}
