package mqtt3

import (
	"fmt"
	"net"

	"pulso/test/conformance/wire"
)

// reset ends a TCP connection with RST.
func reset(e *env, c *wire.Client) {
	e.Helper()
	tcp, ok := c.Conn().(*net.TCPConn)
	if !ok {
		e.Fatal("no TCP connection")
	}
	_ = tcp.SetLinger(0)
	c.Close()
}

func willTriggers(e *env) {
	for what, end := range map[string]func(e *env, c *wire.Client){
		"connection closed":  func(_ *env, c *wire.Client) { c.Close() },
		"connection reset":   reset,
		"keep-alive":         func(_ *env, c *wire.Client) { c.ExpectClose() },
		"malformed packet":   func(_ *env, c *wire.Client) { c.SendRaw(0x30, 0) },
		"protocol violation": func(_ *env, c *wire.Client) { c.SendRaw(0x36, 6, 0, 1, 'a', 0, 1, 'x') },
		"half a packet": func(_ *env, c *wire.Client) {
			c.SendRaw(0x30, 100, 0, 1, 'a')
			c.Close()
		},
		"half a DISCONNECT": func(_ *env, c *wire.Client) {
			c.SendRaw(0xe0)
			c.Close()
		},
		"taken over": func(e *env, c *wire.Client) { e.open(as(c.ID)) },
	} {
		for qos := range byte(3) {
			e.run(fmt.Sprintf("%s QoS %d", what, qos), func(e *env) {
				topic := e.topic("will")
				sub := e.subscriber(2, topic)
				c := e.open(leaving(&wire.Will{Topic: topic, Payload: "gone", QoS: qos}), func(c *wire.Connect) { c.KeepAlive = 1 })
				end(e, c)
				if m := sub.ReceiveMessage(topic, "gone"); m.QoS != qos || m.Retain || m.Dup {
					e.Fatalf("QoS %d wanted, got %v", qos, m)
				}
				sub.ExpectNoMessage()
			})
		}
	}
}

func willFields(e *env) {
	e.refusesConnect("neither topic nor message", connectWith(0x06, e.id()))
	e.refusesConnect("no message", connectWith(0x06, e.id(), "a"))
	e.refusesConnect("half a message", wire.Packet(wire.CONNECT.First(), wire.Str("MQTT"), []byte{4, 6, 0, 0}, wire.Str("a"), wire.Str("a"), []byte{0, 9, 'x'}))
	for qos := range byte(3) {
		for _, retain := range []bool{false, true} {
			e.run(fmt.Sprintf("QoS %d retain %t", qos, retain), func(e *env) {
				topic := e.topic("will")
				sub := e.subscriber(2, topic)
				e.open(leaving(&wire.Will{Topic: topic, Payload: "gone", QoS: qos, Retain: retain})).Close()
				if m := sub.ReceiveMessage(topic, "gone"); m.QoS != qos || m.Retain {
					e.Fatalf("QoS %d without RETAIN wanted, got %v", qos, m)
				}
			})
		}
	}
	e.run("empty message", func(e *env) {
		sub := e.subscriber(0, e.topic("will"))
		e.open(leaving(&wire.Will{Topic: e.topic("will")})).Close()
		sub.ReceiveMessage(e.topic("will"), "")
	})
	e.run("binary message", func(e *env) {
		sub := e.subscriber(0, e.topic("will"))
		e.open(leaving(&wire.Will{Topic: e.topic("will"), Payload: "\x00\xff\xed\xa0\x80"})).Close()
		sub.ReceiveMessage(e.topic("will"), "\x00\xff\xed\xa0\x80")
	})
}

// willOnce wants a will neither again, after the client has come back, nor at all after DISCONNECT.
func willOnce(e *env) {
	topic, id := e.topic("will"), e.id()
	sub := e.subscriber(2, topic)
	e.open(lasting(id), leaving(&wire.Will{Topic: topic, Payload: "first", QoS: 1})).Close()
	sub.ReceiveMessage(topic, "first")

	c := e.open(lasting(id))
	reset(e, c)
	e.open(lasting(id)).Disconnect(0) // the server has seen the end of the one before
	sub.ExpectNoMessage()

	e.open(lasting(id), leaving(&wire.Will{Topic: topic, Payload: "discarded", QoS: 1})).Disconnect(0)
	e.open(lasting(id)).Close()
	e.open(lasting(id)).Disconnect(0)
	sub.ExpectNoMessage()
}

