package broker

import (
	"encoding/binary"

	"pulso/bridge/event"
)

// Properties of a PUBLISH (MQTT 5, 2.2.2.2).
const (
	propPayloadFormat  = 0x01
	propExpiry         = 0x02
	propContentType    = 0x03
	propResponseTopic  = 0x08
	propCorrelation    = 0x09
	propSubscriptionID = 0x0b
	propUser           = 0x26
)

// A publish is one PUBLISH to be encoded.
type publish struct {
	event  *event.Event
	ids    []int // subscription identifiers, MQTT 5
	expiry uint32
	id     uint16 // packet identifier where qos > 0
	qos    byte
	retain bool
	dup    bool
}

// appendPublish appends a PUBLISH in the form of the protocol level (MQTT 5, 3.3).
func appendPublish(b []byte, version byte, p *publish) []byte {
	flags := p.qos << 1
	if p.retain {
		flags |= 1
	}
	if p.dup {
		flags |= 8
	}
	size := 2 + len(p.event.Topic) + len(p.event.Payload)
	if p.qos > 0 {
		size += 2
	}
	props := 0
	if version == 5 {
		props = propertiesSize(p)
		size += varintSize(props) + props
	}
	b = append(b, typePublish<<4|flags)
	b = appendVarint(b, size)
	b = appendString(b, p.event.Topic)
	if p.qos > 0 {
		b = binary.BigEndian.AppendUint16(b, p.id)
	}
	if version == 5 {
		b = appendVarint(b, props)
		b = appendProperties(b, p)
	}
	return append(b, p.event.Payload...)
}

func propertiesSize(p *publish) int {
	n := 0
	for _, id := range p.ids {
		n += 1 + varintSize(id)
	}
	props := p.event.Properties
	if props == nil {
		return n
	}
	if props.UTF8 {
		n += 2
	}
	if props.HasExpiry {
		n += 5
	}
	if props.ContentType != "" {
		n += 1 + stringSize(props.ContentType)
	}
	if props.ResponseTopic != "" {
		n += 1 + stringSize(props.ResponseTopic)
	}
	if len(props.CorrelationData) > 0 {
		n += 1 + stringSize(props.CorrelationData)
	}
	for _, u := range props.User {
		n += 1 + stringSize(u.Name) + stringSize(u.Value)
	}
	return n
}

func appendProperties(b []byte, p *publish) []byte {
	for _, id := range p.ids {
		b = appendVarint(append(b, propSubscriptionID), id)
	}
	props := p.event.Properties
	if props == nil {
		return b
	}
	if props.UTF8 {
		b = append(b, propPayloadFormat, 1)
	}
	if props.HasExpiry {
		b = binary.BigEndian.AppendUint32(append(b, propExpiry), p.expiry)
	}
	if props.ContentType != "" {
		b = appendString(append(b, propContentType), props.ContentType)
	}
	if props.ResponseTopic != "" {
		b = appendString(append(b, propResponseTopic), props.ResponseTopic)
	}
	if len(props.CorrelationData) > 0 {
		b = appendString(append(b, propCorrelation), props.CorrelationData)
	}
	for _, u := range props.User {
		b = appendString(append(b, propUser), u.Name)
		b = appendString(b, u.Value)
	}
	return b
}

func stringSize[T string | []byte](s T) int { return 2 + min(len(s), event.MaxTopicBytes) }

// appendString appends text or binary data with its length (MQTT 5, 1.5.4 and 1.5.6), which is at most 65,535: MQTT has
// no room for more, and what comes from MQTT is never longer.
func appendString[T string | []byte](b []byte, s T) []byte {
	s = s[:min(len(s), event.MaxTopicBytes)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func varintSize(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

func appendVarint(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// ackPacket is a PUBACK, PUBREC, PUBREL or PUBCOMP. The reason code is written for MQTT 5 only, and only where it says
// more than success (MQTT 5, 3.4.2.1).
func ackPacket(b []byte, kind byte, id uint16, code, version byte) []byte {
	first := kind << 4
	if kind == typePubrel {
		first |= 2
	}
	if code == 0 || version < 5 {
		return append(b, first, 2, byte(id>>8), byte(id))
	}
	return append(b, first, 3, byte(id>>8), byte(id), code)
}
