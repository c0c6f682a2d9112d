package broker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// append puts numbers into the log as if others had published them before the broker began.
func (s *memorySink) append(topic string, qos byte, from, to int, padding string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := from; n < to; n++ {
		s.events = append(s.events, event.Event{
			Position: event.Position{Epoch: 1, Offset: uint64(len(s.events))}, Time: time.Now().UnixNano(),
			Topic: topic, Client: "pub", QoS: qos, Payload: []byte(strconv.Itoa(n) + padding),
		})
	}
}

// fall leaves a persistent session and returns when it is offline.
func (r *rig) fall(c *client, id string) {
	r.t.Helper()
	ends := len(r.sink.kind(event.KindDisconnected, id))
	_ = c.Close()
	eventually(r.t, "the end of "+id, func() bool { return len(r.sink.kind(event.KindDisconnected, id)) > ends })
}

// A subscriber that acknowledges nothing for a while falls behind, and gets everything in order from the log.
func TestSlowSubscriberGetsEverythingFromTheLog(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxQueue, c.MaxInflight = 20, 10 })
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 2)
	const n = 3_000
	pub := r.connect(options{id: "pub"})
	pub.publishNumbers("a", 1, 0, n/3)
	if s := r.session("sub"); !s.isBehind() || r.broker.behind.Load() != 1 {
		t.Fatal("the session is not behind")
	}
	done := make(chan struct{})
	go func() { // it catches up while more comes
		defer close(done)
		pub.publishNumbers("a", 1, n/3, n)
	}()
	sub.wantNumbers(0, n)
	<-done
	sub.ping()
	if s := r.session("sub"); s.isBehind() || r.broker.behind.Load() != 0 {
		t.Fatal("the session is behind although it has everything")
	}
	if got := r.dropped(dropQueue) + r.dropped(dropPassed); got != 0 {
		t.Fatalf("%v messages dropped", got)
	}
	pub.publishNumbers("a", 1, n, n+5) // live again
	sub.wantNumbers(n, n+5)
}

func (s *session) isBehind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behind
}

// QoS 1 and 2 keep their order between them, live and from the log.
func TestOrderAcrossQoS(t *testing.T) {
	r := newLastingRig(t, func(c *Config) { c.MaxQueue, c.MaxInflight = 10, 7 })
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 2)
	pub := r.connect(options{id: "pub"})
	for n := range 60 {
		pub.publishNumbers("a", byte(1+n*7%2), n, n+1)
	}
	sub.wantNumbers(0, 60)
	for n := 60; n < 90; n++ {
		pub.publishNumbers("a", byte(1+n/3%2), n, n+1)
		if n%10 == 9 {
			sub.wantNumbers(n-9, n+1)
		}
	}
}

// QoS 0 is not owed to who was not there, and to who was only for a minute.
func TestQoS0OfTheLog(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxQueue, c.MaxInflight = 4, 2 })
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 1)
	pub := r.connect(options{id: "pub"})
	r.fall(sub, "sub")
	pub.publishNumbers("a", 1, 0, 1)
	for n := range 5 {
		pub.publish("a", "absent "+strconv.Itoa(n), 0, 0)
	}
	pub.publishNumbers("a", 1, 1, 10)
	sub = r.connect(lasting("sub"))
	var unanswered []uint16
	for n := range 2 { // its window is full, and it is behind
		m := sub.message()
		if m.payload != strconv.Itoa(n) {
			t.Fatalf("got %+v, want %d", m, n)
		}
		unanswered = append(unanswered, m.id)
	}
	for n := 10; n < 20; n++ {
		if n%2 == 0 {
			pub.publish("a", strconv.Itoa(n), 0, 0) // while it is there: in order, though late
		} else {
			pub.publishNumbers("a", 1, n, n+1)
		}
	}
	for _, id := range unanswered {
		sub.ack(packet.Puback, id)
	}
	sub.wantNumbers(2, 20)

	s := r.session("sub")
	s.mu.Lock()
	from := s.next
	s.online = from.Offset
	s.mu.Unlock()
	tail := uint64(1 << 40)
	before := r.dropped(dropQueue)
	s.got(from, []event.Event{
		{Position: event.Position{Epoch: 1, Offset: from.Offset}, Topic: "a", Payload: []byte("late"), Time: time.Now().Add(-2 * time.Minute).UnixNano()},
		{Position: event.Position{Epoch: 1, Offset: from.Offset + 1}, Topic: "a", Payload: []byte("20"), Time: time.Now().UnixNano()},
	}, event.Position{Epoch: 1, Offset: tail})
	sub.wantNumbers(20, 21)
	if got := r.dropped(dropQueue) - before; got != 1 {
		t.Fatalf("%v counted as dropped", got)
	}
}

