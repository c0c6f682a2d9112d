package ws_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulso/bridge/event"
	"pulso/bridge/gateway"
	"pulso/bridge/gateway/ws"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// hall sees what is below hall/.
type hall struct{}

func (hall) Key() string            { return "hall" }
func (hall) Sees(topic string) bool { return strings.HasPrefix(topic, "hall/") }

// strangers is a server of a hub whose clients have to say who they are; only "ana" is good. asked counts the tokens looked at.
func strangers(t *testing.T, h *hub) (server *httptest.Server, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	introduce := func(ctx context.Context, token string) (context.Context, *wire.Error) {
		asked.Add(1)
		if token != "ana" {
			return nil, wire.Errorf(wire.CodeUnauthorized, "nobody")
		}
		return event.WithScope(ctx, hall{}), nil
	}
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.handler.ServeHTTP(w, r.WithContext(gateway.WithIntroduction(r.Context(), introduce)))
	}))
	t.Cleanup(server.Close)
	return server, asked
}

func TestIntroduction(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	server, _ := strangers(t, h)
	c := h.dialTo(server)
	if w := c.ask(`{"id":7,"hello":{"client":"test/1","token":"ana"}}`); w.ID != 7 || w.Welcome == nil {
		t.Fatalf("%+v", w)
	}
	_ = c.ask(`{"id":8,"subscribe":{"filters":["#"]}}`)
	h.publish("cellar/t", []byte("1"))
	h.publish("hall/t", []byte("2"))
	if m := c.receive(); len(m.Events) != 1 || string(m.Events[0].Payload) != "2" {
		t.Errorf("what the hall's may see: %+v", m)
	}
}

func TestStrangers(t *testing.T) {
	long := strings.Repeat("x", 33<<10)
	for _, test := range []struct {
		kind        int
		first, code string
		id          uint64
	}{
		{websocket.TextMessage, `{"id":1,"hello":{}}`, wire.CodeUnauthorized, 1},
		{websocket.TextMessage, `{"id":1,"hello":{"token":"ben"}}`, wire.CodeUnauthorized, 1},
		{websocket.TextMessage, `{"id":1,"subscribe":{"filters":["#"]}}`, wire.CodeUnauthorized, 1},
		{websocket.TextMessage, `{"id":1,"publish":{"topic":"a","payload":1}}`, wire.CodeUnauthorized, 1},
		{websocket.TextMessage, `{"id":1,"hello":`, wire.CodeBadJSON, 0},
		{websocket.TextMessage, `{"id":1,"hello":{"token":"` + long + `"}}`, wire.CodeTooLarge, 0},
		{websocket.BinaryMessage, "\x08\x01", wire.CodeBadCommand, 0},
	} {
		h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
		server, asked := strangers(t, h)
		c := h.dialTo(server)
		if err := c.WriteMessage(test.kind, []byte(test.first)); err != nil {
			t.Fatal(err)
		}
		told := c.wantClose(wire.CloseUnauthorized)
		if len(told) != 1 || told[0].Error == nil || told[0].Error.Code != test.code || told[0].ID != test.id {
			t.Errorf("%.60s: %+v", test.first, told)
		}
		if asked.Load() != 1 || h.gateway.Sessions() != 0 {
			t.Errorf("%.60s: counted %d times, %d sessions", test.first, asked.Load(), h.gateway.Sessions())
		}
	}
}

// Pings are not an introduction, and give no more time for it.
func TestStrangersWhoOnlyPing(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	server, _ := strangers(t, h)
	c := h.dialTo(server)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.wantClose(wire.CloseUnauthorized)
	}()
	pings := time.NewTicker(10 * time.Millisecond)
	defer pings.Stop()
	for {
		select {
		case <-ended:
			return
		case <-pings.C:
			_ = c.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
		}
	}
}

// Who does not say who it is takes the place of others of its address only, and gives it back.
func TestStrangersOfOneAddress(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	server, _ := strangers(t, h)
	var mute []*client
	for range 64 {
		mute = append(mute, h.dialTo(server))
	}
	_, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("one too many: %v, %+v", err, resp)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), "who they are") {
		t.Errorf("%s, %v", text, err)
	}
	_ = resp.Body.Close()
	if n := h.counted("pulso_gateway_sessions_refused_total", "strangers"); n != 1 {
		t.Errorf("counted %d times", n)
	}
	if m := h.dial().ask(`{"id":1,"ping":{}}`); m.Pong == nil {
		t.Errorf("one who need not say it: %+v", m)
	}
	_ = mute[0].Close()
	eventually(t, "there is room", func() bool {
		c, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
		if err != nil {
			if resp != nil {
				_ = resp.Body.Close()
			}
			return false
		}
		_ = resp.Body.Close()
		defer func() { _ = c.Close() }()
		stranger := &client{c, t}
		return stranger.ask(`{"id":1,"hello":{"token":"ana"}}`).Welcome != nil
	})
}

func TestStopWithStrangers(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	server, asked := strangers(t, h)
	var wg sync.WaitGroup
	for range 3 {
		c := h.dialTo(server)
		wg.Go(func() { c.wantClose(wire.CloseShutdown) })
	}
	h.stop()
	wg.Wait()
	if asked.Load() != 0 {
		t.Errorf("counted %d times", asked.Load())
	}
}
