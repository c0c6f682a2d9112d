package broker

import "pulso/bridge/event"

// Bounds of the topics whose subscribers are remembered, and of those subscribers in all, at some 100 bytes each.
const (
	maxMatches = 16_384
	maxTargets = 1 << 18
)

// matches remembers the subscribers of topics for as long as no subscription changes, so that filters are matched once
// a topic and not once a message. It belongs to Deliver's goroutine.
type matches struct {
	generation uint64
	topics     map[string]*match
	targets    int // of all of them
}

// Deliver takes events that the log has committed, in its order and without holes, and offers them to local MQTT
// subscribers and to the store of retained messages. One goroutine calls it. It never waits for a client: a subscriber
// that is behind is served from the log later. The batch is only read.
func (b *Broker) Deliver(batch []event.Decoded) {
	if len(batch) == 0 {
		return
	}
	b.delivering.Lock()
	defer b.delivering.Unlock()
	// First of all: who stops reading from the log now has read up to here, and is offered the rest.
	b.tail.Store(batch[len(batch)-1].Position.Offset + 1)
	for i := range batch {
		b.dispatch(&batch[i].Event)
	}
	reached := batch[len(batch)-1].Next()
	b.reached.Store(&reached)
}

func (b *Broker) dispatch(e *event.Event) {
	if !e.Kind.IsMessage() {
		return
	}
	if e.Retain {
		b.retain(e)
	}
	if b.subscriptions.Load() == 0 {
		b.watched.unheard(e.Position.Offset)
		return
	}
	found := b.match(e.Topic)
	if len(found.targets)+len(found.groups) == 0 {
		b.watched.unheard(e.Position.Offset)
		return
	}
	m := &message{event: *e}
	for i := range found.targets {
		t := &found.targets[i]
		if t.since > e.Position.Offset || t.silences(e) {
			continue
		}
		d := t.delivery(m)
		t.session.offer(&d)
	}
	for _, g := range found.groups {
		g.offer(m)
	}
}

// match returns who gets the messages of a topic.
func (b *Broker) match(topic string) *match {
	if g := b.index.generation.Load(); g != b.matches.generation || b.matches.topics == nil {
		b.matches = matches{generation: g, topics: map[string]*match{}}
	}
	if found, ok := b.matches.topics[topic]; ok {
		return found
	}
	found := b.index.find(topic)
	if b.matches.targets += len(found.targets) + len(found.groups); len(b.matches.topics) >= maxMatches || b.matches.targets > maxTargets {
		clear(b.matches.topics)
		b.matches.targets = len(found.targets) + len(found.groups)
	}
	b.matches.topics[topic] = found
	return found
}

func (b *Broker) drop(reason string) { b.metrics.drops.WithLabelValues(reason).Inc() }
