package source

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// mqtt3 is MQTT 3.1.1.
type mqtt3 struct{}

// versionRefused3 is "unacceptable protocol version" (MQTT 3.1.1, 3.2.2.3).
const versionRefused3 = packets.ErrRefusedBadProtocolVersion

func encode3(p interface{ Write(w io.Writer) error }) ([]byte, error) {
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		return nil, fmt.Errorf("encode a packet: %w", err)
	}
	return b.Bytes(), nil
}

func (mqtt3) connect(h *hello) ([]byte, error) {
	return encode3(&packets.ConnectPacket{
		FixedHeader:  packets.FixedHeader{MessageType: packets.Connect},
		ProtocolName: "MQTT", ProtocolVersion: 4, ClientIdentifier: h.client, CleanSession: h.clean, Keepalive: uint16(h.keepAlive / time.Second),
		Username: h.user, UsernameFlag: h.user != "" || h.password != nil, Password: h.password, PasswordFlag: h.password != nil, // [MQTT-3.1.2-22]
	})
}

func (mqtt3) subscribe(id uint16, subs []subscription) ([]byte, error) {
	p := packets.SubscribePacket{FixedHeader: packets.FixedHeader{MessageType: packets.Subscribe, Qos: 1}, MessageID: id}
	for _, s := range subs {
		p.Topics, p.Qoss = append(p.Topics, s.filter), append(p.Qoss, 1)
	}
	return encode3(&p)
}

func (mqtt3) unsubscribe(id uint16, filters []string) ([]byte, error) {
	return encode3(&packets.UnsubscribePacket{
		FixedHeader: packets.FixedHeader{MessageType: packets.Unsubscribe, Qos: 1}, MessageID: id, Topics: filters,
	})
}

func (mqtt3) publish(o *outgoing) ([]byte, error) {
	return encode3(&packets.PublishPacket{
		FixedHeader: packets.FixedHeader{MessageType: packets.Publish, Qos: o.qos, Retain: o.retain, Dup: o.dup},
		TopicName:   o.topic, MessageID: o.id, Payload: o.payload,
	})
}

func (mqtt3) disconnect(bool) []byte { return []byte{typeDisconnect << 4, 0} }

func (mqtt3) connack(body []byte) (welcome, error) {
	if len(body) != 2 {
		return welcome{}, fmt.Errorf("%w: a CONNACK of %d bytes", errMalformed, len(body))
	}
	return welcome{
		present: body[0]&1 != 0, code: body[1], receiveMaximum: math.MaxUint16, maxPacket: math.MaxInt32, maxQoS: 2,
	}, nil
}

func (mqtt3) message(rest []byte, m *incoming) error {
	m.payload = rest
	return nil
}

func (mqtt3) reasons(body []byte) ([]byte, error) {
	_, err := identifier(body)
	if err != nil {
		return nil, err
	}
	return body[2:], nil
}

func (mqtt3) reason(byte, []byte) byte { return 0 }

func (mqtt3) text(code byte) string {
	switch code {
	case versionRefused3:
		return "the broker does not speak MQTT 3.1.1"
	case packets.ErrRefusedIDRejected:
		return "the broker does not accept the client id"
	case packets.ErrRefusedServerUnavailable:
		return "the broker is busy"
	case packets.ErrRefusedBadUsernameOrPassword:
		return "user or password is wrong"
	case packets.ErrRefusedNotAuthorised:
		return "not authorized"
	}
	return fmt.Sprintf("code %d", code)
}
