package wire

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// DialWebSocket connects to a server over WebSocket, as in ws://127.0.0.1:8083/mqtt, with the subprotocol mqtt
// [MQTT-6.0.0-3] and says nothing. Each Send is one binary frame. It wants the server to choose mqtt as well [MQTT-6.0.0-4].
func DialWebSocket(t testing.TB, url string) *Client {
	t.Helper()
	ws, res, err := (&websocket.Dialer{Subprotocols: []string{"mqtt"}, HandshakeTimeout: Patience}).Dial(url, nil)
	if err != nil {
		t.Fatalf("dial %s: %v (%v)", url, err, status(res))
	}
	_ = res.Body.Close()
	if got := ws.Subprotocol(); got != "mqtt" {
		t.Fatalf("subprotocol mqtt wanted, got %q [MQTT-6.0.0-4]", got)
	}
	return NewClient(t, &wsConn{Conn: ws})
}

func status(res *http.Response) string {
	if res == nil {
		return "no answer"
	}
	return res.Status
}

// WebSocket is the connection beneath a client of DialWebSocket, and nil for others.
func (c *Client) WebSocket() *websocket.Conn {
	if ws, ok := c.conn.(*wsConn); ok {
		return ws.Conn
	}
	return nil
}

// A wsConn is a WebSocket as a stream of bytes. All that a server sends has to be in binary frames [MQTT-6.0.0-1].
type wsConn struct {
	*websocket.Conn

	frame io.Reader // what is left of the frame that is being read
}

// Read reads from the current frame, or from the next.
func (w *wsConn) Read(b []byte) (int, error) {
	for {
		if w.frame == nil {
			kind, frame, err := w.NextReader()
			if err != nil {
				return 0, ended(err)
			}
			if kind != websocket.BinaryMessage {
				return 0, ErrMalformed
			}
			w.frame = frame
		}
		n, err := w.frame.Read(b)
		if err == io.EOF {
			w.frame, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, ended(err)
		}
	}
}

// ended is io.EOF for a close frame.
func ended(err error) error {
	if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseProtocolError,
		websocket.CloseUnsupportedData, websocket.CloseNoStatusReceived, websocket.CloseAbnormalClosure,
		websocket.CloseInvalidFramePayloadData, websocket.ClosePolicyViolation, websocket.CloseMessageTooBig,
		websocket.CloseInternalServerErr) {
		return io.EOF
	}
	return err
}

// Write sends one binary frame.
func (w *wsConn) Write(b []byte) (int, error) {
	if err := w.WriteMessage(websocket.BinaryMessage, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// SetDeadline sets both deadlines.
func (w *wsConn) SetDeadline(t time.Time) error {
	if err := w.SetReadDeadline(t); err != nil {
		return err
	}
	return w.SetWriteDeadline(t)
}
