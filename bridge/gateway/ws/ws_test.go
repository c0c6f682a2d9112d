package ws_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/gateway"
	"pulso/bridge/gateway/ws"
	"pulso/bridge/room"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

func TestConversation(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	c := h.dial()
	if c.Subprotocol() != wire.Subprotocols[wire.JSON] {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
	w := c.ask(`{"id":1,"hello":{"client":"test/1","name":"Ana"}}`).Welcome
	if w == nil || w.Node != "node" || w.Version != "test" || w.Session == "" || w.Now == 0 {
		t.Fatalf("welcome: %+v", w)
	}
	h.publish("a/t", []byte("1"))
	c.send(`{"id":2,"subscribe":{"filters":["a/#"],"form":"values"}}`)
	number := c.receive().Subscribed.Room
	if s := c.receive(); s.Room != number || s.Snapshot == nil || len(s.Snapshot.Values) != 1 {
		t.Fatalf("snapshot: %+v", s)
	}
	for qos := range 2 {
		c.send(fmt.Sprintf(`{"id":%d,"publish":{"topic":"a/t","payload":%d,"qos":%d}}`, 3+qos, 10+qos, qos))
		var published, seen bool
		for !published || !seen {
			switch m := c.receive(); {
			case m.ID == uint64(3+qos) && m.Published != nil && m.Published.Position != "":
				published = true
			case m.Room == number && len(m.Values) == 1 && m.Values[0][2] == float64(10+qos):
				seen = true
			default:
				t.Fatalf("unexpected %+v", m)
			}
		}
	}
	if m := c.ask(`{"id":5,"ping":{}}`); m.ID != 5 || m.Pong == nil || m.Pong.Now == 0 {
		t.Errorf("pong: %+v", m)
	}
	if m := c.ask(fmt.Sprintf(`{"id":6,"unsubscribe":{"room":%d}}`, number)); m.Unsubscribed == nil || m.Unsubscribed.Room != number {
		t.Errorf("unsubscribed: %+v", m)
	}
	h.publish("a/t", []byte("99"))
	c.send(`{"id":7,"ping":{}}`)
	if m := c.receive(); m.Pong == nil {
		t.Errorf("after unsubscribing: %+v", m)
	}
	if rooms, _, _ := h.rooms.Stats(); rooms != 0 {
		t.Errorf("%d rooms", rooms)
	}
}

func TestTheSameRoomAgain(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	c := h.dial()
	first := c.ask(`{"id":1,"subscribe":{"filters":["a","b"]}}`).Subscribed.Room
	if again := c.ask(`{"id":2,"subscribe":{"filters":["b","a","b"]}}`).Subscribed.Room; again != first {
		t.Errorf("rooms %d and %d", first, again)
	}
	h.publish("a", []byte("1"))
	if m := c.receive(); m.Room != first || len(m.Events) != 1 {
		t.Errorf("%+v", m)
	}
	if m := c.ask(`{"id":3,"ping":{}}`); m.ID != 3 {
		t.Errorf("a second copy: %+v", m)
	}
	if m := c.ask(fmt.Sprintf(`{"id":4,"unsubscribe":{"room":%d}}`, first)); m.Unsubscribed == nil {
		t.Errorf("%+v", m)
	}
	if m := c.ask(fmt.Sprintf(`{"id":5,"unsubscribe":{"room":%d}}`, first)); m.Error == nil || m.Error.Code != wire.CodeNotSubscribed {
		t.Errorf("%+v", m)
	}
}

func TestErrors(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{MaxSubscriptions: 1}, room.Config{})
	c := h.dial()
	_ = c.ask(`{"id":1,"subscribe":{"filters":["a"]}}`)
	for _, test := range []struct{ command, code string }{
		{`{"id":9,"ping":`, wire.CodeBadJSON},
		{`{"id":9}`, wire.CodeBadCommand},
		{`{"id":9,"ping":{},"hello":{}}`, wire.CodeBadCommand},
		{`{"id":9,"dance":{}}`, wire.CodeBadCommand},
		{`{"id":9,"subscribe":{"filters":["a/#/b"]}}`, wire.CodeInvalidFilter},
		{`{"id":9,"subscribe":{"filters":["a"],"from":"yesterday"}}`, wire.CodeInvalidPosition},
		{`{"id":9,"subscribe":{"filters":["b"]}}`, wire.CodeTooMany},
		{`{"id":9,"unsubscribe":{"room":4711}}`, wire.CodeNotSubscribed},
		{`{"id":9,"publish":{"topic":"a/+","payload":1}}`, wire.CodeInvalidTopic},
		{`{"id":9,"publish":{"topic":"$SYS/x","payload":1}}`, wire.CodeForbidden},
	} {
		m := c.ask(test.command)
		if m.Error == nil || m.Error.Code != test.code || m.Error.Retry || m.Error.Message == "" {
			t.Errorf("%s: %+v", test.command, m.Error)
		}
		if m.ID != 9 && test.code != wire.CodeBadJSON {
			t.Errorf("%s: id %d", test.command, m.ID)
		}
		_ = c.ask(`{"id":1,"ping":{}}`) // a good one between them
	}
	for _, test := range []struct {
		err   error
		code  string
		retry bool
	}{
		{errFull, wire.CodeUnavailable, true},
		{fmt.Errorf("append: %w", eventlog.ErrTooLarge), wire.CodeTooLarge, false},
	} {
		h.mu.Lock()
		h.refuse = test.err
		h.mu.Unlock()
		if m := c.ask(`{"id":9,"publish":{"topic":"a","payload":1,"qos":1}}`); m.Error == nil || m.Error.Code != test.code || m.Error.Retry != test.retry {
			t.Errorf("%v: %+v", test.err, m.Error)
		}
	}
	other := newHub(t, ws.Config{}, gateway.Config{}, room.Config{}).dial()
	if m := other.ask(`{"id":1,"subscribe":{"form":"hub"}}`); m.Error == nil || m.Error.Code != wire.CodeBadCommand {
		t.Errorf("a form that is not served: %+v", m)
	}
}

