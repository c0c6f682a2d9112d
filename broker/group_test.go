package broker

import (
	"strconv"
	"testing"

	"pulso/broker/packet"
)

// member is an MQTT 5 client with a session of an hour and a window.
func (r *rig) member(id string, window, qos byte) *client {
	r.t.Helper()
	o := lasting(id)
	o.props = append(o.props, 0x21, 0, window)
	c := r.connect(o)
	if !c.present {
		c.subscribe("$share/g/w", qos)
	}
	return c
}

func TestGroupTakesTurns(t *testing.T) {
	r := newRig(t, nil)
	members := []*client{r.member("a", 100, 1), r.member("b", 100, 1), r.member("c", 100, 1)}
	r.connect(options{id: "pub"}).publishNumbers("w", 1, 0, 30)
	for n := range 30 {
		if m := members[n%3].message(); m.payload != strconv.Itoa(n) {
			t.Fatalf("member %d got %s, want %d", n%3, m.payload, n)
		}
	}
	for _, c := range members {
		c.ping()
	}
}

// What a member has not acknowledged at QoS 1 another one gets, in order and before what is newer.
func TestGroupTakeoverInOrder(t *testing.T) {
	r := newRig(t, nil)
	a := r.member("a", 10, 1)
	pub := r.connect(options{id: "pub"})
	pub.publishNumbers("w", 1, 0, 10)
	var ids []uint16
	for range 10 {
		ids = append(ids, a.message().id)
	}
	a.ack(packet.Puback, ids[3])
	a.ping()
	b := r.member("b", 4, 1)
	pub.publishNumbers("w", 1, 10, 20)
	if m := a.message(); m.payload != "10" { // its window has room for one; the next four go to b
		t.Fatalf("a got %+v", m)
	}
	ids = nil
	for n := 11; n < 15; n++ {
		m := b.message()
		if m.payload != strconv.Itoa(n) {
			t.Fatalf("b got %+v, want %d", m, n)
		}
		ids = append(ids, m.id)
	}
	r.fall(a, "a")
	for _, id := range ids {
		b.ack(packet.Puback, id)
	}
	for _, n := range []int{0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 18, 19} {
		m := b.message()
		if m.payload != strconv.Itoa(n) {
			t.Fatalf("b got %+v, want %d", m, n)
		}
		b.ack(packet.Puback, m.id)
	}
	b.ping()
}

// What has been sent to a member at QoS 2 stays its own [MQTT-4.8.2-4].
func TestGroupQoS2Stays(t *testing.T) {
	r := newLastingRig(t, nil)
	a := r.member("a", 10, 2)
	pub := r.connect(options{id: "pub"})
	pub.publishNumbers("w", 2, 0, 3)
	var ids []uint16
	for range 3 {
		ids = append(ids, a.message().id)
	}
	b := r.member("b", 10, 2)
	r.fall(a, "a")
	pub.publishNumbers("w", 2, 3, 5)
	b.wantNumbers(3, 5)
	b.ping()
	r.stored()
	r = r.crash()
	b = r.member("b", 10, 2)
	b.ping()
	a = r.member("a", 10, 2)
	for n := range 3 {
		if m := a.message(); m.payload != strconv.Itoa(n) || m.id != ids[n] || !m.dup() {
			t.Fatalf("a got %+v", m)
		}
	}
	a.ping()
}

// What was meant for a member at QoS 2 and has not been sent to it goes to another.
func TestGroupQoS2ThatWasNotSent(t *testing.T) {
	r := newLastingRig(t, nil)
	a := r.member("a", 10, 2)
	release := r.store.hold()
	defer release()
	r.connect(options{id: "pub"}).publishNumbers("w", 2, 0, 3)
	a.ping() // nothing is sent before its identifier is stored
	r.fall(a, "a")
	release()
	r.member("b", 10, 2).wantNumbers(0, 3)
}

// A group without anybody, or without room, is behind: it gets everything from the log, in order.
func TestGroupCatchesUp(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxQueue = 10 })
	a := r.member("a", 3, 1)
	pub := r.connect(options{id: "pub"})
	pub.publishNumbers("w", 1, 0, 200) // no room
	if r.broker.behind.Load() != 1 {
		t.Fatal("the group is not behind")
	}
	a.wantNumbers(0, 200)
	a.ping()
	r.fall(a, "a")
	for n := range 50 {
		pub.publish("w", "QoS 0 with nobody there", 0, 0)
		pub.publishNumbers("w", 1, 200+n, 201+n)
	}
	a = r.member("a", 3, 1)
	a.wantNumbers(200, 250)
	pub.publishNumbers("w", 1, 250, 260)
	a.wantNumbers(250, 260)
	if r.broker.behind.Load() != 0 {
		t.Fatal("the group is behind although it has everything")
	}
}

func TestGroupOverRestart(t *testing.T) {
	bothEnds(t, func(t *testing.T, r *rig, next func(*rig) *rig) {
		a, b := r.member("a", 10, 1), r.member("b", 10, 1)
		pub := r.connect(options{id: "pub"})
		pub.publishNumbers("w", 1, 0, 8)
		for n := range 4 {
			m := a.message()
			if m.payload != strconv.Itoa(2*n) {
				t.Fatalf("a got %+v", m)
			}
			if n == 0 {
				a.ack(packet.Puback, m.id)
			}
			b.ack(packet.Puback, b.message().id)
		}
		a.ping()
		b.ping()
		r.fall(a, "a")
		r.fall(b, "b")
		pub.publishNumbers("w", 1, 8, 20)
		r.stored()
		r = next(r)
		r.connect(options{id: "pub"}).publishNumbers("w", 1, 20, 30)
		b = r.member("b", 10, 1) // gets what a had, too
		for _, n := range []int{2, 4, 6} {
			m := b.message()
			if m.payload != strconv.Itoa(n) {
				t.Fatalf("b got %+v, want %d", m, n)
			}
			b.ack(packet.Puback, m.id)
		}
		b.wantNumbers(8, 30)
		b.ping()
	})
}

// A group ends with its last member, and so does what it was owed.
func TestGroupEndsWithItsLastMember(t *testing.T) {
	r := newLastingRig(t, nil)
	a, b := r.member("a", 10, 1), r.member("b", 10, 1)
	leave := func(c *client) {
		c.send(rawPacketOf(0xa2, appendString([]byte{0, 9, 0}, "$share/g/w")))
		c.want(0xb0)
	}
	leave(a)
	pub := r.connect(options{id: "pub"})
	pub.publishNumbers("w", 1, 0, 5)
	b.wantNumbers(0, 5)
	leave(b)
	pub.publishNumbers("w", 1, 5, 10)
	r.stored()
	r = r.crash()
	if len(r.broker.groups) > 0 || r.broker.behind.Load() > 0 {
		t.Fatal("the group is back")
	}
	a = r.member("a", 10, 1)
	a.subscribe("$share/g/w", 1)
	a.ping()
	r.connect(options{id: "pub"}).publishNumbers("w", 1, 10, 12)
	a.wantNumbers(10, 12)
}

// The group that retention has passed by says so under its own name.
func TestGroupGap(t *testing.T) {
	r := newRig(t, nil)
	r.fall(r.member("a", 10, 1), "a")
	r.connect(options{id: "pub"}).publishNumbers("w", 1, 0, 10)
	_, end := r.sink.Bounds()
	r.sink.trim(end.Offset - 5)
	r.member("a", 10, 1).wantNumbers(5, 10)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.gaps) != 1 || r.gaps[0].Client != "$share/g/w" || r.gaps[0].Why != "retention" {
		t.Fatalf("gaps %+v", r.gaps)
	}
}
