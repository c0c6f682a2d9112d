package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"pulso/bridge/gateway"
	"pulso/bridge/wire"
	"pulso/internal/nowait"
)

// WebSocket opcodes with the FIN bit (RFC 6455, 5.2).
const (
	finClose = 0x80 | 0x8
	finPing  = 0x80 | 0x9
	finPong  = 0x80 | 0xa
	// closeTimeout is how long the last messages and the farewell may take, and then the client's answer.
	closeTimeout = 800 * time.Millisecond
)

// conn is one client's connection, a [gateway.Transport].
type conn struct {
	ws      *websocket.Conn
	net     net.Conn
	session *gateway.Session
	raw     syscall.RawConn // writes without waiting; nil where that can't be done
	timeout time.Duration
	deflate bool // the client takes compressed messages

	// Of the writing goroutine.
	control []byte
	rest    net.Buffers // what a write has left

	mu       sync.Mutex
	hasPong  bool
	hasPing  bool
	pongData string
	echo     int       // the code of the client's close frame
	endBy    time.Time // when writing ends; zero while the session lives
	parted   bool      // the farewell has been written: reading ends soon
}

// ping asks for a ping frame with the next write.
func (c *conn) ping() {
	c.mu.Lock()
	c.hasPing = true
	c.mu.Unlock()
	c.session.Wake()
}

// pong asks for a pong frame. Only the newest ping is answered (RFC 6455, 5.5.3), so a flood costs one pong a write.
func (c *conn) pong(data string) {
	c.mu.Lock()
	c.hasPong, c.pongData = true, data
	c.mu.Unlock()
	c.session.Wake()
}

// alive lets the client be silent for another while.
func (c *conn) alive(silence time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.parted {
		_ = c.ws.SetReadDeadline(time.Now().Add(silence))
	}
}

// left notes the client's close frame; the farewell will answer it (RFC 6455, 5.5.1).
func (c *conn) left(code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.echo = code; code == websocket.CloseNoStatusReceived {
		c.echo = websocket.CloseNormalClosure
	}
}

func (c *conn) takeControl() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.control = c.control[:0]
	if c.hasPing {
		c.control = append(c.control, finPing, 0)
	}
	if c.hasPong {
		c.control = append(c.control, finPong, byte(len(c.pongData))) // a control frame has at most 125 bytes
		c.control = append(c.control, c.pongData...)
	}
	c.hasPing, c.hasPong = false, false
	return c.control
}

// Hurry implements [gateway.Transport].
func (c *conn) Hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endBy.IsZero() {
		c.endBy = time.Now().Add(closeTimeout)
		_ = c.net.SetWriteDeadline(c.endBy)
	}
}

// allow gives a write its time and reports whether it is the last.
func (c *conn) allow(timeout time.Duration) (last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	by := c.endBy
	if last = !by.IsZero(); !last {
		by = time.Now().Add(timeout)
	}
	_ = c.net.SetWriteDeadline(by)
	return last
}

// calm takes the deadline of a write back, so that it does not hold for one that does not wait.
func (c *conn) calm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endBy.IsZero() {
		_ = c.net.SetWriteDeadline(time.Time{})
	}
}

// Write implements [gateway.Transport].
func (c *conn) Write(messages []*wire.Message) error {
	control := c.takeControl()
	if len(control) == 0 && len(messages) == 0 && len(c.rest) == 0 {
		return nil
	}
	buffers := c.rest
	if len(control) > 0 {
		buffers = append(buffers, control)
	}
	for _, m := range messages {
		buffers = append(buffers, c.frame(m))
	}
	var err error
	c.rest, err = c.writeAll(buffers)
	return err
}

// frame is a message as the client takes it.
func (c *conn) frame(m *wire.Message) []byte {
	if c.deflate {
		return m.WebSocketDeflated()
	}
	return m.WebSocket()
}

