package mqtt3

import (
	"fmt"

	"pulso/test/conformance/wire"
)

// inFlight is a client with n messages that it has not acknowledged, and their ids.
func (e *env) inFlight(id, topic string, qos byte, n int) (*wire.Client, []uint16) {
	e.Helper()
	c := e.open(lasting(id))
	c.Subscribe(topic, qos)
	e.publish(e.open(), topic, qos, numbers(0, n)...)
	return c, e.expectNumbers(c, n, false)
}

// expectNumbers wants the first n numbered messages without acknowledging them, and returns their ids.
func (e *env) expectNumbers(c *wire.Client, n int, dup bool) []uint16 {
	e.Helper()
	var ids []uint16
	for i := range n {
		m := c.Expect(wire.PUBLISH)
		if m.Payload != number(i) || m.Dup != dup {
			e.Fatalf("%q with DUP %t wanted, got %v", number(i), dup, m)
		}
		ids = append(ids, m.ID)
	}
	return ids
}

// sameIDs wants ids to be what they were.
func (e *env) sameIDs(were, are []uint16) {
	e.Helper()
	for i := range were {
		if were[i] != are[i] {
			e.Fatalf("ids %v wanted, got %v", were, are)
		}
	}
}

func senderQoS0(e *env) {
	sub := e.subscriber(0, e.topic("a"))
	for qos := range byte(3) {
		e.open().Publish(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: qos})
		if m := sub.ReceiveMessage(e.topic("a"), "x"); m.QoS != 0 || m.Dup {
			e.Fatalf("QoS 0 wanted, got %v", m)
		}
	}
	sub.ExpectNoMessage()
}

// senderQoS1 takes no acknowledgement but its own for one.
func senderQoS1(e *env) {
	const n = 3
	id, topic := e.id(), e.topic("a")
	c, ids := e.inFlight(id, topic, 1, n)
	c.Send(&wire.Ack{Type: wire.PUBACK, ID: ids[1]})
	c.ExpectNothing()
	c.Close()
	c = e.open(lasting(id))
	for _, i := range []int{0, 2} {
		if m := c.ReceiveMessage(topic, number(i)); m.ID != ids[i] || !m.Dup || m.QoS != 1 {
			e.Fatalf("id %d and DUP wanted, got %v", ids[i], m)
		}
	}
	c.ExpectNoMessage()
	c.Close()
	e.open(lasting(id)).ExpectNoMessage()
}

// receiverQoS1 takes the same id after PUBACK for a new message.
func receiverQoS1(e *env) {
	sub := e.subscriber(1, e.topic("a"))
	c := e.open()
	for i, dup := range []bool{false, true, false} {
		c.Send(&wire.Publish{Topic: e.topic("a"), Payload: number(i), QoS: 1, ID: 5, Dup: dup})
		if ack := c.Expect(wire.PUBACK); ack.ID != 5 {
			e.Fatalf("id 5 wanted, got %v", ack)
		}
	}
	sub.ExpectMessages(numbers(0, 3)...)
}

func senderQoS2(e *env) {
	id, topic := e.id(), e.topic("a")
	c, ids := e.inFlight(id, topic, 2, 3)
	again := func() {
		c.ExpectNothing()
		c.Close()
		c = e.open(lasting(id))
	}
	again()
	e.sameIDs(ids, e.expectNumbers(c, 3, true))
	for _, i := range ids {
		c.Send(&wire.Ack{Type: wire.PUBREC, ID: i})
		c.Await(wire.PUBREL, i)
	}
	again() // PUBREL once more, PUBLISH never
	for _, i := range ids {
		if m := c.Expect(wire.PUBREL); m.ID != i {
			e.Fatalf("PUBREL with id %d wanted, got %v", i, m)
		}
	}
	// PUBREC once more, for what has been released: PUBREL once more.
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: ids[0]})
	c.Await(wire.PUBREL, ids[0])
	for _, i := range ids {
		c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: i})
	}
	again()
	c.ExpectNoMessage()
}

