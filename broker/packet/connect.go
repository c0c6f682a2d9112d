package packet

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"pulso/bridge/event"
)

// A Connecting is a CONNECT, taken apart (MQTT 5, 3.1). It shares no memory with the packet.
type Connecting struct {
	// ClientID may be empty: whether the server chooses one then is for it to say [MQTT-3.1.3-6] [MQTT-3.1.3-8].
	ClientID string
	User     string
	Password []byte
	Will     *Will // nil for none

	AuthMethod string
	AuthData   []byte

	// SessionExpiry is the session expiry interval in seconds, 0xFFFFFFFF for never; 0 where none was sent.
	SessionExpiry uint32
	// MaximumPacket is the largest packet that the client takes, in bytes; 0 for any.
	MaximumPacket uint32
	// ReceiveMaximum is how many unacknowledged messages the client takes; 65,535 where none was sent.
	ReceiveMaximum uint16
	// AliasMaximum is how many topic aliases the client takes.
	AliasMaximum uint16
	// KeepAlive is in seconds, 0 for none.
	KeepAlive uint16

	// Version is the protocol level: 3 (MQTT 3.1), 4 (3.1.1) or 5.
	Version         byte
	CleanStart      bool // CleanSession in MQTT 3
	HasUser         bool
	HasPassword     bool
	HasAuthMethod   bool
	RequestResponse bool
	// RequestProblem is false where the client wants no reason strings and user properties except on PUBLISH, CONNACK and
	// DISCONNECT [MQTT-3.1.2-29].
	RequestProblem bool
}

// A Will is the will of a CONNECT (MQTT 5, 3.1.2.5).
type Will struct {
	Topic      string
	Payload    []byte
	Properties *event.Properties // nil for none
	Delay      uint32            // in seconds
	QoS        byte
	Retain     bool
}

// DecodeConnect judges the body of a CONNECT and takes it apart. With an error, the result is not nil, and its Version
// is what was read of it, 0 if that was nothing.
//
// A protocol name that is not MQTT's has [ReasonNotMQTT] and an unknown level [ReasonVersion]: nothing after them is
// looked at. Beyond the text of the standard: MQTT 3.1 client identifiers may be longer than 23 characters, as
// everywhere. What MQTT 3.1 disregards, later levels forbid: flags of a will that is not there, the reserved flag, and
// user name and password flags without the fields.
func DecodeConnect(body []byte) (*Connecting, error) {
	c := &Connecting{ReceiveMaximum: 65535, RequestProblem: true}
	r := reader{rest: body}
	if err := c.protocol(&r); err != nil {
		return c, err
	}
	flags := r.octet("connect flags")
	if err := checkConnectFlags(flags, c.Version); err != nil && r.err == nil {
		return c, err
	}
	c.CleanStart = flags&0x02 != 0
	c.HasUser, c.HasPassword = flags&0x80 != 0, flags&0x40 != 0
	c.KeepAlive = r.uint16("keep alive")
	if c.Version == 5 {
		c.properties(&r)
	}
	c.ClientID = string(r.name("client identifier")) // [MQTT-3.1.3-4]
	if flags&0x04 != 0 {
		c.will(&r, flags)
	}
	c.credentials(&r)
	r.end(Connect)
	return c, r.err
}

// credentials reads user name and password. In MQTT 3.1 the remaining length takes precedence over their flags (3.1).
func (c *Connecting) credentials(r *reader) {
	given := func() bool { return c.Version > 3 || len(r.rest) > 0 }
	if c.HasUser = c.HasUser && given(); c.HasUser {
		c.User = string(r.name("user name")) // [MQTT-3.1.3-12]
	}
	if c.HasPassword = c.HasPassword && given(); c.HasPassword {
		c.Password = bytes.Clone(r.binary("password"))
	}
}

// CheckConnect judges the body of a CONNECT like [DecodeConnect], and returns its protocol level.
func CheckConnect(body []byte) (version byte, err error) {
	c, err := DecodeConnect(body)
	return c.Version, err
}

