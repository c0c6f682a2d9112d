package source

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/eclipse/paho.golang/packets"

	"pulso/bridge/event"
)

// mqtt5 is MQTT 5.
type mqtt5 struct{}

// versionRefused is the code of a CONNACK for a version that the broker does not speak.
const versionRefused = packets.ConnackUnsupportedProtocolVersion

func encode5(p io.WriterTo) ([]byte, error) {
	var b bytes.Buffer
	if _, err := p.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("encode a packet: %w", err)
	}
	return b.Bytes(), nil
}

func (mqtt5) connect(h *hello) ([]byte, error) {
	return encode5(&packets.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: h.client, CleanStart: h.clean, KeepAlive: uint16(h.keepAlive / time.Second),
		Username: h.user, UsernameFlag: h.user != "", Password: h.password, PasswordFlag: h.password != nil,
		Properties: &packets.Properties{
			SessionExpiryInterval: new(uint32(h.expiry / time.Second)),
			ReceiveMaximum:        new(uint16(h.receiveMaximum)),
			MaximumPacketSize:     new(uint32(h.maxPacket)),
		},
	})
}

func (mqtt5) subscribe(id uint16, subs []subscription) ([]byte, error) {
	p := packets.Subscribe{PacketID: id, Properties: &packets.Properties{}}
	for _, s := range subs {
		p.Subscriptions = append(p.Subscriptions, packets.SubOptions{
			Topic: s.filter, QoS: 1, NoLocal: !s.shared, RetainAsPublished: true, RetainHandling: packets.RetainSendOnSubscribeIfNew,
		})
	}
	return encode5(&p)
}

func (mqtt5) unsubscribe(id uint16, filters []string) ([]byte, error) {
	return encode5(&packets.Unsubscribe{PacketID: id, Topics: filters, Properties: &packets.Properties{}})
}

func (mqtt5) publish(o *outgoing) ([]byte, error) {
	p := packets.Publish{
		Topic: o.topic, Payload: o.payload, PacketID: o.id, QoS: o.qos, Retain: o.retain, Duplicate: o.dup, Properties: &packets.Properties{},
	}
	if from := o.properties; from != nil {
		p.Properties.ContentType, p.Properties.ResponseTopic = from.ContentType, from.ResponseTopic
		p.Properties.CorrelationData = from.CorrelationData
		for _, u := range from.User {
			p.Properties.User = append(p.Properties.User, packets.User{Key: u.Name, Value: u.Value})
		}
		if from.HasExpiry {
			p.Properties.MessageExpiry = &from.Expiry
		}
		if from.UTF8 || from.Bytes {
			p.Properties.PayloadFormat = new(byte)
			if from.UTF8 {
				*p.Properties.PayloadFormat = 1
			}
		}
	}
	return encode5(&p)
}

func (mqtt5) disconnect(forget bool) []byte {
	if forget { // a session expiry interval of 0 (MQTT 5, 3.14.2.2.2)
		return []byte{typeDisconnect << 4, 7, 0, 5, packets.PropSessionExpiryInterval, 0, 0, 0, 0}
	}
	return []byte{typeDisconnect << 4, 0}
}

func (mqtt5) connack(body []byte) (welcome, error) {
	w := welcome{receiveMaximum: math.MaxUint16, maxPacket: math.MaxInt32, maxQoS: 2}
	if len(body) == 2 {
		// A broker that knows only MQTT 3 answers so to every version, and 1 is its "unacceptable protocol version".
		if w.code = body[1]; w.code == versionRefused3 {
			w.code = versionRefused
		}
		return w, nil
	}
	p := packets.Connack{Properties: &packets.Properties{}}
	if err := guard(func() error { return p.Unpack(bytes.NewBuffer(body)) }); err != nil {
		return w, err
	}
	w.present, w.code = p.SessionPresent, p.ReasonCode
	from := p.Properties
	if from.ServerKeepAlive != nil {
		w.keepAlive = time.Duration(*from.ServerKeepAlive) * time.Second
	}
	if from.ReceiveMaximum != nil {
		w.receiveMaximum = max(1, int(*from.ReceiveMaximum))
	}
	if from.MaximumPacketSize != nil {
		w.maxPacket = int(min(*from.MaximumPacketSize, math.MaxInt32))
	}
	if from.MaximumQOS != nil {
		w.maxQoS = *from.MaximumQOS
	}
	w.noRetain = from.RetainAvailable != nil && *from.RetainAvailable == 0
	w.noShared = from.SharedSubAvailable != nil && *from.SharedSubAvailable == 0
	return w, nil
}

func (mqtt5) message(rest []byte, m *incoming) error {
	if len(rest) > 0 && rest[0] == 0 { // as most have it
		m.payload = rest[1:]
		return nil
	}
	var p packets.Properties
	b := bytes.NewBuffer(rest)
	if err := p.Unpack(b, packets.PUBLISH); err != nil {
		return err
	}
	if p.TopicAlias != nil { // none was allowed [MQTT-3.3.2-9]
		return fmt.Errorf("topic alias %d, at most 0", *p.TopicAlias)
	}
	m.payload = b.Bytes()
	to := event.Properties{
		ContentType: p.ContentType, HasContentType: p.ContentType != "", ResponseTopic: p.ResponseTopic, CorrelationData: p.CorrelationData,
	}
	for _, u := range p.User {
		to.User = append(to.User, event.UserProperty{Name: u.Key, Value: u.Value})
	}
	if p.MessageExpiry != nil {
		to.Expiry, to.HasExpiry = *p.MessageExpiry, true
	}
	if p.PayloadFormat != nil {
		to.UTF8, to.Bytes = *p.PayloadFormat == 1, *p.PayloadFormat == 0
	}
	m.properties = &to
	return nil
}

func (mqtt5) reasons(body []byte) ([]byte, error) {
	if _, err := identifier(body); err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(body[2:])
	var p packets.Properties
	if err := guard(func() error { return p.Unpack(b, packets.SUBACK) }); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (mqtt5) reason(kind byte, body []byte) byte {
	at := 2 // behind a PUBACK's identifier
	if kind == typeDisconnect {
		at = 0
	}
	if len(body) <= at {
		return 0
	}
	return body[at]
}

func (mqtt5) text(code byte) string {
	switch code {
	case versionRefused:
		return "the broker does not speak MQTT 5"
	case packets.ConnackBadUsernameOrPassword:
		return "user or password is wrong"
	case packets.ConnackNotAuthorized:
		return "not authorized"
	case packets.ConnackInvalidClientID:
		return "the broker does not accept the client id"
	case packets.ConnackServerUnavailable, packets.ConnackServerBusy:
		return "the broker is busy"
	case packets.ConnackBanned:
		return "banned"
	case packets.ConnackQuotaExceeded, packets.ConnackConnectionRateExceeded:
		return "the broker takes no more connections"
	case packets.DisconnectSessionTakenOver:
		return "another client has connected with this client id"
	case packets.DisconnectServerShuttingDown:
		return "the broker is shutting down"
	}
	return fmt.Sprintf("reason 0x%02x", code)
}
