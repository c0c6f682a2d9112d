package source

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/gorilla/websocket"
)

// dial opens the connection that a Remote describes, encrypted where its scheme says so. Certificates are read again each
// time, so that they can be renewed.
func dial(ctx context.Context, r *Remote) (net.Conn, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	encryption, _, err := r.tls()
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "ws", "wss":
		return dialWebSocket(ctx, u, encryption)
	case "tls", "mqtts", "ssl":
		return (&tls.Dialer{Config: encryption}).DialContext(ctx, "tcp", r.Address())
	}
	return new(net.Dialer).DialContext(ctx, "tcp", r.Address())
}

func dialWebSocket(ctx context.Context, u *url.URL, encryption *tls.Config) (net.Conn, error) {
	dialer := websocket.Dialer{TLSClientConfig: encryption, Subprotocols: []string{"mqtt"}} // [MQTT-6.0.0-3]
	c, resp, err := dialer.DialContext(ctx, u.String(), nil)
	if resp != nil {
		defer resp.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, resp.Status)
		}
	}
	if err != nil {
		return nil, err
	}
	return &webSocket{Conn: c}, nil
}

// A webSocket is a WebSocket as the stream of bytes that MQTT takes it for [MQTT-6.0.0-2]. One goroutine reads, one
// writes.
type webSocket struct {
	*websocket.Conn

	message io.Reader
}

// Read implements [net.Conn].
func (w *webSocket) Read(p []byte) (int, error) {
	for {
		if w.message == nil {
			_, r, err := w.NextReader()
			if err != nil {
				return 0, err
			}
			w.message = r
		}
		n, err := w.message.Read(p)
		if err == io.EOF {
			w.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write implements [net.Conn].
func (w *webSocket) Write(p []byte) (int, error) {
	if err := w.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetDeadline implements [net.Conn].
func (w *webSocket) SetDeadline(t time.Time) error {
	if err := w.SetReadDeadline(t); err != nil {
		return err
	}
	return w.SetWriteDeadline(t)
}

// A patient connection gives each Read a time of its own, so that a peer that is gone is noticed, and one that is slow is
// not. Time in which nobody reads, because the log has no room, does not count.
type patient struct {
	net.Conn

	silence time.Duration
	ended   func() bool // nobody is to wait any more, and whoever says so cuts a Read short
}

// Read implements [net.Conn].
func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(p.silence)); err != nil {
		return 0, err
	}
	if p.ended() {
		return 0, net.ErrClosed
	}
	return p.Conn.Read(b)
}