// TryWrite writes as [gateway.Transport] does, without waiting.
func (c *conn) TryWrite(messages []*wire.Message, scratch []byte) (bool, error) {
	if c.raw == nil || len(c.rest) > 0 {
		return c.keep(nil, messages), nil
	}
	scratch = append(scratch[:0], c.takeControl()...)
	for len(messages) > 0 {
		p := c.frame(messages[0])
		if len(scratch) > 0 && len(scratch)+len(p) > cap(scratch) {
			break
		}
		messages = messages[1:]
		if len(scratch) == 0 && (len(messages) == 0 || len(p) > cap(scratch)/2) {
			scratch = p // as it is: it is the only one, or not worth copying
			break
		}
		scratch = append(scratch, p...)
	}
	if len(scratch) == 0 {
		return true, nil
	}
	n, err := nowait.Write(c.raw, scratch)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // the session is being ended: Write sees to the rest
		return false, fmt.Errorf("%w: %w", gateway.ErrDisconnected, err)
	}
	return c.keep(scratch[n:], messages), nil
}

// keep keeps what is left for Write, and reports whether that is nothing.
func (c *conn) keep(left []byte, messages []*wire.Message) bool {
	if len(left) > 0 {
		c.rest = append(c.rest, bytes.Clone(left))
	}
	for _, m := range messages {
		c.rest = append(c.rest, c.frame(m))
	}
	return len(c.rest) == 0
}

// attempts is into how many the timeout is cut, to see between them whether the client takes something.
const attempts = 8

// writeAll writes buffers for as long as the client takes something within each timeout, and returns what is left.
func (c *conn) writeAll(buffers net.Buffers) (rest net.Buffers, err error) {
	if c.raw == nil {
		return c.writeParts(buffers)
	}
	for idle := 0; ; {
		last := c.allow(c.timeout / attempts)
		n, err := buffers.WriteTo(c.net)
		if idle++; n > 0 {
			idle = 0
		}
		switch {
		case err == nil:
			c.calm()
			return nil, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, fmt.Errorf("%w: %w", gateway.ErrDisconnected, err)
		case idle == attempts || last:
			return buffers, fmt.Errorf("write to %s for %v: %w", c.net.RemoteAddr(), c.timeout, gateway.ErrSlow)
		}
	}
}

// part is how many bytes a client must take within the timeout where a write that was cut off cannot be taken up again.
const part = 16 << 10

// writeParts is writeAll for TLS, which is broken by a write that was cut off.
func (c *conn) writeParts(buffers net.Buffers) (rest net.Buffers, err error) {
	for len(buffers) > 0 {
		b := buffers[0]
		c.allow(c.timeout)
		n, err := c.net.Write(b[:min(len(b), part)])
		if buffers[0] = b[n:]; len(buffers[0]) == 0 {
			buffers = buffers[1:]
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return buffers, fmt.Errorf("write to %s for %v: %w", c.net.RemoteAddr(), c.timeout, gateway.ErrSlow)
		case err != nil:
			return nil, fmt.Errorf("%w: %w", gateway.ErrDisconnected, err)
		}
	}
	c.calm()
	return nil, nil
}

// Close implements [gateway.Transport]. What an earlier write left goes first, so that the farewell does not cut into a
// message.
func (c *conn) Close(code wire.CloseCode) {
	c.Hurry()
	c.mu.Lock()
	echo := c.echo
	c.mu.Unlock()
	buffers := c.rest
	switch {
	case code != 0:
		buffers = append(buffers, closeFrame(int(code), code.Info().Name))
	case echo != 0:
		buffers = append(buffers, closeFrame(echo, ""))
	}
	// Whether the client hears it is beyond us.
	_, _ = c.writeAll(buffers)
	c.rest = nil
	if tcp, ok := c.net.(interface{ CloseWrite() error }); ok {
		_ = tcp.CloseWrite()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parted = true
	_ = c.net.SetReadDeadline(time.Now().Add(closeTimeout))
}

func closeFrame(code int, reason string) []byte {
	payload := websocket.FormatCloseMessage(code, reason)
	return append([]byte{finClose, byte(len(payload))}, payload...)
}

// end frees the connection after Close. It first takes in what the client still sends, until the client hangs up or its
// time is over: a connection closed before that is reset, and the client might never read the farewell.
func (c *conn) end() {
	_, _ = io.Copy(io.Discard, c.net)
	_ = c.ws.Close()
}
