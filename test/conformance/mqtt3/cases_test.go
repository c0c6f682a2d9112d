package mqtt3

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"pulso/test/conformance/wire"
)

// A useCase is something that users of a broker rely on and no single clause says, or that a server may not do.
type useCase struct {
	name string
	test func(e *env)
}

// TestCases tests what is beyond the clauses, on one server.
func TestCases(t *testing.T) {
	t.Parallel()
	e := newEnv(t, serve(t))
	for _, c := range slices.Concat(cases, casesV5) {
		e.run(c.name, c.test)
	}
}

var cases = []useCase{
	{"QoS by turns keeps the order of a topic", orderAcrossQoS},
	{"a subscription begins now", subscriptionBeginsNow},
	{"nothing behind DISCONNECT is looked at", afterDisconnect},
	{"a half-closed connection is served to its end", halfClosed},
	{"500 QoS 2 messages in flight", manyInFlight},
	{"payloads of any size and content arrive whole", payloads},
	{"who is being sent large messages gets answers", answersBesideLarge},
	{"large messages cross on a connection", largeBothWays},
	{"large messages wait for an absent client", largeBacklog},
	{"a session is left and taken up again and again under load", comingAndGoing},
	{"a hundred levels", levels},
	{"200 filters in one SUBSCRIBE", manyFilters},
	{"1,000 retained messages under a wildcard", manyRetained},
	{"retained messages do not come again with a session", retainedOnce},
	{"retained messages follow one another on a topic", retainedReplaced},
	{"one client id, twenty connections at once", takeoverStorm},
	{"a taken over session goes on where it was", takeoverInFlight},
	{"publishers keep their order side by side", manyPublishers},
	{"a subscriber that does not read holds nobody up", stalledSubscriber},
	{"a publisher gets its own messages", ownMessages},
	{"a filter is unsubscribed while its client is in flight", unsubscribedInFlight},
	{"a subscription of an absent client can be dropped and renewed", resubscribed},
	{"acknowledgements that nobody waits for do no harm", strayAcks},
	{"ids wrap around", idsWrap},
	{"who says nothing is disconnected", neverConnects},
	{"WebSocket and TCP meet", websocketMeetsTCP},
	{"a will reaches absent sessions", willToAbsent},
	{"a will arrives before its client is back", willBeforeReturn},
	{"equal filters of different clients are apart", equalFilters},
}

func orderAcrossQoS(e *env) {
	const n = 60
	id := e.id()
	c := e.open(lasting(id))
	c.Subscribe(e.topic("a"), 2)
	p := e.open()
	for i := range n {
		e.publish(p, e.topic("a"), byte(1+i%2), number(i))
	}
	e.receives(c, numbers(0, n)...)
}

func subscriptionBeginsNow(e *env) {
	p := e.open()
	for i := range 30 {
		p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: number(i), QoS: 1})
		e.subscriber(1, e.topic("a")).ExpectNoMessage()
	}
}

func afterDisconnect(e *env) {
	sub := e.subscriber(1, e.topic("a"))
	c := e.open()
	c.Send(&wire.Publish{Topic: e.topic("a"), Payload: "before", QoS: 1, ID: 1}, &wire.Disconnect{},
		&wire.Publish{Topic: e.topic("a"), Payload: "behind", QoS: 1, ID: 2}, wire.PingReq())
	for {
		p, err := c.Read(wire.Patience)
		if err != nil {
			break
		}
		if p.Type != wire.PUBACK || p.ID != 1 {
			e.Fatalf("PUBACK of what came before at most wanted, got %v", p)
		}
	}
	sub.ReceiveMessage(e.topic("a"), "before")
	sub.ExpectNoMessage()
}

func halfClosed(e *env) {
	sub := e.subscriber(1, e.topic("a"))
	c := e.open()
	c.Send(&wire.Publish{Topic: e.topic("a"), Payload: "last", QoS: 1, ID: 1}, &wire.Disconnect{})
	tcp, ok := c.Conn().(*net.TCPConn)
	if !ok {
		e.Fatal("no TCP connection")
	}
	_ = tcp.CloseWrite()
	sub.ReceiveMessage(e.topic("a"), "last")
	for err := error(nil); err == nil; {
		_, err = c.Read(wire.Patience)
	}
}

