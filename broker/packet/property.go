package packet

import (
	"bytes"

	"pulso/bridge/event"
)

// Identifiers of the properties that a client may send (MQTT 5, 2.2.2.2).
const (
	propPayloadFormat   = 0x01
	propMessageExpiry   = 0x02
	propContentType     = 0x03
	propResponseTopic   = 0x08
	propCorrelation     = 0x09
	propSubscriptionID  = 0x0b
	propSessionExpiry   = 0x11
	propAuthMethod      = 0x15
	propAuthData        = 0x16
	propRequestProblem  = 0x17
	propWillDelay       = 0x18
	propRequestResponse = 0x19
	propServerReference = 0x1c
	propReasonString    = 0x1f
	propReceiveMaximum  = 0x21
	propAliasMaximum    = 0x22
	propTopicAlias      = 0x23
	propUser            = 0x26
	propMaximumPacket   = 0x27
)

// A place is where properties stand, as a bit.
type place uint16

const (
	inConnect place = 1 << iota
	inWill
	inPublish
	inAck
	inSubscribe
	inUnsubscribe
	inDisconnect
	inAuth

	inMessage = inPublish | inWill
	inAny     = 1<<iota - 1
)

// A form is how a property's value is encoded, and what it may be.
type form uint8

const (
	unknown      form = iota
	boolean           // a byte, 0 or 1
	short             // two bytes
	positive          // two bytes, not 0
	long              // four bytes
	positiveLong      // four bytes, not 0
	identifier        // a variable byte integer, not 0
	data              // binary data
	text
	topicName // text that is a topic without wildcards
	pair      // two texts; the only form that may stand more than once
)

type rule struct {
	name   string
	clause string // of the value, and of standing once
	form   form
	places place
}

// rules are the properties of a client's packets by identifier. Those that only a server sends are unknown here, but for
// their name.
var rules = [...]rule{
	propPayloadFormat:   {"payload format indicator", "MQTT 5, 3.3.2.3.2", boolean, inMessage},
	propMessageExpiry:   {"message expiry interval", "MQTT 5, 3.3.2.3.3", long, inMessage},
	propContentType:     {"content type", "MQTT 5, 3.3.2.3.9", text, inMessage},
	propResponseTopic:   {"response topic", "[MQTT-3.3.2-14]", topicName, inMessage},
	propCorrelation:     {"correlation data", "MQTT 5, 3.3.2.3.6", data, inMessage},
	propSubscriptionID:  {"subscription identifier", "MQTT 5, 3.8.2.1.2", identifier, inSubscribe},
	propSessionExpiry:   {"session expiry interval", "MQTT 5, 3.1.2.11.2", long, inConnect | inDisconnect},
	0x12:                {name: "assigned client identifier"},
	0x13:                {name: "server keep alive"},
	propAuthMethod:      {"authentication method", "MQTT 5, 3.1.2.11.9", text, inConnect | inAuth},
	propAuthData:        {"authentication data", "MQTT 5, 3.1.2.11.10", data, inConnect | inAuth},
	propRequestProblem:  {"request problem information", "MQTT 5, 3.1.2.11.7", boolean, inConnect},
	propWillDelay:       {"will delay interval", "MQTT 5, 3.1.3.2.2", long, inWill},
	propRequestResponse: {"request response information", "MQTT 5, 3.1.2.11.6", boolean, inConnect},
	0x1a:                {name: "response information"},
	propServerReference: {"server reference", "MQTT 5, 3.14.2.2.5", text, inDisconnect},
	propReasonString:    {"reason string", "MQTT 5, 3.4.2.2.2", text, inAck | inDisconnect | inAuth},
	propReceiveMaximum:  {"receive maximum", "MQTT 5, 3.1.2.11.3", positive, inConnect},
	propAliasMaximum:    {"topic alias maximum", "MQTT 5, 3.1.2.11.5", short, inConnect},
	propTopicAlias:      {"topic alias", "[MQTT-3.3.2-8]", positive, inPublish},
	0x24:                {name: "maximum QoS"},
	0x25:                {name: "retain available"},
	propUser:            {"user property", "MQTT 5, 3.3.2.3.7", pair, inAny},
	propMaximumPacket:   {"maximum packet size", "MQTT 5, 3.1.2.11.4", positiveLong, inConnect},
	0x28:                {name: "wildcard subscription available"},
	0x29:                {name: "subscription identifier available"},
	0x2a:                {name: "shared subscription available"},
}

