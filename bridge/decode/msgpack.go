package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// MessagePack understands maps, and arrays of them, in MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md).
// What is in them goes by the rules for JSON. A bare number is read only where an override says that the payload is
// MessagePack.
type MessagePack struct{}

// Name implements [Format].
func (MessagePack) Name() string { return "msgpack" }

var errMessagePack = errors.New("not valid MessagePack")

// Decode implements [Format].
func (m MessagePack) Decode(s *Scope, in *Input, out *Result) (bool, error) {
	if len(in.Payload) == 0 {
		return false, nil
	}
	forced := s.isForced(m)
	c := in.Payload[0]
	if !forced && (c < 0x80 || c >= 0xa0 && (c < 0xdc || c > 0xdf) || unprintable(in.Payload) < 0) {
		return false, nil
	}
	r := &packReader{b: in.Payload, left: maxTreeValues}
	tree, err := r.value(0)
	if err == nil && r.at < len(r.b) {
		err = fmt.Errorf("%w: more after the value at offset %d", errMessagePack, r.at)
	}
	switch {
	case err != nil && forced:
		return true, err
	case err != nil, !forced && !hasNames(tree):
		return false, nil //nolint:nilerr // it may be of another format
	default:
		return true, s.tree(in, out, tree)
	}
}

// A packReader reads values into the types that treeWriter writes. What it makes is bounded by left, and by the payload:
// lengths are believed only as far as there are bytes.
type packReader struct {
	b    []byte
	at   int
	left int
}

func (r *packReader) fail(what string) error {
	return fmt.Errorf("%w: %s at offset %d", errMessagePack, what, r.at)
}

// take returns the next n bytes.
func (r *packReader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.b)-r.at {
		return nil, r.fail("it ends early")
	}
	b := r.b[r.at : r.at+n]
	r.at += n
	return b, nil
}

// uint reads an unsigned number of so many bytes.
func (r *packReader) uint(size int) (uint64, error) {
	b, err := r.take(size)
	if err != nil {
		return 0, err
	}
	var padded [8]byte
	copy(padded[8-size:], b)
	return binary.BigEndian.Uint64(padded[:]), nil
}

// length reads the length of what the format byte c begins, the size of which is 1, 2 or 4 bytes by its distance from first.
func (r *packReader) length(c, first byte, sizes ...int) (int, error) {
	n, err := r.uint(sizes[c-first])
	return int(min(n, math.MaxInt32)), err
}

func (r *packReader) value(depth int) (any, error) {
	if r.left--; r.left <= 0 || depth > MaxDepth {
		return nil, r.fail("too many values, or too deep")
	}
	head, err := r.take(1)
	if err != nil {
		return nil, err
	}
	switch c := head[0]; {
	case c < 0x80:
		return uint64(c), nil
	case c < 0x90:
		return r.object(int(c&0x0f), depth)
	case c < 0xa0:
		return r.array(int(c&0x0f), depth)
	case c < 0xc0:
		return r.text(int(c & 0x1f))
	case c >= 0xe0:
		return int64(int8(c)), nil
	case c >= 0xdc:
		return r.container(c, depth)
	case c >= 0xd9:
		n, err := r.length(c, 0xd9, 1, 2, 4)
		if err != nil {
			return nil, err
		}
		return r.text(n)
	default:
		return r.simple(c)
	}
}

// container reads arrays and maps of which the length is given by itself.
func (r *packReader) container(c byte, depth int) (any, error) {
	n, err := r.length(c, 0xdc, 2, 4, 2, 4)
	if err != nil {
		return nil, err
	}
	if c >= 0xde {
		return r.object(n, depth)
	}
	return r.array(n, depth)
}

// simple reads what begins with 0xc0 to 0xd8.
func (r *packReader) simple(c byte) (any, error) {
	switch {
	case c == 0xc0:
		return nil, nil //nolint:nilnil // nil is the value
	case c == 0xc2 || c == 0xc3:
		return c == 0xc3, nil
	case c >= 0xc4 && c <= 0xc6:
		n, err := r.length(c, 0xc4, 1, 2, 4)
		if err != nil {
			return nil, err
		}
		return r.take(n)
	case c >= 0xc7 && c <= 0xc9:
		n, err := r.length(c, 0xc7, 1, 2, 4)
		if err != nil {
			return nil, err
		}
		return r.extension(n)
	case c == 0xca:
		bits, err := r.uint(4)
		return float64(math.Float32frombits(uint32(bits))), err
	case c == 0xcb:
		bits, err := r.uint(8)
		return math.Float64frombits(bits), err
	case c >= 0xcc && c <= 0xcf:
		return r.uint(1 << (c - 0xcc))
	case c >= 0xd0 && c <= 0xd3:
		size := 1 << (c - 0xd0)
		bits, err := r.uint(size)
		shift := 64 - 8*size
		return int64(bits<<shift) >> shift, err
	case c >= 0xd4 && c <= 0xd8:
		return r.extension(1 << (c - 0xd4))
	default:
		return nil, r.fail("a byte that is never used")
	}
}

// text reads a string; those that are not UTF-8 are none.
func (r *packReader) text(n int) (any, error) {
	b, err := r.take(n)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(b) {
		return nil, r.fail("a string that is not UTF-8")
	}
	return string(b), nil
}

// extension reads an extension's type and its bytes. A time stamp (type -1) is a time, everything else is nothing.
func (r *packReader) extension(n int) (any, error) {
	kind, err := r.take(1)
	if err != nil {
		return nil, err
	}
	b, err := r.take(n)
	if err != nil || kind[0] != 0xff {
		return nil, err
	}
	const nanosecondBits = 34
	switch n {
	case 4:
		return time.Unix(int64(binary.BigEndian.Uint32(b)), 0), nil
	case 8:
		bits := binary.BigEndian.Uint64(b)
		return time.Unix(int64(bits&(1<<nanosecondBits-1)), int64(bits>>nanosecondBits)), nil
	case 12:
		seconds := int64(binary.BigEndian.Uint64(b[4:]))
		if seconds < 0 || seconds > math.MaxInt32<<3 {
			return nil, r.fail("a time that no clock shows")
		}
		return time.Unix(seconds, int64(binary.BigEndian.Uint32(b))), nil
	default:
		return nil, r.fail("a time stamp of a wrong length")
	}
}

func (r *packReader) array(n, depth int) (any, error) {
	var values []any
	for range n {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// object reads a map. Its keys are texts or whole numbers.
func (r *packReader) object(n, depth int) (any, error) {
	values := make(map[any]any)
	for range n {
		key, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		switch key.(type) {
		case string, uint64, int64:
		default:
			return nil, r.fail("a key that is neither text nor number")
		}
		if values[key], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return values, nil
}
