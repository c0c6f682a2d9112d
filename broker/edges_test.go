package broker

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// A gatedLog is a log whose readings can be made to wait, or to fail.
type gatedLog struct {
	Log

	mu   sync.Mutex
	gate chan struct{} // closed when readings may go on; nil: they may
	fail int           // readings that fail
	held chan struct{} // gets one for each reading that waits
}

func (g *gatedLog) Scan(from event.Position, want func(string) bool, limit int) ([]event.Event, event.Position, error) {
	g.mu.Lock()
	gate := g.gate
	failed := g.fail > 0
	if failed {
		g.fail--
	}
	g.mu.Unlock()
	if failed {
		return nil, from, errors.New("too many open files")
	}
	if gate != nil {
		g.held <- struct{}{}
		<-gate
	}
	return g.Log.Scan(from, want, limit)
}

func (g *gatedLog) hold() (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gate := make(chan struct{})
	g.gate, g.held = gate, make(chan struct{}, 100)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.gate = nil
		close(gate)
	}
}

func gateLog(g *gatedLog) func(*Config) {
	return func(c *Config) {
		g.Log = c.Log
		c.Log = g
	}
}

// What a queue in memory got after its session was stored is owed as much as what it had before, though the checkpoint
// has passed it.
func TestQueueThatGrewOverAKill(t *testing.T) {
	r := newLastingRig(t, nil)
	o := lasting("sub")
	o.props = append(o.props, 0x21, 0, 2)
	sub := r.connect(o)
	sub.subscribe("a", 1)
	pub := r.connect(options{id: "pub"})
	pub.publishNumbers("a", 1, 0, 2)
	r.stored()
	pub.publishNumbers("a", 1, 2, 5)
	r.stored()
	r = r.crash()
	r.connect(o).wantNumbers(0, 5)
}

// A subscription that is made while the log is read for the session is read for, too.
func TestSubscriptionWhileTheLogIsRead(t *testing.T) {
	g := &gatedLog{}
	r := newRig(t, gateLog(g))
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 1)
	r.fall(sub, "sub")
	pub := r.connect(options{id: "pub"})
	pub.publishNumbers("a", 1, 0, 3)
	release := g.hold()
	sub = r.connect(lasting("sub"))
	<-g.held
	sub.subscribe("b", 1)
	pub.publishNumbers("b", 1, 3, 6)
	release()
	sub.wantNumbers(0, 6)
}

// What a client has not acknowledged of a shared subscription that it has left is still its own [MQTT-3.10.4-3].
func TestGroupLeftWithAMessageInFlight(t *testing.T) {
	r := newLastingRig(t, nil)
	c := r.member("a", 10, 1)
	pub := r.connect(options{id: "pub"})
	pub.publishNumbers("w", 1, 0, 1)
	first := c.message()
	c.send(rawPacketOf(0xa2, appendString([]byte{0, 9, 0}, "$share/g/w")))
	c.want(0xb0)
	r.fall(c, "a")
	r.stored()
	r = r.crash()
	c = r.connect(lasting("a"))
	if m := c.message(); m.payload != first.payload || !m.dup() {
		t.Fatalf("got %+v", m)
	}
}

// A message that a member cannot take is forgotten.
func TestGroupKeepsNothingOfWhatIsTooLarge(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(options{version: 5, id: "a", props: []byte{0x27, 0, 0, 0, 50}})
	c.subscribe("$share/g/w", 1)
	pub := r.connect(options{id: "pub"})
	pub.publish("w", strings.Repeat("x", 100), 1, 1)
	pub.wantAck(0x40, 1)
	pub.publish("w", "small", 1, 2)
	pub.wantAck(0x40, 2)
	c.ack(packet.Puback, c.message().id)
	c.ping()
	g := r.broker.groups[groupKey{"g", "w"}]
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.out) != 0 || g.bytes != 0 {
		t.Fatalf("%d messages are out, %d bytes wait", len(g.out), g.bytes)
	}
}

// The connection of one user is not ended by another who claims its client id.
func TestNobodyEndsTheConnectionOfAnother(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Authenticate = accept(func(string, []byte) bool { return true }) })
	mine := r.connect(options{version: 5, id: "d", user: "alice"})
	if code := r.dial().connect(options{version: 5, id: "d", user: "mallory"}); code != codeClientID {
		t.Fatalf("CONNACK %#x", code)
	}
	mine.ping()
	r.connect(options{version: 5, id: "d", user: "alice"}).ping()
	mine.wantReason(0x8e)
}

// After a loss of power, the log may end before the place where a subscription began.
func TestSubscriptionBeyondTheLog(t *testing.T) {
	r := newLastingRig(t, nil)
	r.connect(options{id: "pub"}).publishNumbers("a", 0, 0, 50)
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 1)
	r.stored()
	r.die()
	sink := r.sink.reopened()
	sink.events = sink.events[:10]
	r = startRig(t, sink, r.path, nil)
	sub = r.connect(lasting("sub"))
	r.connect(options{id: "pub"}).publishNumbers("a", 1, 0, 5)
	sub.wantNumbers(0, 5)
}

// A log that cannot be read for a moment costs nobody what is in flight.
func TestInflightThatCannotBeRead(t *testing.T) {
	g := &gatedLog{}
	r := newRig(t, gateLog(g))
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 1)
	r.connect(options{id: "pub"}).publishNumbers("a", 1, 0, 1)
	sub.message()
	r.fall(sub, "sub")
	g.mu.Lock()
	g.fail = 1
	g.mu.Unlock()
	r.connect(lasting("sub")).wantNumbers(0, 1)
	if n := r.dropped(dropPassed); n != 0 {
		t.Fatalf("%v given up", n)
	}
}

// A retained message that was replaced while a page of them was looked up does not come after its successor.
func TestReplacedRetainedIsNotReplayed(t *testing.T) {
	r := newRig(t, nil)
	pub := r.connect(options{id: "pub"})
	retain := func(payload string, id uint16) {
		pub.send(packet.AppendPublish(nil, 4, &packet.Message{
			Event: &event.Event{Topic: "state/1", Payload: []byte(payload)}, QoS: 1, ID: id, Retain: true,
		}))
		pub.wantAck(0x40, id)
		eventually(t, "retained", func() bool {
			m, ok := r.broker.retained.get("state/1")
			return ok && string(m.event.Payload) == payload
		})
	}
	retain("old", 1)
	sub := r.connect(options{version: 5, id: "sub"})
	sub.subscribe("state/#", 0x20)
	s := r.session("sub")
	replay := &replay{filter: "state/#", until: r.broker.tail.Load(), sub: subscription{qos: 0}}
	found, _, _ := r.broker.retained.page(replay.filter, "", replay.until)
	retain("new", 2)
	s.mu.Lock()
	s.pushRetained(replay, found)
	s.mu.Unlock()
	s.pump()
	if m := sub.message(); m.payload != "new" {
		t.Fatalf("got %q", m.payload)
	}
	sub.ping()
}
