package broker

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const webSocketBuffer = 1024 // bytes of reading; writing borrows a buffer while it writes

// newWebSocket returns the handler of MQTT over WebSocket (MQTT 5, 6.0).
func newWebSocket(b *Broker) http.Handler {
	upgrader := websocket.Upgrader{
		HandshakeTimeout: b.cfg.ConnectTimeout,
		ReadBufferSize:   webSocketBuffer,
		WriteBufferSize:  256, // of the handshake's answer
		WriteBufferPool:  &sync.Pool{},
		Subprotocols:     []string{"mqtt", "mqttv3.1"}, // [MQTT-6.0.0-3] [MQTT-6.0.0-4]
		CheckOrigin:      func(*http.Request) bool { return true },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); !b.originAllowed(origin, r.Host) {
			b.refuse(Refusal{Remote: r.RemoteAddr, Reason: reasonOrigin, Detail: "origin " + brief(origin)})
			http.Error(w, "this origin may not connect", http.StatusForbidden)
			return
		}
		if websocket.IsWebSocketUpgrade(r) && !offersMQTT(r) {
			http.Error(w, "the WebSocket subprotocol must be mqtt", http.StatusBadRequest)
			return
		}
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // the client has been told
		}
		ws.SetReadLimit(int64(b.cfg.MaxPacket) * 2) // of one message, which may hold parts of several packets
		b.serve(newWebSocketConn(ws, r.RemoteAddr)) //nolint:contextcheck // connections live under b.ctx
	})
}

func brief(s string) string { return s[:min(len(s), 80)] }

func offersMQTT(r *http.Request) bool {
	return slices.ContainsFunc(websocket.Subprotocols(r), func(s string) bool { return s == "mqtt" || s == "mqttv3.1" })
}

// originAllowed judges a browser's Origin header; other clients send none.
func (b *Broker) originAllowed(origin, host string) bool {
	if origin == "" || slices.Contains(b.cfg.AllowedOrigins, "*") {
		return true
	}
	if slices.ContainsFunc(b.cfg.AllowedOrigins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, host)
}

var errText = errors.New("WebSocket message that is not binary") // [MQTT-6.0.0-1]

// A webSocketConn is a WebSocket as a stream of bytes that come; what goes is framed by wrap and written to the
// connection below. One goroutine reads.
type webSocketConn struct {
	net.Conn

	ws      *websocket.Conn
	remote  address
	message io.Reader // what is left of the message that is being read; nil: nothing

	mu   sync.Mutex
	pong []byte // a frame that goes with what is written next
	poke func() // has something written, even if it is only that
}

// newWebSocketConn takes over from gorilla everything that is written: its own answers to pings would else come between
// the halves of a frame.
func newWebSocketConn(ws *websocket.Conn, remote string) *webSocketConn {
	c := &webSocketConn{Conn: ws.NetConn(), ws: ws, remote: address(remote)}
	ws.SetPingHandler(func(data string) error {
		c.mu.Lock()
		c.pong = append(appendFrameHeader(nil, websocket.PongMessage, len(data)), data...)
		poke := c.poke
		c.mu.Unlock()
		if poke != nil {
			poke()
		}
		return nil
	})
	ws.SetCloseHandler(func(int, string) error { return nil })
	return c
}

// An address is the other end of a request as its RemoteAddr has it, which knows what the socket does not: who stands behind a proxy.
type address string

// Network implements [net.Addr].
func (address) Network() string { return "tcp" }

// String implements [net.Addr].
func (a address) String() string { return string(a) }

// RemoteAddr implements [net.Conn].
func (c *webSocketConn) RemoteAddr() net.Addr { return c.remote }

// SyscallConn implements syscall.Conn, where the connection below does.
func (c *webSocketConn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// frameRoom is the longest header of a frame that a server sends (RFC 6455, 5.2).
const frameRoom = 10

// onAnswer implements framer.
func (c *webSocketConn) onAnswer(poke func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.poke = poke
}

// headroom implements framer.
func (c *webSocketConn) headroom() int { return frameRoom }

// wrap implements framer: what is written at once becomes one message, with the answer to a ping behind it.
func (c *webSocketConn) wrap(p []byte) []byte {
	header := appendFrameHeader(make([]byte, 0, frameRoom), websocket.BinaryMessage, len(p)-frameRoom)
	begin := frameRoom - len(header)
	copy(p[begin:], header)
	if len(p) == frameRoom { // nothing but a pong
		begin = frameRoom
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p = append(p, c.pong...)
	c.pong = nil
	return p[begin:]
}

// appendFrameHeader appends the header of an unmasked final frame (RFC 6455, 5.2).
func appendFrameHeader(b []byte, opcode, size int) []byte {
	b = append(b, 0x80|byte(opcode))
	switch {
	case size < 126:
		return append(b, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(size))
}

// CloseWrite tells the peer that nothing more comes, as a TCP connection can by itself.
func (c *webSocketConn) CloseWrite() error {
	text := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := c.SetWriteDeadline(time.Now().Add(lingerTimeout)); err != nil {
		return err
	}
	_, err := c.Write(append(appendFrameHeader(nil, websocket.CloseMessage, len(text)), text...))
	return err
}

// Read implements net.Conn: packets need not end where messages end [MQTT-6.0.0-2].
func (c *webSocketConn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			kind, r, err := c.ws.NextReader()
			if err != nil {
				if e := (*websocket.CloseError)(nil); errors.As(err, &e) {
					err = io.EOF
				}
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errText
			}
			c.message = r
		}
		n, err := c.message.Read(p)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}
