package broker

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"pulso/bridge/event"
)

// killer is a SUBSCRIBE of MQTT 5 that lacks its options byte: mochi's decoder reads beyond its end.
var killer = []byte{0x82, 8, 0, 1, 0, 0, 3, 'a', '/', 'b'}

func TestKillerHarmsNobody(t *testing.T) {
	r := newRig(t, nil)
	other := r.connect(options{id: "other"})
	c := r.connect(options{version: 5, id: "c"})
	c.send(killer)
	c.wantReason(0x81)
	other.publish("a", "x", 1, 1)
	other.wantAck(0x40, 1)
	if got := r.closed(reasonMalformed); got != 1 {
		t.Fatalf("closed as malformed: %v", got)
	}
}

// TestPanicIsCaught has the broker call something that panics.
func TestPanicIsCaught(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Presence = panicker{} })
	other := r.connect(options{id: "other"})
	c := r.connect(options{version: 5, id: "c"})
	c.send(rawPacketOf(0x82, append(appendString([]byte{0, 1, 0}, "a"), 0)))
	c.wantEnd()
	other.ping()
	eventually(t, "the id is free", func() bool { return r.link("c") == nil })
	r.connect(options{version: 5, id: "c"}).ping()
}

type panicker struct{}

func (panicker) Subscribed(_, filter string) {
	killer[len(filter)+len(killer)]++ // beyond its end
}

func (panicker) Unsubscribed(string, string) {}

func (r *rig) link(id string) *link {
	r.broker.mu.Lock()
	defer r.broker.mu.Unlock()
	return r.broker.owners[id]
}

func TestRefusedConnects(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.ConnectTimeout = 150 * time.Millisecond
		c.Authenticate = accept(func(user string, password []byte) bool {
			return user == "" || user == "u" && string(password) == "secret"
		})
	})
	t.Run("level", func(t *testing.T) {
		for level, want := range map[byte]string{3: "\x20\x02\x00\x01", 6: "\x20\x02\x00\x01"} {
			c := r.dial()
			c.send(rawPacketOf(0x10, append(appendString(nil, "MQTT"), level, 2, 0, 0, 0, 0)))
			if got := c.wantEnd(); !strings.HasPrefix(string(got), want) {
				t.Errorf("level %d: %x", level, got)
			}
		}
		if f := r.refusal(reasonVersion); f.Remote == "" || f.Time.IsZero() || f.Detail == "" {
			t.Errorf("refusal %+v", f)
		}
	})
	t.Run("garbage", func(*testing.T) {
		c := r.dial()
		c.send([]byte("GET / HTTP/1.1\r\n\r\n"))
		c.wantEnd()
		r.refusal(reasonNotMQTT)
	})
	t.Run("no CONNECT", func(*testing.T) {
		r.dial().wantEnd()
		r.refusal(reasonTimeout)
	})
	t.Run("byte by byte", func(t *testing.T) {
		c := r.dial()
		for _, b := range connectPacket(options{version: 4, id: strings.Repeat("x", 200)}) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
		t.Error("was not cut off")
	})
	t.Run("credentials", func(t *testing.T) {
		for version, want := range map[byte]byte{4: 4, 5: 0x86} {
			if code := r.dial().connect(options{version: version, id: "x", user: "u", password: "wrong"}); code != want {
				t.Errorf("MQTT %d: CONNACK %#x", version, code)
			}
		}
		if f := r.refusal(reasonCredentials); f.Client != "x" || strings.Contains(fmt.Sprint(f), "wrong") {
			t.Errorf("refusal %+v", f)
		}
		r.connect(options{id: "x", user: "u", password: "secret"}).ping()
	})
	t.Run("will", func(t *testing.T) {
		for topic, want := range map[string]byte{"$SYS/broker/version": 0x90, "a/#": 0x81} {
			if code := r.dial().connect(options{version: 5, id: "w", will: topic}); code != want {
				t.Errorf("will to %s: CONNACK %#x", topic, code)
			}
		}
		r.refusal(reasonWill)
	})
	t.Run("client id", func(t *testing.T) {
		if code := r.dial().connect(options{version: 4, persistent: true}); code != 2 {
			t.Errorf("no client id: CONNACK %#x", code)
		}
		if code := r.dial().connect(options{version: 5, id: strings.Repeat("x", 300)}); code != 0x85 {
			t.Errorf("long client id: CONNACK %#x", code)
		}
	})
	t.Run("authentication method", func(t *testing.T) {
		if code := r.dial().connect(options{version: 5, id: "a", props: []byte{0x15, 0, 1, 'x'}}); code != 0x8c {
			t.Errorf("CONNACK %#x", code)
		}
	})
}

