package mqtt5

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"pulso/test/conformance/wire"
)

func answersByQoS(s *suite) {
	c := s.client("a")
	c.Send(&wire.Publish{Topic: s.topic("x")})
	c.ExpectNothing()
	c.Send(&wire.Publish{Topic: s.topic("x"), QoS: 1, ID: 7})
	if ack := c.Expect(wire.PUBACK); ack.ID != 7 || ack.Code >= 0x80 {
		s.Errorf("got %v", ack)
	}
	c.Send(&wire.Publish{Topic: s.topic("x"), QoS: 2, ID: 8})
	if ack := c.Expect(wire.PUBREC); ack.ID != 8 || ack.Code >= 0x80 {
		s.Errorf("got %v", ack)
	}
	c.Send(&wire.Ack{Type: wire.PUBREL, ID: 8})
	if ack := c.Expect(wire.PUBCOMP); ack.ID != 8 || ack.Code != 0 {
		s.Errorf("got %v", ack)
	}
	c.ExpectNothing()
}

// ackCodes wants success where somebody is subscribed; where nobody is, the server may say so.
func ackCodes(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 0)
	for qos := byte(1); qos <= 2; qos++ {
		for topic, codes := range map[string][]byte{s.topic("x"): {0}, s.topic("nobody"): {0, 0x10}} {
			id := c.NextID()
			c.Send(&wire.Publish{Topic: topic, QoS: qos, ID: id})
			ack := c.Await([]wire.Type{wire.PUBACK, wire.PUBREC}[qos-1], id)
			if !bytes.Contains(codes, []byte{ack.Code}) {
				s.Errorf("%s at QoS %d: got %v", topic, qos, ack)
			}
		}
	}
}

func pubrelFlags(s *suite) {
	for _, flags := range []byte{0, 1, 3, 4, 6, 8, 10, 15} {
		s.breaks(fmt.Sprint(flags), wire.Raw(wire.Packet(byte(wire.PUBREL)<<4|flags, wire.U16(1))), 0x81)
	}
}

// pubrelCodes wants PUBREL for a packet id that is known and for one that is not: success and 0x92.
func pubrelCodes(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 2)
	c.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 1})
	c.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 2})
	c.Acknowledge(c.Await(wire.PUBLISH, 0))
	p := c.Expect(wire.PUBLISH)
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: p.ID})
	c.ExpectCode(wire.PUBREL, 0)
	c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: p.ID})
	for _, code := range []byte{0, 0x10} {
		c.Send(&wire.Ack{Type: wire.PUBREC, ID: 4_711, Code: code})
		if rel := c.ExpectCode(wire.PUBREL, 0x92); rel.ID != 4_711 {
			s.Errorf("got %v", rel)
		}
	}
	c.ExpectNothing()
}

func pubcompCodes(s *suite) {
	c := s.client("a")
	c.Send(&wire.Publish{Topic: s.topic("x"), QoS: 2, ID: 5})
	c.Expect(wire.PUBREC)
	c.Send(&wire.Ack{Type: wire.PUBREL, ID: 5})
	c.ExpectCode(wire.PUBCOMP, 0)
	for _, id := range []uint16{5, 6} { // done, and never used
		c.Send(&wire.Ack{Type: wire.PUBREL, ID: id})
		if comp := c.ExpectCode(wire.PUBCOMP, 0x92); comp.ID != id {
			s.Errorf("got %v", comp)
		}
	}
}

// smallAcks wants an acknowledgement to fit in the client's maximum packet size, whatever the server would like to say.
func smallAcks(of wire.Type) func(*suite) {
	return func(s *suite) {
		const limit = 28
		var seen bool
		for _, ack := range s.provoke(s.client("a", wire.Num(wire.MaximumPacketSize, limit))) {
			seen = seen || ack.Type == of
			if ack.Type == of && ack.Size > limit {
				s.Errorf("%d bytes where %d are the maximum: %v", ack.Size, limit, ack)
			}
		}
		if !seen {
			s.Errorf("no %v", of)
		}
	}
}