func manyInFlight(e *env) {
	const n = 500
	sub := e.subscriber(2, e.topic("a"))
	c := e.open()
	var packets, releases []wire.Sender
	for i := range n {
		packets = append(packets, &wire.Publish{Topic: e.topic("a"), Payload: number(i), QoS: 2, ID: uint16(i + 1)})
		releases = append(releases, &wire.Ack{Type: wire.PUBREL, ID: uint16(i + 1)})
	}
	c.Send(packets...)
	for range n {
		c.Expect(wire.PUBREC)
	}
	c.Send(releases...)
	for range n {
		c.Expect(wire.PUBCOMP)
	}
	e.receives(sub, numbers(0, n)...)
}

func payloads(e *env) {
	sub := e.subscriber(2, e.topic("a"))
	c := e.open()
	for _, size := range []int{0, 1, 110, 127, 128, 16_382, 16_384, 70_000, 500_000} {
		for qos := range byte(3) {
			payload := strings.Repeat("\x00\xff\xc3\x28é", size/6+1)[:size]
			c.Publish(&wire.Publish{Topic: e.topic("a"), Payload: payload, QoS: qos})
			if m := sub.Receive(); m.Payload != payload || m.QoS != qos {
				e.Fatalf("%d bytes at QoS %d wanted, got %d at QoS %d", size, qos, len(m.Payload), m.QoS)
			}
		}
	}
}

// answersBesideLarge asks while more than the socket holds is on its way to it.
func answersBesideLarge(e *env) {
	const n = 12
	c, p := e.subscriber(1, e.topic("a")), e.open()
	for i := range n {
		p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: number(i) + strings.Repeat("x", 900_000), QoS: 1})
		c.Send(wire.PingReq(), &wire.Publish{Topic: e.topic("b"), QoS: 1, ID: uint16(i + 1)})
	}
	for i := range n {
		if m := c.Receive(); m.Payload[:5] != number(i) || len(m.Payload) != 900_005 {
			e.Fatalf("%q wanted, got %v", number(i), m)
		}
	}
	for i := range n {
		c.Await(wire.PINGRESP, 0)
		c.Await(wire.PUBACK, uint16(i+1))
	}
}

// largeBothWays sends large messages through the connection that they come back on.
func largeBothWays(e *env) {
	c := e.open()
	c.Subscribe(e.topic("a"), 2)
	for i := range 20 {
		qos := byte(i % 3)
		payload := number(i) + strings.Repeat("x", 300_000+i*30_000)
		c.Publish(&wire.Publish{Topic: e.topic("a"), Payload: payload, QoS: qos})
		c.ExpectMessages(payload)
	}
}

func largeBacklog(e *env) {
	const n = 40
	for qos := byte(1); qos < 3; qos++ {
		e.run(fmt.Sprintf("QoS %d", qos), func(e *env) {
			id := e.absent(true, qos, e.topic("a"))
			var payloads []string
			for i := range n {
				payloads = append(payloads, number(i)+strings.Repeat("x", 1000+i*7000))
			}
			e.publish(e.open(), e.topic("a"), qos, payloads...)
			e.receives(e.open(lasting(id)), payloads...)
		})
	}
}

