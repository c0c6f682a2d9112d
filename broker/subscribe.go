package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"pulso/bridge/event"
	"pulso/broker/limit"
	"pulso/broker/packet"
)

// settleTimeout bounds how long a SUBSCRIBE waits for the log.
const settleTimeout = time.Second

// subscribe acts on a SUBSCRIBE. The SUBACK says how each filter fared [MQTT-3.8.4-6], and comes only when the
// subscriptions of a session that survives the process do so; retained messages may come before it.
func (l *link) subscribe(body []byte) error {
	p, err := packet.DecodeSubscribe(body, l.version)
	if err != nil {
		return violationOf(err)
	}
	s := l.session
	l.settle()
	codes, reasons, replays := s.subscribeAll(p)
	for _, r := range replays {
		s.replay(r)
	}
	if err := s.settled(l.ctx.Done()); err != nil {
		for i := range codes {
			codes[i] = codeUnspecified
		}
		reasons = append(reasons, err.Error())
		l.broker.notStored(l.id, fmt.Errorf("subscription: %w", err))
	}
	l.answerNow(subackPacket(l, packets.Suback, p.ID, codes, reasons))
	s.pump()
	return nil
}

// subscribeAll makes the subscriptions of a SUBSCRIBE, all at one place in the log: what is retained there is sent as
// retained, what comes after it comes live. It returns the replays that are still to be begun: where a retained message is
// replaced before they come to it, the new one comes live alone.
func (s *session) subscribeAll(p *packet.Subscribing) (codes []byte, reasons []string, replays []*replay) {
	s.broker.delivering.Lock()
	defer s.broker.delivering.Unlock()
	codes = make([]byte, len(p.Subscriptions))
	for i := range p.Subscriptions {
		sub := &p.Subscriptions[i]
		code, fresh, err := s.subscribe(sub, p.Identifier)
		if codes[i] = code; err != nil {
			reasons = append(reasons, err.Error())
			continue
		}
		if sub.RetainHandling == 0 || sub.RetainHandling == 1 && fresh { // [MQTT-3.3.1-9] [MQTT-3.3.1-10]
			r := &replay{
				filter: sub.Filter, until: s.broker.tail.Load(), sub: subscription{identifier: p.Identifier, qos: sub.QoS},
			}
			if strings.ContainsAny(sub.Filter, "+#") { // looking through what there is must not hold up Deliver
				replays = append(replays, r)
			} else {
				s.replay(r)
			}
		}
	}
	return codes, reasons, replays
}

// settle waits, though not for ever, until what was published before a SUBSCRIBE has been delivered: it is none of the
// subscription's business, but for what of it is retained.
func (l *link) settle() {
	ctx, cancel := context.WithTimeout(l.ctx, settleTimeout)
	defer cancel()
	_ = l.broker.cfg.Sink.Settle(ctx) // what is retained by then will do
}

// subackPacket is a SUBACK or UNSUBACK.
func subackPacket(l *link, kind byte, id uint16, codes []byte, reasons []string) []byte {
	p := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: kind}, ProtocolVersion: l.version, PacketID: id, ReasonCodes: codes,
	}
	if len(reasons) > 0 {
		p.Properties.ReasonString = reasons[0]
	}
	p.Mods = l.mods()
	if l.version < 5 {
		for i, code := range codes {
			if code >= codeUnspecified { // [MQTT-3.9.3-2] of MQTT 3.1.1
				codes[i] = codeUnspecified
			}
		}
	}
	if kind == packets.Suback {
		return encode(&p, (*packets.Packet).SubackEncode)
	}
	return encode(&p, (*packets.Packet).UnsubackEncode)
}

// unsubscribe acts on an UNSUBSCRIBE.
func (l *link) unsubscribe(body []byte) error {
	p, err := packet.DecodeUnsubscribe(body, l.version)
	if err != nil {
		return violationOf(err)
	}
	codes := make([]byte, len(p.Filters))
	for i, filter := range p.Filters {
		codes[i] = l.session.unsubscribe(filter)
	}
	if err := l.session.settled(l.ctx.Done()); err != nil {
		l.broker.notStored(l.id, fmt.Errorf("end of a subscription: %w", err))
	}
	l.answerNow(subackPacket(l, packets.Unsuback, p.ID, codes, nil))
	return nil
}

// checkSubscription returns nil for a filter that may be subscribed to, else the reason code and why.
func (b *Broker) checkSubscription(filter string) (byte, error) {
	if err := packet.CheckFilter(filter); err != nil {
		return packet.CodeOf(err), err
	}
	_, rest, _ := packet.SplitShare(filter)
	if n := strings.Count(rest, "/") + 1; n > b.cfg.MaxTopicLevels {
		return packet.ReasonFilterInvalid, fmt.Errorf("%w: %d levels, at most %d", event.ErrFilter, n, b.cfg.MaxTopicLevels)
	}
	return 0, nil
}

