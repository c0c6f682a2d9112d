package mqtt3

import (
	"errors"
	"os"
	"testing"

	"pulso/test/conformance/wire"
)

// TestVersion31 serves clients of MQTT 3.1, whose CONNECT names MQIsdp and level 3.
func TestVersion31(t *testing.T) {
	t.Parallel()
	e := newEnv(t, serve(t))
	old := func(c *wire.Connect) { c.Version = wire.V31 }
	e.run("connects", func(e *env) {
		c := e.open(old)
		if c.Connack.Size != 4 || c.Connack.Present {
			e.Fatalf("20 02 00 00 wanted, got %v", c.Connack)
		}
		c.ExpectNothing()
		c.Disconnect(0)
	})
	e.run("level 4 of MQIsdp and level 3 of MQTT are refused", func(e *env) {
		for name, level := range map[string]byte{"MQIsdp": 4, "MQTT": 3} {
			c := e.dial()
			c.Send(e.connect(func(c *wire.Connect) { c.Name, c.Level = name, level }))
			c.ExpectRefused(1)
		}
	})
	e.run("QoS", func(e *env) {
		c := e.open(old)
		fs := []wire.Filter{{Filter: e.topic("0")}, {Filter: e.topic("1"), Options: 1}, {Filter: e.topic("2"), Options: 2}}
		ack := c.TrySubscribe(&wire.Subscribe{Filters: fs})
		if string(ack.Codes) != "\x00\x01\x02" {
			e.Fatalf("codes 0, 1, 2 wanted, got %v", ack)
		}
		for qos, name := range []string{"0", "1", "2"} {
			c.Publish(&wire.Publish{Topic: e.topic(name), Payload: "x", QoS: byte(qos)})
			if m := c.ReceiveMessage(e.topic(name), "x"); int(m.QoS) != qos {
				e.Fatalf("QoS %d wanted, got %v", qos, m)
			}
		}
		c.Unsubscribe(e.topic("1"))
		c.Publish(&wire.Publish{Topic: e.topic("1"), Payload: "x", QoS: 1})
		c.ExpectNoMessage()
	})
	e.run("to and from other versions", func(e *env) {
		a, b, c := e.open(old), e.open(), e.open(func(c *wire.Connect) { c.Version = wire.V5 })
		all := []*wire.Client{a, b, c}
		for _, from := range all {
			from.Subscribe(e.topic("#"), 2)
		}
		for i, from := range all {
			from.Publish(&wire.Publish{Topic: e.topic("a"), Payload: number(i), QoS: 2})
			for _, to := range all {
				to.ReceiveMessage(e.topic("a"), number(i))
			}
		}
	})
	e.run("will", func(e *env) {
		for qos := range byte(3) {
			topic := e.topic(number(int(qos)))
			sub := wire.Open(e, e.addr, e.connect(old))
			sub.Subscribe(topic, 2)
			e.open(old, leaving(&wire.Will{Topic: topic, Payload: "gone", QoS: qos})).Close()
			sub.ReceiveMessage(topic, "gone")
			e.open(old, leaving(&wire.Will{Topic: topic, Payload: "gone", QoS: qos})).Disconnect(0)
			sub.ExpectNoMessage()
		}
	})
	e.run("session", func(e *env) {
		id := e.id()
		c := e.open(old, lasting(id))
		c.Subscribe(e.topic("a"), 1)
		c.Disconnect(0)
		e.publish(e.open(old), e.topic("a"), 1, numbers(0, 10)...)
		c = e.open(old, lasting(id))
		if c.Connack.Present {
			e.Fatal("Session Present is a reserved bit at MQTT 3.1")
		}
		e.receives(c, numbers(0, 10)...)
	})
	e.run("an empty client id is rejected", func(e *env) {
		c := e.dial()
		c.Send(e.connect(old, as("")))
		if p, err := c.Read(wire.Patience); errors.Is(err, os.ErrDeadlineExceeded) || err == nil && (p.Type != wire.CONNACK || p.Code != 2) {
			e.Fatalf("0x02 or the connection's end wanted, got %v %v", p, err)
		}
	})
	e.run("keep-alive", func(e *env) {
		c := e.open(old, func(c *wire.Connect) { c.KeepAlive = 1 })
		c.ExpectClose()
	})
}