// What is read for one session is bounded in bytes, and still complete and in order.
func TestReadingForOneSessionIsBounded(t *testing.T) {
	const bound = 64 << 10
	r := newRig(t, func(c *Config) { c.MaxQueueBytes, c.MaxInflight = bound, 3 })
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 1)
	r.fall(sub, "sub")
	pub := r.connect(options{id: "pub"})
	const n, size = 300, 4_000
	for i := range n {
		pub.publish("a", fmt.Sprintf("%0*d", size, i), 1, uint16(i+1))
		pub.wantAck(0x40, uint16(i+1))
	}
	sub = r.connect(lasting("sub"))
	for i := range n {
		m := sub.message()
		if len(m.payload) != size || !strings.HasSuffix(m.payload, fmt.Sprintf("%04d", i)) {
			t.Fatalf("message %d is …%s", i, m.payload[len(m.payload)-4:])
		}
		s := r.session("sub")
		s.mu.Lock()
		queued := s.queueBytes
		s.mu.Unlock()
		if queued > bound/4+size {
			t.Fatalf("%d bytes wait for one session", queued)
		}
		sub.ack(packet.Puback, m.id)
	}
}

// A live queue is bounded in bytes too: a message beyond is left to the log.
func TestQueueIsBoundedInBytes(t *testing.T) {
	const bound = 64 << 10
	r := newRig(t, func(c *Config) { c.MaxQueueBytes, c.MaxInflight = bound, 1 })
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 1)
	pub := r.connect(options{id: "pub"})
	pad := strings.Repeat("0", 10_000)
	for i := range 50 {
		pub.publish("a", pad+strconv.Itoa(i), 1, 1)
		pub.wantAck(0x40, 1)
		s := r.session("sub")
		s.mu.Lock()
		queued := s.queueBytes
		s.mu.Unlock()
		if queued > bound {
			t.Fatalf("%d bytes wait for one session", queued)
		}
	}
	for i := range 50 {
		m := sub.message()
		if m.payload != pad+strconv.Itoa(i) {
			t.Fatalf("message %d is another", i)
		}
		sub.ack(packet.Puback, m.id)
	}
}

// What retention has taken is counted and told, and delivery goes on behind it.
func TestGapIsTold(t *testing.T) {
	r := newLastingRig(t, nil)
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 1)
	r.fall(sub, "sub")
	first := len(r.sink.all(func(*event.Event) bool { return true }))
	pub := r.connect(options{id: "pub"})
	first++ // its KindConnected
	pub.publishNumbers("a", 1, 0, 100)
	r.sink.trim(uint64(first + 40))
	sub = r.connect(lasting("sub"))
	sub.wantNumbers(40, 100)
	pub.publishNumbers("a", 1, 100, 110)
	sub.wantNumbers(100, 110)
	r.mu.Lock()
	gaps := r.gaps
	r.mu.Unlock()
	if len(gaps) != 1 {
		t.Fatalf("%d gaps were told", len(gaps))
	}
	g := gaps[0]
	if g.Client != "sub" || g.Why != "retention" || g.To.Offset != uint64(first+40) || g.From.Offset > uint64(first) || g.Time.IsZero() {
		t.Errorf("gap %+v", g)
	}
	if n := testutil.ToFloat64(r.broker.metrics.gaps); n != 1 {
		t.Errorf("%v gaps counted", n)
	}
	if n := testutil.ToFloat64(r.broker.metrics.gapEvents); n != float64(g.To.Offset-g.From.Offset) {
		t.Errorf("%v events counted", n)
	}
}