func TestTwentyBadCommandsEndTheSession(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	c := h.dial()
	for id := range 30 { // the client does not stop at once
		c.send(fmt.Sprintf(`{"id":%d,"nonsense":1}`, id+1))
	}
	replies := c.wantClose(wire.CloseBadCommands)
	if len(replies) != 20 || replies[19].ID != 20 || replies[19].Error == nil {
		t.Errorf("%d replies before the farewell", len(replies))
	}
	eventually(t, "the session is gone", func() bool { return h.gateway.Sessions() == 0 })
}

func TestBinaryFrame(t *testing.T) {
	c := newHub(t, ws.Config{}, gateway.Config{}, room.Config{}).dial()
	if err := c.WriteMessage(websocket.BinaryMessage, []byte(`{"id":1,"ping":{}}`)); err != nil {
		t.Fatal(err)
	}
	c.wantClose(wire.CloseWrongForm)
}

func TestLargeMessages(t *testing.T) {
	c := newHub(t, ws.Config{}, gateway.Config{}, room.Config{}).dial()
	fits := fmt.Sprintf(`{"id":1,"publish":{"topic":"a","payload":%q}}`, strings.Repeat("x", wire.MaxMessage-60))
	if m := c.ask(fits); m.Published == nil {
		t.Fatalf("just fits: %+v", m)
	}
	if m := c.ask(`{"id":2,"ping":{}}` + strings.Repeat(" ", wire.MaxMessage)); m.Error == nil || m.Error.Code != wire.CodeTooLarge {
		t.Fatalf("too large: %+v", m)
	}
	if m := c.ask(`{"id":3,"ping":{}}`); m.Pong == nil {
		t.Fatalf("the session does not live on: %+v", m)
	}
	go func() { _ = c.WriteMessage(websocket.TextMessage, make([]byte, 17<<20)) }()
	c.wantClose(wire.CloseTooLarge)
}

func TestHandshake(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	for _, test := range []struct {
		subprotocols []string
		origin       string
		status       int
	}{
		{nil, "", http.StatusSwitchingProtocols},
		{[]string{"soap", wire.Subprotocols[wire.JSON]}, "", http.StatusSwitchingProtocols},
		{[]string{"soap"}, "", http.StatusBadRequest},
		{nil, h.server.URL, http.StatusSwitchingProtocols},
		{nil, "https://elsewhere.example", http.StatusForbidden},
	} {
		header := http.Header{}
		if test.origin != "" {
			header.Set("Origin", test.origin)
		}
		if status := h.refused(test.subprotocols, header); status != test.status {
			t.Errorf("%q from %q: status %d, want %d", test.subprotocols, test.origin, status, test.status)
		}
	}
	resp, err := http.Get(h.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a plain request: %d", resp.StatusCode)
	}
}