// protocol reads the protocol name and level [MQTT-3.1.2-1] [MQTT-3.1.2-2].
func (c *Connecting) protocol(r *reader) error {
	name := string(r.binary("protocol name"))
	if r.err != nil || name != "MQTT" && name != "MQIsdp" {
		return &Error{Code: ReasonNotMQTT, Clause: "[MQTT-3.1.2-1]", Detail: fmt.Sprintf("protocol name %.20q", name)}
	}
	c.Version = r.octet("protocol level")
	if r.err != nil {
		return r.err
	}
	if name == "MQTT" && (c.Version == 4 || c.Version == 5) || name == "MQIsdp" && c.Version == 3 {
		return nil
	}
	return &Error{Code: ReasonVersion, Clause: "[MQTT-3.1.2-2]", Detail: fmt.Sprintf("%s level %d", name, c.Version)}
}

// checkConnectFlags judges the connect flags (MQTT 5, 3.1.2.3).
func checkConnectFlags(flags, version byte) error {
	will, qos := flags&0x04 != 0, flags>>3&3
	switch {
	case flags&1 != 0 && version > 3:
		return malformed("[MQTT-3.1.2-3]", "reserved connect flag")
	case !will && qos != 0 && version > 3:
		return malformed("[MQTT-3.1.2-11]", "will QoS %d without a will", qos)
	case will && qos == 3:
		return malformed("[MQTT-3.1.2-12]", "will QoS 3")
	case !will && flags&0x20 != 0 && version > 3:
		return malformed("[MQTT-3.1.2-13]", "will retain without a will")
	case version < 5 && flags&0xc0 == 0x40:
		return malformed("MQTT 3.1.1 [MQTT-3.1.2-22]", "password without a user name")
	}
	return nil
}

// properties reads the properties of the CONNECT (MQTT 5, 3.1.2.11).
func (c *Connecting) properties(r *reader) {
	hasData := false
	r.properties(inConnect, func(p property) {
		switch p.id {
		case propSessionExpiry:
			c.SessionExpiry = p.number
		case propReceiveMaximum:
			c.ReceiveMaximum = uint16(p.number)
		case propMaximumPacket:
			c.MaximumPacket = p.number
		case propAliasMaximum:
			c.AliasMaximum = uint16(p.number)
		case propRequestResponse:
			c.RequestResponse = p.number == 1
		case propRequestProblem:
			c.RequestProblem = p.number == 1
		case propAuthMethod:
			c.AuthMethod, c.HasAuthMethod = string(p.bytes), true
		case propAuthData:
			c.AuthData, hasData = bytes.Clone(p.bytes), true
		}
	})
	if r.err == nil && hasData && !c.HasAuthMethod {
		r.fail(protocol("MQTT 5, 3.1.2.11.10", "authentication data without a method"))
	}
}

// will reads the fields of the will (MQTT 5, 3.1.3.2 to 3.1.3.4).
func (c *Connecting) will(r *reader, flags byte) {
	w := &Will{QoS: flags >> 3 & 3, Retain: flags&0x20 != 0}
	if c.Version == 5 {
		r.properties(inWill, func(p property) {
			if p.id == propWillDelay {
				w.Delay = p.number
				return
			}
			w.Properties = p.add(w.Properties)
		})
	}
	w.Topic = string(r.name("will topic")) // [MQTT-3.1.3-11]
	w.Payload = bytes.Clone(r.binary("will payload"))
	if r.err != nil {
		return
	}
	switch {
	case w.Topic == "":
		r.fail(malformed("[MQTT-4.7.3-1]", "will without a topic"))
	case strings.ContainsAny(w.Topic, "+#"):
		r.fail(badName(classWild, "will topic"))
	case strings.Count(w.Topic, "/") >= event.MaxLevels:
		r.fail(&Error{Code: ReasonTopicInvalid, Detail: "will topic of too many levels"})
	case w.Properties != nil && w.Properties.UTF8 && !utf8.Valid(w.Payload):
		r.fail(&Error{Code: ReasonPayloadFormat, Clause: "MQTT 5, 3.1.3.2.3", Detail: "will payload is said to be UTF-8 and is not"})
	}
	c.Will = w
}
