package broker

import (
	"fmt"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// logOfRetained is a log with one retained message for each of n topics.
func logOfRetained(n int) *memorySink {
	s := &memorySink{queue: make(chan entry, 4096)}
	for i := range n {
		s.events = append(s.events, event.Event{
			Position: event.Position{Epoch: 1, Offset: uint64(i)}, Topic: fmt.Sprintf("r/%06d", i), Payload: []byte("old"), Retain: true, QoS: 1,
		})
	}
	return s
}

// subscribeOnly does not wait for the SUBACK, which messages may come before (MQTT 5, 3.8.4).
func (c *client) subscribeOnly(filter string, opts byte) {
	c.t.Helper()
	c.send(rawPacketOf(0x82, append(appendString([]byte{0, 7, 0}, filter), opts)))
}

// messageOrSuback reads a PUBLISH, and a SUBACK before it.
func (c *client) messageOrSuback() received {
	c.t.Helper()
	first, body := c.read()
	if first == 0x90 {
		first, body = c.read()
	}
	return c.parse(first, body)
}

// A subscription gets every retained message once, in pages, however slowly the client reads and however small its window
// is; also where connections end in between, and where messages change meanwhile.
func TestRetainedReplayIsComplete(t *testing.T) {
	for name, test := range map[string]struct {
		n         int
		qos       byte
		reconnect int // after so many messages
	}{
		"QoS 0":               {100_000, 0, 1 << 30},
		"QoS 1":               {20_000, 1, 1 << 30},
		"QoS 1, reconnecting": {20_000, 1, 3_001},
	} {
		t.Run(name, func(t *testing.T) {
			n := test.n
			r := startRig(t, logOfRetained(n), t.TempDir()+"/state.db", func(c *Config) { c.MaxQueue, c.WriteBuffer = 100, 16<<10 })
			o := lasting("sub")
			o.props = append(o.props, 0x21, 0, 5)
			sub := r.connect(o)
			if err := sub.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
				t.Fatal(err)
			}
			sub.subscribeOnly("r/#", test.qos)
			pub := r.connect(options{id: "pub"})
			got := map[string]bool{}
			for count := 1; len(got) < n; count++ {
				m := sub.messageOrSuback()
				switch {
				case !m.retain():
					t.Fatalf("without RETAIN: %+v", m)
				case m.payload != "old":
					t.Fatalf("%s is newer than the subscription, and comes as retained", m.topic)
				case got[m.topic] && !m.dup():
					t.Fatalf("%s comes twice", m.topic)
				}
				got[m.topic] = true
				if m.id > 0 {
					sub.ack(packet.Puback, m.id)
				}
				if count == n/2 { // what is behind the page under way changes: it comes live, and not once more as retained
					pub.send(rawPacketOf(0x33, append(appendString(nil, "elsewhere"), 0, 1, 'x')))
					pub.wantAck(0x40, 1)
				}
				if count%test.reconnect == 0 {
					r.fall(sub, "sub")
					sub = r.connect(o)
					if !sub.present {
						t.Fatal("the session is gone")
					}
				}
			}
			sub.ping()
			s := r.session("sub")
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.replays) > 0 || len(s.queue) > 0 {
				t.Fatalf("%d replays and %d messages are left", len(s.replays), len(s.queue))
			}
		})
	}
}

// A retained message that is newer than the subscription comes live, once.
func TestRetainedNewerThanTheSubscriptionIsNotDoubled(t *testing.T) {
	r := startRig(t, logOfRetained(500), t.TempDir()+"/state.db", func(c *Config) { c.MaxQueue = 50 })
	o := lasting("sub")
	o.props = append(o.props, 0x21, 0, 1)
	sub := r.connect(o)
	sub.subscribeOnly("r/#", 1)
	first, body := sub.read()
	if first != 0x90 { // the window lets one message pass before it
		sub.want(0x90)
	} else {
		first, body = sub.read()
	}
	sub.ack(packet.Puback, sub.parse(first, body).id)
	pub := r.connect(options{id: "pub"})
	for i := range 500 { // while the replay stands at its first page
		pub.send(rawPacketOf(0x33, append(append(appendString(nil, fmt.Sprintf("r/%06d", i)), 0, 1), "new"...)))
		pub.wantAck(0x40, 1)
	}
	count := map[string]int{"old": 1}
	for count["new"] < 500 {
		m := sub.message()
		if m.payload == "new" && m.retain() {
			t.Fatalf("%s comes as retained although it is newer than the subscription", m.topic)
		}
		count[m.payload]++
		sub.ack(packet.Puback, m.id)
	}
	sub.ping()
	if count["new"] != 500 || count["old"] > 500 || count["old"] == 0 {
		t.Fatalf("got %v", count)
	}
}

// Only the publisher's own expiry ends a retained message.
func TestRetainedExpiry(t *testing.T) {
	r := newLastingRig(t, nil)
	pub := r.connect(options{version: 5, id: "pub"})
	pub.send(rawPacketOf(0x33, append(appendString(nil, "r/short"), 0, 1, 5, 2, 0, 0, 0, 1, 'x')))
	pub.wantAck(0x40, 1)
	pub.send(rawPacketOf(0x33, append(appendString(nil, "r/long"), 0, 2, 0, 'x')))
	pub.wantAck(0x40, 2)
	eventually(t, "the end of one and the beginning of the other", func() bool {
		_, short := r.broker.retained.get("r/short")
		_, long := r.broker.retained.get("r/long")
		return !short && long
	})
	r.stored()
	r = r.crash()
	sub := r.connect(options{id: "sub"})
	sub.subscribe("r/#", 0)
	if m := sub.message(); m.topic != "r/long" {
		t.Fatalf("got %+v", m)
	}
	sub.ping()
}