func TestConnectionLimit(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxConnections = 2 })
	a := r.connect(options{id: "a"})
	r.connect(options{id: "b"})
	r.dial().wantEnd()
	r.refusal(reasonLimit)
	a.send([]byte{0xe0, 0})
	a.wantEnd()
	eventually(t, "room", func() bool { return r.broker.addresses.Open() == 1 })
	r.connect(options{id: "c"}).ping()
}

func TestOversize(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxPacket = 10_000 })
	c := r.connect(options{version: 5, id: "c"})
	c.send([]byte{0x30, 0xff, 0xff, 0x7f})
	c.wantReason(0x95)
	if got := r.refusal(reasonTooLarge); got.Client != "c" || got.Detail != "packet of 2097155 bytes, at most 10000" || got.Time.IsZero() {
		t.Fatalf("told as %+v", got)
	}
}

// TestLastWordsAreHeard: a client that is still sending when it is closed gets the reason, not a reset.
func TestLastWordsAreHeard(t *testing.T) {
	r := newRig(t, nil)
	for range 10 {
		c := r.connect(options{version: 5, id: "c"})
		go func() { _, _ = c.Write(append([]byte{0x30, 0xff, 0xff, 0x7f}, make([]byte, 500_000)...)) }()
		first, body := c.read()
		if first != 0xe0 || body[0] != 0x95 {
			t.Fatalf("got %#x %x", first, body)
		}
		_ = c.Close()
	}
}

func TestForbiddenTopics(t *testing.T) {
	r := newRig(t, nil)
	v5 := r.connect(options{version: 5, id: "v5"})
	for topic, want := range map[string]string{
		"$SYS/broker/uptime": "\x87", "$aws/things": "\x87", strings.Repeat("/", 200): "\x90",
	} {
		v5.publish(topic, "x", 0, 0)
		v5.publish(topic, "x", 1, 7)
		if body := v5.want(0x40); string(body) != "\x00\x07"+want {
			t.Errorf("%.20q: PUBACK %x", topic, body)
		}
		v5.publish(topic, "x", 2, 8)
		if body := v5.want(0x50); string(body) != "\x00\x08"+want {
			t.Errorf("%.20q: PUBREC %x", topic, body)
		}
	}
	v5.ping()
	v3 := r.connect(options{id: "v3"})
	v3.publish("$SYS/x", "x", 0, 0)
	v3.ping()
	v3.publish("$SYS/x", "x", 1, 1)
	v3.wantEnd()
	bad := r.connect(options{id: "utf8"})
	bad.publish("a\xff", "x", 1, 1)
	bad.wantEnd()
	eventually(t, "closed as malformed", func() bool { return r.closed(reasonMalformed) == 1 })
	if n := len(r.sink.kind(event.KindPublish, "")); n != 0 {
		t.Fatalf("%d messages in the log", n)
	}
}

func TestPortProbeIsNoRefusal(t *testing.T) {
	r := newRig(t, nil)
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.Close()
	r.connect(options{id: "a"}).ping()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.refusals) > 0 {
		t.Fatalf("%+v", r.refusals)
	}
}