// subscribe adds a subscription, or replaces it [MQTT-3.8.4-3]. It returns the reason code, and whether the subscription
// is new.
func (s *session) subscribe(p *packet.Subscription, identifier int) (code byte, fresh bool, err error) {
	b := s.broker
	if code, err := b.checkSubscription(p.Filter); err != nil {
		b.log.Debug("MQTT subscription refused", "client", s.id, "error", err)
		return code, false, err
	}
	if err := s.maySubscribe(p.Filter); err != nil {
		return codeNotAuthorized, false, err
	}
	sub := subscription{
		identifier: identifier, qos: p.QoS, noLocal: p.NoLocal, retainAsPublished: p.RetainAsPublished,
		retainHandling: p.RetainHandling,
	}
	s.mu.Lock()
	old, had := s.filters[p.Filter]
	refused := !had && (len(s.filters) >= b.cfg.MaxSubscriptions || !b.allows(limit.NewSubscription))
	bounded := !had && !refused && !s.meter.Subscribe(false)
	s.mu.Unlock()
	switch {
	case bounded: // which the meter has counted
		return packet.ReasonQuota, false, errAccountSubscriptions
	case refused:
		b.metrics.limited.WithLabelValues(limitSubscriptions).Inc()
		return packet.ReasonQuota, false, errTooManySubscriptions
	}
	if name, rest, shared := packet.SplitShare(p.Filter); shared {
		sub.group = b.join(groupKey{name, rest}, s, sub)
	}
	sub.since = b.tail.Load()
	if had {
		sub.since = old.since
	}
	s.add(p.Filter, sub, had)
	return p.QoS, !had, nil
}

func (s *session) add(filter string, sub subscription, had bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(filter, sub, had)
	if s.kept() {
		s.note(filter)
		s.touch()
	}
	if had {
		return
	}
	if p := s.broker.cfg.Presence; p != nil && s.conn != nil {
		p.Subscribed(s.id, filter)
	}
}

// put adds a subscription to what is in memory.
func (s *session) put(filter string, sub subscription, had bool) {
	if s.filters == nil {
		s.filters = map[string]subscription{}
	}
	s.filters[filter] = sub
	s.changes++
	if sub.group == nil {
		s.broker.index.add(s, filter, sub)
	} else if !had {
		s.groups = append(slices.Clip(s.groups), sub.group) // others may hold the old one
	}
	if !had {
		s.broker.subscriptions.Add(1)
	}
}

// unsubscribe removes a subscription [MQTT-3.10.4-2] and returns the reason code.
func (s *session) unsubscribe(filter string) byte {
	s.mu.Lock()
	sub, had := s.filters[filter]
	if !had {
		s.mu.Unlock()
		if _, err := s.broker.checkSubscription(filter); err != nil {
			return packet.ReasonFilterInvalid
		}
		return codeNoSubscription
	}
	delete(s.filters, filter)
	s.meter.Unsubscribe()
	s.changes++
	s.replays = without(s.replays, func(r *replay) bool { return r.filter == filter })
	if sub.group == nil {
		s.broker.index.remove(s, filter)
	} else {
		s.groups = without(s.groups, func(g *group) bool { return g == sub.group })
	}
	if s.kept() {
		s.note(filter)
		s.touch()
	}
	s.broker.subscriptions.Add(-1)
	if p := s.broker.cfg.Presence; p != nil && s.conn != nil {
		p.Unsubscribed(s.id, filter)
	}
	s.mu.Unlock()
	if sub.group != nil {
		sub.group.remove(s)
		s.adopt(sub.group)
	}
	return 0
}

// adopt makes what the session has in flight of a group that it has left its own [MQTT-3.10.4-3].
func (s *session) adopt(g *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.inflight {
		if o := &s.inflight[i]; o.group == g {
			o.group = nil
			s.touch()
		}
	}
}

// without returns a new slice, since others may hold the old one.
func without[T any](list []T, gone func(T) bool) []T {
	var rest []T
	for _, v := range list {
		if !gone(v) {
			rest = append(rest, v)
		}
	}
	return rest
}

// replay begins to send the retained messages that a new subscription matches; a shared one gets none [MQTT-3.3.1-9]. The
// first of them are looked up at once, the rest as the client takes them.
func (s *session) replay(r *replay) {
	if _, _, shared := packet.SplitShare(r.filter); shared || s.broker.retained.count.Load() == 0 {
		return
	}
	found, next, more := s.broker.retained.page(r.filter, "", r.until)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.replays) > 0 || !s.low() { // others are first
		more = more || len(found) > 0
	} else {
		s.pushRetained(r, found)
		r.from = next
	}
	if !more {
		return
	}
	if len(s.replays) >= maxReplays {
		s.replays = without(s.replays, func(old *replay) bool { return old.filter == r.filter })
	}
	s.replays = append(s.replays, r)
}
