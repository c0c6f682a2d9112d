package crash

import (
	"context"
	"sync"
	"testing"
	"time"

	"pulso/test/crash/internal/client"
	"pulso/test/crash/internal/ledger"
	"pulso/test/crash/internal/load"
	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// TestKill kills the hub with SIGKILL at random times, under load from 16 publishers at QoS 1 and 2 and one at QoS 0, and
// some of the clients with it. Clients and hub keep what they must: nothing acknowledged is lost, nothing at QoS 2 comes twice,
// everything comes in order, retained values and sessions are there right after each restart.
func TestKill(t *testing.T) {
	rng := random(t)
	h := hub.Start(t)
	l := load.New(rng)
	l.Subscribers(h.MQTT, 1, 2)
	l.Subscribers(h.MQTT, 2, 3)
	l.Publishers(h.MQTT, 0, 1)
	l.Publishers(h.MQTT, 1, 8)
	l.Publishers(h.MQTT, 2, 8)
	absentee := newAbsentee(h, l.Books)
	absentee.come(t)
	defer absentee.leave()
	l.Run(t)

	var worst time.Duration
	clients := 0
	for round := range *rounds {
		l.KeepUp(t)
		clients += l.Doom()
		p := newProbe(t, h, l.Books, round)
		if rng.IntN(4) == 0 {
			absentee.come(t)
		} else {
			absentee.leave()
		}
		time.Sleep(50*time.Millisecond + time.Duration(rng.Int64N(int64(600*time.Millisecond))))
		p.prepare()
		began := time.Now()
		l.Books.Event("", "is killed")
		h.Kill()
		l.Pause(true) // what comes now is what was in flight
		h.Again()
		l.Books.Event("", "is ready")
		worst = max(worst, time.Since(began))
		checkRetained(t, h, l.Books, l.Retained, load.Version(round))
		l.Pause(false)
		p.check()
		if round%10 == 9 {
			t.Logf("%d rounds, %d messages acknowledged, worst restart %v", round+1, l.Acknowledged(), worst.Round(time.Millisecond))
		}
	}
	absentee.come(t)
	l.Finish(t)
	t.Logf("%d rounds of kill -9, %d deaths of clients, ready again after at most %v", *rounds, clients, worst.Round(time.Millisecond))
	load.Verdict(t, l.Books)
}

// restart kills the hub and starts it again.
func restart(h *hub.Hub, books *ledger.Ledger) {
	books.Event("", "is killed")
	h.Kill()
	h.Again()
	books.Event("", "is ready")
}

// An absentee is a subscriber that is offline for most of the time: across kills the hub keeps its queue.
type absentee struct {
	subscriber *client.Subscriber
	cancel     context.CancelFunc // nil while it is offline
	running    sync.WaitGroup
}

func newAbsentee(h *hub.Hub, books *ledger.Ledger) *absentee {
	return &absentee{subscriber: client.NewSubscriber(&client.SubscriberConfig{
		Ledger: books, Reader: books.Reader("absentee", 2), Addr: h.MQTT, ID: "absentee", Version: mqtt.V5, QoS: 2, Filter: load.Filter,
	})}
}

// come lets it be online; the first time, until it has subscribed.
func (a *absentee) come(t *testing.T) {
	t.Helper()
	if a.cancel != nil {
		return
	}
	var ctx context.Context
	ctx, a.cancel = context.WithCancel(t.Context())
	a.running.Go(func() { a.subscriber.Run(ctx) })
	select {
	case <-a.subscriber.Ready():
	case <-time.After(20 * time.Second):
		t.Error("the absentee has not subscribed in 20 s")
	}
}

func (a *absentee) leave() {
	if a.cancel != nil {
		a.cancel()
		a.running.Wait()
		a.cancel = nil
	}
}
