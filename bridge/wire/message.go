package wire

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/klauspost/compress/flate"

	"pulso/bridge/event"
)

// An Encoding is how messages are written down: one meaning, two notations. Its methods make whole messages, and append the
// fields of frames; fields of one frame must be appended to the same slice.
type Encoding uint8

// The encodings.
const (
	// JSON is for people and for everyone without a protobuf library: rows instead of repeated messages, payloads in place.
	JSON Encoding = iota
	// Proto is the binary form, a Message of proto/pulso/v1/stream.proto.
	Proto
)

// Encodings is how many there are.
const Encodings = 2

// Subprotocols are the WebSocket subprotocols by encoding.
var Subprotocols = [Encodings]string{JSON: "pulso.v1.json", Proto: "pulso.v1.proto"}

// String is the encoding's name.
func (e Encoding) String() string {
	if e == Proto {
		return "proto"
	}
	return "json"
}

const (
	// headRoom is what stands free in front of each message: the longest header of a server's WebSocket frame.
	headRoom = 10
	// minDeflate is the size from which compressing a message pays: below, it hardly shrinks and every byte fits one packet.
	minDeflate = 512
)

// A Message is one message to clients. Any number of sessions may share it: it never changes.
type Message struct {
	enc Encoding
	pos event.Position
	buf []byte // headRoom bytes, then the message
	at  int    // where in buf the WebSocket frame begins

	compress sync.Once
	deflated []byte // the compressed message in its WebSocket frame; nil where that would not be shorter
}

// begin makes a buffer for a message of about size bytes.
func begin(size int) []byte { return make([]byte, headRoom, headRoom+size) }

// message makes a Message of a buffer that began with [begin]. pos is where the stream is after it, zero where it does not say.
func (e Encoding) message(buf []byte, pos event.Position) *Message {
	m := &Message{enc: e, pos: pos, buf: buf}
	m.at = putHeader(buf, e.opcode())
	return m
}

// Bytes is the message. The caller must not change it.
func (m *Message) Bytes() []byte { return m.buf[headRoom:] }

// Position is where the stream of the message's room is after it: a client that has seen it may resume from there. It is zero
// for messages that say nothing of that.
func (m *Message) Position() event.Position { return m.pos }

// Encoding is how the message is written.
func (m *Message) Encoding() Encoding { return m.enc }

// WebSocket is the message as a whole frame of a server (RFC 6455, 5.2). The caller must not change it.
func (m *Message) WebSocket() []byte { return m.buf[m.at:] }

// WebSocketDeflated is the message as a frame of the extension permessage-deflate without context takeover (RFC 7692). It is
// made once, by whoever asks first, however many sessions share the message. Messages that are short or would not shrink
// come as they are.
func (m *Message) WebSocketDeflated() []byte {
	if len(m.Bytes()) < minDeflate {
		return m.WebSocket()
	}
	m.compress.Do(func() { m.deflated = m.deflate() })
	if m.deflated == nil {
		return m.WebSocket()
	}
	return m.deflated
}

// opcode is the first byte of a frame: FIN and text or binary.
func (e Encoding) opcode() byte {
	if e == Proto {
		return 0x80 | 0x2
	}
	return 0x80 | 0x1
}

// rsv1 marks a compressed message (RFC 7692, 6).
const rsv1 = 0x40

var flateWriters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // it fails for an unknown level only
	return w
}}

// deflate compresses the message; nil where that makes it no shorter.
func (m *Message) deflate() []byte {
	out := bytes.NewBuffer(make([]byte, headRoom, headRoom+len(m.Bytes())/3))
	w, _ := flateWriters.Get().(*flate.Writer) // the pool holds nothing else
	defer flateWriters.Put(w)
	w.Reset(out)
	if _, err := w.Write(m.Bytes()); err != nil { // a buffer takes everything
		return nil
	}
	if err := w.Flush(); err != nil {
		return nil
	}
	buf := bytes.TrimSuffix(out.Bytes(), []byte{0, 0, 0xff, 0xff}) // (RFC 7692, 7.2.1)
	if len(buf)-headRoom >= len(m.Bytes()) {
		return nil
	}
	buf = bytes.Clone(buf)
	return buf[putHeader(buf, m.enc.opcode()|rsv1):]
}

// putHeader writes the header of a frame into the head room of buf, right in front of the message, and returns where it begins.
func putHeader(buf []byte, first byte) int {
	switch n := len(buf) - headRoom; {
	case n < 126:
		buf[headRoom-2], buf[headRoom-1] = first, byte(n)
		return headRoom - 2
	case n < 1<<16:
		buf[headRoom-4], buf[headRoom-3] = first, 126
		binary.BigEndian.PutUint16(buf[headRoom-2:], uint16(n))
		return headRoom - 4
	default:
		buf[0], buf[1] = first, 127
		binary.BigEndian.PutUint64(buf[2:], uint64(n))
		return 0
	}
}
