package broker

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// checkConnect judges the body of a CONNECT as far as its protocol level (MQTT 5, 3.1.2) and returns that.
func checkConnect(body []byte) (version byte, err error) {
	if len(body) < 2 {
		return 0, malformed("CONNECT of %d bytes", len(body))
	}
	size := int(binary.BigEndian.Uint16(body))
	if len(body) < 2+size+1 {
		return 0, malformed("CONNECT that ends before its protocol level")
	}
	name, level := body[2:2+size], body[2+size]
	switch {
	case bytes.Equal(name, []byte("MQTT")):
		if level == 4 || level == 5 {
			return level, nil
		}
	case bytes.Equal(name, []byte("MQIsdp")):
		if level == 3 {
			return level, nil
		}
	default: // [MQTT-3.1.2-1]
		return 0, &violation{reason: reasonNotMQTT, detail: fmt.Sprintf("protocol name %.20q", name)}
	}
	v := &violation{reason: reasonVersion, detail: fmt.Sprintf("%s level %d", name, level)}
	v.reply = []byte{0x20, 2, 0, 0x01} // [MQTT-3.1.2-2] of MQTT 3.1.1
	if level > 5 {
		v.reply = []byte{0x20, 3, 0, 0x84, 0}
	}
	return 0, v
}

// connectLayout walks the fields of a CONNECT (MQTT 5, 3.1.3) whose beginning checkConnect has judged, and returns where
// the will's payload and the password begin, 0 where there is none.
func connectLayout(body []byte, version byte) (will, password int, err error) {
	w := walker{rest: body}
	w.field() // protocol name
	w.skip(1) // level
	flags := byte(0)
	if len(w.rest) > 0 {
		flags = w.rest[0]
	}
	w.skip(3) // flags, keep-alive
	properties := func() {
		if version == 5 {
			w.properties()
		}
	}
	properties()
	w.field() // client id
	if flags&0x04 != 0 {
		properties()
		w.field() // topic
		will = len(body) - len(w.rest)
		w.field()
	}
	if flags&0x80 != 0 {
		w.field() // user
	}
	if flags&0x40 != 0 {
		password = len(body) - len(w.rest)
		w.field()
	}
	if w.short || len(w.rest) > 0 {
		return 0, 0, malformed("CONNECT whose fields do not fill it")
	}
	return will, password, nil
}

// A walker walks over the fields of a packet and notices when they exceed it.
type walker struct {
	rest  []byte
	short bool
}

func (w *walker) skip(n int) {
	if n > len(w.rest) {
		w.rest, w.short = nil, true
		return
	}
	w.rest = w.rest[n:]
}

// field skips text or binary data.
func (w *walker) field() {
	if len(w.rest) < 2 {
		w.rest, w.short = nil, true
		return
	}
	w.skip(2 + int(binary.BigEndian.Uint16(w.rest)))
}

func (w *walker) properties() {
	size, n := varint(w.rest)
	if n == 0 {
		w.short = true
	}
	w.skip(n + size)
}

// mendConnect returns the body of a CONNECT as mochi takes it: mochi refuses a will without a payload and a password
// without a character, both of which are allowed (MQTT 5, 3.1.3.4 and 3.1.3.6). The first gets a byte, which emptyWill
// says, the second is left out. Other bodies are returned as they are.
func mendConnect(body []byte, version byte) (mended []byte, emptyWill bool, err error) {
	will, password, err := connectLayout(body, version)
	if err != nil {
		return nil, false, err
	}
	if password > 0 && binary.BigEndian.Uint16(body[password:]) == 0 {
		body = bytes.Clone(body[:password])
		body[flagsOffset(body)] &^= 0x40
	}
	if will > 0 && binary.BigEndian.Uint16(body[will:]) == 0 {
		body = bytes.Join([][]byte{body[:will], {0, 1, 0}, body[will+2:]}, nil)
		emptyWill = true
	}
	return body, emptyWill, nil
}

// flagsOffset is where the connect flags stand: after protocol name and level.
func flagsOffset(body []byte) int { return 2 + int(binary.BigEndian.Uint16(body)) + 1 }

// parseAck takes apart a PUBACK, PUBREC, PUBREL or PUBCOMP.
func parseAck(body []byte, version byte) (id uint16, code byte, err error) {
	if len(body) < 2 || version < 5 && len(body) > 2 {
		return 0, 0, malformed("acknowledgement of %d bytes", len(body))
	}
	if len(body) > 2 {
		code = body[2]
	}
	id = binary.BigEndian.Uint16(body)
	if id == 0 {
		return 0, 0, malformed("acknowledgement of packet id 0")
	}
	return id, code, nil
}

// checkFilters judges the body of a SUBSCRIBE (with options bytes) or an UNSUBSCRIBE: that each field is there and that
// reserved bits are 0 [MQTT-3.8.3-5]. Whether a filter is one is judged later: that is answered, not punished.
func checkFilters(body []byte, version byte, options bool) error {
	if len(body) < 2 || binary.BigEndian.Uint16(body) == 0 { // [MQTT-2.2.1-3]
		return malformed("SUBSCRIBE or UNSUBSCRIBE without a packet id")
	}
	body = body[2:]
	if version == 5 {
		size, n := varint(body)
		if n == 0 || size > len(body)-n {
			return malformed("properties exceed the packet")
		}
		body = body[n+size:]
	}
	filters := 0
	for ; len(body) > 0; filters++ {
		if len(body) < 2 {
			return malformed("a filter without a length")
		}
		size := 2 + int(binary.BigEndian.Uint16(body))
		if options {
			size++
		}
		if size > len(body) {
			return malformed("a filter or its options exceed the packet")
		}
		if options && !validOptions(body[size-1], version) {
			return malformed("subscription options 0x%02x", body[size-1])
		}
		body = body[size:]
	}
	switch {
	case filters == 0: // [MQTT-3.8.3-2] [MQTT-3.10.3-2]
		return &violation{reason: reasonProtocol, code: 0x82, detail: "no filter in a SUBSCRIBE or UNSUBSCRIBE"}
	case filters > maxPacketFilter:
		return &violation{
			reason: reasonTooLarge, code: 0x97,
			detail: fmt.Sprintf("%d filters in one packet, at most %d", filters, maxPacketFilter),
		}
	}
	return nil
}

func validOptions(o, version byte) bool {
	if version < 5 {
		return o <= 2
	}
	return o&0xc0 == 0 && o&3 != 3 && o&0x30 != 0x30
}

// varint decodes a variable byte integer (MQTT 5, 1.5.5); n is 0 where there is none.
func varint(b []byte) (value, n int) {
	for i := range min(len(b), 4) {
		value |= int(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return value, i + 1
		}
	}
	return 0, 0
}
