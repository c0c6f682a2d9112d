package decode

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// errProtobuf is wrapped by what is said of broken protobuf.
var errProtobuf = errors.New("not valid protobuf")

// A wireField is one field of a protobuf message: its bits as they travel, or its bytes.
type wireField struct {
	number int
	kind   protowire.Type
	bits   uint64
	bytes  []byte
}

// float32 and float64 are what the bits of a fixed field stand for, the short one as a person would write it.
func (f *wireField) float32() float64 { return shortFloat(math.Float32frombits(uint32(f.bits))) }
func (f *wireField) float64() float64 { return math.Float64frombits(f.bits) }

// isBytes, isVarint, isFixed32 and isFixed64 say how it travels.
func (f *wireField) isBytes() bool   { return f.kind == protowire.BytesType }
func (f *wireField) isVarint() bool  { return f.kind == protowire.VarintType }
func (f *wireField) isFixed32() bool { return f.kind == protowire.Fixed32Type }
func (f *wireField) isFixed64() bool { return f.kind == protowire.Fixed64Type }

// wireFields calls each for every field of a message, until one is broken or each fails. Groups are not read.
func wireFields(message []byte, each func(*wireField) error) error {
	for at := 0; at < len(message); {
		number, kind, n := protowire.ConsumeTag(message[at:])
		if n < 0 {
			return fmt.Errorf("%w: bad tag at offset %d", errProtobuf, at)
		}
		at += n
		f, b := wireField{number: int(number), kind: kind}, message[at:]
		switch kind {
		case protowire.VarintType:
			f.bits, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var bits uint32
			bits, n = protowire.ConsumeFixed32(b)
			f.bits = uint64(bits)
		case protowire.Fixed64Type:
			f.bits, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		case protowire.StartGroupType, protowire.EndGroupType:
			n = -1
		default:
			n = -1
		}
		if n < 0 {
			return fmt.Errorf("%w: bad field %d at offset %d", errProtobuf, number, at)
		}
		at += n
		if err := each(&f); err != nil {
			return err
		}
	}
	return nil
}

// maxInflated bounds what a compressed payload may become.
const maxInflated = 4 << 20

var errInflated = fmt.Errorf("the compressed payload holds more than %d bytes", maxInflated)

// isGzip reports whether b begins as gzip does (RFC 1952).
func isGzip(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b, 8}) }

// inflate unpacks gzip (RFC 1952) and zlib (RFC 1950), bounded.
func inflate(b []byte) ([]byte, error) {
	open := func() (io.Reader, error) { return zlib.NewReader(bytes.NewReader(b)) }
	if isGzip(b) {
		open = func() (io.Reader, error) { return gzip.NewReader(bytes.NewReader(b)) }
	}
	r, err := open()
	if err != nil {
		return nil, fmt.Errorf("the compressed payload is broken: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	switch {
	case len(plain) > maxInflated:
		return nil, errInflated
	case err != nil:
		return nil, fmt.Errorf("the compressed payload is broken: %w", err)
	default:
		return plain, nil
	}
}
