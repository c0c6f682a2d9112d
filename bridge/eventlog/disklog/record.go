package disklog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"pulso/bridge/event"
)

// The layout of a record; FORMAT.md has it as a table.
const (
	recordHeader = 36
	atCRC        = 4
	atOffset     = 8
	atTime       = 16
	atKind       = 24
	atSource     = 25
	atFlags      = 26
	atTopicLen   = 28
	atClientLen  = 30
	atPayloadLen = 32

	flagQoS        = 3
	flagRetain     = 4
	flagProperties = 8
	flagPacketID   = 16
)

// The tags of the entries at a record's end: properties, and what only some events have.
const (
	tagContentType   = 1
	tagResponseTopic = 2
	tagCorrelation   = 3
	tagUser          = 4
	tagExpiry        = 5
	tagUTF8          = 6
	tagPacketID      = 7
	tagBytes         = 8

	tagHeader = 5 // tag and length
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Reasons why bytes are no record.
var (
	errShort   = errors.New("incomplete record")
	errDamaged = errors.New("damaged record")
)

// recordSize is the number of bytes that appendRecord appends.
func recordSize(e *event.Event) int {
	n := recordHeader + len(e.Topic) + len(e.Client) + len(e.Payload)
	if e.PacketID != 0 {
		n += tagHeader + 2
	}
	if p := e.Properties; p != nil {
		n += propertiesSize(p)
	}
	return n
}

func propertiesSize(p *event.Properties) int {
	n := 0
	if p.HasContentType {
		n += tagHeader + len(p.ContentType)
	}
	if p.ResponseTopic != "" {
		n += tagHeader + len(p.ResponseTopic)
	}
	if p.CorrelationData != nil {
		n += tagHeader + len(p.CorrelationData)
	}
	for i := range p.User {
		n += tagHeader + 4 + len(p.User[i].Name) + len(p.User[i].Value)
	}
	if p.HasExpiry {
		n += tagHeader + 4
	}
	if p.UTF8 {
		n += tagHeader
	}
	if p.Bytes {
		n += tagHeader
	}
	return n
}

// fits reports whether the lengths of e can be written down.
func fits(e *event.Event) bool {
	return len(e.Topic) <= math.MaxUint16 && len(e.Client) <= math.MaxUint16
}

// appendRecord appends the record of e, which fits, at an offset.
func appendRecord(b []byte, e *event.Event, offset uint64) []byte {
	start := len(b)
	flags := e.QoS & flagQoS
	if e.Retain {
		flags |= flagRetain
	}
	if e.Properties != nil {
		flags |= flagProperties
	}
	if e.PacketID != 0 {
		flags |= flagPacketID
	}
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, offset)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Time))
	b = append(b, byte(e.Kind), byte(e.Source), flags, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.Topic)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.Client)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Payload)))
	b = append(b, e.Topic...)
	b = append(b, e.Client...)
	b = append(b, e.Payload...)
	if e.PacketID != 0 {
		b = append(b, tagPacketID, 2, 0, 0, 0)
		b = binary.LittleEndian.AppendUint16(b, e.PacketID)
	}
	if e.Properties != nil {
		b = appendProperties(b, e.Properties)
	}
	rec := b[start:]
	binary.LittleEndian.PutUint32(rec, uint32(len(rec)))
	binary.LittleEndian.PutUint32(rec[atCRC:], crc32.Checksum(rec[atOffset:], castagnoli))
	return b
}

func appendProperties(b []byte, p *event.Properties) []byte {
	tag := func(t byte, size int) {
		b = append(b, t)
		b = binary.LittleEndian.AppendUint32(b, uint32(size))
	}
	if p.HasContentType {
		tag(tagContentType, len(p.ContentType))
		b = append(b, p.ContentType...)
	}
	if p.ResponseTopic != "" {
		tag(tagResponseTopic, len(p.ResponseTopic))
		b = append(b, p.ResponseTopic...)
	}
	if p.CorrelationData != nil {
		tag(tagCorrelation, len(p.CorrelationData))
		b = append(b, p.CorrelationData...)
	}
	for _, u := range p.User {
		tag(tagUser, 4+len(u.Name)+len(u.Value))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(u.Name)))
		b = append(b, u.Name...)
		b = append(b, u.Value...)
	}
	if p.HasExpiry {
		tag(tagExpiry, 4)
		b = binary.LittleEndian.AppendUint32(b, p.Expiry)
	}
	if p.UTF8 {
		tag(tagUTF8, 0)
	}
	if p.Bytes {
		tag(tagBytes, 0)
	}
	return b
}

// A record is a view of the bytes of one; it is good as long as they are.
type record []byte

