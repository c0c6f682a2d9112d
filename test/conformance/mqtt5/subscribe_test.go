package mqtt5

import (
	"fmt"
	"slices"

	"pulso/test/conformance/wire"
)

func subscribeFlags(s *suite) {
	for _, flags := range []byte{0, 1, 3, 6, 10, 15} {
		s.breaks(fmt.Sprint(flags),
			wire.Raw(wire.Packet(byte(wire.SUBSCRIBE)<<4|flags, wire.U16(1), []byte{0}, wire.Str(s.topic("x")), []byte{0})), 0x81)
	}
}

func unsubscribeFlags(s *suite) {
	for _, flags := range []byte{0, 1, 3, 6, 10, 15} {
		s.breaks(fmt.Sprint(flags), wire.Raw(wire.Packet(byte(wire.UNSUBSCRIBE)<<4|flags, wire.U16(1), []byte{0}, wire.Str(s.topic("x")))), 0x81)
	}
}

func subscribeNothing(s *suite) {
	s.breaks("no filter", &wire.Subscribe{ID: 1})
	s.breaks("no options", wire.Raw(wire.Packet(wire.SUBSCRIBE.First(), wire.U16(1), []byte{0}, wire.Str(s.topic("x")))))
	s.breaks("no properties", wire.Raw(wire.Packet(wire.SUBSCRIBE.First(), wire.U16(1))))
	s.breaks("no packet id", wire.Raw(wire.Packet(wire.SUBSCRIBE.First())))
	s.breaks("second filter cut off", wire.Raw(wire.Packet(wire.SUBSCRIBE.First(), wire.U16(1), []byte{0}, wire.Str("a"), []byte{0, 0, 9, 'x'})))
}

func unsubscribeNothing(s *suite) {
	s.breaks("no filter", &wire.Unsubscribe{ID: 1})
	s.breaks("no properties", wire.Raw(wire.Packet(wire.UNSUBSCRIBE.First(), wire.U16(1))))
	s.breaks("filter cut off", wire.Raw(wire.Packet(wire.UNSUBSCRIBE.First(), wire.U16(1), []byte{0, 0, 9, 'x'})))
}

func subscribeReserved(s *suite) {
	for _, options := range []byte{0x40, 0x80, 0xc0, 0x03, 0x30} { // QoS 3 and retain handling 3 are no values either
		s.breaks(fmt.Sprintf("0x%02x", options), &wire.Subscribe{ID: 1, Filters: []wire.Filter{{Filter: s.topic("x"), Options: options}}})
	}
}

// subackCodes mixes filters that are good with some that are bad: a code for each, in their order.
func subackCodes(s *suite) {
	c := s.client("a")
	filters := []wire.Filter{
		{Filter: s.topic("a"), Options: 2},
		{Filter: s.topic("a/#/b"), Options: 1},
		{Filter: s.topic("b"), Options: 0},
		{Filter: s.topic("b+"), Options: 2},
		{Filter: s.topic("c"), Options: 1},
		{Filter: "$share/" + s.own() + "/" + s.topic("d"), Options: 2},
	}
	ack := c.TrySubscribe(&wire.Subscribe{Filters: filters})
	failed := func(code byte) byte { return code & 0x80 }
	equal(s, "granted", []byte{ack.Codes[0], ack.Codes[2], ack.Codes[4], ack.Codes[5]}, []byte{2, 0, 1, 2})
	equal(s, "failed", []byte{failed(ack.Codes[1]), failed(ack.Codes[3])}, []byte{0x80, 0x80})
	for _, f := range []string{"a", "b", "c"} { // those beside a bad one are made
		c.Publish(&wire.Publish{Topic: s.topic(f), Payload: f})
		c.ReceiveMessage(s.topic(f), f)
	}
}

