package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Packet types (MQTT 5, 2.1.2).
const (
	typeConnect     = 1
	typePublish     = 3
	typePuback      = 4
	typePubrec      = 5
	typePubrel      = 6
	typePubcomp     = 7
	typeSubscribe   = 8
	typeUnsubscribe = 10
	typePingreq     = 12
	typeDisconnect  = 14
)

// Bounds of what a client may send besides the size of a PUBLISH.
const (
	maxConnectBytes = 16 << 10 // before anybody knows who it is
	maxControlBytes = 64 << 10 // any packet but PUBLISH
	maxPacketFilter = 1024     // filters in one SUBSCRIBE or UNSUBSCRIBE

	guardBuffer    = 1 << 10  // of an idle connection
	maxGuardBuffer = 32 << 10 // of a connection that sends all the time
	directRead     = 4 << 10  // what is read at least this large goes past the buffer
)

// A violation is why a client's bytes end its connection.
type violation struct {
	reason string // label of the metrics, see reasons
	detail string // for people
	reply  []byte // what the client gets before the connection is closed; may be nil
	code   byte   // MQTT 5 reason code for a DISCONNECT where there is no reply
}

// Error implements error.
func (v *violation) Error() string { return v.reason + ": " + v.detail }

func malformed(format string, args ...any) *violation {
	return &violation{reason: reasonMalformed, code: 0x81, detail: fmt.Sprintf(format, args...)}
}

func tooLarge(size, limit int) *violation {
	return &violation{reason: reasonTooLarge, code: 0x95, detail: fmt.Sprintf("packet of %d bytes, at most %d", size, limit)}
}

// A guardHandler gets what the guard keeps from mochi.
type guardHandler interface {
	// acknowledged: the client sent PUBACK, PUBREC or PUBCOMP for a message that it was sent.
	acknowledged(kind byte, id uint16, code byte)
	// reserved: the client published to a topic that begins with "$". An error ends the connection.
	reserved(topic string, qos byte, id uint16) error
	// disconnecting: a DISCONNECT with this reason code is about to be passed on.
	disconnecting(code byte)
	// emptyWill: the will of the CONNECT that is about to be passed on has no payload, though it is passed on with one.
	emptyWill()
	// consumed: a packet was read that is not passed on.
	consumed()
}

// A guard stands between the socket and mochi. Its Read returns the bytes of packets that are structurally sound and
// that mochi is to see; other packets end the reading with a violation, or go to the handler. A packet is judged before
// memory is taken for it, and mochi decodes nothing that could make it panic or allocate without bound.
type guard struct {
	src       io.Reader
	handler   guardHandler
	maxPacket int
	version   byte // protocol level of the CONNECT; 0 before it

	buf  []byte
	r, w int // buf[r:w] has been read from src and not passed on
	last int // bytes of the last read, by which the buffer grows and shrinks
	pass int // bytes of the current packet that are still to be passed on
	skip int // bytes of the current packet that are still to be thrown away
}