// maximumPacketSize sends messages of sizes around the subscriber's maximum: those beyond do not come, the others do.
func maximumPacketSize(s *suite) {
	const limit = 200
	topic := s.topic("x")
	fixed := 2 + 1 + 2 + len(topic) + 1 // a remaining length of two bytes, no packet id
	for qos := range byte(3) {
		c := s.client("a", wire.Num(wire.MaximumPacketSize, limit))
		c.Subscribe(topic, qos)
		overhead := fixed + 2*int(min(qos, 1))
		pub := s.publisher()
		var want []string
		for _, size := range []int{limit - 1, limit, limit + 1, 2 * limit, 100_000, limit} {
			payload := strings.Repeat("x", size-overhead)
			pub.Publish(&wire.Publish{Topic: topic, Payload: payload, QoS: 2})
			if size <= limit {
				want = append(want, payload)
			}
		}
		for _, payload := range want {
			if got := c.ReceiveMessage(topic, payload); got.Size > limit {
				s.Errorf("%d bytes where %d are the maximum", got.Size, limit)
			}
		}
		c.Disconnect(0)
	}
}

// tooLargeIsDone has a window of one message: if the one that is too large were waited for, nothing would come after it.
func tooLargeIsDone(s *suite) {
	topic := s.topic("x")
	props := wire.Properties{wire.Num(wire.MaximumPacketSize, 200), wire.Num(wire.ReceiveMaximum, 1)}
	c := s.lasting("a", props...)
	c.Subscribe(topic, 2)
	pub := s.publisher()
	large := strings.Repeat("x", 1_000)
	for i := range 3 {
		pub.Publish(&wire.Publish{Topic: topic, Payload: large, QoS: byte(1 + i%2)})
		pub.Publish(&wire.Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: byte(1 + i%2)})
		c.ReceiveMessage(topic, fmt.Sprint(i))
	}
	c.Settle()
	c.Close()
	pub.Publish(&wire.Publish{Topic: topic, Payload: large, QoS: 1})
	pub.Publish(&wire.Publish{Topic: topic, Payload: "offline", QoS: 1})
	c = s.resume("a", props...)
	c.ReceiveMessage(topic, "offline")
	c.Settle()
	c.Close()
	// Delivered as it counts, it does not come when the client accepts more either.
	c = s.resume("a")
	c.ExpectNoMessage()
}

// receiveMaximum wants as many messages as the window holds, and one more for each that is done: for PUBACK, for PUBCOMP and
// for a PUBREC that refuses, not for any other PUBREC.
func receiveMaximum(s *suite) {
	const window = 3
	topic := s.topic("x")
	c := s.client("a", wire.Num(wire.ReceiveMaximum, window))
	c.Subscribe(topic, 2)
	pub := s.publisher()
	for i := range 12 {
		pub.Publish(&wire.Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: byte(1 + i%2)})
	}
	var open []*wire.Received
	for range window {
		open = append(open, c.Expect(wire.PUBLISH))
	}
	c.ExpectNothing()
	c.ExpectSilence(300 * time.Millisecond)
	next := window
	for next < 12 {
		p := open[0]
		open = open[1:]
		switch {
		case p.QoS == 1:
			c.Send(&wire.Ack{Type: wire.PUBACK, ID: p.ID, Code: byte(next % 2 * 0x80)})
		case next%3 == 0:
			c.Send(&wire.Ack{Type: wire.PUBREC, ID: p.ID, Code: 0x80})
		default:
			c.Send(&wire.Ack{Type: wire.PUBREC, ID: p.ID})
			c.Expect(wire.PUBREL)
			c.ExpectNothing()
			c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: p.ID})
		}
		got := c.Expect(wire.PUBLISH)
		if got.Payload != fmt.Sprint(next) {
			s.Fatalf("message %d wanted, got %v", next, got)
		}
		c.ExpectNothing()
		open = append(open, got)
		next++
	}
}

