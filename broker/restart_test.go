package broker

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/broker/packet"
	"pulso/broker/store"
)

// lasting is an MQTT 5 client whose session outlives its connection by an hour.
func lasting(id string) options {
	return options{version: 5, id: id, persistent: true, props: []byte{0x11, 0, 0, 14, 16}}
}

// subscribeWith subscribes with an identifier, which has one byte.
func (c *client) subscribeWith(filter string, opts, identifier byte) {
	c.t.Helper()
	c.send(rawPacketOf(0x82, append(appendString([]byte{0, 7, 2, 0x0b, identifier}, filter), opts)))
	if b := c.want(0x90); b[len(b)-1] > 2 {
		c.t.Fatalf("SUBACK %x", b)
	}
}

// bothEnds runs a test with a broker that is stopped in between, and with one that is killed.
func bothEnds(t *testing.T, test func(t *testing.T, r *rig, next func(*rig) *rig)) {
	t.Helper()
	t.Run("stopped", func(t *testing.T) { test(t, newLastingRig(t, nil), (*rig).restart) })
	t.Run("killed", func(t *testing.T) { test(t, newLastingRig(t, nil), (*rig).crash) })
}

func TestSessionOverRestart(t *testing.T) {
	bothEnds(t, func(t *testing.T, r *rig, next func(*rig) *rig) {
		sub := r.connect(lasting("sub"))
		if sub.present {
			t.Error("a session is present that never was")
		}
		sub.subscribeWith("own/x", 1|4, 11)  // No Local
		sub.subscribeWith("kept/x", 1|8, 12) // Retain As Published
		sub.subscribeWith("plain/x", 2|0x20, 0x7f)
		sub.subscribe("gone", 1)
		sub.send(rawPacketOf(0xa2, appendString([]byte{0, 9, 0}, "gone")))
		sub.want(0xb0)
		pub := r.connect(options{id: "pub"})
		pub.publishNumbers("plain/x", 2, 0, 3)
		sub.wantNumbers(0, 3)
		_ = sub.Close()
		r.ended("sub")
		pub.publishNumbers("plain/x", 1, 3, 20)

		r = next(r)
		pub = r.connect(options{id: "pub"})
		pub.publishNumbers("plain/x", 2, 20, 40)
		sub = r.connect(lasting("sub"))
		if !sub.present {
			t.Fatal("the session is not present")
		}
		sub.wantNumbers(3, 40)
		pub.publishNumbers("gone", 1, 0, 1)
		pub.send(rawPacketOf(0x33, append(append(appendString(nil, "kept/x"), 0, 5), "kept"...)))
		pub.wantAck(0x40, 5)
		if m := sub.message(); m.payload != "kept" || !m.retain() || m.qos() != 1 || string(m.props) != "\x0b\x0c" {
			t.Errorf("got %+v", m)
		}
		sub.publish("own/x", "mine", 1, 1)
		sub.wantAck(0x40, 1)
		pub.publish("own/x", "other", 1, 6)
		pub.wantAck(0x40, 6)
		if m := sub.message(); m.payload != "other" || string(m.props) != "\x0b\x0b" {
			t.Errorf("got %+v", m)
		}
	})
}

// What was sent and not acknowledged comes again, first and under the same identifiers.
func TestInflightOverRestart(t *testing.T) {
	bothEnds(t, func(t *testing.T, r *rig, next func(*rig) *rig) {
		sub := r.connect(lasting("sub"))
		sub.subscribe("a", 2)
		pub := r.connect(options{id: "pub"})
		pub.publishNumbers("a", 1, 0, 2)
		pub.publishNumbers("a", 2, 2, 5)
		var sent []received
		for range 5 {
			sent = append(sent, sub.message())
		}
		sub.ack(packet.Puback, sent[0].id)
		sub.ack(packet.Pubrec, sent[2].id)
		sub.wantAck(0x62, sent[2].id)
		sub.ping()
		r.stored()

		r = next(r)
		r.connect(options{id: "pub"}).publishNumbers("a", 1, 5, 6)
		sub = r.connect(lasting("sub"))
		for i, kind := range []byte{0: 0, 1: 0x3a, 2: 0x62, 3: 0x3c, 4: 0x3c} {
			if i == 0 {
				continue
			}
			first, body := sub.read()
			var id uint16
			if first>>4 == byte(packet.Publish) {
				m := sub.parse(first, body)
				if id = m.id; m.payload != strconv.Itoa(i) {
					t.Fatalf("got %q, want %d", m.payload, i)
				}
			} else {
				id = binary.BigEndian.Uint16(body)
			}
			if first != kind || id != sent[i].id {
				t.Fatalf("got packet %#x with id %d, want %#x with %d", first, id, kind, sent[i].id)
			}
		}
		if m := sub.message(); m.payload != "5" || m.dup() {
			t.Fatalf("got %+v", m)
		}
	})
}

