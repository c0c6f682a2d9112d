// Package packet reads and writes MQTT control packets of the levels 3 (MQTT 3.1), 4 (3.1.1) and 5 as a server does: it
// judges every byte that a client sends by the text of the standard before anything else sees it, takes the packets
// apart, and encodes what a subscriber and a publisher get.
//
// All functions are pure: they keep no state, start nothing and may run concurrently. What they read is bounded by the
// packet that they are given: time is linear in its bytes, and memory is taken only for what is returned or for an error.
// Reading whole packets from a connection, and bounding their size, is the caller's part.
//
// Clauses in brackets are those of MQTT 5 unless "MQTT 3.1.1" or "MQTT 3.1" stands before them.
package packet

import "fmt"

// A Kind is the type of a control packet (MQTT 5, 2.1.2).
type Kind byte

// The kinds.
const (
	Connect     Kind = 1
	Connack     Kind = 2
	Publish     Kind = 3
	Puback      Kind = 4
	Pubrec      Kind = 5
	Pubrel      Kind = 6
	Pubcomp     Kind = 7
	Subscribe   Kind = 8
	Suback      Kind = 9
	Unsubscribe Kind = 10
	Unsuback    Kind = 11
	Pingreq     Kind = 12
	Pingresp    Kind = 13
	Disconnect  Kind = 14
	Auth        Kind = 15
)

var kindNames = [16]string{
	"packet type 0", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
	"UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// KindOf is the kind of the packet that begins with this byte.
func KindOf(first byte) Kind { return Kind(first >> 4) }

// String implements fmt.Stringer.
func (k Kind) String() string { return kindNames[k&0x0f] }

// Bounds.
const (
	// MaxRemaining is the largest remaining length, in bytes (MQTT 5, 1.5.5).
	MaxRemaining = 268_435_455
	// MaxFilters is how many filters a SUBSCRIBE or UNSUBSCRIBE may have here; MQTT knows no bound.
	MaxFilters = 1024
	// MaxUserProperties is how many user properties a packet may have here; MQTT knows no bound.
	MaxUserProperties = 1024
)

// FixedHeader parses the fixed header of a packet (MQTT 5, 2.1): size is its length of 2 to 5 bytes and remaining how
// many bytes follow it. A size of 0 without an error means that b ends before the header does.
//
// The length has at most 4 bytes (MQTT 5, 1.5.5). MQTT 5 also wants as few of them as possible [MQTT-1.5.5-1]; earlier
// levels do not say so, and clients that always send the same number of length bytes exist. So version decides, and
// with 0, before the CONNECT has told it, any form is taken: ask again when it is known.
func FixedHeader(b []byte, version byte) (size, remaining int, err error) {
	for i := 1; i < len(b); i++ {
		remaining |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			if version == 5 && i > 1 && b[i] == 0 {
				return 0, 0, malformed("[MQTT-1.5.5-1]", "remaining length %d in %d bytes", remaining, i)
			}
			return i + 1, remaining, nil
		}
		if i == 4 {
			return 0, 0, malformed("MQTT 5, 1.5.5", "remaining length of more than 4 bytes")
		}
	}
	return 0, 0, nil
}

// CheckFirst judges a packet by its first byte, type and flags (MQTT 5, 2.1.2 and 2.1.3), for a connection of this
// protocol level; 0 means that there was no CONNECT yet. What does not begin as MQTT has the code [ReasonNotMQTT].
func CheckFirst(first, version byte) error {
	kind, flags := KindOf(first), first&0x0f
	if version == 0 {
		if first != byte(Connect)<<4 {
			return &Error{Code: ReasonNotMQTT, Clause: "[MQTT-3.1.0-1]", Detail: fmt.Sprintf("first byte 0x%02x", first)}
		}
		return nil
	}
	switch kind {
	case Publish:
		return checkPublishFlags(flags, version)
	case Pubrel, Subscribe, Unsubscribe:
		// In MQTT 3.1 these are sent with QoS 1, and with DUP when they are sent again (MQTT 3.1, 2.1).
		if flags != 2 && (version > 3 || flags&6 != 2) {
			return malformed("[MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]", "%s with flags 0x%x", kind, flags)
		}
	case Auth:
		if version < 5 {
			return protocol("MQTT 3.1.1, 2.2.1", "packet type 15")
		}
		fallthrough
	case Puback, Pubrec, Pubcomp, Pingreq, Disconnect:
		if flags != 0 && version > 3 { // MQTT 3.1 does not use them
			return malformed("[MQTT-2.1.3-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1]", "%s with flags 0x%x", kind, flags)
		}
	case Connect:
		return protocol("[MQTT-3.1.0-2]", "a second CONNECT")
	default:
		return protocol("MQTT 5, 2.1.2", "%s from a client", kind)
	}
	return nil
}

// Check judges the body of a packet whose first byte [CheckFirst] has passed. The decoders of this package make the same
// checks, so nothing needs both.
func Check(first byte, body []byte, version byte) error {
	var err error
	switch kind := KindOf(first); kind {
	case Connect:
		_, err = DecodeConnect(body)
	case Publish:
		var p Published
		err = p.Decode(first, body, version)
	case Puback, Pubrec, Pubrel, Pubcomp:
		_, _, err = Ack(kind, body, version)
	case Subscribe, Unsubscribe:
		_, _, err = scanFilters(kind, body, version, nil)
	case Pingreq:
		if len(body) > 0 {
			err = malformed("MQTT 5, 3.12", "PINGREQ with a body of %d bytes", len(body))
		}
	case Disconnect:
		_, err = DecodeDisconnect(body, version)
	case Auth:
		_, err = DecodeAuth(body, version)
	default:
		err = CheckFirst(first, version)
	}
	return err
}
