package broker

import (
	"errors"
	"fmt"
	"io"

	"pulso/broker/packet"
)

// Bounds of what a client may send besides the size of a PUBLISH.
const (
	maxConnectBytes = 16 << 10 // before anybody knows who it is
	maxControlBytes = 64 << 10 // any packet but PUBLISH

	readBuffer    = 512      // of an idle connection
	maxReadBuffer = 32 << 10 // of a connection that sends all the time; larger packets get memory of their own
	grantAtOnce   = 64 << 10 // memory that is taken for a packet before its bytes have come
	maxIdle       = 100      // times that the source may give nothing, without an error
)

// A reader cuts a client's bytes into packets. A packet is judged by its first bytes before more than those is waited
// for, and memory is taken as bytes arrive, not as they are announced.
type reader struct {
	src       io.Reader
	maxPacket int
	version   byte // protocol level of the CONNECT; 0 before it

	buf  []byte
	r, w int  // buf[r:w] has been read from src
	used int  // bytes of the packet that was returned last
	last int  // bytes of the last read, by which the buffer grows and shrinks
	own  bool // a packet is being read into memory of its own
}

// A rawPacket is one whole packet.
type rawPacket struct {
	first byte
	body  []byte
	owned bool // body is the packet's own memory; else it is valid until the next packet is read
}

// midPacket reports whether a packet has begun and not ended.
func (r *reader) midPacket() bool { return r.own || r.buffered() }

// buffered reports whether more bytes are there without reading.
func (r *reader) buffered() bool { return r.w-r.r > r.used }

// next reads the next packet. Its error is a *violation, or the source's.
func (r *reader) next() (rawPacket, error) {
	r.r += r.used
	r.used = 0
	if err := r.fill(1); err != nil {
		return rawPacket{}, err
	}
	first := r.buf[r.r]
	if err := packet.CheckFirst(first, r.version); err != nil {
		return rawPacket{}, violationOf(err)
	}
	size, remaining, err := packet.FixedHeader(r.buf[r.r:r.w], r.version)
	for size == 0 && err == nil {
		if err := r.fill(r.w - r.r + 1); err != nil {
			return rawPacket{}, unexpected(err)
		}
		size, remaining, err = packet.FixedHeader(r.buf[r.r:r.w], r.version)
	}
	if err != nil {
		return rawPacket{}, violationOf(err)
	}
	total := size + remaining
	if limit := r.limit(first); total > limit {
		return rawPacket{}, tooLarge(total, limit)
	}
	if total > maxReadBuffer {
		return r.large(first, size, remaining)
	}
	if err := r.fill(total); err != nil {
		return rawPacket{}, unexpected(err)
	}
	r.used = total
	return rawPacket{first: first, body: r.buf[r.r+size : r.r+total : r.r+total]}, nil
}

func (r *reader) limit(first byte) int {
	switch {
	case r.version == 0:
		return min(maxConnectBytes, r.maxPacket)
	case packet.Kind(first>>4) != packet.Publish:
		return min(maxControlBytes, r.maxPacket)
	}
	return r.maxPacket
}

// large reads a packet into memory of its own.
func (r *reader) large(first byte, size, remaining int) (rawPacket, error) {
	r.own = true
	defer func() { r.own = false }()
	body := make([]byte, 0, min(remaining, grantAtOnce))
	body = append(body, r.buf[r.r+size:min(r.w, r.r+size+remaining)]...)
	r.r += size + len(body)
	for idle := 0; len(body) < remaining; {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(remaining, 2*cap(body)))
			copy(grown, body)
			body = grown
		}
		n, err := r.src.Read(body[len(body):min(cap(body), remaining)])
		body = body[:len(body)+n]
		switch {
		case len(body) == remaining:
		case err != nil:
			return rawPacket{}, unexpected(err)
		case n == 0:
			if idle++; idle == maxIdle {
				return rawPacket{}, io.ErrNoProgress
			}
		}
	}
	return rawPacket{first: first, body: body, owned: true}, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fill makes sure that n bytes are buffered, or returns the source's error.
func (r *reader) fill(n int) error {
	for idle := 0; r.w-r.r < n; {
		r.makeRoom(n)
		m, err := r.src.Read(r.buf[r.w:])
		r.last = m
		r.w += m
		switch {
		case r.w-r.r >= n:
		case err != nil:
			if r.w > r.r {
				return unexpected(err)
			}
			return err
		case m == 0:
			if idle++; idle == maxIdle {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// makeRoom makes sure that something can be read into the buffer.
func (r *reader) makeRoom(n int) {
	size := max(len(r.buf), readBuffer)
	if r.r == r.w {
		r.r, r.w = 0, 0
		switch {
		case len(r.buf) > 0 && r.last == len(r.buf):
			size = min(2*size, maxReadBuffer)
		case r.last < len(r.buf)/8:
			size = readBuffer
		}
		if size != len(r.buf) {
			r.buf = make([]byte, size)
		}
		return
	}
	if r.w < len(r.buf) {
		return
	}
	target := r.buf
	if n > len(r.buf) {
		target = make([]byte, min(2*len(r.buf), max(n, readBuffer)))
	}
	r.w = copy(target, r.buf[r.r:r.w])
	r.r = 0
	r.buf = target
}

// A violation is why a client's bytes end its connection.
type violation struct {
	reason string // label of the metrics, see reasons
	detail string // for people
	code   byte   // MQTT 5 reason code
}

// Error implements error.
func (v *violation) Error() string { return v.reason + ": " + v.detail }

func tooLarge(size, limit int) *violation {
	return &violation{reason: reasonTooLarge, code: codeTooLarge, detail: fmt.Sprintf("packet of %d bytes, at most %d", size, limit)}
}

// violationOf says what a packet's error means for its connection.
func violationOf(err error) *violation {
	v := &violation{reason: reasonProtocol, code: packet.CodeOf(err), detail: err.Error()}
	switch v.code {
	case packet.ReasonMalformed:
		v.reason = reasonMalformed
	case packet.ReasonNotMQTT:
		v.reason = reasonNotMQTT
	case packet.ReasonVersion:
		v.reason = reasonVersion
	case packet.ReasonQuota:
		v.reason = reasonTooLarge
	}
	return v
}
