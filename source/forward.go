package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pulso/bridge/event"
)

// forward sends what screens and services publish, until ctx ends or the connection does: first what the last connection left
// without an answer.
func (l *link) forward(ctx, connected context.Context) {
	o, limit := l.r.outbox, min(maxUnanswered, l.welcome.receiveMaximum)
	for {
		l.mu.Lock()
		full := len(l.out) > maxUnwritten
		l.mu.Unlock()
		if ctx.Err() != nil || connected.Err() != nil {
			return
		}
		if !full {
			if s, again := o.take(l, limit, time.Now()); s != nil {
				l.send(s, again && l.welcome.present) // the broker may have it under this identifier [MQTT-4.4.0-1]
				continue
			}
		}
		select {
		case <-o.wake:
		case <-l.room:
		case <-ctx.Done():
			return
		case <-connected.Done():
			return
		}
	}
}

// send hands one message to the socket.
func (l *link) send(s *sending, again bool) {
	r := l.r
	p := outgoing{
		topic: strings.TrimPrefix(s.Topic, r.cfg.Prefix), payload: s.Payload, properties: left(s.Properties, &s.Event),
		id: s.id, qos: min(s.QoS, 1, l.welcome.maxQoS), retain: s.Retain && !l.welcome.noRetain,
	}
	p.dup = again && p.qos > 0
	switch {
	case l.version == 4:
		if event.MatchAny(r.cfg.Filters, p.topic) {
			r.memory.expect(p.topic, p.payload, time.Now())
		}
	case l.shared.Load():
		marked := event.Properties{}
		if p.properties != nil {
			marked = *p.properties
		}
		marked.User = append(slices.Clip(marked.User),
			event.UserProperty{Name: originProperty, Value: r.keeper.get().ClientID})
		p.properties = &marked
	}
	b, err := l.codec.publish(&p)
	if err == nil && len(b) > l.welcome.maxPacket {
		err = fmt.Errorf("%d bytes, and the broker takes %d", len(b), l.welcome.maxPacket)
	}
	if err != nil {
		r.metrics.forwardDropped.WithLabelValues(r.cfg.Name, dropTooLarge).Inc()
		r.logger.Warn("a message cannot be sent to the broker", "topic", s.Topic, "error", err)
		r.outbox.answered(s.id)
		return
	}
	if l.push(b) && p.qos == 0 {
		r.metrics.forwarded.WithLabelValues(r.cfg.Name).Inc()
		r.outbox.answered(s.id)
	}
}

// abandon gives up a message that the broker hangs up on each time it gets it.
func (r *remote) abandon(s *sending) {
	r.metrics.forwardDropped.WithLabelValues(r.cfg.Name, dropRefused).Inc()
	r.logger.Error("the broker hangs up whenever it gets this message: it is left out", "topic", s.Topic, "times", s.hangUps)
	r.outbox.answered(s.id)
}

// left are a message's properties with what is left of its expiry [MQTT-3.3.2-6].
func left(p *event.Properties, e *event.Event) *event.Properties {
	if p == nil || !p.HasExpiry {
		return p
	}
	out := *p
	out.Expiry -= uint32(min(max(0, time.Since(e.Arrival())/time.Second), time.Duration(out.Expiry)))
	return &out
}

// answered takes the broker's answer to a message.
func (l *link) answered(id uint16, code byte) {
	r := l.r
	if !r.outbox.answered(id) {
		return
	}
	if code >= 0x80 {
		r.metrics.forwardDropped.WithLabelValues(r.cfg.Name, dropRefused).Inc()
		r.logger.Warn("the broker refuses a message", "reason", fmt.Sprintf("0x%02x", code))
		return
	}
	r.metrics.forwarded.WithLabelValues(r.cfg.Name).Inc()
}
