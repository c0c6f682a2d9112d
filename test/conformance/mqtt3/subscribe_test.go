package mqtt3

import (
	"bytes"
	"fmt"
	"strings"

	"pulso/test/conformance/wire"
)

// filters are filters of a SUBSCRIBE at one QoS.
func filters(qos byte, names ...string) []wire.Filter {
	var fs []wire.Filter
	for _, n := range names {
		fs = append(fs, wire.Filter{Filter: n, Options: qos})
	}
	return fs
}

func filterUTF8(e *env) {
	for what, s := range illFormed {
		e.refuses(what, (&wire.Subscribe{ID: 1, Filters: filters(0, s)}).Bytes(wire.V311))
		e.refuses(what+" second", (&wire.Subscribe{ID: 1, Filters: filters(0, "a", s)}).Bytes(wire.V311))
	}
}

func filterWildcards(e *env) {
	c := e.open()
	for _, f := range []string{"+", "#", "a/+/#"} {
		code := c.TrySubscribe(&wire.Subscribe{Filters: filters(1, e.topic(f))}).Codes[0]
		if code != 1 && code != 0x80 {
			e.Fatalf("%q: 1 or 0x80 wanted, got 0x%02x", f, code)
		}
	}
}

func subscribeEmpty(e *env) {
	e.refuses("no filter", []byte{0x82, 2, 0, 1})
	e.refuses("no id", []byte{0x82, 0})
}

func subscribeReserved(e *env) {
	for _, options := range []byte{0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x07, 0x81} {
		e.refuses(fmt.Sprintf("0x%02x", options), (&wire.Subscribe{ID: 1, Filters: filters(options, "a")}).Bytes(wire.V311))
		second := []wire.Filter{{Filter: "a"}, {Filter: "b", Options: options}}
		e.refuses(fmt.Sprintf("second 0x%02x", options), (&wire.Subscribe{ID: 1, Filters: second}).Bytes(wire.V311))
	}
}

func subscribeAnswered(e *env) {
	c := e.open()
	for qos := range byte(3) {
		c.Subscribe(e.topic("a"), qos)
		c.Subscribe(e.topic("#"), qos)
	}
	c.ExpectNothing()
}

func subscribeID(e *env) {
	c := e.open()
	c.Send(&wire.Subscribe{ID: 7, Filters: filters(0, e.topic("a"))}, &wire.Subscribe{ID: 3, Filters: filters(0, e.topic("b"))})
	for _, id := range []uint16{7, 3} {
		if ack := c.Expect(wire.SUBACK); ack.ID != id {
			e.Fatalf("id %d wanted, got %v", id, ack)
		}
	}
}

func subscribeAgain(e *env) {
	e.run("replaces", func(e *env) {
		c, p := e.subscriber(2, e.topic("a")), e.open()
		for _, qos := range []byte{0, 2, 1} {
			c.Subscribe(e.topic("a"), qos)
			p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: 2})
			if m := c.ReceiveMessage(e.topic("a"), "x"); m.QoS != qos {
				e.Fatalf("QoS %d wanted, got %v", qos, m)
			}
			c.ExpectNoMessage()
		}
	})
	e.run("retained again", func(e *env) {
		e.open().Publish(&wire.Publish{Topic: e.topic("a"), Payload: "kept", QoS: 2, Retain: true})
		c := e.open()
		for _, qos := range []byte{0, 2, 2, 1} {
			c.Subscribe(e.topic("+"), qos)
			if m := c.ReceiveMessage(e.topic("a"), "kept"); m.QoS != qos || !m.Retain {
				e.Fatalf("QoS %d with RETAIN 1 wanted, got %v", qos, m)
			}
		}
		c.ExpectNoMessage()
	})
	e.run("not interrupted", func(e *env) {
		const n = 200
		c, p := e.subscriber(1, e.topic("a")), e.open()
		for i := range n {
			p.Send(&wire.Publish{Topic: e.topic("a"), Payload: number(i), QoS: 1, ID: p.NextID()})
			c.Send(&wire.Subscribe{ID: c.NextID(), Filters: filters(1, e.topic("a"))})
		}
		for i := range n {
			p.Expect(wire.PUBACK)
			c.ReceiveMessage(e.topic("a"), number(i))
		}
		c.Await(wire.SUBACK, n+1)
	})
}