// What was acknowledged in full does not come again, and its exchange is closed.
func TestSettledExchangesStaySettled(t *testing.T) {
	bothEnds(t, func(t *testing.T, r *rig, next func(*rig) *rig) {
		sub := r.connect(lasting("sub"))
		sub.subscribe("a", 2)
		r.connect(options{id: "pub"}).publishNumbers("a", 2, 0, 5)
		sub.wantNumbers(0, 5)
		sub.ping()
		r.stored()
		r = next(r)
		sub = r.connect(lasting("sub"))
		sub.ping() // nothing comes before the answer
		s := r.session("sub")
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.inflight) > 0 || s.behind {
			t.Fatalf("%d messages in flight, behind: %v", len(s.inflight), s.behind)
		}
	})
}

// A PUBLISH of QoS 2 is logged once, wherever between its steps the broker is killed.
func TestQoS2IsLoggedOnceOverAKill(t *testing.T) {
	for name, window := range map[string]struct {
		hold, mute, release bool
	}{
		"after the log, before its answer":      {mute: true},
		"after PUBREC, before the store":        {hold: true},
		"after PUBREC and the store":            {},
		"after PUBREL, before the store has it": {hold: true, release: true},
		"after PUBCOMP":                         {release: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newLastingRig(t, nil)
			c := r.connect(lasting("c"))
			r.stored()
			if window.hold {
				r.store.hold()
			}
			if window.mute {
				r.sink.setMute()
			}
			c.publish("a", "once", 2, 9)
			if window.mute {
				eventually(t, "the log", func() bool { return len(r.sink.topic("a")) == 1 })
			} else {
				c.wantAck(0x50, 9)
			}
			switch {
			case window.release && window.hold:
				c.ack(packet.Pubrel, 9)
				c.ping() // no PUBCOMP before it: what is not stored must not be answered
			case window.release:
				c.ack(packet.Pubrel, 9)
				c.wantAck(0x70, 9)
			case !window.hold && !window.mute:
				r.stored()
			}

			r = r.crash()
			c = r.connect(lasting("c"))
			if !c.present {
				t.Fatal("the session is gone")
			}
			if !window.release {
				c.publish("a", "once", 2, 9)
				c.wantAck(0x50, 9)
			}
			if !window.release || window.hold {
				c.ack(packet.Pubrel, 9)
				c.wantAck(0x70, 9)
			}
			if n := len(r.sink.topic("a")); n != 1 {
				t.Fatalf("logged %d times", n)
			}
			c.publish("a", "twice", 2, 9) // the identifier is free: this is another message
			c.wantAck(0x50, 9)
			if n := len(r.sink.topic("a")); n != 2 {
				t.Fatalf("%d messages in the log: the second was taken for the first", n)
			}
		})
	}
}

// What an exchange has come to counts, also where the checkpoint is from before it.
func TestReleasedIdentifierIsFreeAfterAKill(t *testing.T) {
	r := newLastingRig(t, nil)
	c := r.connect(lasting("c"))
	eventually(t, "the beginning of the connection is delivered", func() bool { return r.sink.settled.Load() > 0 })
	r.stored()
	r.broker.delivering.Lock() // what is stored has not been delivered, so the checkpoint stays
	c.publish("a", "one", 2, 9)
	c.wantAck(0x50, 9)
	c.ack(packet.Pubrel, 9)
	c.wantAck(0x70, 9)
	r.store.hold()
	r.broker.delivering.Unlock()
	r = r.crash()
	c = r.connect(lasting("c"))
	c.publish("a", "two", 2, 9)
	c.wantAck(0x50, 9)
	if got := payloads(r.sink.topic("a")); len(got) != 2 {
		t.Fatalf("the log has %q", got)
	}
}