func subscribeMany(s *suite) {
	s.publisher().Publish(&wire.Publish{Topic: s.topic("a"), Payload: "kept", QoS: 1, Retain: true})
	c := s.client("a")
	var filters []wire.Filter
	var want []byte
	for i := range 50 {
		filters = append(filters, wire.Filter{Filter: s.topic(fmt.Sprint(i)), Options: byte(i % 3)})
		want = append(want, byte(i%3))
	}
	// The same filter twice in one packet replaces itself, as in two packets.
	filters = append(filters, wire.Filter{Filter: s.topic("a"), Options: 0}, wire.Filter{Filter: s.topic("a"), Options: 1})
	equal(s, "codes", c.TrySubscribe(&wire.Subscribe{Filters: filters}).Codes, append(want, 0, 1))
	for range 2 { // each sends the retained message
		c.ReceiveMessage(s.topic("a"), "kept")
	}
	c.Publish(&wire.Publish{Topic: s.topic("a"), Payload: "1", QoS: 1})
	if got := c.ReceiveMessage(s.topic("a"), "1"); got.QoS != 1 {
		s.Errorf("got %v", got)
	}
	c.Publish(&wire.Publish{Topic: s.topic("47"), Payload: "2", QoS: 2})
	if got := c.ReceiveMessage(s.topic("47"), "2"); got.QoS != 2 {
		s.Errorf("got %v", got)
	}
	c.ExpectNoMessage()
}

func lesserQoS(s *suite) {
	for granted := range byte(3) {
		c := s.client("a")
		c.Subscribe(s.topic("x"), granted)
		for published := range byte(3) {
			c.Publish(&wire.Publish{Topic: s.topic("x"), QoS: published})
			if got := c.ReceiveMessage(s.topic("x"), ""); got.QoS != min(granted, published) {
				s.Errorf("granted %d, published %d: got %v", granted, published, got)
			}
		}
	}
}

func noLocal(s *suite) {
	c, other := s.lasting("a"), s.client("b")
	c.Subscribe(s.topic("own"), 1|wire.NoLocal)
	c.Subscribe(s.topic("all"), 1)
	other.Subscribe(s.topic("own"), 1|wire.NoLocal)
	for _, to := range []string{"own", "all"} {
		c.Publish(&wire.Publish{Topic: s.topic(to), Payload: "mine", QoS: 1})
		other.Publish(&wire.Publish{Topic: s.topic(to), Payload: "theirs", QoS: 1})
	}
	if got := c.Drain(); !slices.Equal(payloads(got), []string{"theirs", "mine", "theirs"}) {
		s.Errorf("got %v", got)
	}
	other.ExpectMessages("mine")
	// The option holds for the client id and comes back with the session.
	c.Disconnect(0)
	other.Publish(&wire.Publish{Topic: s.topic("own"), Payload: "away", QoS: 1})
	c = s.resume("a")
	c.Publish(&wire.Publish{Topic: s.topic("own"), Payload: "mine again", QoS: 1})
	for _, p := range c.Drain() {
		if p.Payload == "mine again" {
			s.Errorf("got %v", p)
		}
	}
}

func noLocalShared(s *suite) {
	s.breaks("", &wire.Subscribe{ID: 1, Filters: []wire.Filter{{Filter: "$share/" + s.own() + "/x", Options: wire.NoLocal}}}, 0x82)
}

// subscribeReplaces subscribes again with other options and another identifier: only the new ones count, and one copy comes.
func subscribeReplaces(s *suite) {
	c := s.client("a")
	topic := s.topic("x")
	c.Subscribe(topic, 2, wire.Num(wire.SubscriptionID, 1))
	c.Publish(&wire.Publish{Topic: topic, Payload: "1", QoS: 2})
	if got := c.ReceiveMessage(topic, "1"); got.QoS != 2 || !slices.Equal(got.Props.SubscriptionIDs(), []uint32{1}) {
		s.Errorf("got %v", got)
	}
	c.Subscribe(topic, 1, wire.Num(wire.SubscriptionID, 268_435_455))
	c.Publish(&wire.Publish{Topic: topic, Payload: "2", QoS: 2})
	if got := c.ReceiveMessage(topic, "2"); got.QoS != 1 || !slices.Equal(got.Props.SubscriptionIDs(), []uint32{268_435_455}) {
		s.Errorf("got %v", got)
	}
	c.Subscribe(topic, 0|wire.NoLocal)
	c.Publish(&wire.Publish{Topic: topic, Payload: "3", QoS: 2})
	s.publisher().Publish(&wire.Publish{Topic: topic, Payload: "4", QoS: 1})
	if got := c.ReceiveMessage(topic, "4"); got.QoS != 0 || got.Props.Has(wire.SubscriptionID) {
		s.Errorf("got %v", got)
	}
	c.ExpectNoMessage()
}

