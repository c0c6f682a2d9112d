package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// The properties of MQTT 5 [MQTT-5 2.2.2.2].
const (
	PayloadFormat           byte = 0x01
	MessageExpiry           byte = 0x02
	ContentType             byte = 0x03
	ResponseTopic           byte = 0x08
	CorrelationData         byte = 0x09
	SubscriptionID          byte = 0x0b
	SessionExpiry           byte = 0x11
	AssignedClientID        byte = 0x12
	ServerKeepAlive         byte = 0x13
	AuthMethod              byte = 0x15
	AuthData                byte = 0x16
	RequestProblem          byte = 0x17
	WillDelay               byte = 0x18
	RequestResponse         byte = 0x19
	ResponseInformation     byte = 0x1a
	ServerReference         byte = 0x1c
	ReasonString            byte = 0x1f
	ReceiveMaximum          byte = 0x21
	TopicAliasMaximum       byte = 0x22
	TopicAlias              byte = 0x23
	MaximumQoS              byte = 0x24
	RetainAvailable         byte = 0x25
	UserProperty            byte = 0x26
	MaximumPacketSize       byte = 0x27
	WildcardAvailable       byte = 0x28
	SubscriptionIDAvailable byte = 0x29
	SharedAvailable         byte = 0x2a
)

// A kind is how a property's value looks on the wire.
type kind byte

const (
	oneByte kind = iota + 1
	twoBytes
	fourBytes
	varInt
	text
	binaryData
	pair
)

// A rule says how a property looks and which packets carry it. Inside a will, properties belong to type 0.
type rule struct {
	kind kind
	in   []Type
}

const inWill Type = 0

var rules = map[byte]rule{
	PayloadFormat:           {oneByte, []Type{PUBLISH, inWill}},
	MessageExpiry:           {fourBytes, []Type{PUBLISH, inWill}},
	ContentType:             {text, []Type{PUBLISH, inWill}},
	ResponseTopic:           {text, []Type{PUBLISH, inWill}},
	CorrelationData:         {binaryData, []Type{PUBLISH, inWill}},
	SubscriptionID:          {varInt, []Type{PUBLISH, SUBSCRIBE}},
	SessionExpiry:           {fourBytes, []Type{CONNECT, CONNACK}}, // and DISCONNECT, but not a server's [MQTT-3.14.2-2]
	AssignedClientID:        {text, []Type{CONNACK}},
	ServerKeepAlive:         {twoBytes, []Type{CONNACK}},
	AuthMethod:              {text, []Type{CONNECT, CONNACK, AUTH}},
	AuthData:                {binaryData, []Type{CONNECT, CONNACK, AUTH}},
	RequestProblem:          {oneByte, []Type{CONNECT}},
	WillDelay:               {fourBytes, []Type{inWill}},
	RequestResponse:         {oneByte, []Type{CONNECT}},
	ResponseInformation:     {text, []Type{CONNACK}},
	ServerReference:         {text, []Type{CONNACK, DISCONNECT}},
	ReasonString:            {text, []Type{CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH}},
	ReceiveMaximum:          {twoBytes, []Type{CONNECT, CONNACK}},
	TopicAliasMaximum:       {twoBytes, []Type{CONNECT, CONNACK}},
	TopicAlias:              {twoBytes, []Type{PUBLISH}},
	MaximumQoS:              {oneByte, []Type{CONNACK}},
	RetainAvailable:         {oneByte, []Type{CONNACK}},
	MaximumPacketSize:       {fourBytes, []Type{CONNECT, CONNACK}},
	WildcardAvailable:       {oneByte, []Type{CONNACK}},
	SubscriptionIDAvailable: {oneByte, []Type{CONNACK}},
	SharedAvailable:         {oneByte, []Type{CONNACK}},
	UserProperty: {pair, []Type{
		CONNECT, CONNACK, PUBLISH, inWill, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH,
	}},
}

// A Property is one property. Which field holds the value depends on the ID: Num for integers, Text for strings and binary
// data, Name and Text for a user property. Raw, if not nil, is sent instead of all of them.
type Property struct {
	ID   byte
	Num  uint32
	Name string
	Text string
	Raw  []byte
}

// Num is a property whose value is an integer.
func Num(id byte, n uint32) Property { return Property{ID: id, Num: n} }

// Text is a property whose value is a string or binary data.
func Text(id byte, s string) Property { return Property{ID: id, Text: s} }

