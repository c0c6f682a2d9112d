package attack

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulso/test/internal/mqtt"
)

// webSocket connects as a client of MQTT over WebSocket would.
func (s *siege) webSocket(origin string) (*websocket.Conn, error) {
	from := s.address()
	d := websocket.Dialer{
		Subprotocols:      []string{"mqtt"},
		HandshakeTimeout:  5 * time.Second,
		EnableCompression: true,
		NetDial: func(network, addr string) (net.Conn, error) {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
			return dialer.Dial(network, addr)
		},
	}
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	c, res, err := d.Dial("ws://"+s.h.HTTP+"/mqtt", header)
	if err != nil && res != nil {
		_ = res.Body.Close()
	}
	return c, err
}

// frame is a WebSocket frame of a client, with any length in its header.
func frame(first byte, length uint64, payload []byte) []byte {
	b := binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, length)
	return append(append(b, 0, 0, 0, 0), payload...) // masked with zeros
}

// bomb is a megabyte of a packet's bytes for each few of the frame's.
func bomb() []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write(mqtt.Packet(mqtt.CONNECT, make([]byte, 128<<20)))
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

// Frames that no client of MQTT sends: each ends its connection and nothing else.
func TestWebSocketFrames(t *testing.T) {
	connect := (&mqtt.Connect{ID: "ws"}).Bytes()
	compressed := bomb()
	tiny := bytes.Repeat(frame(0x00, 1, []byte{0}), 10_000)
	for name, bytes := range map[string][]byte{
		"text":        frame(0x81, uint64(len(connect)), connect),
		"giant":       frame(0x82, 1<<62, connect),
		"negative":    frame(0x82, 1<<63, connect),
		"256 MB":      frame(0x82, 256<<20, connect),
		"bomb":        frame(0xc2, uint64(len(compressed)), compressed),
		"fragments":   append(frame(0x02, 1, connect[:1]), tiny...),
		"reserved":    frame(0xb2, 1, connect),
		"large ping":  frame(0x89, 100_000, make([]byte, 100_000)),
		"unannounced": frame(0x80, 1, connect),
	} {
		t.Run(name, func(t *testing.T) {
			withstand(t, func(s *siege) {
				s.end = time.Now().Add(duration / 4) // there are many kinds
				s.flood(8, func(int) error {
					c, err := s.webSocket("")
					if err != nil {
						return err
					}
					defer c.Close()
					nc := c.UnderlyingConn()
					_ = nc.SetDeadline(time.Now().Add(duration / 4))
					_, _ = nc.Write(bytes) // the hub may have closed it
					_, _ = io.Copy(io.Discard, nc)
					return nil
				})
			})
		})
	}
}

// Pages of other origins are refused, so that a visitor's browser attacks nobody.
func TestWebSocketOrigin(t *testing.T) {
	withstand(t, func(s *siege) {
		for _, origin := range []string{"https://evil.example", "null", "http://" + s.h.HTTP + ".evil.example", "file://", "http://[::"} {
			if c, err := s.webSocket(origin); err == nil {
				c.Close()
				t.Errorf("a page of %s may connect", origin)
			}
		}
		c, err := s.webSocket("http://" + s.h.HTTP)
		if err != nil {
			t.Fatalf("a page of the hub may not connect: %v", err)
		}
		c.Close()
	})
}

// WebSocket connections that never become MQTT ones are held no longer than those without WebSocket.
func TestWebSocketSilence(t *testing.T) {
	withstand(t, func(s *siege) {
		s.each(100, func(int) {
			c, err := s.webSocket("")
			if err != nil {
				return
			}
			defer c.Close()
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, _, err := c.ReadMessage(); isTimeout(err) {
				t.Error("a connection without CONNECT is there after 10 s")
			}
		})
	})
}
