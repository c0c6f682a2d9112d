package mqtt5

import (
	"fmt"
	"slices"
	"time"

	"pulso/test/conformance/wire"
)

// share is a filter shared by this test's clients, for its topic x.
func (s *suite) share() string { return "$share/" + s.own() + "/" + s.topic("x") }

// sharedQoS has members with different QoS in a group: each message comes to one of them, at no more than its QoS.
func sharedQoS(s *suite) {
	var members []*wire.Client
	for qos := range byte(3) {
		c := s.client(fmt.Sprint(qos))
		c.Subscribe(s.share(), qos)
		members = append(members, c)
	}
	pub := s.publisher()
	for published := range byte(3) {
		const n = 20
		for i := range n {
			pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: fmt.Sprint(i), QoS: published})
		}
		var all []string
		for qos, c := range members {
			for _, p := range c.Drain() {
				all = append(all, p.Payload)
				if p.QoS != min(published, byte(qos)) {
					s.Errorf("granted %d, published %d: got %v", qos, published, p)
				}
				c.Acknowledge(p)
			}
		}
		slices.Sort(all)
		if len(all) != n || len(slices.Compact(all)) != n {
			s.Errorf("%d messages were shared as %q", n, all)
		}
	}
}

// chosen publishes until the message is with one of two members, and returns it, the other and the message.
func (s *suite) chosen(a, b *wire.Client, qos byte) (with, other *wire.Client, message *wire.Received) {
	s.Helper()
	s.publisher().Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: qos})
	if got := a.Drain(); len(got) == 1 {
		return a, b, got[0]
	}
	got := b.Drain()
	if len(got) != 1 {
		s.Fatalf("neither member got the message once: %v", got)
	}
	return b, a, got[0]
}

// members are two clients with lasting sessions that share a subscription at QoS 2.
func (s *suite) members() (a, b *wire.Client) {
	s.Helper()
	a, b = s.lasting("a"), s.lasting("b")
	a.Subscribe(s.share(), 2)
	b.Subscribe(s.share(), 2)
	return a, b
}

// name is what lasting and resume know a client by.
func (s *suite) name(c *wire.Client) string { return c.ID[len(s.id("")):] }

// sharedCompletes cuts a member off in the middle of a delivery at QoS 2, before and after its PUBREC.
func sharedCompletes(s *suite) {
	a, b := s.members()
	with, other, p := s.chosen(a, b, 2)
	with.Close()
	other.ExpectNoMessage()
	with = s.resume(s.name(with))
	again := with.Await(wire.PUBLISH, 0)
	if again.ID != p.ID || !again.Dup || again.Payload != "1" {
		s.Errorf("first %v, then %v", p, again)
	}
	with.Send(&wire.Ack{Type: wire.PUBREC, ID: p.ID})
	with.Expect(wire.PUBREL)
	with.Close()
	other.ExpectNoMessage()
	with = s.resume(s.name(with))
	if rel := with.Expect(wire.PUBREL); rel.ID != p.ID {
		s.Errorf("got %v", rel)
	}
	with.Send(&wire.Ack{Type: wire.PUBCOMP, ID: p.ID})
	other.ExpectNoMessage()
}

func sharedSessionEnds(s *suite) {
	a, b := s.members()
	with, other, _ := s.chosen(a, b, 2)
	with.Disconnect(0, wire.Num(wire.SessionExpiry, 0))
	other.ExpectNoMessage()
	with = s.client(s.name(with))
	with.Subscribe(s.share(), 2)
	with.ExpectNoMessage()
	other.ExpectSilence(300 * time.Millisecond)
}

func sharedRefused(s *suite) {
	for qos, answer := range map[byte]wire.Type{1: wire.PUBACK, 2: wire.PUBREC} {
		a, b := s.members()
		with, other, p := s.chosen(a, b, qos)
		with.Send(&wire.Ack{Type: answer, ID: p.ID, Code: 0x80})
		with.ExpectNothing()
		other.ExpectNoMessage()
		with.Disconnect(0, wire.Num(wire.SessionExpiry, 0))
		other.ExpectNoMessage()
		other.Disconnect(0, wire.Num(wire.SessionExpiry, 0))
	}
}

// sharedTakeOver ends the session of a member that holds an unacknowledged message at QoS 1: another gets it [MQTT-5 4.8.2].
func sharedTakeOver(s *suite) {
	a, b := s.members()
	with, other, _ := s.chosen(a, b, 1)
	with.Disconnect(0, wire.Num(wire.SessionExpiry, 0))
	other.ReceiveMessage(s.topic("x"), "1")
}

// sharedBeside wants a shared subscription to be apart from the client's own, and groups apart from each other.
func sharedBeside(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 1, wire.Num(wire.SubscriptionID, 1))
	c.Subscribe("$share/"+s.own()+"1/"+s.topic("x"), 1, wire.Num(wire.SubscriptionID, 2))
	c.Subscribe("$share/"+s.own()+"2/"+s.topic("x"), 1, wire.Num(wire.SubscriptionID, 3))
	s.publisher().Publish(&wire.Publish{Topic: s.topic("x"), QoS: 1})
	var ids []uint32
	for _, p := range c.Drain() {
		ids = append(ids, p.Props.SubscriptionIDs()...)
	}
	slices.Sort(ids)
	equal(s, "identifiers", ids, []uint32{1, 2, 3})
}

// sharedWithoutRetained wants no retained messages for a shared subscription [MQTT-5 4.8.2].
func sharedWithoutRetained(s *suite) {
	s.retain(s.topic("x"), "kept", 1)
	c := s.client("a")
	c.Subscribe(s.share(), 1)
	c.ExpectNoMessage()
}

// sharedOrder wants what one member gets of one publisher in its order, and everything to come to somebody.
func sharedOrder(s *suite) {
	a, b := s.members()
	pub := s.publisher()
	const n = 50
	for i := range n {
		pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: fmt.Sprintf("%02d", i), QoS: 1})
	}
	var all []string
	for _, c := range []*wire.Client{a, b} {
		got := payloads(c.Drain())
		if !slices.IsSorted(got) {
			s.Errorf("out of order: %q", got)
		}
		all = append(all, got...)
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != n {
		s.Errorf("got %q", all)
	}
}
