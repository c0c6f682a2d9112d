package broker

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

func TestDeliveryFollowsTheLog(t *testing.T) {
	r := newRig(t, nil)
	sub := r.connect(options{id: "sub"})
	sub.subscribe("#", 0)
	const publishers, each = 8, 50
	var wg sync.WaitGroup
	for p := range publishers {
		c := r.connect(options{id: fmt.Sprint("pub", p)})
		wg.Go(func() {
			for i := range each {
				c.publish("t", fmt.Sprintf("%d-%d", p, i), 1, uint16(i+1))
				c.wantAck(0x40, uint16(i+1))
			}
		})
	}
	var got []string
	for range publishers * each {
		_, payload, _ := sub.wantMessage()
		got = append(got, payload)
	}
	wg.Wait()
	if want := payloads(r.sink.topic("t")); !slices.Equal(got, want) {
		t.Fatal("subscribers see another order than the log")
	}
}

func TestNoLocal(t *testing.T) {
	r := newRig(t, nil)
	a := r.connect(options{version: 5, id: "a"})
	b := r.connect(options{version: 5, id: "b"})
	a.subscribe("chat/x", 4)
	a.publish("chat/x", "mine", 0, 0)
	b.publish("chat/x", "other", 1, 1)
	if _, payload, _ := a.wantMessage(); payload != "other" {
		t.Fatalf("got %q", payload)
	}
}

func TestRetained(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxRetained = 2_000 })
	pub := r.paho("pub")
	for i := range 2_000 {
		wait(t, pub.Publish(fmt.Sprintf("state/%d", i), 0, true, "on"))
	}
	wait(t, pub.Publish("state/full", 1, true, "x")) // delivered, not retained
	wait(t, pub.Publish("state/7", 1, true, ""))     // cleared
	eventually(t, "all retained", func() bool { return r.broker.retained.count.Load() == 1_999 })
	for _, qos := range []byte{0, 1} {
		sub := r.connect(options{id: fmt.Sprint("sub", qos)})
		sub.subscribe("state/#", qos)
		seen := map[string]bool{}
		for len(seen) < 1_999 {
			topic, _, id := sub.wantMessage()
			seen[topic] = true
			if id > 0 {
				sub.send(packet.AppendAck(nil, packet.Puback, id, 0, 4))
			}
		}
		if seen["state/7"] || seen["state/full"] {
			t.Fatal("a message that is not retained was replayed")
		}
	}
}

func TestRetainHandling(t *testing.T) {
	r := newRig(t, nil)
	wait(t, r.paho("pub").Publish("s", 1, true, "on"))
	eventually(t, "retained", func() bool { return r.broker.retained.count.Load() == 1 })
	c := r.connect(options{version: 5, id: "sub"})
	c.subscribe("s", 0x20) // never
	c.ping()
	c.subscribe("s", 0x10) // if new: it is not
	c.ping()
	c.subscribe("s", 0)
	if _, payload, _ := c.wantMessage(); payload != "on" {
		t.Fatalf("got %q", payload)
	}
}

func TestOfflineQueueInOrder(t *testing.T) {
	r := newRig(t, nil)
	sub := r.connect(options{id: "sub", persistent: true})
	sub.subscribe("q", 1)
	sub.send([]byte{0xe0, 0})
	sub.wantEnd()
	eventually(t, "the end of the connection", func() bool { return len(r.sink.kind(event.KindDisconnected, "sub")) == 1 })
	pub := r.paho("pub")
	const n = 600
	for i := range n {
		wait(t, pub.Publish("q", 1, false, fmt.Sprint(i)))
	}
	sub = r.connect(options{id: "sub", persistent: true})
	for i := range n {
		_, payload, id := sub.wantMessage()
		if payload != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, payload)
		}
		sub.send(packet.AppendAck(nil, packet.Puback, id, 0, 4))
	}
}

func TestUnacknowledgedIsSentAgain(t *testing.T) {
	r := newRig(t, nil)
	sub := r.connect(options{id: "sub", persistent: true})
	sub.subscribe("q", 2)
	pub := r.paho("pub")
	wait(t, pub.Publish("q", 1, false, "one"))
	wait(t, pub.Publish("q", 2, false, "two"))
	_, _, first := sub.wantMessage()
	_, _, second := sub.wantMessage()
	sub.send(packet.AppendAck(nil, packet.Pubrec, second, 0, 4))
	sub.wantAck(0x62, second)
	_ = sub.Close()

	sub = r.connect(options{id: "sub", persistent: true})
	head, body := sub.read()
	if head != 0x3a || string(body[5:]) != "one" {
		t.Fatalf("got %#x %q, want the first message again with DUP", head, body)
	}
	sub.wantAck(0x62, second)
	sub.send(packet.AppendAck(nil, packet.Puback, first, 0, 4))
	sub.send(packet.AppendAck(nil, packet.Pubcomp, second, 0, 4))
	sub.ping()
	s := r.broker.sessions["sub"]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inflight) != 0 {
		t.Fatalf("%d messages are still in flight", len(s.inflight))
	}
}

func TestReceiveMaximumIsHonoured(t *testing.T) {
	r := newRig(t, nil)
	sub := r.connect(options{version: 5, id: "sub", props: []byte{0x21, 0, 2}})
	sub.subscribe("q", 1)
	pub := r.paho("pub")
	for i := range 50 {
		wait(t, pub.Publish("q", 1, false, fmt.Sprint(i)))
	}
	for i := 0; i < 50; i += 2 {
		_, a, id := sub.wantMessage()
		_, b, id2 := sub.wantMessage()
		if a != fmt.Sprint(i) || b != fmt.Sprint(i+1) {
			t.Fatalf("got %s and %s at %d", a, b, i)
		}
		sub.ping() // nothing comes beyond the window
		sub.send(packet.AppendAck(nil, packet.Puback, id, 0, 5))
		sub.send(packet.AppendAck(nil, packet.Puback, id2, 0, 5))
	}
}

func TestSharedSubscription(t *testing.T) {
	r := newRig(t, nil)
	a, b := r.connect(options{id: "a"}), r.connect(options{id: "b"})
	a.subscribe("$share/g/w", 0)
	b.subscribe("$share/g/w", 0)
	pub := r.paho("pub")
	for i := range 10 {
		wait(t, pub.Publish("w", 1, false, fmt.Sprint(i)))
	}
	for range 5 {
		a.wantMessage()
		b.wantMessage()
	}
	a.ping()
	b.ping()
}
