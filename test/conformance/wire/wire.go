// Package wire is a raw MQTT client for tests: it writes any packet, right or wrong, byte by byte, and takes apart and
// checks whatever a server sends at MQTT 3.1, 3.1.1 and 5. It is a view from outside: it knows nothing of the server and
// takes nothing from it but bytes.
//
// Three layers: primitives ([Packet], [Str], [VarInt] …) build bytes; [Connect], [Publish], [Subscribe] and so on are packets
// that are right unless they are told otherwise; a [Client] sends both and expects answers. A Client fails its test by itself
// when a server breaks the protocol, closes early or does not answer within [Patience]. One goroutine uses a Client.
package wire

import (
	"encoding/binary"
	"fmt"
)

// Versions of the protocol, as CONNECT names them.
const (
	V31  byte = 3
	V311 byte = 4
	V5   byte = 5
)

// A Type is a packet's type: the upper four bits of its first byte.
type Type byte

// The packet types [MQTT-5 2.1.2].
const (
	CONNECT Type = iota + 1
	CONNACK
	PUBLISH
	PUBACK
	PUBREC
	PUBREL
	PUBCOMP
	SUBSCRIBE
	SUBACK
	UNSUBSCRIBE
	UNSUBACK
	PINGREQ
	PINGRESP
	DISCONNECT
	AUTH
)

var typeNames = [...]string{
	"type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
	"UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// String is the name of the type.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", byte(t))
}

// First is the first byte of a packet of the type with the flags that the standard wants [MQTT-2.1.3-1].
func (t Type) First() byte {
	switch t {
	case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
		return byte(t)<<4 | 2
	default:
		return byte(t) << 4
	}
}

// U16 is a two-byte integer.
func U16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// U32 is a four-byte integer.
func U32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// Str is a string, or binary data, with its length in two bytes in front. Longer than 65,535 bytes it gets a wrong length.
func Str(s string) []byte { return append(U16(len(s)), s...) }

// VarInt is a variable byte integer [MQTT-5 1.5.5]; more than 268,435,455 takes more bytes than the standard allows.
func VarInt(n uint32) []byte {
	var b []byte
	for {
		digit := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(b, digit)
		}
		b = append(b, digit|0x80)
	}
}

// Cat joins parts.
func Cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// Packet is a packet with the first byte given and the right remaining length.
func Packet(first byte, parts ...[]byte) []byte {
	body := Cat(parts...)
	return Cat([]byte{first}, VarInt(uint32(len(body))), body)
}
