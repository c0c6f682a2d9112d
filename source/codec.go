package source

import (
	"encoding/binary"
	"fmt"
	"time"

	"pulso/bridge/event"
)

// A codec makes and reads the packets of one version of MQTT.
type codec interface {
	encoder
	decoder
}

// An encoder makes packets.
type encoder interface {
	connect(c *hello) ([]byte, error)
	subscribe(id uint16, subs []subscription) ([]byte, error)
	unsubscribe(id uint16, filters []string) ([]byte, error)
	publish(p *outgoing) ([]byte, error)
	// disconnect ends the connection, and with forget the session.
	disconnect(forget bool) []byte
}

// A decoder reads what follows the fixed header of a packet, which may be anything.
type decoder interface {
	connack(body []byte) (welcome, error)
	// message reads what follows a PUBLISH's topic and identifier into m; it may panic.
	message(rest []byte, m *incoming) error
	// reasons are the codes of a SUBACK or UNSUBACK, which in MQTT 3.1.1 has none.
	reasons(body []byte) ([]byte, error)
	// reason is the code of a PUBACK or DISCONNECT.
	reason(kind byte, body []byte) byte
	// text says what the code of a CONNACK means.
	text(code byte) string
}

// hello is what a CONNECT says.
type hello struct {
	client, user   string
	password       []byte
	clean          bool
	keepAlive      time.Duration
	expiry         time.Duration
	maxPacket      int
	receiveMaximum int
}

// welcome is what a CONNACK says.
type welcome struct {
	present bool // the broker has our session
	code    byte
	// The broker's bounds; an absent one is the most there is.
	keepAlive      time.Duration // 0: ours
	receiveMaximum int
	maxPacket      int
	maxQoS         byte
	noRetain       bool
	noShared       bool
}

// A subscription is one filter of a SUBSCRIBE.
type subscription struct {
	filter string
	// shared: it begins with $share, for which noLocal is an error [MQTT-3.8.3-4].
	shared bool
}

// incoming is a PUBLISH.
type incoming struct {
	topic      string
	payload    []byte
	properties *event.Properties
	id         uint16
	qos        byte
	retain     bool
	dup        bool
}

// outgoing is a PUBLISH to be written.
type outgoing struct {
	topic      string
	payload    []byte
	properties *event.Properties
	id         uint16
	qos        byte
	retain     bool
	dup        bool
}

// decodeMessage reads a PUBLISH. The payload shares the frame's memory. Of one that is too large, topic and identifier are
// read.
func decodeMessage(c codec, f *frame) (m incoming, err error) {
	m.qos, m.retain, m.dup = f.first>>1&3, f.first&1 != 0, f.first&8 != 0
	topic, rest, err := cutString(f.body)
	if err != nil {
		return m, err
	}
	m.topic = string(topic)
	switch m.qos {
	case 0:
	case 1:
		if len(rest) < 2 {
			return m, fmt.Errorf("%w: a message without its identifier", errMalformed)
		}
		if m.id = binary.BigEndian.Uint16(rest); m.id == 0 {
			return m, fmt.Errorf("%w: a message with identifier 0", errMalformed)
		}
		rest = rest[2:]
	default: // QoS 1 is the most that was subscribed to
		return m, fmt.Errorf("%w: a message of QoS %d", errMalformed, m.qos)
	}
	if f.tooLarge {
		return m, nil
	}
	err = guard(func() error { return c.message(rest, &m) })
	return m, err
}

// cutString splits off a string with its length before it (MQTT 5, 1.5.4).
func cutString(b []byte) (s, rest []byte, err error) {
	if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
		return nil, nil, fmt.Errorf("%w: it ends within a string", errMalformed)
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	return b[2:n], b[n:], nil
}

// identifier is the one that a PUBACK, SUBACK or UNSUBACK begins with.
func identifier(body []byte) (uint16, error) {
	if len(body) < 2 {
		return 0, fmt.Errorf("%w: an answer without an identifier", errMalformed)
	}
	return binary.BigEndian.Uint16(body), nil
}

// guard has a library read what a stranger wrote.
func guard(read func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errMalformed, r)
		}
	}()
	if err := read(); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	return nil
}

// puback is the packet that acknowledges a message, in both versions.
func puback(id uint16) []byte { return []byte{typePuback << 4, 2, byte(id >> 8), byte(id)} }

// pingreq asks the broker for a sign of life.
func pingreq() []byte { return []byte{12 << 4, 0} }
