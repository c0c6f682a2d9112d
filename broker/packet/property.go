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
	0x1c:                {name: "server reference"},
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

// properties are a packet's properties, of which next takes one after the other.
type properties struct {
	reader

	place place
	seen  uint64 // bit n: identifier n has come
	users int
}

// properties takes the block of properties off the front (MQTT 5, 2.2.2).
func (r *reader) properties(at place) properties {
	size := r.variable("property length")
	block := r.take(size, "property length")
	return properties{reader: reader{rest: block}, place: at}
}

// next reads a property, and reports whether there was one; err then says whether the end or an error was reached.
func (ps *properties) next(p *property) bool {
	if len(ps.rest) == 0 {
		return false
	}
	id := ps.rest[0]
	ps.rest = ps.rest[1:]
	if int(id) >= len(rules) || rules[id].name == "" {
		ps.fail(malformed("MQTT 5, 2.2.2.2", "unknown property 0x%02x", id))
		return false
	}
	rule := &rules[id]
	if rule.places&ps.place == 0 {
		ps.fail(misplaced(id, ps.place))
		return false
	}
	if rule.form == pair {
		if ps.users++; ps.users > MaxUserProperties {
			ps.fail(&Error{Code: ReasonQuota, Detail: "too many user properties"})
			return false
		}
	} else if ps.seen&(1<<id) != 0 {
		ps.fail(protocol(rule.clause, "%s twice", rule.name))
		return false
	}
	ps.seen |= 1 << id
	*p = property{id: id}
	ps.read(rule, p)
	return ps.err == nil
}

func misplaced(id byte, at place) error {
	switch {
	case id == propSubscriptionID && at == inPublish:
		return protocol("[MQTT-3.3.4-6]", "subscription identifier in a PUBLISH of a client")
	case id == 0x1c && at == inDisconnect:
		return protocol("MQTT 5, 3.14.2.2.5", "server reference from a client")
	}
	return malformed("MQTT 5, 2.2.2.2", "%s does not belong there", rules[id].name)
}

// read reads a property's value and judges it.
func (ps *properties) read(rule *rule, p *property) {
	name := rule.name
	limit, zero := ^uint32(0), true
	switch rule.form {
	case boolean:
		p.number, limit = uint32(ps.octet(name)), 1
	case short:
		p.number = uint32(ps.uint16(name))
	case positive:
		p.number, zero = uint32(ps.uint16(name)), false
	case long:
		p.number = ps.uint32(name)
	case positiveLong:
		p.number, zero = ps.uint32(name), false
	case identifier:
		p.number, zero = uint32(ps.variable(name)), false
	case data:
		p.bytes = ps.binary(name)
	case text:
		p.bytes = ps.text(name)
	case topicName:
		p.bytes = ps.text(name)
		if ps.err == nil && (len(p.bytes) == 0 || bytes.ContainsAny(p.bytes, "+#")) {
			ps.fail(protocol(rule.clause, "%s %.40q is no topic name", name, p.bytes))
		}
	default: // [MQTT-1.5.7-1]
		p.bytes = ps.text(name)
		p.value = ps.text(name)
	}
	if ps.err == nil && (p.number > limit || p.number == 0 && !zero) {
		err := &Error{Code: ReasonProtocol, Clause: rule.clause, Detail: rule.name + " out of range"}
		if p.id == propTopicAlias {
			err.Code = ReasonAliasInvalid
		}
		ps.fail(err)
	}
}

// check reads properties of which nothing is needed, and returns their error to the packet's reader.
func (r *reader) skipProperties(at place) {
	ps := r.properties(at)
	for p := (property{}); ps.next(&p); {
	}
	if ps.err != nil {
		r.fail(ps.err)
	}
}

// add notes a property of a message in props, which is made where there is none yet. It copies what it keeps.
func (p *property) add(props *event.Properties) *event.Properties {
	if props == nil {
		props = &event.Properties{}
	}
	switch p.id {
	case propPayloadFormat:
		props.UTF8 = p.number == 1
	case propMessageExpiry:
		props.Expiry, props.HasExpiry = p.number, true
	case propContentType:
		props.ContentType = string(p.bytes)
	case propResponseTopic:
		props.ResponseTopic = string(p.bytes)
	case propCorrelation:
		props.CorrelationData = bytes.Clone(p.bytes)
	case propUser:
		props.User = append(props.User, event.UserProperty{Name: string(p.bytes), Value: string(p.value)})
	}
	return props
}
