package mqtt3

import (
	"fmt"
	"slices"

	"pulso/test/conformance/wire"
)

// absent is the id of a session with subscriptions whose client has gone, with or without a DISCONNECT.
func (e *env) absent(clean bool, qos byte, filters ...string) string {
	e.Helper()
	id := e.id()
	c := e.open(lasting(id))
	for _, f := range filters {
		c.Subscribe(f, qos)
	}
	if clean {
		c.Disconnect(0)
	} else {
		c.Close()
	}
	return id
}

// publish publishes numbered messages, n of them in flight at a time as the server lets it.
func (e *env) publish(c *wire.Client, topic string, qos byte, payloads ...string) {
	e.Helper()
	for chunk := range slices.Chunk(payloads, 16) {
		var ids []uint16
		for _, payload := range chunk {
			id := c.NextID()
			ids = append(ids, id)
			c.Send(&wire.Publish{Topic: topic, Payload: payload, QoS: qos, ID: id})
		}
		for _, id := range ids {
			switch qos {
			case 1:
				c.Await(wire.PUBACK, id)
			case 2:
				c.Await(wire.PUBREC, id)
				c.Send(&wire.Ack{Type: wire.PUBREL, ID: id})
				c.Await(wire.PUBCOMP, id)
			}
		}
	}
}

// receives wants messages with these payloads in this order.
func (e *env) receives(c *wire.Client, payloads ...string) {
	e.Helper()
	for _, payload := range payloads {
		if m := c.Receive(); m.Payload != payload {
			e.Fatalf("%q wanted, got %v", payload, m)
		}
	}
}

func sessionResumed(e *env) {
	for _, clean := range []bool{true, false} {
		e.run(fmt.Sprintf("DISCONNECT %t", clean), func(e *env) {
			id := e.absent(clean, 1, e.topic("a"), e.topic("+/b"))
			c := e.open(lasting(id))
			if !c.Connack.Present {
				e.Fatal("no session")
			}
			p := e.open()
			p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "1", QoS: 1})
			p.Publish(&wire.Publish{Topic: e.topic("x/b"), Payload: "2", QoS: 1})
			p.Publish(&wire.Publish{Topic: e.topic("x/c"), Payload: "3", QoS: 1})
			c.ExpectMessages("1", "2")
		})
	}
}

func sessionOffline(e *env) {
	e.run("QoS 1 and 2", func(e *env) {
		id := e.absent(true, 2, e.topic("#"))
		p := e.open()
		for i := range 10 {
			e.publish(p, e.topic("a"), byte(1+i%2), number(i))
		}
		c, last := e.open(lasting(id)), map[byte]string{}
		for range 10 { // the standard orders those of the same QoS
			m := c.Receive()
			if m.Payload <= last[m.QoS] {
				e.Fatalf("%v after %q", m, last[m.QoS])
			}
			last[m.QoS] = m.Payload
		}
		c.ExpectNoMessage()
	})
	for qos := byte(1); qos < 3; qos++ {
		e.run(fmt.Sprintf("thousands QoS %d", qos), func(e *env) {
			const n = 3000
			id := e.absent(true, qos, e.topic("#"))
			e.publish(e.open(), e.topic("a"), qos, numbers(0, n)...)
			c := e.open(lasting(id))
			e.receives(c, numbers(0, n)...)
			c.ExpectNoMessage()
		})
	}
	e.run("after the connection was lost", func(e *env) {
		id := e.absent(false, 1, e.topic("a"))
		e.publish(e.open(), e.topic("a"), 1, numbers(0, 5)...)
		e.receives(e.open(lasting(id)), numbers(0, 5)...)
	})
	e.run("twice absent", func(e *env) {
		id := e.absent(true, 1, e.topic("a"))
		e.publish(e.open(), e.topic("a"), 1, numbers(0, 10)...)
		c := e.open(lasting(id))
		e.receives(c, numbers(0, 5)...)
		c.Send(wire.PingReq())
		c.Await(wire.PINGRESP, 0) // the server has the acknowledgements
		c.Close()
		e.publish(e.open(), e.topic("a"), 1, numbers(10, 5)...)
		e.receives(e.open(lasting(id)), numbers(5, 10)...)
	})
}

