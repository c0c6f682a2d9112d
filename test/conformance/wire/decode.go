package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Received is a packet that a server sent. Which fields hold something depends on its type.
type Received struct {
	Type    Type
	Size    int // bytes on the wire
	ID      uint16
	Code    byte   // return or reason code; 0 where the packet leaves it out
	Codes   []byte // of a SUBACK or UNSUBACK
	Present bool   // Session Present

	Topic       string
	Payload     string
	QoS         byte
	Dup, Retain bool

	Props Properties
}

// String is the packet for messages of failing tests.
func (r *Received) String() string {
	if r == nil {
		return "nothing"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v id=%d", r.Type, r.ID)
	switch r.Type {
	case PUBLISH:
		fmt.Fprintf(&b, " %q=%.80q qos=%d dup=%t retain=%t", r.Topic, r.Payload, r.QoS, r.Dup, r.Retain)
	case SUBACK, UNSUBACK:
		fmt.Fprintf(&b, " codes=% x", r.Codes)
	default:
		fmt.Fprintf(&b, " code=0x%02x present=%t", r.Code, r.Present)
	}
	if len(r.Props) > 0 {
		fmt.Fprintf(&b, " %v", r.Props)
	}
	return b.String()
}

// ErrMalformed means that a server sent what the standard doesn't allow.
var ErrMalformed = errors.New("malformed packet from the server")

// A decoder takes bytes from the front of b. After the first error it returns zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) failf(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

func (d *decoder) bytes(n int) []byte {
	if d.err != nil || n > len(d.b) {
		d.failf("%d bytes are missing", n-len(d.b))
		return nil
	}
	head := d.b[:n]
	d.b = d.b[n:]
	return head
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if b := d.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) varInt() uint32 {
	var n uint32
	for shift := 0; ; shift += 7 {
		b := d.byte()
		n |= uint32(b&0x7f) << shift
		switch {
		case d.err != nil:
			return 0
		case b&0x80 != 0 && shift == 21:
			d.failf("a variable byte integer of more than four bytes")
			return 0
		case b&0x80 == 0:
			if b == 0 && shift > 0 {
				d.failf("a variable byte integer with a byte too many [MQTT-1.5.5-1]")
			}
			return n
		}
	}
}

func (d *decoder) text() string {
	s := string(d.bytes(int(d.u16())))
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		d.failf("%q is no UTF-8 string [MQTT-1.5.4-1] [MQTT-1.5.4-2]", s)
	}
	return s
}

// Decode takes apart a packet that a server sent: its first byte and what follows its length. It is strict: whatever a server
// must not send is ErrMalformed.
func Decode(version, first byte, body []byte) (*Received, error) {
	r := &Received{Type: Type(first >> 4)}
	d := decoder{b: body}
	if r.Type != PUBLISH && first != r.Type.First() {
		d.failf("flags 0x%x [MQTT-2.1.3-1]", first&0x0f)
	}
	switch r.Type {
	case CONNACK:
		d.connack(r, version)
	case PUBLISH:
		d.publish(r, version, first)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		d.ack(r, version)
	case SUBACK, UNSUBACK:
		d.suback(r, version)
	case PINGRESP:
	case DISCONNECT, AUTH:
		if version != V5 {
			d.failf("sent by a server before MQTT 5")
		}
		d.reason(r)
	default:
		d.failf("no packet of a server")
	}
	if d.err == nil && len(d.b) > 0 {
		d.failf("%d bytes too many", len(d.b))
	}
	if d.err != nil {
		return r, fmt.Errorf("%w: %v: %w (% x % x)", ErrMalformed, r.Type, d.err, first, body[:min(64, len(body))])
	}
	return r, nil
}

func (d *decoder) connack(r *Received, version byte) {
	flags := d.byte()
	if flags > 1 {
		d.failf("CONNACK flags 0x%02x [MQTT-3.2.2-1]", flags)
	}
	r.Present = flags == 1
	r.Code = d.byte()
	if version != V5 {
		if r.Code > 5 {
			d.failf("return code 0x%02x", r.Code)
		}
		return
	}
	d.code(CONNACK, r.Code)
	// A server that doesn't know the version of the CONNECT answers at one that it knows [MQTT-3.1.2-2].
	if len(d.b) > 0 {
		r.Props = d.properties(CONNACK)
	}
	if r.Code >= 0x80 && r.Present {
		d.failf("session present beside an error [MQTT-3.2.2-6]")
	}
}

func (d *decoder) publish(r *Received, version, first byte) {
	r.QoS, r.Dup, r.Retain = first>>1&3, first&8 != 0, first&1 != 0
	switch {
	case r.QoS == 3:
		d.failf("QoS 3 [MQTT-3.3.1-4]")
	case r.QoS == 0 && r.Dup:
		d.failf("DUP at QoS 0 [MQTT-3.3.1-2]")
	}
	r.Topic = d.text()
	if strings.ContainsAny(r.Topic, "+#") {
		d.failf("wildcards in the topic %q [MQTT-3.3.2-2]", r.Topic)
	}
	if r.QoS > 0 {
		if r.ID = d.u16(); r.ID == 0 {
			d.failf("packet identifier 0 [MQTT-2.2.1-4]")
		}
	}
	if version == V5 {
		r.Props = d.properties(PUBLISH)
	}
	if r.Topic == "" && !r.Props.Has(TopicAlias) {
		d.failf("neither topic nor alias")
	}
	r.Payload = string(d.bytes(len(d.b)))
}

func (d *decoder) ack(r *Received, version byte) {
	if r.ID = d.u16(); r.ID == 0 {
		d.failf("packet identifier 0")
	}
	if version == V5 {
		d.reason(r)
	}
}

// reason takes a reason code and properties, both of which may be left out.
func (d *decoder) reason(r *Received) {
	if len(d.b) == 0 {
		return
	}
	r.Code = d.byte()
	d.code(r.Type, r.Code)
	if len(d.b) > 0 {
		r.Props = d.properties(r.Type)
	}
}

func (d *decoder) suback(r *Received, version byte) {
	if r.ID = d.u16(); r.ID == 0 {
		d.failf("packet identifier 0")
	}
	if version == V5 {
		r.Props = d.properties(r.Type)
	}
	if version != V5 && r.Type == UNSUBACK {
		return
	}
	r.Codes = slices.Clone(d.bytes(len(d.b)))
	if len(r.Codes) == 0 {
		d.failf("no codes")
	}
	for _, c := range r.Codes {
		if version == V5 {
			d.code(r.Type, c)
		} else if c > 2 && c != 0x80 {
			d.failf("code 0x%02x [MQTT-3.9.3-2]", c)
		}
	}
}

// codes are the reason codes that a server may send, by type [MQTT-5 2.4].
var codes = map[Type]string{
	CONNACK:    "\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8c\x90\x95\x97\x99\x9a\x9b\x9c\x9d\x9f",
	PUBACK:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
	PUBREC:     "\x00\x10\x80\x83\x87\x90\x91\x97\x99",
	PUBREL:     "\x00\x92",
	PUBCOMP:    "\x00\x92",
	SUBACK:     "\x00\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2",
	UNSUBACK:   "\x00\x11\x80\x83\x87\x8f\x91",
	DISCONNECT: "\x00\x80\x81\x82\x83\x87\x89\x8b\x8d\x8e\x8f\x90\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2",
	AUTH:       "\x00\x18\x19",
}

func (d *decoder) code(of Type, code byte) {
	if d.err == nil && strings.IndexByte(codes[of], code) < 0 {
		d.failf("reason code 0x%02x is none of a server's %v", code, of)
	}
}