// Read implements io.Reader.
func (g *guard) Read(p []byte) (int, error) {
	for g.pass == 0 {
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	p = p[:min(len(p), g.pass)]
	if g.r == g.w && len(p) >= directRead { // the rest of a large payload needs no second copy
		n, err := g.src.Read(p)
		g.pass -= n
		return n, unexpected(err)
	}
	if err := g.fill(1); err != nil {
		return 0, unexpected(err)
	}
	n := copy(p, g.buf[g.r:g.w])
	g.r += n
	g.pass -= n
	return n, nil
}

// midPacket reports whether a packet has begun and not ended.
func (g *guard) midPacket() bool { return g.pass > 0 || g.skip > 0 || g.r < g.w }

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next finds the next packet that is to be passed on.
func (g *guard) next() error {
	for g.skip > 0 {
		if err := g.fill(1); err != nil {
			return unexpected(err)
		}
		n := min(g.skip, g.w-g.r)
		g.r += n
		g.skip -= n
	}
	if err := g.fill(1); err != nil {
		return err
	}
	first := g.buf[g.r]
	if err := g.checkFirst(first); err != nil {
		return err
	}
	header, remaining, err := g.length()
	if err != nil {
		return err
	}
	if total := header + remaining; total > g.maxPacket {
		return tooLarge(total, g.maxPacket)
	}
	if first>>4 == typePublish {
		return g.publish(first, header, remaining)
	}
	limit := maxControlBytes
	if g.version == 0 {
		limit = maxConnectBytes
	}
	if header+remaining > limit {
		return tooLarge(header+remaining, limit)
	}
	if err := g.fill(header + remaining); err != nil {
		return unexpected(err)
	}
	return g.control(first>>4, header, g.buf[g.r+header:g.r+header+remaining])
}

// checkFirst judges a packet by its first byte: type and flags (MQTT 5, 2.1.3), and whether it may come now.
func (g *guard) checkFirst(first byte) error {
	kind, flags := first>>4, first&0x0f
	if g.version == 0 {
		if first != typeConnect<<4 { // [MQTT-3.1.0-1]
			return &violation{reason: reasonNotMQTT, detail: fmt.Sprintf("the first byte is 0x%02x, not that of a CONNECT", first)}
		}
		return nil
	}
	switch kind {
	case typePublish:
		if qos := flags >> 1 & 3; qos == 3 || qos == 0 && flags&8 != 0 { // [MQTT-3.3.1-4] [MQTT-3.3.1-2]
			return malformed("PUBLISH with flags 0x%x", flags)
		}
		return nil
	case typePubrel, typeSubscribe, typeUnsubscribe:
		flags ^= 2
	case typePuback, typePubrec, typePubcomp, typePingreq, typeDisconnect:
	case typeConnect: // [MQTT-3.1.0-2]
		return &violation{reason: reasonProtocol, code: 0x82, detail: "a second CONNECT"}
	default:
		return &violation{reason: reasonProtocol, code: 0x82, detail: fmt.Sprintf("packet type %d from a client", kind)}
	}
	if flags != 0 {
		return malformed("packet type %d with flags 0x%x", kind, first&0x0f)
	}
	return nil
}

// length reads the remaining length [MQTT-1.5.5-1] and returns it with the size of the fixed header.
func (g *guard) length() (header, remaining int, err error) {
	for header = 1; header <= 4; {
		if err := g.fill(header + 1); err != nil {
			return 0, 0, unexpected(err)
		}
		b := g.buf[g.r+header]
		remaining |= int(b&0x7f) << (7 * (header - 1))
		header++
		if b < 0x80 {
			return header, remaining, nil
		}
	}
	return 0, 0, malformed("remaining length of more than 4 bytes")
}

// maxReservedTopic bounds the topics beginning with "$" that are worth an answer.
const maxReservedTopic = 1024

func (g *guard) publish(first byte, header, remaining int) error {
	qos := first >> 1 & 3
	fixed := 2
	if qos > 0 {
		fixed = 4
	}
	if remaining < fixed {
		return malformed("PUBLISH of %d bytes", remaining)
	}
	if err := g.fill(header + min(remaining, 3)); err != nil {
		return unexpected(err)
	}
	body := g.buf[g.r+header : g.w]
	size := int(binary.BigEndian.Uint16(body))
	if fixed+size > remaining {
		return malformed("PUBLISH whose topic exceeds the packet")
	}
	if size == 0 || body[2] != '$' {
		g.pass = header + remaining
		return nil
	}
	if size > maxReservedTopic {
		return malformed("topic of %d bytes that begins with \"$\"", size)
	}
	if err := g.fill(header + fixed + size); err != nil {
		return unexpected(err)
	}
	body = g.buf[g.r+header:]
	var id uint16
	if qos > 0 {
		id = binary.BigEndian.Uint16(body[2+size:])
	}
	if err := g.handler.reserved(string(body[2:2+size]), qos, id); err != nil {
		return err
	}
	g.skip = header + remaining
	g.handler.consumed()
	return nil
}

// control judges a whole packet that is not a PUBLISH, and passes it on or hands it to the handler.
func (g *guard) control(kind byte, header int, body []byte) error {
	switch kind {
	case typeConnect:
		version, err := checkConnect(body)
		if err != nil {
			return err
		}
		mended, emptyWill, err := mendConnect(body, version)
		if err != nil {
			return err
		}
		if emptyWill {
			g.handler.emptyWill()
		}
		g.version = version
		if len(mended) != len(body) {
			g.replace(header+len(body), mended)
			return nil
		}
	case typePuback, typePubrec, typePubcomp:
		id, code, err := parseAck(body, g.version)
		if err != nil {
			return err
		}
		g.r += header + len(body)
		g.handler.acknowledged(kind, id, code)
		g.handler.consumed()
		return nil
	case typePubrel:
		if _, _, err := parseAck(body, g.version); err != nil {
			return err
		}
	case typeSubscribe, typeUnsubscribe:
		if err := checkFilters(body, g.version, kind == typeSubscribe); err != nil {
			return err
		}
	case typeDisconnect:
		var code byte
		if g.version == 5 && len(body) > 0 { // (MQTT 5, 3.14.2.1)
			code = body[0]
		} else if len(body) > 0 {
			return malformed("DISCONNECT with a body")
		}
		g.handler.disconnecting(code)
	case typePingreq:
		if len(body) > 0 {
			return malformed("PINGREQ with a body")
		}
	}
	g.pass = header + len(body)
	return nil
}

// replace puts another body in place of the CONNECT of size bytes that comes next, and passes it on.
func (g *guard) replace(size int, body []byte) {
	p := appendVarint([]byte{typeConnect << 4}, len(body))
	p = append(p, body...)
	g.pass = len(p)
	g.buf = append(p, g.buf[g.r+size:g.w]...)
	g.r, g.w = 0, len(g.buf)
}

// fill makes sure that n bytes are buffered, or returns the source's error. The buffer grows as bytes arrive, not as
// they are announced.
func (g *guard) fill(n int) error {
	for idle := 0; g.w-g.r < n; {
		g.makeRoom(n)
		m, err := g.src.Read(g.buf[g.w:])
		g.last = m
		g.w += m
		switch {
		case g.w-g.r >= n:
		case err != nil:
			if g.w > g.r {
				return unexpected(err)
			}
			return err
		case m == 0:
			if idle++; idle == 100 {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// makeRoom makes sure that something can be read into the buffer.
func (g *guard) makeRoom(n int) {
	size := max(len(g.buf), guardBuffer)
	if g.r == g.w {
		g.r, g.w = 0, 0
		switch {
		case len(g.buf) > 0 && g.last == len(g.buf):
			size = min(2*size, max(size, maxGuardBuffer))
		case g.last < len(g.buf)/8:
			size = guardBuffer
		}
		if size != len(g.buf) {
			g.buf = make([]byte, size)
		}
		return
	}
	if g.w < len(g.buf) {
		return
	}
	target := g.buf
	if n > len(g.buf) {
		target = make([]byte, min(2*len(g.buf), max(n, guardBuffer)))
	}
	g.w = copy(target, g.buf[g.r:g.w])
	g.r = 0
	g.buf = target
}
