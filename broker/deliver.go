package broker

import (
	"slices"

	"github.com/mochi-mqtt/server/v2/packets"

	"pulso/bridge/event"
)

// maxMatches bounds the topics whose subscribers are remembered.
const maxMatches = 16_384

// matches remembers the subscribers of topics for as long as no subscription changes, so that filters are matched once
// a topic and not once a message. It belongs to Deliver's goroutine.
type matches struct {
	generation uint64
	topics     map[string]*match
}

// A match is who gets the messages of one topic.
type match struct {
	targets []target
	shared  [][]target // one group each; one of them gets the message
	turn    int
}

type target struct {
	session           *session
	ids               []int
	qos               byte
	noLocal           bool
	retainAsPublished bool
}

// Deliver takes events that the log has committed, in its order, and delivers them to local MQTT subscribers and to the
// store of retained messages. One goroutine calls it. It never waits for a client: a subscriber that is behind has a
// queue, and what exceeds that is dropped and counted. The batch is only read.
func (b *Broker) Deliver(batch []event.Decoded) {
	for i := range batch {
		e := &batch[i].Event
		if !e.Kind.IsMessage() {
			continue
		}
		if e.Retain && !b.retained.keep(e) {
			b.drop(dropRetained)
		}
		if b.subscriptions.Load() > 0 {
			b.fanOut(e)
		}
	}
}

func (b *Broker) fanOut(e *event.Event) {
	found := b.match(e.Topic)
	if len(found.targets)+len(found.shared) == 0 {
		return
	}
	m := &message{event: *e}
	for i := range found.targets {
		m.deliver(&found.targets[i])
	}
	for _, group := range found.shared {
		m.deliver(&group[found.turn%len(group)])
	}
	found.turn++
}

func (m *message) deliver(t *target) {
	if t.noLocal && m.event.Client == t.session.id && m.event.Source == event.SourceMQTT { // [MQTT-3.8.3-3]
		return
	}
	d := delivery{
		message: m, ids: t.ids, qos: min(t.qos, m.event.QoS),
		retain: m.event.Retain && t.retainAsPublished, // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
	}
	expires := m.event.Properties != nil && m.event.Properties.HasExpiry
	t.session.deliver(&d, d.qos == 0 && !d.retain && len(d.ids) == 0 && !expires)
}

// packet is the packet that QoS 0 subscribers share.
func (m *message) packet(version byte) []byte {
	form := 0
	if version == 5 {
		form = 1
	}
	if m.packets[form] == nil {
		m.packets[form] = appendPublish(nil, version, &publish{event: &m.event})
	}
	return m.packets[form]
}

// match returns who gets the messages of a topic.
func (b *Broker) match(topic string) *match {
	if g := b.generation.Load(); g != b.matches.generation || b.matches.topics == nil {
		b.matches = matches{generation: g, topics: map[string]*match{}}
	}
	if found, ok := b.matches.topics[topic]; ok {
		return found
	}
	if len(b.matches.topics) >= maxMatches {
		clear(b.matches.topics)
	}
	found := b.scan(topic)
	b.matches.topics[topic] = found
	return found
}

// scan asks mochi's index of subscriptions.
func (b *Broker) scan(topic string) *match {
	subscribers := b.server.Topics.Subscribers(topic)
	b.mu.Lock()
	defer b.mu.Unlock()
	found := &match{}
	for id, sub := range subscribers.Subscriptions {
		if t, ok := b.target(id, &sub); ok {
			found.targets = append(found.targets, t)
		}
	}
	for _, members := range subscribers.Shared {
		var group []target
		for id, sub := range members {
			if t, ok := b.target(id, &sub); ok {
				group = append(group, t)
			}
		}
		if len(group) > 0 {
			found.shared = append(found.shared, group)
		}
	}
	return found
}

func (b *Broker) target(id string, sub *packets.Subscription) (target, bool) {
	s, ok := b.sessions[id]
	t := target{session: s, qos: sub.Qos, noLocal: sub.NoLocal, retainAsPublished: sub.RetainAsPublished}
	for _, n := range sub.Identifiers {
		if n > 0 {
			t.ids = append(t.ids, n)
		}
	}
	if sub.Identifiers == nil && sub.Identifier > 0 {
		t.ids = []int{sub.Identifier}
	}
	slices.Sort(t.ids)
	return t, ok
}

// replay sends the retained messages that a new subscription matches [MQTT-3.3.1-9]; a shared one gets none.
func (b *Broker) replay(s *session, sub *packets.Subscription) {
	if len(sub.Filter) > 0 && sub.Filter[0] == '$' {
		return
	}
	var ids []int
	if sub.Identifier > 0 {
		ids = []int{sub.Identifier}
	}
	b.retained.match(sub.Filter, func(m *message) {
		s.deliver(&delivery{
			message: m, ids: ids, qos: min(sub.Qos, m.event.QoS), retain: true, replay: true,
		}, false)
	})
}

func (b *Broker) drop(reason string) { b.metrics.drops.WithLabelValues(reason).Inc() }
