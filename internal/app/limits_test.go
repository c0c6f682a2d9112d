package app

import (
	"bufio"
	"errors"
	"math"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulso/bridge/wire"
)

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// dialWebSocket opens a WebSocket on a connection of its own.
func dialWebSocket(t *testing.T, h *Hub, path, subprotocol string) (*websocket.Conn, error) {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{subprotocol}, HandshakeTimeout: 10 * time.Second}
	c, resp, err := dialer.DialContext(t.Context(), "ws://"+h.HTTPAddr()+path, nil)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = c.Close() })
	return c, nil
}

// served reports whether a request on a new connection is answered.
func served(t *testing.T, h *Hub) bool {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.HTTPAddr()+"/healthz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// connect is an MQTT 3.1.1 CONNECT with the client id "w" and a clean session.
var connect = []byte{0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 1, 'w'}

// A connection that has become a WebSocket, be it a screen's or a device's, holds its place at the HTTP port until it is
// closed, by whichever side, and frees it then.
func TestWebSocketsHoldTheirPlaceUntilClosed(t *testing.T) {
	cfg := inMemory(t)
	cfg.MaxConnections, cfg.MaxHTTPConnections = 100, 4 // two of them for one address
	h := runHub(t, cfg)
	open := func() int { return h.guards.web.Open() }

	screen, err := dialWebSocket(t, h, "/ws", wire.Subprotocols[wire.JSON])
	if err != nil {
		t.Fatal(err)
	}
	device, err := dialWebSocket(t, h, "/mqtt", "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	if err := device.WriteMessage(websocket.BinaryMessage, connect); err != nil {
		t.Fatal(err)
	}
	if _, connack, err := device.ReadMessage(); err != nil || len(connack) != 4 || connack[3] != 0 {
		t.Fatalf("CONNACK % x, %v", connack, err)
	}
	eventually(t, "the device is connected", func() bool { return h.broker.Stats().Connections == 1 })
	if n := open(); n != 2 || served(t, h) {
		t.Fatalf("%d connections are open, and a third is served", n)
	}

	_ = screen.Close()
	eventually(t, "the screen's place is free", func() bool { return open() == 1 && served(t, h) })
	// The hub closes it: after a packet that is none.
	if err := device.WriteMessage(websocket.BinaryMessage, []byte{0, 0}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the device's place is free", func() bool { return open() == 0 })
	if !served(t, h) {
		t.Error("nobody holds a place, and a request is not served")
	}
}

// Devices that come by WebSocket are among the connections that the broker may have.
func TestWebSocketsCountAmongMQTTConnections(t *testing.T) {
	cfg := inMemory(t)
	cfg.MaxConnections = 1
	h := runHub(t, cfg)
	first, err := dialWebSocket(t, h, "/mqtt", "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	second, err := dialWebSocket(t, h, "/mqtt", "mqtt")
	if err != nil {
		t.Fatal(err) // the handshake is HTTP's
	}
	_ = second.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, _, err := second.ReadMessage(); err == nil || errors.As(err, new(net.Error)) {
		t.Errorf("the second connection: %v, want it closed", err)
	}
	tcp, err := new(net.Dialer).DialContext(t.Context(), "tcp", h.MQTTAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	_ = tcp.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := bufio.NewReader(tcp).ReadByte(); err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection by TCP: %v, want it closed", err)
	}
	_ = first.Close()
	eventually(t, "the place is free", func() bool {
		c, err := dialWebSocket(t, h, "/mqtt", "mqtt")
		if err != nil {
			return false
		}
		defer c.Close()
		if err := c.WriteMessage(websocket.BinaryMessage, connect); err != nil {
			return false
		}
		_, connack, err := c.ReadMessage()
		return err == nil && len(connack) == 4
	})
}

// Who sends a request's body slowly, or takes an answer slowly, is not waited for without end.
func TestServerHasTimeouts(t *testing.T) {
	h := runHub(t, inMemory(t))
	if s := h.server; s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 {
		t.Errorf("timeouts %v, %v, %v, %v", s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout)
	}
}

// While memory is tight no screen gets in; who is there stays.
func TestTightMemoryRefusesScreens(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	debug.SetMemoryLimit(math.MaxInt64 - 1) // set already: the collector need not fight for what the test holds
	cfg := inMemory(t)
	first := runHub(t, cfg) // what the process of all these tests takes anyway, with what the race detector adds
	eventually(t, "it is known what is used", func() bool { runtime.GC(); return first.guards.memory.Used() > 0 })
	cfg.MaxMemory = Bytes(first.guards.memory.Used()) + 512<<20
	h := runHub(t, cfg)
	there, err := dialWebSocket(t, h, "/ws", wire.Subprotocols[wire.JSON])
	if err != nil {
		t.Fatal(err)
	}
	ping := func() {
		t.Helper()
		if err := there.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"ping":{}}`)); err != nil {
			t.Error(err)
		}
		if _, pong, err := there.ReadMessage(); err != nil || len(pong) == 0 {
			t.Errorf("the one that is there: %s, %v", pong, err)
		}
	}
	ping() // now it is in
	held := make([]byte, 700<<20)
	eventually(t, "memory is tight", func() bool { runtime.GC(); return h.guards.memory.Level() > 0 })
	late, err := dialWebSocket(t, h, "/ws", wire.Subprotocols[wire.JSON])
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := late.ReadMessage(); !websocket.IsCloseError(err, int(wire.CloseOverloaded)) {
		t.Errorf("a screen that comes late: %v", err)
	}
	ping()
	runtime.KeepAlive(held) // and no longer
	eventually(t, "there is room again", func() bool { runtime.GC(); return h.guards.memory.Level() == 0 })
	if _, err := dialWebSocket(t, h, "/ws", wire.Subprotocols[wire.JSON]); err != nil {
		t.Error(err)
	}
}