func subscribeMany(e *env) {
	c, p := e.open(), e.open()
	p.Publish(&wire.Publish{Topic: e.topic("b"), Payload: "kept", QoS: 1, Retain: true})
	// The last of the same filters counts, as if they had come one by one.
	fs := []wire.Filter{{Filter: e.topic("a")}, {Filter: e.topic("b"), Options: 2}, {Filter: e.topic("c"), Options: 1}, {Filter: e.topic("a"), Options: 1}}
	ack := c.TrySubscribe(&wire.Subscribe{ID: 5, Filters: fs})
	if !bytes.Equal(ack.Codes, []byte{0, 2, 1, 1}) {
		e.Fatalf("codes 0, 2, 1, 1 wanted, got %v", ack)
	}
	c.ReceiveMessage(e.topic("b"), "kept")
	for _, topic := range []string{"a", "b", "c"} {
		p.Publish(&wire.Publish{Topic: e.topic(topic), Payload: topic, QoS: 2})
	}
	got := c.ExpectMessages("a", "b", "c")
	for i, qos := range []byte{1, 2, 1} {
		if got[i].QoS != qos {
			e.Fatalf("QoS %d wanted, got %v", qos, got[i])
		}
	}
}

func subscribeCodes(e *env) {
	c := e.open()
	for _, n := range []int{1, 2, 10, 100} {
		var fs []wire.Filter
		for i := range n {
			fs = append(fs, wire.Filter{Filter: e.topic(fmt.Sprintf("%d/%d", n, i)), Options: byte(i % 3)})
		}
		for i, code := range c.TrySubscribe(&wire.Subscribe{Filters: fs}).Codes {
			if code != fs[i].Options && code != 0x80 {
				e.Fatalf("filter %d: %d or 0x80 wanted, got 0x%02x", i, fs[i].Options, code)
			}
		}
	}
}

func subscribeQoS(e *env) {
	for published := range byte(3) {
		for granted := range byte(3) {
			e.run(fmt.Sprintf("QoS %d to QoS %d", published, granted), func(e *env) {
				c := e.subscriber(granted, e.topic("a"))
				e.open().Publish(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: published})
				if m := c.ReceiveMessage(e.topic("a"), "x"); m.QoS != min(published, granted) {
					e.Fatalf("QoS %d wanted, got %v", min(published, granted), m)
				}
			})
		}
	}
}

func subackOrder(e *env) {
	c := e.open()
	want := []byte{2, 0, 1, 0, 2, 2, 1, 1, 0}
	var fs []wire.Filter
	for i, qos := range want {
		fs = append(fs, wire.Filter{Filter: e.topic(fmt.Sprint(9 - i)), Options: qos})
	}
	if ack := c.TrySubscribe(&wire.Subscribe{Filters: fs}); !bytes.Equal(ack.Codes, want) {
		e.Fatalf("codes % x wanted, got %v", want, ack)
	}
}

// subackCodes subscribes to what servers like to treat in special ways; the client rejects other codes.
func subackCodes(e *env) {
	for _, f := range []string{
		"$SYS/#", "$SYS/broker/uptime", "$share/group/" + e.topic("a"), "$share//a", "$share/g", "$queue/a", "$", "/", "//", strings.Repeat("/", 1000),
	} {
		e.run(fmt.Sprintf("%.20s", f), func(e *env) {
			c := e.open()
			c.Send(&wire.Subscribe{ID: 1, Filters: filters(1, f)})
			if p, err := c.Read(wire.Patience); err == nil && (p.Type != wire.SUBACK || len(p.Codes) != 1) {
				e.Fatalf("SUBACK with one code, or the connection's end wanted, got %v", p)
			}
		})
	}
}