// peek returns the length and the offset of the record that b begins with, unverified. Its error wraps errShort if b
// ends too early to tell, or errDamaged.
func peek(b []byte) (length int, offset uint64, err error) {
	if len(b) < atTime {
		return 0, 0, errShort
	}
	n := binary.LittleEndian.Uint32(b)
	if n < recordHeader || n > maxEventBytes {
		return 0, 0, fmt.Errorf("%w: length %d", errDamaged, n)
	}
	return int(n), binary.LittleEndian.Uint64(b[atOffset:]), nil
}

// cutRecord returns the record that b begins with, verified, which must have the offset. Its error wraps errShort if b
// ends within the record, or errDamaged.
func cutRecord(b []byte, offset uint64) (record, error) {
	n, got, err := peek(b)
	switch {
	case err != nil:
		return nil, err
	case got != offset:
		return nil, fmt.Errorf("%w: offset %d instead of %d", errDamaged, got, offset)
	case n > len(b):
		return nil, errShort
	}
	r := record(b[:n])
	if binary.LittleEndian.Uint32(r[atCRC:]) != crc32.Checksum(r[atOffset:], castagnoli) {
		return nil, fmt.Errorf("%w: checksum", errDamaged)
	}
	if r.tailStart() > n {
		return nil, fmt.Errorf("%w: fields longer than the record", errDamaged)
	}
	return r, nil
}

func (r record) offset() uint64 { return binary.LittleEndian.Uint64(r[atOffset:]) }
func (r record) time() int64    { return int64(binary.LittleEndian.Uint64(r[atTime:])) }
func (r record) topicLen() int  { return int(binary.LittleEndian.Uint16(r[atTopicLen:])) }
func (r record) clientLen() int { return int(binary.LittleEndian.Uint16(r[atClientLen:])) }

// payloadLen reports what no record has room for as 1 GiB, so that sums of lengths fit an int everywhere.
func (r record) payloadLen() int {
	return int(min(binary.LittleEndian.Uint32(r[atPayloadLen:]), 1<<30))
}

func (r record) topic() []byte { return r[recordHeader:][:r.topicLen()] }

func (r record) client() []byte { return r[recordHeader+r.topicLen():][:r.clientLen()] }

func (r record) payload() []byte {
	return r[recordHeader+r.topicLen()+r.clientLen():][:r.payloadLen()]
}

// tailStart is where the properties begin.
func (r record) tailStart() int {
	return recordHeader + r.topicLen() + r.clientLen() + r.payloadLen()
}

// tail decodes what follows the payload: the properties, nil if the event has none, and the packet identifier, 0 if it has
// none. Tags that are not known are passed over.
func (r record) tail() (p *event.Properties, packetID uint16, err error) {
	if r[atFlags]&(flagProperties|flagPacketID) == 0 {
		return nil, 0, nil
	}
	if r[atFlags]&flagProperties != 0 {
		p = &event.Properties{}
	}
	for b := r[r.tailStart():]; len(b) > 0; {
		if len(b) < tagHeader {
			return nil, 0, fmt.Errorf("%w: property", errDamaged)
		}
		tag, n := b[0], binary.LittleEndian.Uint32(b[1:])
		b = b[tagHeader:]
		if uint64(n) > uint64(len(b)) {
			return nil, 0, fmt.Errorf("%w: property %d", errDamaged, tag)
		}
		v := b[:n]
		b = b[n:]
		ok := true
		switch {
		case tag == tagPacketID:
			if ok = len(v) == 2; ok {
				packetID = binary.LittleEndian.Uint16(v)
			}
		case p != nil:
			ok = setProperty(p, tag, v)
		}
		if !ok {
			return nil, 0, fmt.Errorf("%w: property %d", errDamaged, tag)
		}
	}
	return p, packetID, nil
}

func setProperty(p *event.Properties, tag byte, v []byte) bool {
	switch tag {
	case tagContentType:
		p.ContentType, p.HasContentType = string(v), true
	case tagResponseTopic:
		p.ResponseTopic = string(v)
	case tagCorrelation:
		p.CorrelationData = append([]byte{}, v...)
	case tagUser:
		if len(v) < 4 {
			return false
		}
		n := binary.LittleEndian.Uint32(v)
		v = v[4:]
		if uint64(n) > uint64(len(v)) {
			return false
		}
		p.User = append(p.User, event.UserProperty{Name: string(v[:n]), Value: string(v[n:])})
	case tagExpiry:
		if len(v) != 4 {
			return false
		}
		p.Expiry, p.HasExpiry = binary.LittleEndian.Uint32(v), true
	case tagUTF8:
		p.UTF8 = true
	case tagBytes:
		p.Bytes = true
	}
	return true
}
