package broker

import (
	"fmt"
	"sync"
	"time"

	"pulso/bridge/event"
	"pulso/broker/packet"
	"pulso/broker/store"
)

// A will is what a connection leaves behind (MQTT 5, 3.1.2.5).
type will struct {
	event event.Event
	delay time.Duration
}

// wills are those whose delay is running (MQTT 5, 3.1.3.2.2). There is at most one a session, and only sessions that
// outlive their connection have any. They survive the process.
type wills struct {
	mu      sync.Mutex
	pending map[string]*pendingWill // by client id
	stopped bool
}

type pendingWill struct {
	event event.Event
	owner string // the account that left it
	due   time.Time
	timer *time.Timer // nil: the broker stops
	taken bool        // it is on its way to the log
}

// newWill is the will of a CONNECT.
func newWill(client string, c *packet.Connecting) *will {
	w := &will{event: event.Event{
		Kind: event.KindWill, Source: event.SourceMQTT, Topic: c.Will.Topic, Client: client,
		Payload: c.Will.Payload, QoS: c.Will.QoS, Retain: c.Will.Retain, Properties: c.Will.Properties,
	}}
	w.delay = time.Duration(min(c.Will.Delay, c.SessionExpiry)) * time.Second
	return w
}

// publishWill hands the will of a connection that has ended to the sink, after its delay.
func (b *Broker) publishWill(l *link) {
	if delay := min(l.will.delay, l.session.life()); delay > 0 {
		b.delayWill(l.id, &pendingWill{event: l.will.event, owner: l.identity(), due: time.Now().Add(delay)})
		return
	}
	if b.mayWill(l.identity(), &l.will.event) {
		b.ingestWill(&l.will.event, nil)
	}
}

// mayWill reports whether a will that is due may be published: the account may have lost the right since.
func (b *Broker) mayWill(owner string, e *event.Event) bool {
	if b.cfg.MayPublish == nil || b.cfg.MayPublish(owner, e.Client, e.Topic) {
		return true
	}
	b.metrics.forbidden.WithLabelValues(forbiddenWill).Inc()
	return false
}

// delayWill publishes a will when it is due.
func (b *Broker) delayWill(client string, p *pendingWill) {
	b.wills.mu.Lock()
	defer b.wills.mu.Unlock()
	b.wills.pending[client] = p
	b.journal.will(client)
	b.journal.hurry()
	if b.wills.stopped { // it is sent after the next start
		return
	}
	p.timer = time.AfterFunc(time.Until(p.due), func() {
		if !b.begin() {
			return
		}
		defer b.wg.Done()
		if b.wills.take(client, p) {
			b.sendDelayed(client, p)
		}
	})
}

// settleWill decides on a delayed will when its client connects again: the resumed session cancels it, a new session
// means that the old one has ended, which sends it.
func (b *Broker) settleWill(client string, resumed bool) {
	b.wills.mu.Lock()
	p := b.wills.pending[client]
	b.wills.mu.Unlock()
	if p == nil || !b.wills.take(client, p) {
		return
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	if !resumed {
		b.sendDelayed(client, p)
		return
	}
	b.wills.settled(client, p)
	b.journal.will(client)
}

// sendDelayed hands a delayed will to the sink. The store keeps it until the log has it.
func (b *Broker) sendDelayed(client string, p *pendingWill) {
	if !b.mayWill(p.owner, &p.event) {
		b.wills.settled(client, p)
		b.journal.will(client)
		return
	}
	b.ingestWill(&p.event, func(_ event.Position, err error) {
		if err != nil {
			b.notStored(client, fmt.Errorf("will: %w", err))
			return
		}
		b.wills.settled(client, p)
		b.journal.will(client)
	})
}

func (b *Broker) ingestWill(e *event.Event, done func(event.Position, error)) {
	m := *e
	m.Time = time.Now().UnixNano()
	if b.cfg.Admit != nil {
		_ = b.cfg.Admit(&m, false) // there is nobody who could be told
	}
	if err := b.cfg.Sink.Ingest(b.ctx, m, done); err != nil {
		b.notStored(m.Client, fmt.Errorf("will: %w", err))
		return
	}
	b.metrics.wills.Inc()
}

// take reports whether p is still to be decided on: whoever gets true decides.
func (w *wills) take(client string, p *pendingWill) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending[client] != p || p.taken {
		return false
	}
	p.taken = true
	return true
}

// settled forgets p, unless another one has taken its place.
func (w *wills) settled(client string, p *pendingWill) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending[client] == p {
		delete(w.pending, client)
	}
}

// stored is the will of a client as the store keeps it.
func (w *wills) stored(client string) (store.Will, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pending[client]
	if p == nil {
		return store.Will{}, false
	}
	return store.Will{Due: p.due.UnixNano(), Event: p.event}, true
}

// stop leaves all of them to the store: a stop sends no wills.
func (w *wills) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for _, p := range w.pending {
		if p.timer != nil {
			p.timer.Stop()
		}
	}
}