// windowHoldsNothingElse fills the window and wants all other packets to be handled and sent as ever, messages at QoS 0
// excepted: whether these pass those that wait is the server's choice.
func windowHoldsNothingElse(s *suite) {
	c := s.client("a", wire.Num(wire.ReceiveMaximum, 1))
	c.Subscribe(s.topic("x"), 2)
	pub := s.publisher()
	for range 3 {
		pub.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 2})
	}
	p := c.Expect(wire.PUBLISH)
	c.ExpectNothing()
	c.Subscribe(s.topic("y"), 1)
	c.Unsubscribe(s.topic("y"))
	c.Publish(&wire.Publish{Topic: s.topic("z"), QoS: 1})
	c.Publish(&wire.Publish{Topic: s.topic("z"), QoS: 2})
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: p.ID})
	c.Expect(wire.PUBREL)
	c.ExpectNothing()
	c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: p.ID})
	c.Expect(wire.PUBLISH)
}

// receiveMaximumExceeded sends one message at QoS 2 more than the server accepts unfinished.
func receiveMaximumExceeded(s *suite) {
	c := s.client("a")
	limit := c.Connack.Props.Num(wire.ReceiveMaximum, 65_535)
	if limit == 65_535 {
		s.Skip("the server accepts as many unfinished messages as there are packet ids")
	}
	for id := uint32(1); id <= limit; id++ {
		c.Send(&wire.Publish{Topic: s.topic("x"), QoS: 2, ID: uint16(id)})
	}
	for id := uint32(1); id <= limit; id++ {
		c.Await(wire.PUBREC, uint16(id))
	}
	c.ExpectNothing()
	c.Send(&wire.Publish{Topic: s.topic("x"), QoS: 2, ID: uint16(limit + 1)})
	c.ExpectDisconnect(0x93)
}

func unacknowledgedQoS1(s *suite) {
	topic := s.topic("x")
	c := s.lasting("a")
	c.Subscribe(topic, 1)
	c.Publish(&wire.Publish{Topic: topic, Payload: "1", QoS: 1})
	first := c.Expect(wire.PUBLISH)
	c.Close()
	c = s.resume("a")
	if again := c.Expect(wire.PUBLISH); again.ID != first.ID {
		s.Errorf("first %v, then %v", first, again)
	}
	c.Send(&wire.Ack{Type: wire.PUBACK, ID: first.ID})
	c.ExpectNothing()
	c.Close()
	c = s.resume("a")
	c.ExpectNoMessage()
}

func unacknowledgedQoS2(s *suite) {
	topic := s.topic("x")
	c := s.lasting("a")
	c.Subscribe(topic, 2)
	c.Publish(&wire.Publish{Topic: topic, Payload: "1", QoS: 2})
	first := c.Expect(wire.PUBLISH)
	c.Close()
	c = s.resume("a")
	if again := c.Expect(wire.PUBLISH); again.ID != first.ID || again.QoS != 2 {
		s.Errorf("first %v, then %v", first, again)
	}
	c.Acknowledge(first)
	c.ExpectNothing()
	c.Close()
	c = s.resume("a")
	c.ExpectNoMessage()
}

func pubrelAfterPubrec(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 2)
	for _, code := range []byte{0, 0x10} {
		c.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 2})
		p := c.Await(wire.PUBLISH, 0)
		c.Send(&wire.Ack{Type: wire.PUBREC, ID: p.ID, Code: code})
		if rel := c.ExpectCode(wire.PUBREL, 0); rel.ID != p.ID {
			s.Errorf("got %v for %v", rel, p)
		}
		c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: p.ID})
	}
}

func pubrelAgain(s *suite) {
	c := s.lasting("a")
	c.Subscribe(s.topic("x"), 2)
	c.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 2})
	p := c.Expect(wire.PUBLISH)
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: p.ID})
	c.Expect(wire.PUBREL)
	for range 2 {
		c.Close()
		c = s.resume("a")
		if rel := c.Expect(wire.PUBREL); rel.ID != p.ID { // and not the PUBLISH
			s.Errorf("got %v for %v", rel, p)
		}
	}
	c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: p.ID})
	c.ExpectNothing()
	c.Close()
	c = s.resume("a")
	c.ExpectNoMessage()
}

func sentDoesNotExpire(s *suite) {
	c := s.lasting("a")
	c.Subscribe(s.topic("x"), 2)
	props := wire.Properties{wire.Num(wire.MessageExpiry, 1)}
	c.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 2, Props: props})
	first := c.Expect(wire.PUBLISH)
	c.Close()
	wait(2.2)
	c = s.resume("a")
	if again := c.Expect(wire.PUBLISH); again.ID != first.ID || !again.Dup {
		s.Errorf("first %v, then %v", first, again)
	}
	c.Acknowledge(first)
}