// replaceLosesNothing subscribes anew while another client publishes: each message comes once.
func replaceLosesNothing(s *suite) {
	topic := s.topic("x")
	pub, c := s.publisher(), s.client("a")
	pub.Publish(&wire.Publish{Topic: s.topic("kept"), Payload: "kept", QoS: 1, Retain: true})
	c.Subscribe(s.topic("+"), 1)
	c.ReceiveMessage(s.topic("kept"), "kept")
	const n = 100
	for i := range n {
		pub.Send(&wire.Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: 1, ID: uint16(i + 10)})
		if i%10 == 5 {
			c.Send(&wire.Subscribe{ID: uint16(i + 1_000), Filters: []wire.Filter{{Filter: s.topic("+"), Options: 1}}})
		}
	}
	for i := range n {
		pub.Await(wire.PUBACK, uint16(i+10))
	}
	var acks, kept, next int
	for acks < n/10 || kept < n/10 || next < n {
		p, err := c.Read(wire.Patience)
		switch {
		case err != nil:
			s.Fatalf("%d of %d SUBACK, %d of %d retained messages, %d of %d messages, then %v", acks, n/10, kept, n/10, next, n, err)
		case p.Type == wire.SUBACK:
			acks++
		case p.Payload == "kept":
			kept++
			c.Acknowledge(p)
		case p.Payload != fmt.Sprint(next):
			s.Fatalf("message %d wanted, got %v", next, p)
		default:
			next++
			c.Acknowledge(p)
		}
	}
	c.ExpectNoMessage()
}

// overlapping wants the highest QoS of three subscriptions, whether one copy comes or one for each.
func overlapping(s *suite) {
	c := s.client("a")
	for filter, qos := range map[string]byte{"a/#": 0, "a/+": 2, "a/b": 1} {
		c.Subscribe(s.topic(filter), qos)
	}
	for qos := range byte(3) {
		c.Publish(&wire.Publish{Topic: s.topic("a/b"), QoS: qos})
		var highest byte
		got := c.Drain()
		for _, p := range got {
			highest = max(highest, p.QoS)
			c.Acknowledge(p)
		}
		if len(got) != 1 && len(got) != 3 || highest != qos {
			s.Errorf("QoS %d: got %v", qos, got)
		}
	}
}

func overlappingIDs(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("a/#"), 1, wire.Num(wire.SubscriptionID, 1))
	c.Subscribe(s.topic("a/+"), 1, wire.Num(wire.SubscriptionID, 200))
	c.Subscribe(s.topic("+/b"), 1, wire.Num(wire.SubscriptionID, 200)) // the same number may stand for several
	c.Subscribe(s.topic("a/b"), 1)                                     // has none
	c.Publish(&wire.Publish{Topic: s.topic("a/b"), QoS: 1})
	got := c.Drain()
	var ids []uint32
	for _, p := range got {
		ids = append(ids, p.Props.SubscriptionIDs()...)
		c.Acknowledge(p)
	}
	slices.Sort(ids)
	switch len(got) {
	case 1: // each identifier once, or as often as there are subscriptions
		equal(s, "identifiers", slices.Compact(ids), []uint32{1, 200})
	case 4:
		equal(s, "identifiers", ids, []uint32{1, 200, 200})
	default:
		s.Errorf("got %v", got)
	}
	c.Publish(&wire.Publish{Topic: s.topic("a/c"), QoS: 1})
	ids = nil
	for _, p := range c.Drain() {
		ids = append(ids, p.Props.SubscriptionIDs()...)
	}
	slices.Sort(ids)
	equal(s, "identifiers", ids, []uint32{1, 200})
}