// Identifiers that an earlier session of the client has left in the log are not those of its new session, though it began
// before the log had them.
func TestNewSessionInheritsNoIdentifiers(t *testing.T) {
	r := newLastingRig(t, nil)
	r.stored()
	old := r.connect(options{id: "c"})
	resume := r.sink.pause()
	defer resume()
	old.publish("a", "old", 2, 9)
	old.ping()
	connected := make(chan struct{})
	go func() {
		defer close(connected)
		r.dial().connect(lasting("c"))
	}()
	select {
	case <-connected:
		r.store.hold()
	case <-time.After(300 * time.Millisecond):
	}
	resume()
	<-connected
	eventually(t, "the log", func() bool { return len(r.sink.topic("a")) == 1 })
	r = r.crash()
	c := r.connect(lasting("c"))
	c.publish("a", "new", 2, 9)
	c.wantAck(0x50, 9)
	if got := payloads(r.sink.topic("a")); len(got) != 2 {
		t.Fatalf("the log has %q", got)
	}
}

// PUBREL is sent only when the store knows that PUBREC has come: the client then forgets the identifier.
func TestPubrelWaitsForTheStore(t *testing.T) {
	r := newLastingRig(t, nil)
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 2)
	r.connect(options{id: "pub"}).publishNumbers("a", 2, 0, 1)
	m := sub.message()
	release := r.store.hold()
	sub.ack(packet.Pubrec, m.id)
	sub.ping() // no PUBREL before it
	release()
	sub.wantAck(0x62, m.id)
	r = r.crash()
	sub = r.connect(lasting("sub"))
	sub.wantAck(0x62, m.id)
	sub.ack(packet.Pubcomp, m.id)
	sub.ping()
}

// A message of QoS 2 is sent only when the store knows its identifier.
func TestQoS2IsSentWhenItsIdentifierIsStored(t *testing.T) {
	r := newLastingRig(t, nil)
	sub := r.connect(lasting("sub"))
	sub.subscribe("a", 2)
	release := r.store.hold()
	pub := r.connect(options{id: "pub"})
	pub.publishNumbers("a", 2, 0, 1)
	sub.ping()
	release()
	m := sub.message()
	r = r.crash()
	sub = r.connect(lasting("sub"))
	if again := sub.message(); again.id != m.id || !again.dup() {
		t.Fatalf("sent as %d, then as %+v", m.id, again)
	}
}

func TestRetainedOverRestart(t *testing.T) {
	bothEnds(t, func(t *testing.T, r *rig, next func(*rig) *rig) {
		pub := r.connect(options{id: "pub"})
		retain := func(topic, payload string) {
			t.Helper()
			pub.send(rawPacketOf(0x33, append(append(appendString(nil, topic), 0, 1), payload...)))
			pub.wantAck(0x40, 1)
		}
		for i := range 300 {
			retain(fmt.Sprint("state/", i), "old")
		}
		r.stored()
		retain("state/7", "new") // some of it is in the store, some in the log alone
		retain("state/8", "")
		retain("state/new", "x")
		if err := r.sink.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		r = next(r)
		if n := r.broker.retained.count.Load(); n != 300 {
			t.Fatalf("%d are retained", n)
		}
		sub := r.connect(options{id: "sub"})
		sub.subscribe("state/#", 0)
		got := map[string]string{}
		for range 300 {
			m := sub.message()
			if !m.retain() {
				t.Fatalf("without RETAIN: %+v", m)
			}
			got[m.topic] = m.payload
		}
		sub.ping()
		if got["state/7"] != "new" || got["state/8"] != "" || got["state/new"] != "x" || got["state/9"] != "old" {
			t.Fatalf("got %q %q %q", got["state/7"], got["state/8"], got["state/new"])
		}
	})
}

// A store that is new learns what is retained from the log.
func TestRetainedOfALogWithoutAStore(t *testing.T) {
	sink := &memorySink{queue: make(chan entry, 4096)}
	for i := range 1000 {
		sink.events = append(sink.events, event.Event{
			Position: event.Position{Epoch: 1, Offset: uint64(i)}, Topic: fmt.Sprint("s/", i%10),
			Payload: strconv.AppendInt(nil, int64(i), 10), Retain: i%100 < 10,
		})
	}
	r := startRig(t, sink, t.TempDir()+"/state.db", nil)
	r = r.crash() // and has not forgotten it the next time
	sub := r.connect(options{id: "sub"})
	sub.subscribe("s/+", 0)
	for i := range 10 {
		if m := sub.message(); m.topic != fmt.Sprint("s/", i) || m.payload != strconv.Itoa(900+i) {
			t.Fatalf("got %+v", m)
		}
	}
	sub.ping()
}

