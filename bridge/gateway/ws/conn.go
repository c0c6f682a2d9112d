package ws

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"pulso/bridge/gateway"
	"pulso/bridge/wire"
)

// WebSocket opcodes with the FIN bit (RFC 6455, 5.2).
const (
	finText = 0x80 | 0x1
	finPing = 0x80 | 0x9
	finPong = 0x80 | 0xa
	// maxHeader is a server's longest frame header: 2 bytes and a 64-bit length.
	maxHeader = 10
	// closeTimeout is how long the farewell may take.
	closeTimeout = time.Second
)

// conn is one client's connection, a [gateway.Transport].
type conn struct {
	ws      *websocket.Conn
	net     net.Conn
	session *gateway.Session
	timeout time.Duration

	// Of the writing goroutine.
	headers []byte
	buffers net.Buffers

	mu       sync.Mutex
	control  []byte // a ping or pong that waits to be written, framed
	closing  bool
	hasPong  bool
	hasPing  bool
	pongData string
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

// Write implements [gateway.Transport].
func (c *conn) Write(messages [][]byte) error {
	control := c.takeControl()
	if len(control) == 0 && len(messages) == 0 {
		return nil
	}
	buffers := c.buffers[:0]
	if len(control) > 0 {
		buffers = append(buffers, control)
	}
	if need := len(messages) * maxHeader; cap(c.headers) < need {
		c.headers = make([]byte, 0, need)
	}
	headers := c.headers[:0]
	for _, m := range messages {
		start := len(headers)
		headers = appendHeader(headers, len(m))
		buffers = append(buffers, headers[start:], m)
	}
	c.buffers = buffers
	_ = c.net.SetWriteDeadline(time.Now().Add(c.timeout))
	_, err := buffers.WriteTo(c.net)
	clear(c.buffers)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("write to %s for %v: %w", c.net.RemoteAddr(), c.timeout, gateway.ErrSlow)
	default:
		return fmt.Errorf("%w: %w", gateway.ErrDisconnected, err)
	}
}

// appendHeader appends the header of a text frame of n bytes.
func appendHeader(dst []byte, n int) []byte {
	switch {
	case n < 126:
		return append(dst, finText, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, finText, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, finText, 127), uint64(n))
	}
}

// Close implements [gateway.Transport].
func (c *conn) Close(code wire.CloseCode) {
	c.farewell(websocket.FormatCloseMessage(int(code), code.Info().Name))
}

// answerClose echoes the client's close frame (RFC 6455, 5.5.1).
func (c *conn) answerClose(code int) {
	if code == websocket.CloseNoStatusReceived {
		code = websocket.CloseNormalClosure
	}
	c.farewell(websocket.FormatCloseMessage(code, ""))
}

func (c *conn) farewell(message []byte) {
	c.mu.Lock()
	first := !c.closing
	c.closing = true
	c.mu.Unlock()
	if first {
		// A write that is under way ends by this deadline, too.
		_ = c.ws.WriteControl(websocket.CloseMessage, message, time.Now().Add(closeTimeout))
		_ = c.ws.SetReadDeadline(time.Now().Add(closeTimeout))
	}
}

// end frees the connection.
func (c *conn) end() { _ = c.ws.Close() }
