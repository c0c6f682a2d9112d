package packet

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// A reader takes fields off the front of a packet's body. Its first error stays, and what is read after it is zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// take returns the next n bytes, nil if there are fewer.
func (r *reader) take(n int, what string) []byte {
	if n > len(r.rest) {
		r.fail(malformed("MQTT 5, 1.2", "%s exceeds the packet", what))
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) octet(what string) byte {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16(what string) uint16 {
	if b := r.take(2, what); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32(what string) uint32 {
	if b := r.take(4, what); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// binary reads binary data (MQTT 5, 1.5.6). It is nil only where there is an error.
func (r *reader) binary(what string) []byte { return r.take(int(r.uint16(what)), what) }

// text reads a UTF-8 encoded string (MQTT 5, 1.5.4).
func (r *reader) text(what string) []byte {
	b := r.binary(what)
	if err := checkText(b, what); err != nil {
		r.fail(err)
		return nil
	}
	return b
}

// name reads a UTF-8 encoded string that names something: a topic, a filter, a client, a user.
func (r *reader) name(what string) []byte {
	b := r.binary(what)
	if class, _ := classify(b); class&^classWild != 0 {
		r.fail(badName(class, what))
		return nil
	}
	return b
}

// variable reads a variable byte integer (MQTT 5, 1.5.5).
func (r *reader) variable(what string) int {
	value := 0
	for i := range min(len(r.rest), 4) {
		b := r.rest[i]
		value |= int(b&0x7f) << (7 * i)
		if b >= 0x80 {
			continue
		}
		if b == 0 && i > 0 {
			r.fail(malformed("[MQTT-1.5.5-1]", "%s of %d in %d bytes", what, value, i+1))
			return 0
		}
		r.rest = r.rest[i+1:]
		return value
	}
	r.fail(malformed("MQTT 5, 1.5.5", "%s without an end", what))
	return 0
}

// end makes sure that nothing is left.
func (r *reader) end(kind Kind) {
	if len(r.rest) > 0 {
		r.fail(malformed("MQTT 5, 2.1.4", "%d bytes after the end of the %s", len(r.rest), kind))
	}
}

// checkText judges a UTF-8 encoded string: well-formed without surrogates [MQTT-1.5.4-1], no U+0000 [MQTT-1.5.4-2]. A
// byte order mark is a character like any other [MQTT-1.5.4-3].
func checkText(b []byte, what string) error {
	if !utf8.Valid(b) {
		return malformed("[MQTT-1.5.4-1]", "%s is not UTF-8", what)
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return malformed("[MQTT-1.5.4-2]", "%s contains U+0000", what)
	}
	return nil
}
