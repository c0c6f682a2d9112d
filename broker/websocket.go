package broker

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const webSocketBuffer = 1024 // bytes of reading; writing borrows a buffer while it writes

// newWebSocket returns the handler of MQTT over WebSocket (MQTT 5, 6.0).
func newWebSocket(b *Broker) http.Handler {
	upgrader := websocket.Upgrader{
		HandshakeTimeout: b.cfg.ConnectTimeout,
		ReadBufferSize:   webSocketBuffer,
		WriteBufferSize:  4 << 10,
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
		b.serve(&webSocketConn{Conn: ws.NetConn(), ws: ws})
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

// A webSocketConn is a WebSocket as a stream of bytes. One goroutine reads and one writes.
type webSocketConn struct {
	net.Conn

	ws       *websocket.Conn
	message  io.Reader    // what is left of the message that is being read; nil: nothing
	deadline atomic.Int64 // of writing, in Unix nanoseconds, 0 for none: gorilla wants to be told before each message
}

// SetWriteDeadline implements net.Conn: it holds for a write that is under way, too.
func (c *webSocketConn) SetWriteDeadline(t time.Time) error {
	c.deadline.Store(0)
	if !t.IsZero() {
		c.deadline.Store(t.UnixNano())
	}
	return c.Conn.SetWriteDeadline(t)
}

// CloseWrite tells the peer that nothing more comes, as a TCP connection can by itself.
func (c *webSocketConn) CloseWrite() error {
	text := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	return c.ws.WriteControl(websocket.CloseMessage, text, time.Now().Add(lingerTimeout))
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

// Write implements net.Conn: p becomes one message.
func (c *webSocketConn) Write(p []byte) (int, error) {
	deadline := time.Time{}
	if ns := c.deadline.Load(); ns != 0 {
		deadline = time.Unix(0, ns)
	}
	if err := c.ws.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	if err := c.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
