package broker

import (
	"strings"

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
	if len(found.targets)+len(found.groups) == 0 {
		return
	}
	m := &message{event: *e}
	for i := range found.targets {
		m.deliver(&found.targets[i])
	}
	for _, group := range found.groups {
		m.deliver(pick(group, found.turn))
	}
	found.turn++
}

// pick takes turns among the members of a group that are connected, or else among all.
func pick(group []target, turn int) *target {
	for i := range group {
		if t := &group[(turn+i)%len(group)]; t.session.connected() {
			return t
		}
	}
	return &group[turn%len(group)]
}

func (m *message) deliver(t *target) {
	if t.noLocal && m.event.Client == t.session.id && m.event.Source == event.SourceMQTT { // [MQTT-3.8.3-3]
		return
	}
	d := delivery{
		message: m, ids: t.ids, qos: min(t.qos, m.event.QoS),
		retain: m.event.Retain && t.retainAsPublished, // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
	}
	t.session.deliver(&d, d.qos == 0 && !d.retain && len(d.ids) == 0 && !m.expires())
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
	if g := b.index.generation.Load(); g != b.matches.generation || b.matches.topics == nil {
		b.matches = matches{generation: g, topics: map[string]*match{}}
	}
	if found, ok := b.matches.topics[topic]; ok {
		return found
	}
	if len(b.matches.topics) >= maxMatches {
		clear(b.matches.topics)
	}
	found := b.index.find(topic)
	b.matches.topics[topic] = found
	return found
}

// replay sends the retained messages that a new subscription matches [MQTT-3.3.1-9]; a shared one gets none.
func (b *Broker) replay(s *session, sub *packets.Subscription) {
	if strings.HasPrefix(sub.Filter, "$") {
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