func idAgainQoS1(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 0)
	for _, dup := range []bool{false, true, true} {
		c.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 1, ID: 9, Dup: dup})
	}
	c.ExpectMessages("1", "1", "1")
}

func idAgainQoS2(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 0)
	for _, dup := range []bool{false, true, true} {
		c.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 2, ID: 9, Dup: dup})
	}
	c.ExpectMessages("1", "1", "1")
}

// refusedQoS2 has a message refused and uses its packet id for one that is good: that one is delivered, once.
func refusedQoS2(s *suite) {
	watcher, c := s.client("watcher"), s.client("a")
	watcher.Subscribe(s.topic("x"), 2)
	for _, payload := range []string{"1", "2"} {
		c.Send(&wire.Publish{Topic: "$SYS/" + s.own(), QoS: 2, ID: 9})
		if rec := c.Expect(wire.PUBREC); rec.Code < 0x80 {
			s.Skipf("the server takes messages to $SYS: %v", rec)
		}
		c.Publish(&wire.Publish{Topic: s.topic("x"), Payload: payload, QoS: 2, ID: 9})
	}
	watcher.ExpectMessages("1", "2")
}

// duplicateQoS2 sends a message again before its PUBREL: on the same connection, with and without DUP, and on the next.
func duplicateQoS2(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("x"), 2)
	c := s.lasting("a")
	again := &wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 2, ID: 9, Dup: true}
	c.Send(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 2, ID: 9})
	c.ExpectCode(wire.PUBREC, 0)
	for range 2 {
		c.Send(again)
		c.ExpectCode(wire.PUBREC, 0, 0x10)
	}
	c.Close()
	c = s.resume("a")
	c.Send(again, again)
	c.ExpectCode(wire.PUBREC, 0, 0x10)
	c.ExpectCode(wire.PUBREC, 0, 0x10)
	c.Send(&wire.Ack{Type: wire.PUBREL, ID: 9})
	c.ExpectCode(wire.PUBCOMP, 0)
	watcher.ExpectMessages("1")
}

func expiredGoesOn(s *suite) {
	c := s.lasting("a")
	props := wire.Properties{wire.Num(wire.MessageExpiry, 1)}
	c.Send(&wire.Publish{Topic: s.topic("x"), QoS: 2, ID: 9, Props: props})
	c.Expect(wire.PUBREC)
	wait(2.2)
	c.Send(&wire.Publish{Topic: s.topic("x"), QoS: 2, ID: 9, Dup: true, Props: props})
	c.ExpectCode(wire.PUBREC, 0, 0x10)
	c.Send(&wire.Ack{Type: wire.PUBREL, ID: 9})
	c.ExpectCode(wire.PUBCOMP, 0)
}

// ackOrder sends many messages at once and wants their acknowledgements in the same order.
func ackOrder(s *suite) {
	for qos, answer := range map[byte]wire.Type{1: wire.PUBACK, 2: wire.PUBREC} {
		c := s.client("a")
		ids := []uint16{50, 3, 20_000, 1, 99, 7, 65_535, 8, 2, 500}
		var all []wire.Sender
		for _, id := range ids {
			all = append(all, &wire.Publish{Topic: s.topic("x"), QoS: qos, ID: id})
		}
		c.Send(all...)
		var got []uint16
		for range ids {
			got = append(got, c.Expect(answer).ID)
		}
		equal(s, answer.String(), got, ids)
	}
}

func pubrelOrder(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 2)
	pub := s.publisher()
	var recs []wire.Sender
	var ids, got []uint16
	for range 10 {
		pub.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 2})
		id := c.Expect(wire.PUBLISH).ID
		ids = append(ids, id)
		recs = append(recs, &wire.Ack{Type: wire.PUBREC, ID: id})
	}
	c.Send(recs...)
	for range ids {
		got = append(got, c.Expect(wire.PUBREL).ID)
	}
	equal(s, "PUBREL", got, ids)
}