// comingAndGoing has a client that reads some messages of each connection and acknowledges some of those: at QoS 2, none may
// be lost, doubled or out of order.
func comingAndGoing(e *env) {
	const n = 400
	id := e.absent(true, 2, e.topic("a"))
	p := e.open()
	var got []string
	for round := 0; len(got) < n; round++ {
		if sent := round * 20; sent < n {
			e.publish(p, e.topic("a"), 2, numbers(sent, 20)...)
		}
		c := e.open(lasting(id))
		released := map[uint16]bool{}
		for range 15 + round%10 {
			m, err := c.Read(wire.Patience)
			if err != nil {
				e.Fatalf("after %d messages: %v", len(got), err)
			}
			switch m.Type {
			case wire.PUBLISH:
				if !released[m.ID] { // the client takes it with PUBREC
					got = append(got, m.Payload)
					c.Send(&wire.Ack{Type: wire.PUBREC, ID: m.ID})
					released[m.ID] = true
				}
			case wire.PUBREL:
				delete(released, m.ID)
				c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: m.ID})
			default:
				e.Fatalf("PUBLISH or PUBREL wanted, got %v", m)
			}
			if len(got) == n {
				break
			}
		}
		for len(released) > 0 { // PUBREL says that the server knows; the PUBCOMP may be lost
			m := c.Expect(wire.PUBREL, wire.PUBLISH)
			if m.Type == wire.PUBREL {
				delete(released, m.ID)
			}
		}
		c.Close()
	}
	if !slices.Equal(got, numbers(0, n)) {
		e.Fatalf("%d messages in order wanted, got %q", n, got)
	}
	e.open(lasting(id)).Expect(wire.PUBREL) // the last one at least
}

func levels(e *env) {
	topic := e.topic(strings.Repeat("x/", 98) + "y")
	c := e.open()
	c.Subscribe(topic, 1)
	c.Publish(&wire.Publish{Topic: topic, Payload: "deep", QoS: 1})
	c.ReceiveMessage(topic, "deep")
}

func manyFilters(e *env) {
	c := e.open()
	var fs []wire.Filter
	for i := range 200 {
		fs = append(fs, wire.Filter{Filter: e.topic(number(i)), Options: 1})
	}
	for i, code := range c.TrySubscribe(&wire.Subscribe{Filters: fs}).Codes {
		if code != 1 {
			e.Fatalf("filter %d: 1 wanted, got 0x%02x", i, code)
		}
	}
	for i := range 200 {
		c.Publish(&wire.Publish{Topic: e.topic(number(i)), Payload: number(i), QoS: 1})
		c.ReceiveMessage(e.topic(number(i)), number(i))
	}
}

func manyRetained(e *env) {
	const n = 1000
	p := e.open()
	for i := 0; i < n; i += 100 {
		var packets []wire.Sender
		for j := range 100 {
			packets = append(packets, &wire.Publish{Topic: e.topic(number(i + j)), Payload: number(i + j), QoS: 1, Retain: true, ID: uint16(j + 1)})
		}
		p.Send(packets...)
		for range packets {
			p.Expect(wire.PUBACK)
		}
	}
	for qos := byte(1); qos < 3; qos++ {
		c := e.subscriber(qos, e.topic("+"))
		got := map[string]bool{}
		for range n {
			m := c.Receive()
			if got[m.Payload] || !m.Retain || m.Topic != e.topic(m.Payload) {
				e.Fatalf("each once with RETAIN 1 wanted, got %v", m)
			}
			got[m.Payload] = true
		}
		c.ExpectNoMessage()
	}
}

func retainedOnce(e *env) {
	id := e.id()
	e.open().Publish(&wire.Publish{Topic: e.topic("a"), Payload: "kept", QoS: 1, Retain: true})
	c := e.open(lasting(id))
	c.Subscribe(e.topic("a"), 1)
	c.ReceiveMessage(e.topic("a"), "kept")
	c.Disconnect(0)
	e.open(lasting(id)).ExpectNoMessage()
}

func retainedReplaced(e *env) {
	p, c := e.open(), e.open()
	for i := range 50 {
		p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: number(i), QoS: byte(1 + i%2), Retain: true})
		c.Subscribe(e.topic("a"), 2)
		if m := c.ReceiveMessage(e.topic("a"), number(i)); !m.Retain {
			e.Fatalf("RETAIN 1 wanted, got %v", m)
		}
		c.Unsubscribe(e.topic("a"))
	}
}

