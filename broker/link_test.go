package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

func (r *rig) ended(id string) string {
	r.t.Helper()
	var text string
	eventually(r.t, "end of "+id, func() bool {
		ends := r.sink.kind(event.KindDisconnected, id)
		if len(ends) > 0 {
			text = string(ends[len(ends)-1].Payload)
		}
		return len(ends) > 0
	})
	return text
}

func TestWill(t *testing.T) {
	for name, c := range map[string]struct {
		version byte
		end     func(*client)
		will    bool
		text    string
	}{
		"cut off":            {4, func(c *client) { _ = c.Close() }, true, "connection lost"},
		"DISCONNECT":         {4, func(c *client) { c.send([]byte{0xe0, 0}) }, false, event.DisconnectedClean},
		"DISCONNECT 5":       {5, func(c *client) { c.send([]byte{0xe0, 0}) }, false, event.DisconnectedClean},
		"will wanted":        {5, func(c *client) { c.send([]byte{0xe0, 2, 4, 0}) }, true, "disconnect with will"},
		"will wanted, short": {5, func(c *client) { c.send([]byte{0xe0, 1, 4}) }, true, "disconnect with will"},
		"protocol error":     {5, func(c *client) { c.send(killer) }, true, "malformed: MQTT 5, 1.2: subscription options exceeds the packet"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			sub := r.connect(options{id: "sub"})
			sub.subscribe("lwt/#", 0)
			c.end(r.connect(options{version: c.version, id: "d", will: "lwt/d"}))
			if text := r.ended("d"); text != c.text {
				t.Errorf("ended with %q, want %q", text, c.text)
			}
			wills := r.sink.kind(event.KindWill, "d")
			if (len(wills) == 1) != c.will {
				t.Fatalf("%d wills", len(wills))
			}
			if !c.will {
				sub.ping()
				return
			}
			if topic, payload, _ := sub.wantMessage(); topic != "lwt/d" || payload != "gone" {
				t.Fatalf("will %s %s", topic, payload)
			}
		})
	}
}

func TestEmptyWillAndPassword(t *testing.T) {
	for _, version := range []byte{4, 5} {
		r := newRig(t, func(c *Config) {
			c.Authenticate = accept(func(user string, password []byte) bool { return user == "u" && len(password) == 0 })
		})
		p := connectPacket(options{version: version, id: "d", will: "state", user: "u"})
		p = bytes.Replace(p, appendString(nil, "gone"), []byte{0, 0}, 1)
		p[1] -= 4
		c := r.dial()
		c.version = version
		c.send(append(p, 0xc0, 0)) // with what comes next in the same segment
		if body := c.want(0x20); body[1] != 0 {
			t.Fatalf("MQTT %d: CONNACK %#x", version, body[1])
		}
		c.want(0xd0)
		_ = c.Close()
		r.ended("d")
		if wills := r.sink.kind(event.KindWill, "d"); len(wills) != 1 || len(wills[0].Payload) != 0 || wills[0].Topic != "state" {
			t.Fatalf("MQTT %d: wills %+v", version, wills)
		}
	}
}

func TestWillDelay(t *testing.T) {
	r := newRig(t, nil)
	delayed := options{
		version: 5, id: "d", persistent: true, will: "lwt", willProps: []byte{0x18, 0, 0, 0, 1}, props: []byte{0x11, 0, 0, 1, 0},
	}
	_ = r.connect(delayed).Close()
	r.ended("d")
	r.connect(delayed).ping() // back in time: no will
	if n := len(r.broker.wills.pending); n != 0 {
		t.Fatalf("%d wills are pending", n)
	}
	_ = r.connect(options{version: 5, id: "d", persistent: true, will: "lwt", willProps: delayed.willProps, props: delayed.props}).Close()
	eventually(t, "the will after its delay", func() bool { return len(r.sink.kind(event.KindWill, "d")) == 1 })

	hour := options{
		version: 5, id: "e", persistent: true, will: "lwt", willProps: []byte{0x18, 0, 0, 14, 16}, props: []byte{0x11, 0, 0, 14, 16},
	}
	_ = r.connect(hour).Close()
	r.ended("e")
	clean := hour
	clean.persistent = false // the old session ends, and so its will is due
	r.connect(clean).ping()
	eventually(t, "the will of the ended session", func() bool { return len(r.sink.kind(event.KindWill, "e")) == 1 })
	_ = r.connect(hour).Close() // left for Stop, which forgets it
}