func receiverQoS2(e *env) {
	send := func(c *wire.Client, dup bool, payload string) {
		e.Helper()
		c.Send(&wire.Publish{Topic: e.topic("a"), Payload: payload, QoS: 2, ID: 5, Dup: dup})
		c.Await(wire.PUBREC, 5) // some servers send PUBREC again by themselves
	}
	release := func(c *wire.Client) {
		e.Helper()
		c.Send(&wire.Ack{Type: wire.PUBREL, ID: 5})
		c.Await(wire.PUBCOMP, 5)
	}
	sub := e.subscriber(2, e.topic("a"))
	id := e.id()
	c := e.open(lasting(id))
	send(c, false, "first")
	send(c, true, "first")
	send(c, true, "first")
	c.Close()
	c = e.open(lasting(id))
	send(c, true, "first")
	release(c)
	release(c) // PUBREL of an id that is not known is answered as well
	send(c, false, "second")
	release(c)
	send(c, true, "third") // an id released is new, whatever DUP says
	release(c)
	sub.ExpectMessages("first", "second", "third")
}

func redelivery(e *env) {
	id, topic := e.id(), e.topic("a")
	c := e.open(lasting(id))
	c.Subscribe(topic, 2)
	p := e.open()
	e.publish(p, topic, 2, "released")
	e.publish(p, topic, 1, "acknowledged")
	e.publish(p, topic, 1, "one")
	e.publish(p, topic, 2, "two")
	ids := map[string]uint16{}
	for range 4 {
		m := c.Expect(wire.PUBLISH)
		ids[m.Payload] = m.ID
	}
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: ids["released"]}, &wire.Ack{Type: wire.PUBACK, ID: ids["acknowledged"]})
	c.Await(wire.PUBREL, ids["released"])
	c.ExpectNothing()
	c.Close()
	for range 3 { // as often as it takes
		c = e.open(lasting(id))
		c.Await(wire.PUBREL, ids["released"])
		for _, payload := range []string{"one", "two"} {
			if m := c.Expect(wire.PUBLISH); m.Payload != payload || m.ID != ids[payload] || !m.Dup {
				e.Fatalf("%q with id %d and DUP wanted, got %v", payload, ids[payload], m)
			}
		}
		c.ExpectNothing()
		c.Close()
	}
	c = e.open(lasting(id))
	c.Await(wire.PUBREL, ids["released"])
	c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: ids["released"]})
	c.ReceiveMessage(topic, "one")
	c.ReceiveMessage(topic, "two")
	c.ExpectNothing()
	c.Close()
	e.open(lasting(id)).ExpectNoMessage()
}

func dupOnRedelivery(e *env) {
	for qos := byte(1); qos < 3; qos++ {
		e.run(fmt.Sprintf("QoS %d", qos), func(e *env) {
			id := e.id()
			c, ids := e.inFlight(id, e.topic("a"), qos, 5)
			c.Close()
			for range 2 {
				c = e.open(lasting(id))
				e.sameIDs(ids, e.expectNumbers(c, 5, true))
				c.Close()
			}
		})
	}
}

func dupAtQoS0(e *env) {
	e.refuses("from a client", wire.Packet(wire.PUBLISH.First()|8, wire.Str(e.topic("a")), []byte("x")))
	e.run("from the server", func(e *env) {
		sub := e.subscriber(0, e.topic("a"))
		c := e.open()
		c.Send(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: 1, ID: 1, Dup: true})
		if m := sub.ReceiveMessage(e.topic("a"), "x"); m.Dup {
			e.Fatalf("DUP 0 wanted, got %v", m)
		}
	})
}

func dupNotPropagated(e *env) {
	sub, c := e.subscriber(2, e.topic("a")), e.open()
	for qos := byte(1); qos < 3; qos++ {
		c.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: qos, Dup: true})
		if m := sub.ReceiveMessage(e.topic("a"), "x"); m.Dup || m.QoS != qos {
			e.Fatalf("QoS %d with DUP 0 wanted, got %v", qos, m)
		}
	}
}

func qos3(e *env) {
	for _, flags := range []byte{0x06, 0x07, 0x0e, 0x0f} {
		e.refuses(fmt.Sprintf("flags %04b", flags), wire.Packet(wire.PUBLISH.First()|flags, wire.Str(e.topic("a")), wire.U16(1), []byte("x")))
	}
}