// TestSlowClient lets one client take nothing: it is told so and closed, and another gets everything meanwhile.
func TestSlowClient(t *testing.T) {
	h := newHub(t, ws.Config{WriteTimeout: 200 * time.Millisecond}, gateway.Config{}, room.Config{RingBytes: 256 << 10})
	slow, quick := h.dial(), h.dial()
	_ = slow.ask(`{"id":1,"subscribe":{"filters":["#"],"rate":1000}}`)
	_ = quick.ask(`{"id":1,"subscribe":{"filters":["#"],"rate":1000}}`)
	const events = 600
	var wg sync.WaitGroup
	wg.Go(func() {
		padding := strings.Repeat("x", 32<<10)
		for i := range events {
			h.publish("a", fmt.Appendf(nil, `[%d,%q]`, i, padding))
			time.Sleep(time.Millisecond)
		}
	})
	wg.Go(func() {
		eventually(t, "the slow one is closed", func() bool { return h.closed("slow") == 1 })
		_ = slow.SetReadDeadline(time.Now().Add(10 * time.Second))
		for { // it wakes up just in time to hear why
			if _, _, err := slow.NextReader(); err != nil {
				if !websocket.IsCloseError(err, int(wire.CloseSlow)) {
					t.Errorf("the slow one heard %v", err)
				}
				return
			}
		}
	})
	for n := 0; n < events; {
		for _, e := range quick.receive().Events {
			if !strings.HasPrefix(string(e.Payload), fmt.Sprintf("[%d,", n)) {
				t.Fatalf("event %d is %.20s", n, e.Payload)
			}
			n++
		}
	}
	wg.Wait()
	if m := quick.ask(`{"id":2,"ping":{}}`); m.Pong == nil {
		t.Errorf("%+v", m)
	}
	eventually(t, "only the slow one has gone", func() bool { return h.gateway.Sessions() == 1 })
}

// TestUnhurriedClient takes little at a time, far longer than the time in which a client must take something.
func TestUnhurriedClient(t *testing.T) {
	h := newHub(t, ws.Config{WriteTimeout: 250 * time.Millisecond}, gateway.Config{}, room.Config{})
	payload := fmt.Appendf(nil, `%q`, strings.Repeat("x", 1<<20))
	for range 24 {
		h.publish("a", payload)
	}
	c := h.dial()
	c.send(`{"id":1,"subscribe":{"filters":["#"],"from":"start"}}`)
	start := time.Now()
	for n := 0; n < 24; n += len(c.receive().Events) {
		time.Sleep(25 * time.Millisecond)
	}
	if spent := time.Since(start); spent < 500*time.Millisecond {
		t.Errorf("only %v: the test tests nothing", spent)
	}
	if m := c.ask(`{"id":2,"ping":{}}`); m.Pong == nil {
		t.Errorf("%+v", m)
	}
}

// TestOverTLS has a client that takes little at a time, and one that takes nothing.
func TestOverTLS(t *testing.T) {
	h := newHub(t, ws.Config{WriteTimeout: 2 * time.Second}, gateway.Config{}, room.Config{})
	server := httptest.NewTLSServer(h.server.Config.Handler)
	defer server.Close()
	payload := fmt.Appendf(nil, `%q`, strings.Repeat("x", 1<<20))
	for range 16 {
		h.publish("a", payload)
	}
	c, mute := h.dialTo(server), h.dialTo(server)
	mute.send(`{"id":1,"subscribe":{"filters":["#"],"from":"start"}}`)
	c.send(`{"id":1,"subscribe":{"filters":["#"],"from":"start"}}`)
	start := time.Now()
	for n := 0; n < 16; n += len(c.receive().Events) {
		time.Sleep(400 * time.Millisecond) // beyond the eighth that it may take to take something without TLS
	}
	if spent := time.Since(start); spent < time.Second {
		t.Errorf("only %v: the test tests nothing", spent)
	}
	if m := c.ask(`{"id":2,"ping":{}}`); m.Pong == nil {
		t.Errorf("%+v", m)
	}
	eventually(t, "who takes nothing is closed", func() bool { return h.closed("slow") == 1 })
	_ = mute.Close()
}