func TestDelayedWillOverRestart(t *testing.T) {
	bothEnds(t, func(t *testing.T, r *rig, next func(*rig) *rig) {
		o := lasting("d")
		o.will, o.willProps = "lwt", []byte{0x18, 0, 0, 0, 1}
		_ = r.connect(o).Close()
		hour := lasting("e")
		hour.will, hour.willProps = "lwt", []byte{0x18, 0, 0, 14, 16}
		_ = r.connect(hour).Close()
		r.ended("d")
		r.ended("e")
		r.stored()
		if n := len(r.sink.topic("lwt")); n > 0 {
			t.Fatalf("%d wills before their time", n)
		}
		r = next(r)
		eventually(t, "the will", func() bool { return len(r.sink.kind(event.KindWill, "d")) == 1 })
		r.connect(hour).send([]byte{0xe0, 0}) // back in time
		r.ended("e")
		r.stored()
		r = next(r)
		r.connect(hour).ping()
		if n := len(r.sink.kind(event.KindWill, "")); n != 1 {
			t.Fatalf("%d wills in all", n)
		}
	})
}

// A delayed will leaves the store when the log has it, not before.
func TestWillOnItsWaySurvivesAKill(t *testing.T) {
	r := newLastingRig(t, nil)
	o := lasting("d")
	o.will, o.willProps = "lwt", []byte{0x18, 0, 0, 14, 16}
	_ = r.connect(o).Close()
	r.ended("d")
	r.stored()
	resume := r.sink.pause()
	defer resume()
	clean := o
	clean.persistent, clean.will, clean.willProps, clean.props = false, "", nil, nil
	r.connect(clean) // ends the session, and so sends the will
	eventually(t, "the will on its way", func() bool {
		w := r.broker.wills
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.pending["d"] == nil || w.pending["d"].taken
	})
	if err := r.broker.journal.sync(t.Context().Done()); err != nil {
		t.Fatal(err)
	}
	r = r.crash()
	r.connect(clean).ping()
	eventually(t, "the will", func() bool { return len(r.sink.kind(event.KindWill, "d")) == 1 })
}

func TestSessionExpiryOverRestart(t *testing.T) {
	bothEnds(t, func(t *testing.T, r *rig, next func(*rig) *rig) {
		short := options{version: 5, id: "short", persistent: true, props: []byte{0x11, 0, 0, 0, 1}}
		c := r.connect(short)
		c.subscribe("a", 1)
		_ = c.Close()
		r.ended("short")
		eventually(t, "its place among those without a connection", func() bool {
			r.broker.mu.Lock()
			defer r.broker.mu.Unlock()
			return r.broker.offline["short"] != nil
		})
		r.stored()
		r.connect(lasting("long")).subscribe("a", 1)
		began := time.Now()
		r.stored()
		r = next(r)
		eventually(t, "the end of the session", func() bool { return r.session("short") == nil })
		if d := time.Since(began); d > 4*time.Second {
			t.Errorf("it ended after %s", d)
		}
		if c := r.connect(short); c.present {
			t.Error("the session is back")
		}
		if c := r.connect(lasting("long")); !c.present {
			t.Error("the other session is gone")
		}
	})
}

func TestEndedSessionsStayEnded(t *testing.T) {
	bothEnds(t, func(t *testing.T, r *rig, next func(*rig) *rig) {
		for _, id := range []string{"clean", "zero"} {
			r.connect(lasting(id)).subscribe("a", 1)
		}
		r.stored()
		r.connect(options{version: 5, id: "clean"}).ping() // Clean Start, without a session to follow
		c := r.connect(lasting("zero"))
		c.send([]byte{0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0}) // expires with its connection
		c.wantEnd()
		r.ended("zero")
		eventually(t, "the end of the session", func() bool { return r.session("zero") == nil })
		r.stored()
		r = next(r)
		for _, id := range []string{"clean", "zero"} {
			if r.connect(lasting(id)).present {
				t.Errorf("%s: the session is back", id)
			}
		}
		if n := r.broker.subscriptions.Load(); n != 0 {
			t.Errorf("%d subscriptions", n)
		}
	})
}