func sessionClean(e *env) {
	id := e.absent(true, 1, e.topic("#"))
	p := e.open()
	e.publish(p, e.topic("a"), 1, "for the old session")
	c := e.open(as(id))
	if c.Connack.Present {
		e.Fatal("the old session is still there")
	}
	e.publish(p, e.topic("a"), 1, "nobody subscribed")
	c.ExpectNoMessage()
	c.Subscribe(e.topic("#"), 1)
	c.Disconnect(0)
	e.publish(p, e.topic("a"), 1, "nobody there")
	c = e.open(lasting(id))
	if c.Connack.Present {
		e.Fatal("a clean session outlived its connection")
	}
	e.publish(p, e.topic("a"), 1, "nobody subscribed")
	c.ExpectNoMessage()
}

func retainedOutlivesSession(e *env) {
	for _, clean := range []bool{true, false} {
		c := e.open(func(c *wire.Connect) { c.Resume = !clean })
		topic := e.topic(fmt.Sprint(clean))
		c.Publish(&wire.Publish{Topic: topic, Payload: "kept", QoS: 1, Retain: true})
		c.Disconnect(0)
		e.open(as(c.ID)).Disconnect(0) // ends the session for good
		e.subscriber(1, topic).ReceiveMessage(topic, "kept")
	}
}

// sessionState has all that is state: subscriptions, messages to be delivered, in flight in both directions.
func sessionState(e *env) {
	id, topic := e.id(), e.topic("a")
	sub := e.subscriber(2, e.topic("from"))
	c := e.open(lasting(id))
	c.Subscribe(topic, 2)
	c.Send(&wire.Publish{Topic: e.topic("from"), Payload: "once", QoS: 2, ID: 9})
	c.Await(wire.PUBREC, 9)
	p := e.open()
	e.publish(p, topic, 2, "received", "begun", "sent")
	var ids []uint16
	for range 3 {
		ids = append(ids, c.Expect(wire.PUBLISH).ID)
	}
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: ids[0]}, &wire.Ack{Type: wire.PUBREC, ID: ids[1]})
	c.Await(wire.PUBREL, ids[0])
	c.Await(wire.PUBREL, ids[1])
	c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: ids[0]})
	c.ExpectNothing()
	c.Close()
	e.publish(p, topic, 1, "while absent")

	c = e.open(lasting(id))
	c.Await(wire.PUBREL, ids[1])
	c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: ids[1]})
	if m := c.ReceiveMessage(topic, "sent"); m.ID != ids[2] || !m.Dup {
		e.Fatalf("id %d and DUP wanted, got %v", ids[2], m)
	}
	c.ReceiveMessage(topic, "while absent")
	c.Send(&wire.Publish{Topic: e.topic("from"), Payload: "once", QoS: 2, ID: 9, Dup: true})
	c.Await(wire.PUBREC, 9)
	c.Send(&wire.Ack{Type: wire.PUBREL, ID: 9})
	c.Await(wire.PUBCOMP, 9)
	for _, p := range c.Drain() {
		if p.Type == wire.PUBLISH {
			e.Fatalf("nothing more wanted, got %v", p)
		}
	}
	sub.ExpectMessages("once")
}

func sessionWhileConnected(e *env) {
	c := e.open(func(c *wire.Connect) { c.KeepAlive = 1 })
	c.Subscribe(e.topic("a"), 1)
	p := e.open()
	for i := range 3 {
		for range 2 {
			c.ExpectNothing()
		}
		e.publish(p, e.topic("a"), 1, number(i))
		e.receives(c, number(i))
	}
}

func allMatchingSessions(e *env) {
	var ids []string
	for _, f := range []string{"a/b", "a/+", "#", "+/b", "a/#"} {
		ids = append(ids, e.absent(true, 1, e.topic(f)))
	}
	stranger := e.absent(true, 1, e.topic("b/+"))
	present := e.subscriber(1, e.topic("a/b"))
	e.publish(e.open(), e.topic("a/b"), 1, "for all")
	present.ReceiveMessage(e.topic("a/b"), "for all")
	for _, id := range ids {
		c := e.open(lasting(id))
		c.ReceiveMessage(e.topic("a/b"), "for all")
		c.ExpectNoMessage()
	}
	e.open(lasting(stranger)).ExpectNoMessage()
}