func willAbsentFields(e *env) {
	e.refusesConnect("topic and message", connectWith(0x02, e.id(), "a", "b"))
	e.refusesConnect("QoS", connectWith(0x0a, e.id()))
	e.refusesConnect("retain", connectWith(0x22, e.id()))
	e.refusesConnect("all", connectWith(0x2a, e.id(), "a", "b"))
}

func willAbsent(e *env) {
	sub := e.subscriber(2, e.topic("#"))
	id := e.id()
	e.open(as(id)).Close()
	e.open(as(id)).Disconnect(0)
	sub.ExpectNoMessage()
}

func willAbsentQoS(e *env) {
	for qos := byte(1); qos <= 3; qos++ {
		e.refusesConnect(fmt.Sprintf("QoS %d", qos), connectWith(0x02|qos<<3, e.id()))
	}
}

func willAbsentRetain(e *env) { e.refusesConnect("retain", connectWith(0x22, e.id())) }

func willQoS(e *env) {
	for qos := range byte(3) {
		e.run(fmt.Sprintf("QoS %d", qos), func(e *env) {
			sub := e.subscriber(2, e.topic("will"))
			e.open(leaving(&wire.Will{Topic: e.topic("will"), Payload: "gone", QoS: qos})).Close()
			if m := sub.ReceiveMessage(e.topic("will"), "gone"); m.QoS != qos {
				e.Fatalf("QoS %d wanted, got %v", qos, m)
			}
		})
	}
	e.refusesConnect("QoS 3", connectWith(0x1e, e.id(), "a", "b"))
}

func willNotRetained(e *env) {
	topic := e.topic("will")
	sub := e.subscriber(1, topic)
	e.open(leaving(&wire.Will{Topic: topic, Payload: "gone", QoS: 1})).Close()
	sub.ReceiveMessage(topic, "gone")
	e.subscriber(1, topic).ExpectNoMessage()
}

func willRetained(e *env) {
	for qos := range byte(3) {
		e.run(fmt.Sprintf("QoS %d", qos), func(e *env) {
			topic := e.topic("will")
			sub := e.subscriber(2, topic)
			e.open(leaving(&wire.Will{Topic: topic, Payload: "gone", QoS: qos, Retain: true})).Close()
			if m := sub.ReceiveMessage(topic, "gone"); m.Retain {
				e.Fatalf("RETAIN 0 for an established subscription wanted, got %v", m)
			}
			if m := e.subscriber(2, topic).ReceiveMessage(topic, "gone"); !m.Retain || m.QoS != qos {
				e.Fatalf("RETAIN 1 and QoS %d for a new subscription wanted, got %v", qos, m)
			}
		})
	}
	e.run("empty removes", func(e *env) {
		topic := e.topic("will")
		e.open().Publish(&wire.Publish{Topic: topic, Payload: "alive", QoS: 1, Retain: true})
		sub := e.subscriber(1, topic)
		sub.ReceiveMessage(topic, "alive")
		e.open(leaving(&wire.Will{Topic: topic, QoS: 1, Retain: true})).Close()
		sub.ReceiveMessage(topic, "")
		e.subscriber(1, topic).ExpectNoMessage()
	})
}

func willTopicUTF8(e *env) {
	for what, s := range illFormed {
		e.refusesConnect(what, connectWith(0x06, e.id(), s, "message"))
	}
}

func willDiscarded(e *env) {
	for qos := range byte(3) {
		e.run(fmt.Sprintf("QoS %d", qos), func(e *env) {
			topic := e.topic("will")
			sub := e.subscriber(2, topic)
			c := e.open(leaving(&wire.Will{Topic: topic, Payload: "gone", QoS: qos, Retain: true}))
			c.Disconnect(0)
			sub.ExpectNoMessage()
			e.subscriber(2, topic).ExpectNoMessage()
		})
	}
}
