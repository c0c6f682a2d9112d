package mqtt3

import (
	"fmt"
	"testing"

	"pulso/test/conformance/wire"
)

// TestRestart tests what a server keeps when it is stopped, and when it is killed. Each test has a server of its own.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, c := range []useCase{
		{"sessions and their messages", restartSession},
		{"retained messages", restartRetained},
		{"messages in flight", restartInFlight},
		{"QoS 2 from a client is delivered once", restartReceived},
		{"what was unsubscribed, cleared and ended", restartEnded},
		{"no wills but those of lost clients", restartWills},
	} {
		for _, how := range []string{"stopped", "killed"} {
			t.Run(c.name+" "+how, func(t *testing.T) {
				t.Parallel()
				s := serve(t)
				down := s.stop
				if how == "killed" {
					down = s.kill
				}
				again := s.again
				s.again = func() {
					down()
					again()
				}
				c.test(newEnv(t, s))
			})
		}
	}
}

func restartSession(e *env) {
	const n = 1000
	var ids []string
	for qos := byte(1); qos < 3; qos++ {
		ids = append(ids, e.absent(qos == 1, qos, e.topic("a"), e.topic(fmt.Sprint(qos))))
	}
	e.publish(e.open(), e.topic("a"), 2, numbers(0, n)...)
	e.again()
	p := e.open()
	e.publish(p, e.topic("a"), 2, numbers(n, 10)...)
	for i, id := range ids {
		e.publish(p, e.topic(fmt.Sprint(i+1)), 2, "still subscribed")
		c := e.open(lasting(id))
		if !c.Connack.Present {
			e.Fatal("the session is gone")
		}
		e.receives(c, numbers(0, n+10)...)
		e.receives(c, "still subscribed")
		c.ExpectNoMessage()
	}
}

func restartRetained(e *env) {
	p := e.open()
	for i := range 20 {
		p.Publish(&wire.Publish{Topic: e.topic(number(i)), Payload: "old", QoS: 1, Retain: true})
	}
	for i := range 15 {
		m := &wire.Publish{Topic: e.topic(number(i)), QoS: byte(1 + i%2), Retain: true}
		if i >= 5 {
			m.Payload = "new"
		}
		p.Publish(m)
	}
	e.again()
	got := e.retained(e.topic("#"))
	for i := range 20 {
		want := "new"
		if i >= 15 {
			want = "old"
		}
		if have, ok := got[e.topic(number(i))]; ok != (i >= 5) || ok && have != want {
			e.Errorf("topic %d: have %q", i, have)
		}
	}
}

func restartInFlight(e *env) {
	id := e.id()
	c, ids := e.inFlight(id, e.topic("a"), 2, 6)
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: ids[0]}, &wire.Ack{Type: wire.PUBREC, ID: ids[1]})
	c.Await(wire.PUBREL, ids[0])
	c.Await(wire.PUBREL, ids[1])
	c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: ids[0]})
	c.ExpectNothing()
	e.again()
	c = e.open(lasting(id))
	seen := map[string]bool{}
	for i := 2; i < 6; {
		m := c.Expect(wire.PUBREL, wire.PUBLISH)
		if m.Type == wire.PUBREL { // a PUBCOMP may be forgotten, a PUBREC may not
			c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: m.ID})
			seen[fmt.Sprint(m.ID)] = true
			continue
		}
		if m.Payload != number(i) || m.ID != ids[i] || !m.Dup {
			e.Fatalf("message %d with id %d and DUP wanted, got %v", i, ids[i], m)
		}
		i++
	}
	if !seen[fmt.Sprint(ids[1])] {
		e.Fatalf("no PUBREL for id %d", ids[1])
	}
	for _, i := range ids[2:] {
		c.Acknowledge(&wire.Received{Type: wire.PUBLISH, QoS: 2, ID: i})
	}
	c.ExpectNoMessage()
}

func restartReceived(e *env) {
	listener := e.absent(true, 2, e.topic("a"))
	id := e.id()
	c := e.open(lasting(id))
	for i := range uint16(5) {
		c.Send(&wire.Publish{Topic: e.topic("a"), Payload: number(int(i)), QoS: 2, ID: i + 1})
		c.Await(wire.PUBREC, i+1)
	}
	c.Send(&wire.Ack{Type: wire.PUBREL, ID: 1})
	c.Await(wire.PUBCOMP, 1)
	e.again()
	c = e.open(lasting(id))
	if !c.Connack.Present {
		e.Fatal("the session is gone")
	}
	for i := range uint16(5) {
		if i > 0 {
			c.Send(&wire.Publish{Topic: e.topic("a"), Payload: number(int(i)), QoS: 2, ID: i + 1, Dup: true})
			c.Await(wire.PUBREC, i+1)
		}
		c.Send(&wire.Ack{Type: wire.PUBREL, ID: i + 1})
		c.Await(wire.PUBCOMP, i+1)
	}
	c.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "new", QoS: 2, ID: 1})
	got := e.open(lasting(listener))
	e.receives(got, append(numbers(0, 5), "new")...)
	got.ExpectNoMessage()
}

func restartEnded(e *env) {
	left, ended := e.absent(true, 1, e.topic("a"), e.topic("b")), e.absent(true, 1, e.topic("a"))
	c := e.open(lasting(left))
	c.Unsubscribe(e.topic("a"))
	c.Disconnect(0)
	clean := e.open(as(ended))
	clean.Subscribe(e.topic("a"), 1)
	e.again()
	p := e.open()
	e.publish(p, e.topic("a"), 1, "to nobody")
	e.publish(p, e.topic("b"), 1, "to one")
	e.open(lasting(left)).ExpectMessages("to one")
	c = e.open(lasting(ended))
	if c.Connack.Present {
		e.Fatal("a session that was ended is back")
	}
	c.ExpectNoMessage()
}

// restartWills has a client whose will was discarded, and one whose connection ended with the server's. A server that is
// stopped is not a client that is lost; after a crash it may believe so.
func restartWills(e *env) {
	listener := e.absent(true, 2, e.topic("will/+"))
	e.open(leaving(&wire.Will{Topic: e.topic("will/left"), Payload: "discarded", QoS: 2})).Disconnect(0)
	lost := e.open(leaving(&wire.Will{Topic: e.topic("will/lost"), Payload: "lost", QoS: 2}))
	reset(e, lost)
	c := e.open(lasting(listener))
	c.ReceiveMessage(e.topic("will/lost"), "lost")
	c.Disconnect(0)
	e.again()
	for _, m := range e.open(lasting(listener)).Drain() {
		if m.Type != wire.PUBREL { // a PUBCOMP may be forgotten
			e.Fatalf("nothing wanted, got %v", m)
		}
	}
}