func TestPingFlood(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	c := h.dial()
	pongs, last := 0, ""
	c.SetPongHandler(func(data string) error { pongs, last = pongs+1, data; return nil })
	const pings = 20_000
	for i := range pings {
		if err := c.WriteControl(websocket.PingMessage, fmt.Append(nil, i), time.Now().Add(10*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	for id := 1; last != fmt.Sprint(pings-1); id++ {
		if m := c.ask(fmt.Sprintf(`{"id":%d,"ping":{}}`, id)); m.Pong == nil {
			t.Fatalf("%+v", m)
		}
	}
	if pongs > pings {
		t.Errorf("%d pongs for %d pings", pongs, pings)
	}
}

func TestSilence(t *testing.T) {
	h := newHub(t, ws.Config{PingInterval: 50 * time.Millisecond}, gateway.Config{}, room.Config{})
	mute, polite := h.dial(), h.dial()
	mute.SetPingHandler(func(string) error { return nil })
	start := time.Now()
	polite.SetPingHandler(func(data string) error {
		if time.Since(start) > 400*time.Millisecond {
			polite.SetPingHandler(nil)
			polite.send(`{"id":1,"ping":{}}`)
		}
		return polite.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if m, err := polite.tryReceive(); err != nil || m.Pong == nil {
			t.Errorf("%+v, %v", m, err)
		}
	})
	mute.wantClose(wire.CloseSilent)
	wg.Wait()
}

func TestStop(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	clients := []*client{h.dial(), h.dial(), h.dial()}
	_ = clients[0].ask(`{"id":1,"subscribe":{"filters":["#"]}}`)
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() { c.wantClose(wire.CloseShutdown) })
	}
	eventually(t, "all are there", func() bool { return h.gateway.Sessions() == len(clients) })
	if err := h.gateway.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	h.dial().wantClose(wire.CloseShutdown)
	eventually(t, "no room is left", func() bool { n, _, _ := h.rooms.Stats(); return n == 0 })
}

func TestStopWithAClientThatTakesNothing(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	c := h.dial()
	_ = c.ask(`{"id":1,"subscribe":{"filters":["#"],"rate":1000}}`)
	payload := fmt.Appendf(nil, `%q`, strings.Repeat("x", 1<<20))
	for range 32 {
		h.publish("a", payload)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := h.gateway.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestMaxSessions(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{MaxSessions: 1}, room.Config{})
	first := h.dial()
	_ = first.ask(`{"id":1,"ping":{}}`)
	second := h.dial()
	second.send(`{"id":1,"hello":{}}`)
	second.wantClose(wire.CloseOverloaded)
	_ = first.Close()
	eventually(t, "the first has gone", func() bool { return h.gateway.Sessions() == 0 })
	if m := h.dial().ask(`{"id":1,"ping":{}}`); m.Pong == nil {
		t.Errorf("%+v", m)
	}
}

// TestNoMemoryNoSession: who comes while there is no room is told to try again later, and gets in then.
func TestNoMemoryNoSession(t *testing.T) {
	var spare atomic.Bool
	h := newHub(t, ws.Config{}, gateway.Config{Admit: spare.Load}, room.Config{})
	h.dial().wantClose(wire.CloseOverloaded)
	if n := h.counted("pulso_gateway_sessions_refused_total", "memory"); n != 1 || h.gateway.Sessions() != 0 {
		t.Errorf("%d refused, %d sessions", n, h.gateway.Sessions())
	}
	spare.Store(true)
	if m := h.dial().ask(`{"id":1,"ping":{}}`); m.Pong == nil {
		t.Errorf("%+v", m)
	}
	if !wire.CloseOverloaded.ComesBack() {
		t.Error("who was refused for want of memory would not come back")
	}
}

func TestClientsFarewellIsAnswered(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	c := h.dial()
	_ = c.ask(`{"id":1,"ping":{}}`)
	message := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
	if err := c.WriteControl(websocket.CloseMessage, message, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.tryReceive(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("answer: %v", err)
	}
	eventually(t, "counted as the client's doing", func() bool { return h.closed("client") == 1 })
}

func TestPresence(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{Sources: map[wire.Form]room.Source{wire.FormChat: nothing{}}})
	c := h.dial()
	_ = c.ask(`{"id":1,"hello":{"name":"Ana"}}`)
	number := c.ask(`{"id":2,"subscribe":{"filters":["chat/b","chat/a"],"form":"chat"}}`).Subscribed.Room
	_ = c.ask(`{"id":3,"hello":{"name":"Bea"}}`)
	_ = c.ask(fmt.Sprintf(`{"id":4,"unsubscribe":{"room":%d}}`, number))
	_ = c.ask(`{"id":5,"subscribe":{"filters":["chat/+"],"form":"chat"}}`)
	_ = c.Close()
	want := []string{"join Ana chat/a,chat/b", "join Bea chat/a,chat/b", "leave", "join Bea chat/+", "leave"}
	eventually(t, "the session is gone", func() bool { return h.gateway.Sessions() == 0 })
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.presence, want) {
		t.Errorf("presence: %q", h.presence)
	}
}

// nothing is a view without contents.
type nothing struct{}

func (nothing) Version() uint64 { return 1 }

func (nothing) Since([]string, event.Scope, uint64) (*pulsov1.Frame, uint64) { return nil, 0 }

// TestResume cuts connections off again and again while others publish: each client misses nothing, gets nothing twice,
// and all in order.
func TestResume(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{RingBytes: 2 << 10})
	const events, clients, cuts = 3000, 4, 12
	start := h.publish("a", []byte("-1"))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range events {
			h.publish("a", fmt.Append(nil, i))
			if i%7 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
	for k := range clients {
		wg.Go(func() {
			form := []string{"events", "values"}[k%2]
			position, n := start.String(), 0
			for cut := 0; n < events; cut++ {
				c := h.dial()
				c.send(fmt.Sprintf(`{"id":1,"subscribe":{"filters":["#"],"form":%q,"rate":%d,"from":%q}}`, form, 50+k*100, position))
				if s := c.receive().Subscribed; !s.Recovered || s.Position != position {
					t.Errorf("not recovered: %+v", s)
					return
				}
				for frame := 0; n < events && (cut >= cuts || frame < 5+k); frame++ {
					m := c.receive()
					if m.Snapshot != nil {
						continue
					}
					for _, e := range m.Events {
						if string(e.Payload) != fmt.Sprint(n) {
							t.Errorf("client %d: event %d is %s", k, n, e.Payload)
							return
						}
						n++
					}
					for _, v := range m.Values {
						if int(v[2]) != n {
							t.Errorf("client %d: value %d is %v", k, n, v)
							return
						}
						n++
					}
					position = m.Position
				}
				_ = c.NetConn().Close() // no farewell
			}
		})
	}
	wg.Wait()
}

// TestCompression talks to clients with and without permessage-deflate in one room: both understand the same, commands
// included, and the one costs less.
func TestCompression(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	plain := h.dial()
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocols[wire.JSON]}, EnableCompression: true}
	conn, resp, err := dialer.Dial("ws"+strings.TrimPrefix(h.server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := resp.Header.Get("Sec-WebSocket-Extensions"); !strings.HasPrefix(got, "permessage-deflate") {
		t.Fatalf("extensions %q", got)
	}
	deflated := &client{t: t, Conn: conn}
	t.Cleanup(func() { _ = conn.Close() })
	for _, c := range []*client{plain, deflated} {
		if m := c.ask(`{"id":1,"subscribe":{"filters":["#"],"devices":[` + strings.Repeat(`"d",`, 200) + `"d"],"rate":1000}}`); m.Subscribed == nil {
			t.Fatalf("%+v", m)
		}
		_ = c.ask(`{"id":2,"subscribe":{"filters":["#"],"rate":1000}}`)
	}
	payload := fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("very much alike ", 1000))
	h.publish("a", payload)
	for name, c := range map[string]*client{"plain": plain, "deflated": deflated} {
		if m := c.receive(); len(m.Events) != 1 || string(m.Events[0].Payload) != string(payload) {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestOffersThatCannotBeMet(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	for offer, want := range map[string]bool{
		"permessage-deflate; client_max_window_bits":                    true,
		"x-webkit-deflate-frame, permessage-deflate":                    true,
		"permessage-deflate; server_max_window_bits=10":                 false,
		"permessage-deflate;server_max_window_bits=9, permessage-bzip2": false,
		"": false,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
			"Sec-WebSocket-Extensions": offer,
		} {
			req.Header.Set(k, v)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := resp.Header.Get("Sec-WebSocket-Extensions") != ""; got != want || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("%q: status %d, compression %v, want %v", offer, resp.StatusCode, got, want)
		}
	}
}

// TestSubprotocols offers both in either order: the first is taken.
func TestSubprotocols(t *testing.T) {
	h := newHub(t, ws.Config{}, gateway.Config{}, room.Config{})
	for _, offered := range [][]string{
		{wire.Subprotocols[wire.JSON], wire.Subprotocols[wire.Proto]},
		{wire.Subprotocols[wire.Proto], wire.Subprotocols[wire.JSON]},
	} {
		conn, resp, err := (&websocket.Dialer{Subprotocols: offered}).Dial("ws"+strings.TrimPrefix(h.server.URL, "http"), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := conn.Subprotocol(); got != offered[0] {
			t.Errorf("offered %q, got %q", offered, got)
		}
		_ = conn.Close()
	}
}
