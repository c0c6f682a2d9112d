package broker

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// checkPublishTopic returns nil for a topic that clients may publish to: topics that begin with "$" are the server's
// (MQTT 5, 4.7.2).
func checkPublishTopic(topic string, levels int) error {
	if strings.HasPrefix(topic, "$") {
		return fmt.Errorf("%w %.80q: topics that begin with \"$\" are the server's", errReserved, topic)
	}
	if n := strings.Count(topic, "/") + 1; n > levels {
		return fmt.Errorf("%w %.80q: %d levels, at most %d", event.ErrTopic, topic, n, levels)
	}
	return event.CheckTopic(topic)
}

// publish acts on a PUBLISH: log first. The message is handed to the sink, and answered when it is stored; the reader
// goes on meanwhile. A full sink blocks it, so TCP slows this one client.
func (l *link) publish(raw rawPacket, now time.Time) error {
	var p packet.Published
	if err := p.Decode(raw.first, raw.body, l.version); err != nil {
		return l.refuseMessage(&p, err)
	}
	if err := l.resolve(&p); err != nil {
		return err
	}
	if bad := l.checkTopic(); bad != nil {
		return l.refuseMessage(&p, bad)
	}
	if p.QoS > 0 {
		if held := l.quota.Add(1); l.version == 5 && int(held) > l.broker.cfg.ReceiveMaximum { // [MQTT-3.3.4-7] [MQTT-3.3.4-8]
			return &violation{reason: reasonProtocol, code: codeReceiveMaximum, detail: "more unacknowledged messages than the receive maximum"}
		}
	}
	l.broker.metrics.received[p.QoS].Inc()
	if p.QoS == 2 && !l.session.receive(p.ID) {
		l.answered()
		return nil
	}
	m := event.Event{
		Kind: event.KindPublish, Source: event.SourceMQTT, Time: now.UnixNano(), Topic: l.lastTopic, Ref: l.ref, Client: l.id,
		Payload: p.Payload, QoS: p.QoS, Retain: p.Retain, Properties: p.Properties(),
	}
	if !raw.owned {
		m.Payload = append([]byte(nil), p.Payload...)
	}
	if err := l.admit(&m, p.ID); err != nil {
		l.slow(len(raw.body)) // who is refused is held back as others are
		return l.refuseMessage(&p, err)
	}
	l.hand(&m, p.ID, now)
	l.slow(len(raw.body))
	return nil
}

// admit has a message judged. MQTT 3 has no answer that says no: what was sent with QoS 1 or 2 is not refused.
func (l *link) admit(m *event.Event, id uint16) error {
	if l.broker.cfg.Admit == nil {
		return nil
	}
	err := l.broker.cfg.Admit(m, l.version == 5 || m.QoS == 0)
	if err == nil {
		return nil
	}
	if m.QoS == 2 {
		l.session.accept(id, event.Position{}, err)
	}
	if m.QoS > 0 {
		l.answered()
	}
	return fmt.Errorf("%w: %w", errContract, err)
}

// resolve finds the topic of a message, alias or not (MQTT 5, 3.3.2.3.4), and leaves it in lastTopic.
func (l *link) resolve(p *packet.Published) error {
	if p.Alias > topicAliasMaximum {
		return &violation{reason: reasonProtocol, code: codeAlias, detail: fmt.Sprintf("topic alias %d, at most %d", p.Alias, topicAliasMaximum)}
	}
	if len(p.Topic) > 0 {
		if string(p.Topic) != l.lastTopic {
			l.turnTo(p.Topic)
		}
		if p.Alias > 0 {
			if l.aliases == nil {
				l.aliases = map[uint16]string{}
			}
			l.aliases[p.Alias] = l.lastTopic
		}
		return nil
	}
	topic, known := l.aliases[p.Alias]
	if !known {
		return &violation{reason: reasonProtocol, code: codeProtocol, detail: "a topic alias that was never set"}
	}
	if topic != l.lastTopic {
		l.lastTopic, l.judged, l.permitted, l.ref = topic, false, false, nil
	}
	return nil
}

// turnTo makes another topic lastTopic.
func (l *link) turnTo(topic []byte) {
	l.permitted = false
	if l.ref = l.broker.topics.find(topic); l.ref != nil {
		l.lastTopic, l.judged = l.ref.Topic, true
		return
	}
	l.lastTopic, l.judged = string(topic), false
}

// checkTopic judges lastTopic, once.
func (l *link) checkTopic() error {
	if l.judged {
		return l.permit()
	}
	if err := checkPublishTopic(l.lastTopic, l.broker.cfg.MaxTopicLevels); err != nil {
		return err
	}
	if err := l.permit(); err != nil {
		return err
	}
	l.judged = true
	l.ref = l.broker.topics.add(l.lastTopic)
	return nil
}