// A property is one property, taken apart. Its slices alias the packet.
type property struct {
	id     byte
	number uint32 // of numeric forms
	bytes  []byte // of the others; the name of a pair
	value  []byte // of a pair
}

// properties takes the properties off the front (MQTT 5, 2.2.2), judges them as those of a place, and yields them.
func (r *reader) properties(at place, yield func(property)) {
	size := r.variable("property length")
	block := reader{rest: r.take(size, "property length")}
	var seen uint64 // bit n: identifier n has come
	users := 0
	for len(block.rest) > 0 {
		p := block.property(at, seen)
		seen |= 1 << p.id
		if p.id == propUser {
			if users++; users > MaxUserProperties {
				block.fail(&Error{Code: ReasonQuota, Detail: "too many user properties"})
			}
		}
		if block.err == nil && yield != nil {
			yield(p)
		}
	}
	if block.err != nil {
		r.fail(block.err)
	}
}

// property reads a property, where those of seen have been before.
func (r *reader) property(at place, seen uint64) property {
	p := property{id: r.octet("property identifier")}
	if int(p.id) >= len(rules) || rules[p.id].name == "" {
		r.fail(malformed("MQTT 5, 2.2.2.2", "unknown property 0x%02x", p.id))
		return property{}
	}
	rule := &rules[p.id]
	switch {
	case rule.places&at == 0:
		r.fail(misplaced(p.id, at))
	case rule.form != pair && seen&(1<<p.id) != 0:
		r.fail(protocol(rule.clause, "%s twice", rule.name))
	default:
		r.value(rule, &p)
	}
	return p
}

func misplaced(id byte, at place) error {
	if id == propSubscriptionID && at == inPublish {
		return protocol("[MQTT-3.3.4-6]", "subscription identifier in a PUBLISH of a client")
	}
	return malformed("MQTT 5, 2.2.2.2", "%s does not belong there", rules[id].name)
}

// value reads a property's value and judges it.
func (r *reader) value(rule *rule, p *property) {
	limit, zero := ^uint32(0), true
	switch rule.form {
	case boolean:
		p.number, limit = uint32(r.octet(rule.name)), 1
	case short:
		p.number = uint32(r.uint16(rule.name))
	case positive:
		p.number, zero = uint32(r.uint16(rule.name)), false
	case long:
		p.number = r.uint32(rule.name)
	case positiveLong:
		p.number, zero = r.uint32(rule.name), false
	case identifier:
		p.number, zero = uint32(r.variable(rule.name)), false
	case data:
		p.bytes = r.binary(rule.name)
	case text:
		p.bytes = r.text(rule.name)
	case topicName:
		p.bytes = r.name(rule.name)
		if r.err == nil && (len(p.bytes) == 0 || bytes.ContainsAny(p.bytes, "+#")) {
			r.fail(protocol(rule.clause, "%s %.40q is no topic name", rule.name, p.bytes))
		}
	default: // [MQTT-1.5.7-1]
		p.bytes = r.text(rule.name)
		p.value = r.text(rule.name)
	}
	if r.err == nil && (p.number > limit || p.number == 0 && !zero) {
		err := &Error{Code: ReasonProtocol, Clause: rule.clause, Detail: rule.name + " out of range"}
		if p.id == propTopicAlias {
			err.Code = ReasonAliasInvalid
		}
		r.fail(err)
	}
}

// add notes a property of a message in props, which is made where there is none yet. It copies what it keeps.
func (p *property) add(props *event.Properties) *event.Properties {
	if props == nil {
		props = &event.Properties{}
	}
	switch p.id {
	case propPayloadFormat:
		props.UTF8, props.Bytes = p.number == 1, p.number == 0
	case propMessageExpiry:
		props.Expiry, props.HasExpiry = p.number, true
	case propContentType:
		props.ContentType, props.HasContentType = string(p.bytes), true
	case propResponseTopic:
		props.ResponseTopic = string(p.bytes)
	case propCorrelation:
		props.CorrelationData = append([]byte{}, p.bytes...)
	case propUser:
		props.User = append(props.User, event.UserProperty{Name: string(p.bytes), Value: string(p.value)})
	}
	return props
}
