package packet

import (
	"errors"
	"fmt"
)

// Reason codes of MQTT 5 (2.4) that the checks of this package give, and ReasonNotMQTT.
const (
	// ReasonNotMQTT is no reason code: what came is not MQTT, and such a peer is told nothing [MQTT-3.1.2-1].
	ReasonNotMQTT       byte = 0x00
	ReasonMalformed     byte = 0x81
	ReasonProtocol      byte = 0x82
	ReasonVersion       byte = 0x84
	ReasonFilterInvalid byte = 0x8f
	ReasonTopicInvalid  byte = 0x90
	ReasonAliasInvalid  byte = 0x94
	ReasonQuota         byte = 0x97
	ReasonPayloadFormat byte = 0x99
)

// An Error is why bytes are not a packet that a client may send. In MQTT 5 its code goes into the CONNACK or DISCONNECT
// before the connection is closed [MQTT-4.13.1-1]; in MQTT 3 the connection is closed (MQTT 3.1.1, 4.8), and only a
// CONNECT with ReasonVersion is answered before, with return code 0x01.
type Error struct {
	// Clause is what of the standard was broken, for example "[MQTT-3.3.1-4]"; empty where it was a bound of this server.
	Clause string
	// Detail is for people. It quotes no more than a few bytes of the packet.
	Detail string
	// Code is the reason code.
	Code byte
	// Answerable says that the packet was whole and is refused for what it asks: a PUBLISH may be answered with Code in its
	// PUBACK or PUBREC, or be dropped at QoS 0, and the connection go on (MQTT 5, 3.3.2.3.2 and 3.4.2.1). What [CheckFilter]
	// says is answered in the SUBACK or UNSUBACK.
	Answerable bool
}

// Error implements error.
func (e *Error) Error() string {
	if e.Clause == "" {
		return e.Detail
	}
	return e.Clause + ": " + e.Detail
}

func malformed(clause, format string, args ...any) error {
	return &Error{Code: ReasonMalformed, Clause: clause, Detail: fmt.Sprintf(format, args...)}
}

func protocol(clause, format string, args ...any) error {
	return &Error{Code: ReasonProtocol, Clause: clause, Detail: fmt.Sprintf(format, args...)}
}

// CodeOf is the reason code of an error of this package, and [ReasonMalformed] of any other.
func CodeOf(err error) byte {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ReasonMalformed
}