func unsubscribeUTF8(e *env) {
	for what, s := range illFormed {
		e.refuses(what, (&wire.Unsubscribe{ID: 1, Filters: []string{s}}).Bytes(wire.V311))
	}
	e.refuses("bytes behind", wire.Packet(wire.UNSUBSCRIBE.First(), wire.U16(1), wire.Str("a"), []byte{0}))
}

func unsubscribeEmpty(e *env) {
	e.refuses("no filter", []byte{0xa2, 2, 0, 1})
	e.refuses("no id", []byte{0xa2, 0})
}

func unsubscribeCompares(e *env) {
	c, p := e.subscriber(1, e.topic("a/+")), e.open()
	for _, f := range []string{"a/b", "a/#", "#", "A/+", "a/+/", "/a/+", "a/", "+/+", "a"} {
		c.Unsubscribe(e.topic(f))
	}
	c.Unsubscribe("#")
	p.Publish(&wire.Publish{Topic: e.topic("a/b"), Payload: "still", QoS: 1})
	c.ReceiveMessage(e.topic("a/b"), "still")
	c.Unsubscribe(e.topic("a/+"))
	p.Publish(&wire.Publish{Topic: e.topic("a/b"), Payload: "no more", QoS: 1})
	c.ExpectNoMessage()
}

func unsubscribeStops(e *env) {
	c, p := e.subscriber(1, e.topic("a"), e.topic("+")), e.open()
	c.Unsubscribe(e.topic("+"))
	p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "one", QoS: 1})
	c.ExpectMessages("one")
	c.Unsubscribe(e.topic("a"))
	for qos := range byte(3) {
		p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "no more", QoS: qos})
	}
	c.ExpectNoMessage()
}

// unsubscribeCompletes has messages in flight when it unsubscribes.
func unsubscribeCompletes(e *env) {
	for qos := byte(1); qos < 3; qos++ {
		e.run(fmt.Sprintf("QoS %d", qos), func(e *env) {
			id := e.id()
			c, ids := e.inFlight(id, e.topic("a"), qos, 3)
			c.Unsubscribe(e.topic("a"))
			c.Close()
			c = e.open(lasting(id))
			e.sameIDs(ids, e.expectNumbers(c, 3, true))
			for _, i := range ids {
				c.Acknowledge(&wire.Received{Type: wire.PUBLISH, QoS: qos, ID: i})
			}
			c.ExpectNoMessage()
			c.Close()
			e.open(lasting(id)).ExpectNoMessage()
		})
	}
}

func unsubscribeAnswered(e *env) {
	c := e.subscriber(1, e.topic("a"), e.topic("b"))
	c.Send(&wire.Unsubscribe{ID: 700, Filters: []string{e.topic("a")}}, &wire.Unsubscribe{ID: 3, Filters: []string{e.topic("b")}})
	for _, id := range []uint16{700, 3} {
		if ack := c.Expect(wire.UNSUBACK); ack.ID != id || ack.Size != 4 {
			e.Fatalf("id %d wanted, got %v", id, ack)
		}
	}
}

func unsubscribeUnknown(e *env) {
	c := e.open()
	for _, f := range []string{"a", "#", "+", "/", "a/+/b"} {
		c.Unsubscribe(e.topic(f))
		c.Unsubscribe(e.topic(f))
	}
}

func unsubscribeMany(e *env) {
	c, p := e.subscriber(1, e.topic("a"), e.topic("b"), e.topic("c")), e.open()
	c.Unsubscribe(e.topic("a"), e.topic("unknown"), e.topic("c"), e.topic("a"))
	c.ExpectNothing() // one UNSUBACK only
	for _, topic := range []string{"a", "b", "c"} {
		p.Publish(&wire.Publish{Topic: e.topic(topic), Payload: topic, QoS: 1})
	}
	c.ExpectMessages("b")
}

func ping(e *env) {
	c := e.open()
	c.Send(wire.PingReq(), wire.PingReq(), wire.PingReq())
	for range 3 {
		if p := c.Expect(wire.PINGRESP); p.Size != 2 {
			e.Fatalf("d0 00 wanted, got %v of %d bytes", p, p.Size)
		}
	}
	c.ExpectNothing()
}
