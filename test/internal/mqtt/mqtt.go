// Package mqtt writes and reads bare MQTT packets, for tests and measurements that must say exactly what they mean, right
// or wrong, and cost little. It checks nothing.
package mqtt

import (
	"encoding/binary"
)

// Packet types, as the first four bits of a packet; those with flags that must be set have them.
const (
	CONNECT     = 0x10
	CONNACK     = 0x20
	PUBLISH     = 0x30
	PUBACK      = 0x40
	PUBREC      = 0x50
	PUBREL      = 0x62
	PUBCOMP     = 0x70
	SUBSCRIBE   = 0x82
	SUBACK      = 0x90
	UNSUBSCRIBE = 0xa2
	UNSUBACK    = 0xb0
	PINGREQ     = 0xc0
	PINGRESP    = 0xd0
	DISCONNECT  = 0xe0
)

// Versions of the protocol, as CONNECT names them.
const (
	V31  = 3
	V311 = 4
	V5   = 5
)

// String is a string with its length in two bytes in front. A string of more than 65,535 bytes gets a wrong length.
func String(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// Number is a two-byte integer.
func Number(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// VarInt is a variable byte integer [MQTT-5 1.5.5].
func VarInt(n int) []byte {
	var b []byte
	for {
		digit := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(b, digit)
		}
		b = append(b, digit|0x80)
	}
}

// Packet is a packet with the right remaining length.
func Packet(first byte, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := append([]byte{first}, VarInt(n)...)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// Properties are the properties of an MQTT 5 packet with their length in front, and nothing for older versions.
func Properties(version byte, properties ...[]byte) []byte {
	if version != V5 {
		return nil
	}
	var all []byte
	for _, p := range properties {
		all = append(all, p...)
	}
	return append(VarInt(len(all)), all...)
}

// SessionExpiry is the property of CONNECT and DISCONNECT, in seconds.
func SessionExpiry(seconds uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{0x11}, seconds)
}

// UserProperty is a name with a value.
func UserProperty(name, value string) []byte {
	return append(append([]byte{0x26}, String(name)...), String(value)...)
}

// Default is who clients are that name no user; empty: nobody. It is set before clients connect.
var Default struct{ User, Password string }

// Connect is what a CONNECT can say. Zero values: MQTT 3.1.1, a clean session, no keep-alive, no will, no user.
type Connect struct {
	Version    byte // 0 is V311
	ID         string
	KeepAlive  int    // seconds
	Persistent bool   // a session that outlives the connection; an hour at MQTT 5
	WillTopic  string // "" is no will
	Will       string
	WillQoS    byte
	User       string // "" is that of Default
	Password   string
	Properties [][]byte // MQTT 5 only
}

// Bytes is the packet.
func (c *Connect) Bytes() []byte {
	version := c.Version
	if version == 0 {
		version = V311
	}
	name := "MQTT"
	if version == V31 {
		name = "MQIsdp"
	}
	var flags byte
	properties := c.Properties
	switch {
	case !c.Persistent:
		flags |= 0x02
	case version == V5:
		properties = append([][]byte{SessionExpiry(3600)}, properties...)
	}
	parts := [][]byte{nil, Properties(version, properties...), String(c.ID)}
	if c.WillTopic != "" {
		flags |= 0x04 | c.WillQoS<<3
		parts = append(parts, Properties(version), String(c.WillTopic), String(c.Will))
	}
	user, password := c.User, c.Password
	if user == "" {
		user, password = Default.User, Default.Password
	}
	if user != "" {
		flags |= 0xc0
		parts = append(parts, String(user), String(password))
	}
	parts[0] = append(String(name), version, flags, byte(c.KeepAlive>>8), byte(c.KeepAlive))
	return Packet(CONNECT, parts...)
}

// Publish is what a PUBLISH can say.
type Publish struct {
	Topic   string
	Payload []byte
	QoS     byte
	ID      int // packet id, where QoS > 0
	Retain  bool
	Dup     bool

	Properties [][]byte // MQTT 5 only
}

// Bytes is the packet at a version of the protocol.
func (p *Publish) Bytes(version byte) []byte {
	first := byte(PUBLISH) | p.QoS<<1
	if p.Retain {
		first |= 0x01
	}
	if p.Dup {
		first |= 0x08
	}
	var id []byte
	if p.QoS > 0 {
		id = Number(p.ID)
	}
	return Packet(first, String(p.Topic), id, Properties(version, p.Properties...), p.Payload)
}

// Subscribe is a SUBSCRIBE for filters at one QoS.
func Subscribe(version byte, id int, qos byte, filters ...string) []byte {
	parts := [][]byte{Number(id), Properties(version)}
	for _, f := range filters {
		parts = append(parts, String(f), []byte{qos})
	}
	return Packet(SUBSCRIBE, parts...)
}

// Unsubscribe is an UNSUBSCRIBE.
func Unsubscribe(version byte, id int, filters ...string) []byte {
	parts := [][]byte{Number(id), Properties(version)}
	for _, f := range filters {
		parts = append(parts, String(f))
	}
	return Packet(UNSUBSCRIBE, parts...)
}

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP that says that all is well.
func Ack(first byte, id int) []byte { return []byte{first, 2, byte(id >> 8), byte(id)} }