// unsubscribeExactly deletes the filter that is the same and no other, whatever it would match.
func unsubscribeExactly(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("a/+"), 1)
	c.Subscribe(s.topic("A/b"), 1)
	for _, other := range []string{"a/#", "a/b", "#", "+/b", "a/+/", "A/+", "a/B"} {
		if ack := c.Unsubscribe(s.topic(other)); ack.Codes[0] != 0x11 {
			s.Errorf("%s: got %v", other, ack)
		}
	}
	c.Publish(&wire.Publish{Topic: s.topic("a/b"), Payload: "1", QoS: 1})
	c.Publish(&wire.Publish{Topic: s.topic("A/b"), Payload: "2", QoS: 1})
	c.ExpectMessages("1", "2")
	if ack := c.Unsubscribe(s.topic("a/+")); ack.Codes[0] != 0 {
		s.Errorf("got %v", ack)
	}
	c.Publish(&wire.Publish{Topic: s.topic("a/b"), Payload: "3", QoS: 1})
	c.Publish(&wire.Publish{Topic: s.topic("A/b"), Payload: "4", QoS: 1})
	c.ExpectMessages("4")
}

func unsubscribeStops(s *suite) {
	c := s.lasting("a")
	c.Subscribe(s.topic("x"), 1)
	c.Subscribe(s.topic("y"), 1)
	c.Unsubscribe(s.topic("x"))
	pub := s.publisher()
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 1})
	c.ExpectNoMessage()
	c.Disconnect(0)
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "2", QoS: 1})
	c = s.resume("a")
	c.ExpectNoMessage()
}

func unsubscribeCompletes(s *suite) {
	c := s.lasting("a")
	c.Subscribe(s.topic("x"), 2)
	pub := s.publisher()
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 1})
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "2", QoS: 2})
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "3", QoS: 2})
	one, two, three := c.Expect(wire.PUBLISH), c.Expect(wire.PUBLISH), c.Expect(wire.PUBLISH)
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: three.ID})
	c.Expect(wire.PUBREL)
	c.Unsubscribe(s.topic("x"))
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: two.ID})
	c.Expect(wire.PUBREL)
	c.Close()
	c = s.resume("a")
	again := map[wire.Type][]uint16{}
	for range 3 {
		p := c.Expect(wire.PUBLISH, wire.PUBREL)
		again[p.Type] = append(again[p.Type], p.ID)
	}
	equal(s, "PUBLISH", again[wire.PUBLISH], []uint16{one.ID})
	slices.Sort(again[wire.PUBREL])
	want := []uint16{two.ID, three.ID}
	slices.Sort(want)
	equal(s, "PUBREL", again[wire.PUBREL], want)
}

func unsubackCodes(s *suite) {
	c := s.client("a")
	for _, f := range []string{"a", "b", "c/#"} {
		c.Subscribe(s.topic(f), 0)
	}
	c.Subscribe("$share/"+s.own()+"/"+s.topic("d"), 0)
	ack := c.Unsubscribe(s.topic("a"), s.topic("never"), s.topic("c/#"), s.topic("a"), "$share/"+s.own()+"/"+s.topic("d"), s.topic("b"))
	equal(s, "codes", ack.Codes, []byte{0, 0x11, 0, 0x11, 0, 0})
	c.Send(&wire.Unsubscribe{ID: 4_711, Filters: []string{s.topic("never")}})
	if ack := c.Expect(wire.UNSUBACK); ack.ID != 4_711 || ack.Codes[0] != 0x11 {
		s.Errorf("got %v", ack)
	}
}

func ping(s *suite) {
	c := s.client("a")
	for range 3 {
		c.ExpectNothing()
	}
	c.Send(wire.PingReq(), wire.PingReq(), wire.PingReq())
	for range 3 {
		c.Expect(wire.PINGRESP)
	}
}
