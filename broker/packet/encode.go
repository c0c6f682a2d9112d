package packet

import (
	"encoding/binary"

	"pulso/bridge/event"
)

// A Message is a PUBLISH that a subscriber gets.
type Message struct {
	// Event has the topic, the payload and the properties.
	Event *event.Event
	// Identifiers are those of the subscriptions that it is sent for; only MQTT 5 has them.
	Identifiers []int
	// Expiry is what is left of the message expiry interval, in seconds; written where the event has one [MQTT-3.3.2-6].
	Expiry uint32
	// ID is the packet identifier where QoS is not 0.
	ID     uint16
	QoS    byte
	Retain bool
	Dup    bool
}

// AppendPublish appends a PUBLISH in the form of the protocol level (MQTT 5, 3.3). Properties whose text or data is empty
// are not written.
func AppendPublish(b []byte, version byte, m *Message) []byte {
	flags := m.QoS << 1
	if m.Retain {
		flags |= 1
	}
	if m.Dup {
		flags |= 8
	}
	props, size := m.sizes(version)
	b = append(b, byte(Publish)<<4|flags)
	b = appendVariable(b, size)
	b = appendString(b, m.Event.Topic)
	if m.QoS > 0 {
		b = binary.BigEndian.AppendUint16(b, m.ID)
	}
	if version == 5 {
		b = appendVariable(b, props)
		b = m.appendProperties(b)
	}
	return append(b, m.Event.Payload...)
}

// PublishSize is the length of what [AppendPublish] appends: the packet size that MQTT 5's Maximum Packet Size bounds
// (3.1.2.11.4).
func PublishSize(version byte, m *Message) int {
	_, size := m.sizes(version)
	return 1 + variableSize(size) + size
}

// sizes returns the length of the properties and the remaining length.
func (m *Message) sizes(version byte) (props, remaining int) {
	remaining = stringSize(m.Event.Topic) + len(m.Event.Payload)
	if m.QoS > 0 {
		remaining += 2
	}
	if version == 5 {
		props = m.propertiesSize()
		remaining += variableSize(props) + props
	}
	return props, remaining
}

func (m *Message) propertiesSize() int {
	n := 0
	for _, id := range m.Identifiers {
		n += 1 + variableSize(id)
	}
	props := m.Event.Properties
	if props == nil {
		return n
	}
	if props.UTF8 || props.Bytes {
		n += 2
	}
	if props.HasExpiry {
		n += 5
	}
	if props.HasContentType {
		n += 1 + stringSize(props.ContentType)
	}
	if props.ResponseTopic != "" {
		n += 1 + stringSize(props.ResponseTopic)
	}
	if props.CorrelationData != nil {
		n += 1 + stringSize(props.CorrelationData)
	}
	for i := range props.User {
		n += 1 + stringSize(props.User[i].Name) + stringSize(props.User[i].Value)
	}
	return n
}

func (m *Message) appendProperties(b []byte) []byte {
	for _, id := range m.Identifiers {
		b = appendVariable(append(b, propSubscriptionID), id)
	}
	props := m.Event.Properties
	if props == nil {
		return b
	}
	switch {
	case props.UTF8:
		b = append(b, propPayloadFormat, 1)
	case props.Bytes:
		b = append(b, propPayloadFormat, 0)
	}
	if props.HasExpiry {
		b = binary.BigEndian.AppendUint32(append(b, propMessageExpiry), m.Expiry)
	}
	if props.HasContentType {
		b = appendString(append(b, propContentType), props.ContentType)
	}
	if props.ResponseTopic != "" {
		b = appendString(append(b, propResponseTopic), props.ResponseTopic)
	}
	if props.CorrelationData != nil {
		b = appendString(append(b, propCorrelation), props.CorrelationData)
	}
	for i := range props.User {
		b = appendString(append(b, propUser), props.User[i].Name)
		b = appendString(b, props.User[i].Value)
	}
	return b
}

// AppendAck appends a PUBACK, PUBREC, PUBREL or PUBCOMP. The reason code is written for MQTT 5 only, and only where it
// says more than success (MQTT 5, 3.4.2.1).
func AppendAck(b []byte, kind Kind, id uint16, code, version byte) []byte {
	first := byte(kind) << 4
	if kind == Pubrel { // [MQTT-3.6.1-1]
		first |= 2
	}
	if code == 0 || version < 5 {
		return append(b, first, 2, byte(id>>8), byte(id))
	}
	return append(b, first, 3, byte(id>>8), byte(id), code)
}

func stringSize[T string | []byte](s T) int { return 2 + min(len(s), event.MaxTopicBytes) }

// appendString appends text or binary data with its length (MQTT 5, 1.5.4 and 1.5.6), which is at most 65,535: MQTT has
// no room for more, and what comes from MQTT is never longer.
func appendString[T string | []byte](b []byte, s T) []byte {
	s = s[:min(len(s), event.MaxTopicBytes)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// variableSize is the length of a variable byte integer (MQTT 5, 1.5.5).
func variableSize(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

func appendVariable(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}