// What was in flight when the broker was killed, and which retention has taken since, is given up and counted.
func TestInflightThatIsGone(t *testing.T) {
	r := newLastingRig(t, nil)
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 2)
	pub := r.connect(options{id: "pub"})
	pub.publishNumbers("a", 2, 0, 3)
	for range 3 {
		sub.message()
	}
	r.stored()
	r.die()
	sink := r.sink.reopened()
	sink.trimmed = uint64(len(sink.events))
	r = startRig(t, sink, r.path, nil)
	r.connect(options{id: "pub"}).publishNumbers("a", 1, 3, 5)
	r.connect(lasting("sub")).wantNumbers(3, 5)
	if n := r.dropped(dropPassed); n != 3 {
		t.Fatalf("%v given up", n)
	}
}

// Another Receive Maximum on the next connection holds for what is sent again, too.
func TestReceiveMaximumChanges(t *testing.T) {
	r := newRig(t, nil)
	with := func(most byte) *client {
		o := lasting("sub")
		o.props = append(o.props, 0x21, 0, most)
		return r.connect(o)
	}
	sub := with(10)
	sub.subscribe("a", 1)
	pub := r.connect(options{id: "pub"})
	pub.publishNumbers("a", 1, 0, 30)
	for range 10 {
		sub.message()
	}
	r.fall(sub, "sub")
	sub = with(3)
	for n := 0; n < 30; n += 3 {
		var got []received
		for i := range 3 {
			m := sub.message()
			if m.payload != strconv.Itoa(n+i) || m.dup() != (n+i < 10) {
				t.Fatalf("got %+v, want %d", m, n+i)
			}
			got = append(got, m)
		}
		sub.ping() // nothing comes beyond the window
		for _, m := range got {
			sub.ack(packet.Puback, m.id)
		}
	}
	pub.publishNumbers("a", 1, 30, 60)
	for range 3 {
		sub.message()
	}
	r.fall(sub, "sub")
	sub = with(20)
	for n := range 20 {
		if m := sub.message(); m.payload != strconv.Itoa(30+n) {
			t.Fatalf("got %+v", m)
		}
	}
	sub.ping()
}

// A large session's backlog is in order when both its ends of the log move.
func TestBacklogOverAKill(t *testing.T) {
	r := newLastingRig(t, nil)
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 1)
	r.fall(sub, "sub")
	r.stored()
	r.die()
	sink := r.sink.reopened()
	const n = 20_000
	sink.append("noise", 1, 0, 5_000, "")
	sink.append("a", 1, 0, n, "")
	r = startRig(t, sink, r.path, nil)
	sub = r.connect(lasting("sub"))
	began := time.Now()
	sub.wantNumbers(0, n/2)
	r.fall(sub, "sub")
	sub = r.connect(lasting("sub"))
	next := n / 2
	if m := sub.message(); m.payload != strconv.Itoa(next) { // what it acknowledged last may not have arrived
		if next, _ = strconv.Atoi(m.payload); next < n/2-256 || next > n/2 {
			t.Fatalf("goes on with %d", next)
		}
		sub.ack(packet.Puback, m.id)
	} else {
		sub.ack(packet.Puback, m.id)
	}
	sub.wantNumbers(next+1, n)
	t.Logf("%d messages in %s", n, time.Since(began).Round(time.Millisecond))
}

// What waits in memory for room when the broker is killed is owed as much as what is in flight.
func TestQueueOverAKill(t *testing.T) {
	r := newLastingRig(t, nil)
	o := lasting("sub")
	o.props = append(o.props, 0x21, 0, 2)
	sub := r.connect(o)
	sub.subscribe("a", 1)
	r.connect(options{id: "pub"}).publishNumbers("a", 1, 0, 20)
	if s := r.session("sub"); s.isBehind() {
		t.Fatal("nothing waits in memory")
	}
	r.stored()
	r = r.crash()
	r.connect(options{id: "pub"}).publishNumbers("a", 1, 20, 25)
	sub = r.connect(o)
	sub.wantNumbers(0, 25)
}
