package packet

import (
	"encoding/binary"
	"unicode/utf8"

	"pulso/bridge/event"
)

// A Published is a PUBLISH of a client, taken apart (MQTT 5, 3.3). Its slices alias the packet: they are valid as long as
// the packet's bytes are, and copied by whoever keeps them longer. The zero value is ready, and may be used again and
// again.
type Published struct {
	// Topic is the topic name; empty where Alias stands for it.
	Topic   []byte
	Payload []byte
	// ID is the packet identifier, 0 with QoS 0.
	ID uint16
	// Alias is the topic alias, 0 for none. Whether it is within what the server allows, and known, is not judged here.
	Alias  uint16
	QoS    byte
	Dup    bool
	Retain bool

	props []byte // the properties with their length, already judged
	keep  bool   // some of them outlive the packet
}

// Decode judges a PUBLISH and takes it apart. first is its first byte, body what follows the fixed header.
//
// A topic that begins with "$" is valid here: what may be published is policy. Of the errors, the caller may answer
// those that are Answerable and go on, and p is then filled: a topic of more levels than [event.MaxLevels], and a payload
// that says that it is UTF-8 and is not, which a server may refuse (MQTT 5, 3.3.2.3.2) and this one does, so that nobody
// need doubt it later. It takes no memory but for an error.
func (p *Published) Decode(first byte, body []byte, version byte) error {
	*p = Published{QoS: first >> 1 & 3, Dup: first&8 != 0, Retain: first&1 != 0}
	if err := checkPublishFlags(first&0x0f, version); err != nil {
		return err
	}
	if len(body) < 2 {
		return malformed("MQTT 5, 3.3.2", "PUBLISH of %d bytes", len(body))
	}
	size := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	if size > len(body) {
		return malformed("MQTT 5, 3.3.2.1", "topic of %d bytes exceeds the packet", size)
	}
	p.Topic, body = body[:size:size], body[size:]
	class, slashes := classify(p.Topic)
	if class != 0 { // [MQTT-3.3.2-1] [MQTT-3.3.2-2]
		return badName(class, "topic")
	}
	if p.QoS > 0 {
		if len(body) < 2 {
			return malformed("MQTT 5, 3.3.2.2", "packet identifier exceeds the packet")
		}
		p.ID, body = binary.BigEndian.Uint16(body), body[2:]
		if p.ID == 0 {
			return protocol("[MQTT-2.2.1-3]", "PUBLISH with packet identifier 0")
		}
	}
	var text bool
	var err error
	if version == 5 {
		if len(body) > 0 && body[0] == 0 { // no properties
			body = body[1:]
		} else if body, text, err = p.properties(body); err != nil {
			return err
		}
	}
	p.Payload = body
	switch {
	case size == 0 && version < 5:
		return malformed("MQTT 3.1.1 [MQTT-4.7.3-1]", "PUBLISH without a topic")
	case size == 0 && p.Alias == 0:
		return protocol("MQTT 5, 3.3.2.1", "PUBLISH with neither topic nor topic alias")
	case slashes >= event.MaxLevels:
		return &Error{Code: ReasonTopicInvalid, Detail: "topic of too many levels", Answerable: true}
	case text && !utf8.Valid(body):
		return &Error{
			Code: ReasonPayloadFormat, Clause: "MQTT 5, 3.3.2.3.2", Detail: "payload is said to be UTF-8 and is not",
			Answerable: true,
		}
	}
	return nil
}

// checkPublishFlags judges DUP, QoS and RETAIN (MQTT 5, 3.3.1). MQTT 3.1 does not forbid DUP with QoS 0.
func checkPublishFlags(flags, version byte) error {
	switch qos := flags >> 1 & 3; {
	case qos == 3:
		return malformed("[MQTT-3.3.1-4]", "PUBLISH with QoS 3")
	case qos == 0 && flags&8 != 0 && version > 3:
		return malformed("[MQTT-3.3.1-2]", "PUBLISH with DUP and QoS 0")
	}
	return nil
}

// properties judges the properties and returns what follows them, and whether the payload is said to be UTF-8.
func (p *Published) properties(body []byte) (payload []byte, text bool, err error) {
	r := reader{rest: body}
	r.properties(inPublish, func(one property) {
		switch one.id {
		case propTopicAlias:
			p.Alias = uint16(one.number)
			return
		case propPayloadFormat:
			text = one.number == 1
			p.keep = p.keep || text
			return
		}
		p.keep = true
	})
	p.props = body[:len(body)-len(r.rest)]
	return r.rest, text, r.err
}

// Properties returns the properties that outlive the packet, nil where there are none. They share no memory with it.
func (p *Published) Properties() *event.Properties {
	if !p.keep {
		return nil
	}
	var props *event.Properties
	r := reader{rest: p.props}
	r.properties(inPublish, func(one property) {
		if one.id != propTopicAlias {
			props = one.add(props)
		}
	})
	return props
}