// takeoverStorm wants one of the connections to be left, with a session that works.
func takeoverStorm(e *env) {
	id := e.id()
	var clients []*wire.Client
	for range 20 {
		c := e.dial()
		c.Send(e.connect(lasting(id)))
		clients = append(clients, c)
	}
	var left []*wire.Client
	for _, c := range clients {
		c.Send(&wire.Subscribe{ID: 1, Filters: filters(1, e.topic("a"))}, wire.PingReq())
	}
	for _, c := range clients {
		for {
			p, err := c.Read(wire.Patience)
			if err != nil {
				break
			}
			if p.Type == wire.PINGRESP {
				left = append(left, c)
				break
			}
		}
	}
	// Some had their answer before they were taken over: the one that is left answers again.
	var alive int
	for _, c := range left {
		c.Send(wire.PingReq())
		if p, err := c.Read(wire.Patience); err == nil && p.Type == wire.PINGRESP {
			alive++
			e.open().Publish(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: 1})
			c.ReceiveMessage(e.topic("a"), "x")
		}
	}
	if alive != 1 {
		e.Fatalf("one connection wanted, got %d of %d", alive, len(left))
	}
}

func takeoverInFlight(e *env) {
	id := e.id()
	c, ids := e.inFlight(id, e.topic("a"), 2, 10)
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: ids[0]})
	c.Await(wire.PUBREL, ids[0])
	young := e.open(lasting(id))
	c.ExpectClose()
	young.Await(wire.PUBREL, ids[0])
	for i := 1; i < 10; i++ {
		if m := young.Expect(wire.PUBLISH); m.Payload != number(i) || m.ID != ids[i] || !m.Dup {
			e.Fatalf("message %d with id %d and DUP wanted, got %v", i, ids[i], m)
		}
	}
}

func manyPublishers(e *env) {
	const publishers, each = 8, 100
	sub := e.subscriber(1, e.topic("#"))
	var all []*wire.Client
	for range publishers {
		all = append(all, e.open())
	}
	for i := range each {
		for n, p := range all {
			p.Send(&wire.Publish{Topic: e.topic(fmt.Sprint(n)), Payload: number(i), QoS: 1, ID: p.NextID()})
		}
	}
	next := map[string]int{}
	for range publishers * each {
		m := sub.Receive()
		if m.Payload != number(next[m.Topic]) {
			e.Fatalf("%q wanted, got %v", number(next[m.Topic]), m)
		}
		next[m.Topic]++
	}
}

// stalledSubscriber publishes more than a socket holds.
func stalledSubscriber(e *env) {
	const n = 400
	payload := strings.Repeat("x", 50_000)
	e.subscriber(0, e.topic("#"))
	e.subscriber(1, e.topic("#"))
	sub, p := e.subscriber(1, e.topic("a")), e.open()
	for range n {
		p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: payload, QoS: 1})
		sub.Receive()
	}
}

func ownMessages(e *env) {
	c := e.open()
	c.Subscribe(e.topic("#"), 2)
	for qos := range byte(3) {
		c.Publish(&wire.Publish{Topic: e.topic("a"), Payload: number(int(qos)), QoS: qos})
		if m := c.ReceiveMessage(e.topic("a"), number(int(qos))); m.QoS != qos {
			e.Fatalf("QoS %d wanted, got %v", qos, m)
		}
	}
}

func unsubscribedInFlight(e *env) {
	c, ids := e.inFlight(e.id(), e.topic("a"), 2, 5)
	c.Unsubscribe(e.topic("a"))
	for _, id := range ids {
		c.Acknowledge(&wire.Received{Type: wire.PUBLISH, QoS: 2, ID: id})
	}
	c.ExpectNoMessage()
}