func TestTakeover(t *testing.T) {
	for _, persistent := range []bool{false, true} {
		r := newRig(t, nil)
		o := options{version: 5, id: "d", persistent: persistent, will: "lwt"}
		if persistent {
			o.props = []byte{0x11, 0, 0, 1, 0}
		}
		first := r.connect(o)
		first.subscribe("a", 0)
		second := r.connect(o)
		first.wantReason(0x8e)
		if !persistent {
			second.subscribe("a", 0)
		}
		second.publish("a", "x", 1, 1)
		for range 2 { // PUBACK and the message, in either order
			second.read()
		}
		var order []string
		for _, e := range r.sink.all(func(e *event.Event) bool { return e.Client == "d" && e.Kind != event.KindPublish }) {
			order = append(order, fmt.Sprintf("%d%s", e.Kind, e.Payload))
		}
		if got := strings.Join(order, " "); got != "2 1gone 3taken over 2" {
			t.Fatalf("events: %s", got)
		}
	}
}

func TestTakeoverStorm(t *testing.T) {
	r := newRig(t, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				nc, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = nc.Write(connectPacket(options{version: 4, id: "same"}))
				_ = nc.SetReadDeadline(time.Now().Add(patience))
				_, _ = nc.Read(make([]byte, 4))
				_ = nc.Close()
			}
		})
	}
	wg.Wait()
	c := r.connect(options{id: "same"})
	c.subscribe("a", 0)
	c.publish("a", "x", 0, 0)
	if _, payload, _ := c.wantMessage(); payload != "x" {
		t.Fatal("the last one is not served")
	}
	connected, ends := r.sink.kind(event.KindConnected, "same"), r.sink.kind(event.KindDisconnected, "same")
	if len(connected) != len(ends)+1 {
		t.Fatalf("%d begins, %d ends", len(connected), len(ends))
	}
}

func TestSlowSubscriberHurtsNobody(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.WriteTimeout = 400 * time.Millisecond
		c.MaxQueue = 64
	})
	slow := r.connect(options{id: "slow"})
	slow.subscribe("#", 0)
	slow.subscribe("big", 1)
	fast := r.connect(options{id: "fast"})
	fast.subscribe("tick", 1)
	pub := r.connect(options{id: "pub"})
	payload := strings.Repeat("x", 60_000)
	go func() { // the publisher only notices that it is done
		for i := range 400 {
			_, err := pub.Write(packet.AppendPublish(nil, 4, &packet.Message{
				Event: &event.Event{Topic: "big", Payload: []byte(payload)}, QoS: 1, ID: uint16(i + 1),
			}))
			if err != nil {
				return
			}
		}
	}()
	for i := range 400 {
		pub.wantAck(0x40, uint16(i+1))
	}
	begin := time.Now()
	pub.publish("tick", "1", 1, 1000)
	pub.wantAck(0x40, 1000)
	fast.wantMessage()
	if d := time.Since(begin); d > 300*time.Millisecond {
		t.Fatalf("a message took %s while a subscriber did not read", d)
	}
	eventually(t, "slow is closed", func() bool { return r.closed(reasonSlow) == 1 })
	if text := r.ended("slow"); !strings.Contains(text, "slow") {
		t.Fatalf("ended with %q", text)
	}
	if s := r.broker.Stats(); s.Connections != 2 {
		t.Fatalf("stats %+v", s)
	}
}

func TestAcknowledgementsBeyondTheBufferEndTheConnection(t *testing.T) {
	client, server := net.Pipe() // takes nothing that is not read
	defer client.Close()
	r := newRig(t, func(c *Config) { c.WriteBuffer = 100 })
	l := newLink(r.broker, addressed{server})
	for range 30 {
		l.conn.answer(packet.AppendAck(nil, packet.Puback, 1, 0, 4))
	}
	if l.cause.Load() != causeSlow {
		t.Fatalf("cause %v", l.cause.Load())
	}
	_ = client.Close()
	l.conn.finish()
}

type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr { return &net.TCPAddr{} }

func TestKeepAlive(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(options{version: 5, id: "c", keepAlive: 1})
	c.wantReason(0x8d)
	if text := r.ended("c"); text != "keep-alive timeout" {
		t.Fatalf("ended with %q", text)
	}
	z := r.dial()
	z.send(connectPacket(options{version: 5, id: "z"}))
	_, body := z.read()
	if !bytes.Contains(body, []byte{0x13, 0, 60}) {
		t.Fatalf("CONNACK %x has no Server Keep Alive", body)
	}
}

func TestSessionExpires(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(options{version: 5, id: "c", persistent: true, props: []byte{0x11, 0, 0, 0, 1}})
	c.subscribe("a", 1)
	_ = c.Close()
	r.ended("c")
	eventually(t, "the session is gone", func() bool { return r.broker.subscriptions.Load() == 0 })
	if m := r.broker.index.find("a"); len(m.targets) != 0 {
		t.Fatal("the subscription is still there")
	}
}

type presence struct {
	mu  sync.Mutex
	log []string
}

func (p *presence) Subscribed(client, filter string) { p.add("+" + client + " " + filter) }

func (p *presence) Unsubscribed(client, filter string) { p.add("-" + client + " " + filter) }