func publishAnswer(e *env) {
	c := e.open()
	c.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "x"})
	c.ExpectNothing()
	c.Send(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: 1, ID: 3})
	c.Expect(wire.PUBACK)
	c.Send(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: 2, ID: 3})
	c.Expect(wire.PUBREC)
	c.Send(&wire.Ack{Type: wire.PUBREL, ID: 3})
	c.Expect(wire.PUBCOMP)
	c.ExpectNothing()
}

// publishForbidden publishes to the server's own topics, which servers may or may not forbid.
func publishForbidden(e *env) {
	for qos := byte(1); qos < 3; qos++ {
		e.run(fmt.Sprintf("QoS %d", qos), func(e *env) {
			c := e.open()
			c.Send(&wire.Publish{Topic: "$SYS/" + e.topic("a"), Payload: "x", QoS: qos, ID: 1})
			if p, err := c.Read(wire.Patience); err == nil && p.Type != wire.PUBACK && p.Type != wire.PUBREC {
				e.Fatalf("an acknowledgement or the connection's end wanted, got %v", p)
			}
			e.open().ExpectNothing()
		})
	}
}

func orderRedelivery(e *env) {
	for qos := byte(1); qos < 3; qos++ {
		e.run(fmt.Sprintf("QoS %d", qos), func(e *env) {
			id := e.id()
			c, ids := e.inFlight(id, e.topic("a"), qos, 15)
			c.Close()
			e.publish(e.open(), e.topic("a"), qos, numbers(15, 100)...)
			c = e.open(lasting(id))
			e.sameIDs(ids, e.expectNumbers(c, 15, true))
			c.Close()
			c = e.open(lasting(id))
			e.receives(c, numbers(0, 115)...)
			c.ExpectNoMessage()
		})
	}
}

// acknowledgedInOrder sends n messages at once and wants their acknowledgements in order.
func (e *env) acknowledgedInOrder(qos byte, answer wire.Type, n int) {
	e.Helper()
	c := e.open()
	var packets []wire.Sender
	for i := range n {
		// Ids that go up and down, so that their order is not that of the messages.
		packets = append(packets, &wire.Publish{Topic: e.topic(fmt.Sprint(i % 7)), QoS: qos, ID: uint16(i*7919%n + 1)})
	}
	c.Send(packets...)
	for i := range n {
		if ack := c.Expect(answer); int(ack.ID) != i*7919%n+1 {
			e.Fatalf("acknowledgement %d: id %d wanted, got %v", i, i*7919%n+1, ack)
		}
	}
}

func orderPuback(e *env) { e.acknowledgedInOrder(1, wire.PUBACK, 500) }
func orderPubrec(e *env) { e.acknowledgedInOrder(2, wire.PUBREC, 20) }

// orderPubrel sends PUBREC in the order of PUBLISH, as a client has to, and in another.
func orderPubrel(e *env) {
	const n = 15
	check := func(e *env, at func(i int) int) {
		c, ids := e.inFlight(e.id(), e.topic("a"), 2, n)
		for i := range ids {
			c.Send(&wire.Ack{Type: wire.PUBREC, ID: ids[at(i)]})
		}
		for i := range ids {
			if m := c.Expect(wire.PUBREL); m.ID != ids[at(i)] {
				e.Fatalf("PUBREL %d: id %d wanted, got %v", i, ids[at(i)], m)
			}
		}
	}
	e.run("as sent", func(e *env) { check(e, func(i int) int { return i }) })
	e.run("backwards", func(e *env) { check(e, func(i int) int { return n - 1 - i }) })
}

func orderTopic(e *env) {
	const n = 300
	subs := []*wire.Client{e.subscriber(2, e.topic("a")), e.subscriber(2, e.topic("+")), e.subscriber(2, e.topic("#"))}
	e.publish(e.open(), e.topic("a"), 1, numbers(0, n)...)
	for _, s := range subs {
		e.receives(s, numbers(0, n)...)
	}
}

func orderPublish(e *env) {
	for qos := range byte(3) {
		e.run(fmt.Sprintf("QoS %d", qos), func(e *env) {
			const n = 1000
			sub := e.subscriber(qos, e.topic("a"))
			p := e.open()
			for i := 0; i < n; i += 50 {
				e.publish(p, e.topic("a"), qos, numbers(i, 50)...)
				e.receives(sub, numbers(i, 50)...)
			}
		})
	}
}