// User is a user property.
func User(name, value string) Property { return Property{ID: UserProperty, Name: name, Text: value} }

// RawProperty is whatever bytes say, for malformed packets.
func RawProperty(b ...byte) Property { return Property{Raw: b} }

// Bytes is the property as it is sent. An ID that the standard doesn't know is followed by nothing.
func (p Property) Bytes() []byte {
	if p.Raw != nil {
		return p.Raw
	}
	b := []byte{p.ID}
	switch rules[p.ID].kind {
	case oneByte:
		return append(b, byte(p.Num))
	case twoBytes:
		return append(b, U16(int(p.Num))...)
	case fourBytes:
		return append(b, U32(p.Num)...)
	case varInt:
		return append(b, VarInt(p.Num)...)
	case text, binaryData:
		return append(b, Str(p.Text)...)
	case pair:
		return Cat(b, Str(p.Name), Str(p.Text))
	}
	return b
}

// Properties are the properties of a packet in their order.
type Properties []Property

// Bytes is the properties with their length in front.
func (ps Properties) Bytes() []byte {
	var b []byte
	for _, p := range ps {
		b = append(b, p.Bytes()...)
	}
	return append(VarInt(uint32(len(b))), b...)
}

// Has tells whether a property is there.
func (ps Properties) Has(id byte) bool {
	return slices.ContainsFunc(ps, func(p Property) bool { return p.ID == id })
}

// Num is the value of a property, or otherwise where it is absent.
func (ps Properties) Num(id byte, otherwise uint32) uint32 {
	for _, p := range ps {
		if p.ID == id {
			return p.Num
		}
	}
	return otherwise
}

// Text is the value of a property; absent, it is "".
func (ps Properties) Text(id byte) string {
	for _, p := range ps {
		if p.ID == id {
			return p.Text
		}
	}
	return ""
}

// Users are the user properties, as names and values by turns, in their order.
func (ps Properties) Users() []string {
	var all []string
	for _, p := range ps {
		if p.ID == UserProperty {
			all = append(all, p.Name, p.Text)
		}
	}
	return all
}

// SubscriptionIDs are the subscription identifiers, in ascending order.
func (ps Properties) SubscriptionIDs() []uint32 {
	var all []uint32
	for _, p := range ps {
		if p.ID == SubscriptionID {
			all = append(all, p.Num)
		}
	}
	slices.Sort(all)
	return all
}

// properties takes the properties of a packet from in front of the rest.
func (d *decoder) properties(of Type) Properties {
	length := int(d.varInt())
	inner := decoder{b: d.bytes(length)}
	var ps Properties
	for len(inner.b) > 0 && d.err == nil {
		p := inner.property(of)
		if inner.err != nil {
			d.failf("properties: %w", inner.err)
			return ps
		}
		several := p.ID == UserProperty || p.ID == SubscriptionID && of == PUBLISH
		if ps.Has(p.ID) && !several {
			d.failf("property 0x%02x twice", p.ID)
		}
		ps = append(ps, p)
	}
	return ps
}

func (d *decoder) property(of Type) Property {
	id := d.varInt()
	r, known := rules[byte(id)]
	if !known || id > 0xff || !slices.Contains(r.in, of) {
		d.failf("property 0x%02x in %v", id, of)
		return Property{}
	}
	p := Property{ID: byte(id)}
	switch r.kind {
	case oneByte:
		p.Num = uint32(d.byte())
		if p.Num > 1 {
			d.failf("property 0x%02x has the value %d", id, p.Num)
		}
	case twoBytes:
		p.Num = uint32(d.u16())
	case fourBytes:
		if b := d.bytes(4); b != nil {
			p.Num = binary.BigEndian.Uint32(b)
		}
	case varInt:
		p.Num = d.varInt()
	case text:
		p.Text = d.text()
	case binaryData:
		p.Text = string(d.bytes(int(d.u16())))
	case pair:
		p.Name, p.Text = d.text(), d.text()
	}
	switch p.ID {
	case SubscriptionID, ReceiveMaximum, MaximumPacketSize, TopicAlias:
		if p.Num == 0 {
			d.failf("property 0x%02x is 0", id)
		}
	}
	return p
}

// String is the property for messages of failing tests.
func (p Property) String() string {
	return fmt.Sprintf("0x%02x=%d %q %q", p.ID, p.Num, p.Name, p.Text)
}