func (p *presence) add(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, s)
}

func TestPresence(t *testing.T) {
	p := &presence{}
	r := newRig(t, func(c *Config) { c.Presence = p })
	c := r.connect(options{id: "c"})
	c.subscribe("chat/x", 0)
	c.subscribe("chat/x", 1)
	c.subscribe("bad/#/x", 0)
	c.send(rawPacketOf(0xa2, appendString(appendString([]byte{0, 9}, "chat/x"), "never")))
	c.want(0xb0)
	c.subscribe("chat/y", 0)
	_ = c.Close()
	eventually(t, "presence", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return strings.Join(p.log, ",") == "+c chat/x,-c chat/x,+c chat/y,-c chat/y"
	})
}

// A session that outlives its connection is present only while it is connected.
func TestPresenceOfPersistentSession(t *testing.T) {
	p := &presence{}
	r := newRig(t, func(c *Config) { c.Presence = p })
	heard := func(want string) {
		t.Helper()
		eventually(t, want, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return strings.Join(p.log, ",") == want
		})
	}
	c := r.connect(options{id: "c", persistent: true})
	c.subscribe("chat/x", 1)
	_ = c.Close()
	heard("+c chat/x,-c chat/x")
	c = r.connect(options{id: "c", persistent: true})
	heard("+c chat/x,-c chat/x,+c chat/x")
	_ = c.Close()
	heard("+c chat/x,-c chat/x,+c chat/x,-c chat/x")
}

func TestWebSocket(t *testing.T) {
	r := newRig(t, func(c *Config) { c.AllowedOrigins = []string{"https://panel.example"} })
	srv := httptest.NewServer(r.broker.Handler())
	defer srv.Close()
	url := "ws" + strings.TrimPrefix(srv.URL, "http")
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	for origin, want := range map[string]int{
		"": 101, srv.URL: 101, "https://panel.example": 101, "https://evil.example": 403, "null": 403,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		ws, resp, err := dialer.Dial(url, header)
		if resp == nil || resp.StatusCode != want {
			t.Fatalf("origin %q: %v, %v", origin, resp, err)
		}
		_ = resp.Body.Close()
		if ws != nil {
			_ = ws.Close()
		}
	}
	r.refusal(reasonOrigin)
	_, resp, err := websocket.DefaultDialer.Dial(url, nil)
	if err == nil || resp.StatusCode != http.StatusBadRequest {
		t.Fatalf("no subprotocol: %v", err)
	}
	_ = resp.Body.Close()

	ws, resp, err := dialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if err := ws.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	pongs := 0
	ws.SetPongHandler(func(text string) error {
		if pongs++; text != "are you there" {
			t.Errorf("pong %q", text)
		}
		return nil
	})
	c := newClient(t, &webSocketClient{webSocketConn{Conn: ws.NetConn(), ws: ws}})
	p := connectPacket(options{version: 4, id: "ws"})
	c.send(p[:5]) // packets need not end where messages end
	c.send(p[5:])
	c.want(0x20)
	c.subscribe("a", 1)
	c.publish("a", "hello", 1, 1)
	got := map[byte]bool{}
	for range 2 {
		first, _ := c.read()
		got[first] = true
	}
	if !got[0x40] || !got[0x32] || pongs != 1 {
		t.Fatalf("got %v and %d pongs", got, pongs)
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	c.wantEnd()
	r.ended("ws")
}

// A webSocketClient reads as the broker does, and writes as a client must.
type webSocketClient struct{ webSocketConn }

func (c *webSocketClient) Write(p []byte) (int, error) {
	return len(p), c.ws.WriteMessage(websocket.BinaryMessage, p)
}

// flaky is a listener that fails as one does that has no file descriptors left.
type flaky struct {
	net.Listener

	fails atomic.Int32
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.fails.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return nil, net.ErrClosed
}

func TestAcceptGoesOnAfterErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(t.Context(), Config{Sink: &memorySink{}, Log: &memorySink{}})
		if err != nil {
			t.Fatal(err)
		}
		defer b.cancel()
		f := &flaky{}
		f.fails.Store(12)
		begin := time.Now()
		b.accept(f)
		if n := testutil.ToFloat64(b.metrics.accepts); n != 12 {
			t.Fatalf("%v errors counted", n)
		}
		if d := time.Since(begin); d < 4*time.Second || d > 6*time.Second {
			t.Fatalf("waited %s in all", d)
		}
	})
}

// stuck is a sink that takes nothing until its context ends.
type stuck struct{}

func (stuck) Ingest(ctx context.Context, _ event.Event, _ func(event.Position, error)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (stuck) Settle(context.Context) error { return nil }

func TestStopGivesUpOnAStuckSink(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Sink = stuck{} })
	c := r.dial()
	c.connect(options{id: "c"})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := r.broker.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Stop: %v", err)
	}
	c.wantEnd()
}