// hand gives a message to the sink, and has it answered when it is stored.
func (l *link) hand(m *event.Event, id uint16, now time.Time) {
	switch m.QoS {
	case 0:
		l.ingest(m, nil)
	case 1:
		l.ingest(m, func(_ event.Position, err error) {
			if l.isStored(now, err) {
				l.answered()
				var ack [4]byte
				l.conn.answer(packet.AppendAck(ack[:0], packet.Puback, id, 0, l.version))
			}
		})
	default:
		m.PacketID = id
		s := l.session
		taken := l.ingest(m, func(after event.Position, err error) {
			s.accept(id, after, err)
			l.isStored(now, err)
		})
		if !taken {
			s.accept(id, event.Position{}, ErrStopped)
		}
	}
}

// ingest hands m to the sink. What the sink does not take ends the connection: the client must not believe that it was.
func (l *link) ingest(m *event.Event, done func(event.Position, error)) bool {
	err := l.broker.cfg.Sink.Ingest(l.ctx, *m, done)
	if err == nil {
		return true
	}
	if l.ctx.Err() == nil {
		l.broker.notStored(l.id, err)
	}
	l.end(causeStore)
	return false
}

// isStored takes note of what became of a message of QoS 1 or 2. It runs on the log's goroutine.
func (l *link) isStored(arrival time.Time, err error) bool {
	if err != nil {
		if l.cause.Load() == nil {
			l.broker.notStored(l.id, err)
		}
		l.end(causeStore)
		return false
	}
	l.broker.metrics.acks.Inc()
	l.broker.metrics.ackSeconds.Observe(time.Since(arrival).Seconds())
	return true
}

// complaints counts the messages that were not stored and not yet told of.
type complaints struct {
	mu    sync.Mutex
	count int
	last  time.Time // when the operator was told
}

// notStored tells the operator of something that was not stored, at most once a second: the line says how many
// there were since the one before, and names the client of the last.
func (b *Broker) notStored(client string, err error) {
	c := &b.complaints
	c.mu.Lock()
	c.count++
	now := time.Now()
	if now.Sub(c.last) < time.Second {
		c.mu.Unlock()
		return
	}
	count := c.count
	c.count, c.last = 0, now
	c.mu.Unlock()
	b.log.Error("messages not stored", "count", count, "client", client, "error", err)
}

// refuseMessage answers a message that is not accepted: MQTT 5 has reason codes for some of that; in MQTT 3 a message of
// QoS 1 or 2 can only be acknowledged, which would be a lie, or end the connection (MQTT 3.1.1, 3.3.5). At QoS 0 it is
// left out. All else that is wrong with a PUBLISH ends the connection.
func (l *link) refuseMessage(p *packet.Published, err error) error {
	b := l.broker
	code, answerable := answerTo(err)
	if !answerable {
		return violationOf(err)
	}
	reason := reasonTopic
	if errors.Is(err, errContract) {
		reason = reasonContract
	}
	b.metrics.invalid.WithLabelValues(reason).Inc()
	b.log.Debug("message refused", "client", l.id, "remote", l.remote, "error", err)
	switch {
	case p.QoS == 0:
	case l.version < 5:
		return &violation{reason: reasonTopic, code: code, detail: err.Error()}
	case p.QoS == 1:
		l.conn.answer(packet.AppendAck(nil, packet.Puback, p.ID, code, l.version))
	default:
		l.conn.answer(packet.AppendAck(nil, packet.Pubrec, p.ID, code, l.version))
	}
	return nil
}

var (
	// errReserved: a topic that is not the clients'.
	errReserved = errors.New("reserved topic")
	// errContract: a payload that is not what was promised.
	errContract = errors.New("refused")
)

// answerTo is the reason code that answers a message which is refused, and whether it can be answered at all.
func answerTo(err error) (code byte, ok bool) {
	e := (*packet.Error)(nil)
	switch {
	case errors.Is(err, errContract):
		return codePayloadFormat, true
	case errors.Is(err, errReserved), errors.Is(err, errForbidden):
		return codeNotAuthorized, true
	case errors.Is(err, event.ErrTopic):
		return codeTopicInvalid, true
	case errors.As(err, &e):
		return e.Code, e.Answerable
	}
	return 0, false
}

// answered takes note that a message of the client is answered in full; a client may also release what it sent on an
// earlier connection, which this one has not counted.
func (l *link) answered() {
	if l.quota.Add(-1) < 0 {
		l.quota.Add(1)
	}
}