// TestCleanStartIsFinalAtItsAnswer: what has ended by the CONNACK does not come back.
func TestCleanStartIsFinalAtItsAnswer(t *testing.T) {
	r := newLastingRig(t, nil)
	r.connect(lasting("c")).subscribe("a", 1)
	r.stored()
	release := r.store.hold()
	connected := make(chan struct{})
	go func() {
		defer close(connected)
		r.dial().connect(options{version: 5, id: "c"})
	}()
	select {
	case <-connected:
	case <-time.After(300 * time.Millisecond):
		release()
		<-connected
	}
	r = r.crash()
	if r.connect(lasting("c")).present {
		t.Error("the session is back")
	}
}

// TestSubscriptionIsStoredAtItsAnswer: a SUBACK promises that the subscription is kept.
func TestSubscriptionIsStoredAtItsAnswer(t *testing.T) {
	r := newLastingRig(t, nil)
	c := r.connect(lasting("c"))
	c.subscribe("a", 1)
	c.subscribe("b", 1)
	c.send(rawPacketOf(0xa2, appendString([]byte{0, 9, 0}, "b")))
	c.want(0xb0)
	r = r.crash()
	r.connect(options{id: "pub"}).publishNumbers("a", 1, 0, 1)
	r.connect(options{id: "pub"}).publishNumbers("b", 1, 0, 1)
	r.connect(options{id: "pub"}).publishNumbers("a", 1, 1, 2)
	r.connect(lasting("c")).wantNumbers(0, 2)
}

func TestSessionBelongsToItsUser(t *testing.T) {
	change := func(c *Config) {
		c.Authenticate = accept(func(user string, _ []byte) bool { return user != "" })
	}
	r := newLastingRig(t, change)
	alice := lasting("c")
	alice.user = "alice"
	mallory := alice
	mallory.user = "mallory"
	r.connect(alice).subscribe("secret", 1)
	r.stored()
	for range 2 {
		if code := r.dial().connect(mallory); code != codeClientID {
			t.Fatalf("CONNACK %#x", code)
		}
		if !r.connect(alice).present {
			t.Fatal("the session is gone")
		}
		r = r.restart()
	}
}

// TestStoreWithoutRoom: what cannot be stored is not answered, and all goes on when there is room again.
func TestStoreWithoutRoom(t *testing.T) {
	r := newLastingRig(t, nil)
	c := r.connect(lasting("c"))
	c.publish("a", "x", 2, 9)
	c.wantAck(0x50, 9)
	r.stored()
	r.store.setFail(store.ErrFull)
	c.ack(packet.Pubrel, 9)
	eventually(t, "the error", func() bool { return r.broker.Err() != nil })
	c.ping() // nothing else is answered before
	r.connect(options{id: "other"}).publishNumbers("a", 1, 0, 10)
	r.store.setFail(nil)
	c.wantAck(0x70, 9)
	eventually(t, "no error", func() bool { return r.broker.Err() == nil })
	c.subscribe("a", 1)
	r.crash().connect(lasting("c")).ping()
}

// TestStoreThatFailed: nothing is promised any more that it would have to keep.
func TestStoreThatFailed(t *testing.T) {
	r := newLastingRig(t, nil)
	c := r.connect(lasting("c"))
	r.store.setFail(store.ErrFailed)
	if code := c.subscribe("a", 1); code != codeUnspecified {
		t.Fatalf("SUBACK %#x", code)
	}
	if r.broker.Err() == nil {
		t.Fatal("no error")
	}
	if code := c.subscribe("b", 1); code != codeUnspecified {
		t.Fatalf("SUBACK %#x", code)
	}
	c.publish("a", "x", 2, 9)
	for range 2 { // PUBREC, and what the subscription of QoS 1 gets, though it will not be kept
		if first, _ := c.read(); first == 0x70 {
			t.Fatal("PUBCOMP")
		}
	}
	c.ack(packet.Pubrel, 9)
	c.ping()
	memory := r.connect(options{id: "memory"}) // whose session is not to be kept
	memory.subscribe("b", 1)
	memory.publishNumbers("c", 2, 0, 3)
}