func resubscribed(e *env) {
	id := e.absent(true, 1, e.topic("a"))
	p := e.open()
	e.publish(p, e.topic("a"), 1, "one")
	c := e.open(lasting(id))
	c.ReceiveMessage(e.topic("a"), "one")
	c.Unsubscribe(e.topic("a"))
	c.Disconnect(0)
	e.publish(p, e.topic("a"), 1, "two")
	c = e.open(lasting(id))
	c.Subscribe(e.topic("a"), 1)
	c.Disconnect(0)
	e.publish(p, e.topic("a"), 1, "three")
	e.open(lasting(id)).ExpectMessages("three")
}

func strayAcks(e *env) {
	c := e.open()
	for _, id := range []uint16{1, 77, 65535} {
		c.Send(&wire.Ack{Type: wire.PUBACK, ID: id}, &wire.Ack{Type: wire.PUBCOMP, ID: id})
		c.Send(&wire.Ack{Type: wire.PUBREL, ID: id})
		c.Await(wire.PUBCOMP, id)
	}
	c.ExpectNothing()
}

// idsWrap publishes and receives more messages than there are packet ids.
func idsWrap(e *env) {
	if testing.Short() {
		e.Skip("65,536 messages")
	}
	const n, chunk = 66_000, 500
	sub, p := e.subscriber(1, e.topic("a")), e.open()
	for i := 0; i < n; i += chunk {
		var packets, acks []wire.Sender
		for j := range chunk {
			packets = append(packets, &wire.Publish{Topic: e.topic("a"), Payload: number(i + j), QoS: 1, ID: p.NextID()})
		}
		p.Send(packets...)
		for range chunk {
			p.Expect(wire.PUBACK)
		}
		for j := range chunk {
			m := sub.Expect(wire.PUBLISH)
			if m.Payload != number(i+j) {
				e.Fatalf("%q wanted, got %v", number(i+j), m)
			}
			if acks = append(acks, &wire.Ack{Type: wire.PUBACK, ID: m.ID}); len(acks) == 10 {
				sub.Send(acks...)
				acks = nil
			}
		}
	}
}

func neverConnects(e *env) {
	silent, half := e.dial(), e.dial()
	half.SendRaw(0x10, 50, 0, 4, 'M', 'Q')
	silent.ExpectClose()
	half.ExpectClose()
}

func websocketMeetsTCP(e *env) {
	c := e.dialWebSocket()
	c.Connect(e.connect())
	c.Subscribe(e.topic("a"), 2)
	tcp := e.subscriber(2, e.topic("a"))
	for qos := range byte(3) {
		for _, p := range []*wire.Client{tcp, c} {
			p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: qos})
			c.ReceiveMessage(e.topic("a"), "x")
			tcp.ReceiveMessage(e.topic("a"), "x")
		}
	}
}

func willToAbsent(e *env) {
	id := e.absent(true, 2, e.topic("will"))
	present := e.subscriber(2, e.topic("will"))
	e.open(leaving(&wire.Will{Topic: e.topic("will"), Payload: "gone", QoS: 2})).Close()
	present.ReceiveMessage(e.topic("will"), "gone")
	e.open(lasting(id)).ReceiveMessage(e.topic("will"), "gone")
}

func willBeforeReturn(e *env) {
	id, sub := e.id(), e.subscriber(1, e.topic("#"))
	for range 10 {
		e.open(as(id), leaving(&wire.Will{Topic: e.topic("state"), Payload: "offline", QoS: 1}))
		back := e.open(as(id))
		back.Publish(&wire.Publish{Topic: e.topic("state"), Payload: "online", QoS: 1})
		sub.ReceiveMessage(e.topic("state"), "offline")
		sub.ReceiveMessage(e.topic("state"), "online")
		back.Disconnect(0)
	}
}

func equalFilters(e *env) {
	a, b := e.subscriber(1, e.topic("+")), e.subscriber(2, e.topic("+"))
	p := e.open()
	a.Unsubscribe(e.topic("+"))
	p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: 2})
	b.ReceiveMessage(e.topic("a"), "x")
	a.ExpectNoMessage()
	b.Disconnect(0)
	a.Subscribe(e.topic("+"), 0)
	p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "y", QoS: 2})
	a.ReceiveMessage(e.topic("a"), "y")
}
