package broker

import (
	"fmt"
	"strings"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"pulso/bridge/event"
)

// Reason codes that answer a PUBLISH (MQTT 5, 3.4.2.1).
const (
	codeNotAuthorized = 0x87
	codeTopicInvalid  = 0x90
)

// checkPublishTopic returns nil for a topic that clients may publish to: topics that begin with "$" are the server's
// (MQTT 5, 4.7.2).
func checkPublishTopic(topic string) error {
	if strings.HasPrefix(topic, "$") {
		return fmt.Errorf("%w %.80q: topics that begin with \"$\" are the server's", event.ErrTopic, topic)
	}
	return event.CheckTopic(topic)
}

// OnPublish implements mqtt.Hook: log first. A message of QoS 0 or 1 is handed to the sink and kept from mochi, which
// neither acknowledges nor delivers it then, nor counts it against the receive quota; the PUBACK is written when the
// message is stored. QoS 2 waits for that, and then mochi sends PUBREC and goes through the rest of the handshake.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (_ packets.Packet, err error) {
	err = packets.ErrRejectPacket
	defer h.recovered("OnPublish", cl)
	l := linkOf(cl)
	if pk.TopicName == "" { // (MQTT 5, 3.3.2.3.4)
		l.end(&cause{reason: reasonProtocol, text: "a topic alias that was never set", code: 0x82})
		return pk, err
	}
	if pk.TopicName != l.lastTopic {
		if bad := checkPublishTopic(pk.TopicName); bad != nil {
			l.rejectTopic(bad, pk.TopicName, pk.FixedHeader.Qos, pk.PacketID)
			return pk, err
		}
		l.lastTopic = strings.Clone(pk.TopicName)
	}
	now := time.Now()
	m := event.Event{
		Kind: event.KindPublish, Source: event.SourceMQTT, Time: now.UnixNano(), Topic: l.lastTopic, Client: l.id,
		Payload: pk.Payload, QoS: pk.FixedHeader.Qos, Retain: pk.FixedHeader.Retain,
	}
	if l.version == 5 {
		m.Properties = propertiesOf(&pk.Properties)
	}
	h.b.metrics.received[m.QoS].Inc()
	switch m.QoS {
	case 0:
		l.ingest(m, nil)
	case 1:
		id := pk.PacketID
		l.ingest(m, func(_ event.Position, err error) { l.stored(now, id, err) })
	default:
		if l.ingestAndWait(m, now) {
			return pk, packets.CodeSuccessIgnore
		}
	}
	return pk, err
}

// ingest hands m to the sink. What the sink does not take ends the connection: the client must not believe that it was.
func (l *link) ingest(m event.Event, done func(event.Position, error)) bool {
	err := l.broker.cfg.Sink.Ingest(l.ctx, m, done)
	if err == nil {
		return true
	}
	if l.ctx.Err() == nil {
		l.broker.notStored(l.id, err)
	}
	l.end(causeStore)
	return false
}

// stored acknowledges a message of QoS 1. It runs on the log's goroutine.
func (l *link) stored(arrival time.Time, id uint16, err error) {
	if err != nil {
		l.notStored(err)
		return
	}
	var packet [4]byte
	if l.conn.enqueue(ackPacket(packet[:0], typePuback, id, 0, l.version)) {
		l.broker.metrics.acks.Inc()
		l.broker.metrics.ackSeconds.Observe(time.Since(arrival).Seconds())
	}
}

func (l *link) notStored(err error) {
	if l.cause.Load() == nil {
		l.broker.notStored(l.id, err)
	}
	l.end(causeStore)
}

// complaints counts the messages that were not stored and not yet told of.
type complaints struct {
	mu    sync.Mutex
	count int
	last  time.Time // when the operator was told
}

// notStored tells the operator of a message that the log did not take, at most once a second: the line says how many
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

// ingestAndWait reports whether m was stored. What the sink has taken it waits for even if the connection ends, so that
// mochi's session knows the packet id when the client comes back and sends the message again.
func (l *link) ingestAndWait(m event.Event, arrival time.Time) bool {
	result := make(chan error, 1)
	if !l.ingest(m, func(_ event.Position, err error) { result <- err }) {
		return false
	}
	select {
	case err := <-result:
		if err != nil {
			l.notStored(err)
			return false
		}
	case <-l.broker.ctx.Done():
		return false
	}
	l.broker.metrics.acks.Inc()
	l.broker.metrics.ackSeconds.Observe(time.Since(arrival).Seconds())
	return true
}

// reserved implements guardHandler.
func (l *link) reserved(topic string, qos byte, id uint16) error {
	l.rejectTopic(checkPublishTopic(topic), topic, qos, id)
	return nil
}

// rejectTopic answers a message whose topic is not accepted: MQTT 5 has a reason code for it; in MQTT 3 a message of
// QoS 1 or 2 can only be acknowledged, which would be a lie, or end the connection (MQTT 3.1.1, 3.3.5).
func (l *link) rejectTopic(err error, topic string, qos byte, id uint16) {
	b := l.broker
	b.metrics.invalid.WithLabelValues(reasonTopic).Inc()
	b.log.Debug("message refused", "client", l.id, "remote", l.remote, "error", err)
	if qos == 0 {
		return
	}
	if l.version < 5 || id == 0 {
		l.end(&cause{reason: reasonTopic, text: err.Error(), code: codeTopicInvalid})
		return
	}
	kind, code := byte(typePuback), byte(codeTopicInvalid)
	if qos == 2 {
		kind = typePubrec
	}
	if strings.HasPrefix(topic, "$") {
		code = codeNotAuthorized
	}
	l.conn.enqueue(ackPacket(nil, kind, id, code, l.version))
}

// acknowledged implements guardHandler.
func (l *link) acknowledged(kind byte, id uint16, code byte) {
	if l.session != nil {
		l.session.acknowledged(kind, id, code)
	}
}

// disconnecting implements guardHandler.
func (l *link) disconnecting(code byte) { l.disconnect = code }

// emptyWill implements guardHandler.
func (l *link) emptyWill() { l.willEmpty = true }

// consumed implements guardHandler.
func (l *link) consumed() { l.conn.refresh() }

// drained is called by the writer when the socket has taken something.
func (l *link) drained() {
	if l.established.Load() {
		l.session.pump()
	}
}

// propertiesOf returns what outlives the packet, nil if nothing does.
func propertiesOf(p *packets.Properties) *event.Properties {
	if p.ContentType == "" && p.ResponseTopic == "" && len(p.CorrelationData) == 0 && len(p.User) == 0 &&
		p.MessageExpiryInterval == 0 && p.PayloadFormat == 0 {
		return nil
	}
	props := &event.Properties{
		ContentType: p.ContentType, ResponseTopic: p.ResponseTopic, CorrelationData: p.CorrelationData,
		Expiry: p.MessageExpiryInterval, HasExpiry: p.MessageExpiryInterval > 0, UTF8: p.PayloadFormat == 1,
	}
	for _, u := range p.User {
		props.User = append(props.User, event.UserProperty{Name: u.Key, Value: u.Val})
	}
	return props
}
