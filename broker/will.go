package broker

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"pulso/bridge/event"
)

// wills are those whose delay is running (MQTT 5, 3.1.3.2.2). There is at most one a session, and only sessions that
// outlive their connection have any. They live in memory: a stop forgets them, as it sends no wills at all.
type wills struct {
	mu      sync.Mutex
	pending map[string]*pendingWill // by client id
	stopped bool
}

type pendingWill struct {
	will  *event.Event
	timer *time.Timer
}

// setWill keeps the will of a CONNECT. mochi's copy of it knows fewer properties.
func (l *link) setWill(c *packets.ConnectParams, sessionExpiry uint32) {
	l.will = &event.Event{
		Kind: event.KindWill, Source: event.SourceMQTT, Topic: strings.Clone(c.WillTopic), Client: l.id,
		Payload: bytes.Clone(c.WillPayload), QoS: c.WillQos, Retain: c.WillRetain,
	}
	if l.willEmpty {
		l.will.Payload = nil
	}
	if l.version == 5 {
		l.will.Properties = propertiesOf(&c.WillProperties)
		l.willDelay = time.Duration(min(c.WillProperties.WillDelayInterval, sessionExpiry)) * time.Second
	}
}

// publishWill hands the will of a connection that has ended to the sink, after its delay.
func (b *Broker) publishWill(l *link) {
	if l.willDelay == 0 || !persistent(l.cl) {
		b.ingestWill(l.will)
		return
	}
	b.wills.mu.Lock()
	defer b.wills.mu.Unlock()
	if b.wills.stopped {
		return
	}
	p := &pendingWill{will: l.will}
	b.wg.Add(1) // before Stop waits: the connection that this is called from is still counted
	p.timer = time.AfterFunc(l.willDelay, func() {
		if b.wills.take(l.id, p) {
			b.ingestWill(p.will)
			b.wg.Done()
		}
	})
	b.wills.pending[l.id] = p
}

// settleWill decides on a delayed will when its client connects again: the resumed session cancels it, a new session
// means that the old one has ended, which sends it.
func (b *Broker) settleWill(l *link) {
	b.wills.mu.Lock()
	p := b.wills.pending[l.id]
	b.wills.mu.Unlock()
	if p == nil || !b.wills.take(l.id, p) {
		return
	}
	defer b.wg.Done()
	p.timer.Stop()
	if !l.resumed {
		b.ingestWill(p.will)
	}
}

func (b *Broker) ingestWill(will *event.Event) {
	m := *will
	m.Time = time.Now().UnixNano()
	if err := b.cfg.Sink.Ingest(b.ctx, m, nil); err != nil {
		b.notStored(m.Client, fmt.Errorf("will: %w", err))
		return
	}
	b.metrics.wills.Inc()
}

// take removes p and reports whether it was still pending: whoever gets true decides on it.
func (w *wills) take(id string, p *pendingWill) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending[id] != p {
		return false
	}
	delete(w.pending, id)
	return true
}

// stop forgets all of them.
func (w *wills) stop(done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for id, p := range w.pending {
		p.timer.Stop()
		delete(w.pending, id)
		done()
	}
}
