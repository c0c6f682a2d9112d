package mqtt3

import (
	"fmt"

	"pulso/test/conformance/wire"
)

// illFormed are byte sequences that are not UTF-8.
var illFormed = map[string]string{
	"lone continuation":  "a\x80",
	"impossible byte":    "a\xff",
	"overlong slash":     "a\xc0\xaf",
	"overlong null":      "a\xc0\x80",
	"truncated":          "a\xe2\x82",
	"surrogate":          "a\xed\xa0\x80",
	"surrogate pair":     "a\xed\xa0\xbd\xed\xb8\x80",
	"beyond U+10FFFF":    "a\xf4\x90\x80\x80",
	"five bytes":         "a\xf8\x88\x80\x80\x80",
	"last surrogate":     "a\xed\xbf\xbf",
	"overlong three":     "a\xe0\x80\xaf",
	"continuation first": "\xbfa",
}

// packetsWith are the packets of a connected client that hold a string as topic or filter.
func packetsWith(s string) map[string][]byte {
	return map[string][]byte{
		"PUBLISH":            wire.Packet(wire.PUBLISH.First(), wire.Str(s), []byte("x")),
		"SUBSCRIBE":          wire.Packet(wire.SUBSCRIBE.First(), wire.U16(1), wire.Str(s), []byte{0}),
		"second filter":      wire.Packet(wire.SUBSCRIBE.First(), wire.U16(1), wire.Str("a"), []byte{0}, wire.Str(s), []byte{0}),
		"UNSUBSCRIBE":        wire.Packet(wire.UNSUBSCRIBE.First(), wire.U16(1), wire.Str(s)),
		"second unsubscribe": wire.Packet(wire.UNSUBSCRIBE.First(), wire.U16(1), wire.Str("a"), wire.Str(s)),
	}
}

func utf8IllFormed(e *env) {
	for what, s := range illFormed {
		for packet, b := range packetsWith(s) {
			e.refuses(packet+" "+what, b)
		}
	}
}

func utf8Null(e *env) {
	for packet, b := range packetsWith("a\x00b") {
		e.refuses(packet, b)
	}
	for what, c := range map[string]*wire.Connect{
		"client id":  {Version: wire.V311, ClientID: "a\x00b"},
		"will topic": {Version: wire.V311, ClientID: "a", Will: &wire.Will{Topic: "a\x00b"}},
		"user":       {Version: wire.V311, ClientID: "a", User: new("a\x00b"), Password: new("p")},
	} {
		e.refusesConnect(what, c.Bytes(0))
	}
}

func utf8ByteOrderMark(e *env) {
	with, without := e.topic("\ufeffa"), e.topic("a")
	marked, plain := e.subscriber(1, with), e.subscriber(1, without)
	p := e.open()
	p.Publish(&wire.Publish{Topic: with, Payload: "\ufeffmarked", QoS: 1})
	p.Publish(&wire.Publish{Topic: without, Payload: "plain", QoS: 1})
	marked.ReceiveMessage(with, "\ufeffmarked")
	plain.ReceiveMessage(without, "plain")
	marked.ExpectNoMessage()
	plain.ExpectNoMessage()
}

// flagsSent sees every packet that a server sends; the client rejects those with other flags.
func flagsSent(e *env) {
	topic := e.topic("a")
	c := e.open()
	c.Subscribe(topic, 2)
	for qos := range byte(3) {
		c.Publish(&wire.Publish{Topic: topic, QoS: qos, Payload: "x"})
		c.Receive()
	}
	c.Unsubscribe(topic)
	c.ExpectNothing()
}

// wrongFlags are packets of a connected client that are right but for their flags.
func wrongFlags(packet wire.Type, body ...[]byte) map[string][]byte {
	all := map[string][]byte{}
	for flags := range byte(16) {
		if first := byte(packet)<<4 | flags; first != packet.First() {
			all[fmt.Sprintf("%v %04b", packet, flags)] = wire.Packet(first, body...)
		}
	}
	return all
}

func (e *env) refusesFlags(packet wire.Type, body ...[]byte) {
	for what, b := range wrongFlags(packet, body...) {
		e.refuses(what, b)
	}
}

func flagsReceived(e *env) {
	for what, b := range wrongFlags(wire.CONNECT, wire.Str("MQTT"), []byte{4, 2, 0, 0}, wire.Str(e.id())) {
		e.refusesConnect(what, b)
	}
	for _, ack := range []wire.Type{wire.PUBACK, wire.PUBREC, wire.PUBREL, wire.PUBCOMP} {
		e.refusesFlags(ack, wire.U16(1))
	}
	e.refusesFlags(wire.SUBSCRIBE, wire.U16(1), wire.Str("a"), []byte{0})
	e.refusesFlags(wire.UNSUBSCRIBE, wire.U16(1), wire.Str("a"))
	e.refusesFlags(wire.PINGREQ)
	e.refusesFlags(wire.DISCONNECT)
}

func pubrelFlags(e *env)      { e.refusesFlags(wire.PUBREL, wire.U16(1)) }
func subscribeFlags(e *env)   { e.refusesFlags(wire.SUBSCRIBE, wire.U16(1), wire.Str("a"), []byte{0}) }
func unsubscribeFlags(e *env) { e.refusesFlags(wire.UNSUBSCRIBE, wire.U16(1), wire.Str("a")) }

// disconnectReserved sees a wrong DISCONNECT as one that was not sent: the will is published.
func disconnectReserved(e *env) {
	for what, b := range wrongFlags(wire.DISCONNECT) {
		e.run(what, func(e *env) {
			sub := e.subscriber(0, e.topic("will"))
			c := e.open(leaving(&wire.Will{Topic: e.topic("will"), Payload: "gone"}))
			c.SendRaw(b...)
			c.ExpectClose()
			sub.ReceiveMessage(e.topic("will"), "gone")
		})
	}
}

func idZero(e *env) {
	e.refuses("SUBSCRIBE", wire.Packet(wire.SUBSCRIBE.First(), wire.U16(0), wire.Str("a"), []byte{0}))
	e.refuses("UNSUBSCRIBE", wire.Packet(wire.UNSUBSCRIBE.First(), wire.U16(0), wire.Str("a")))
	for qos := byte(1); qos < 3; qos++ {
		e.refuses(fmt.Sprintf("PUBLISH QoS %d", qos), wire.Packet(wire.PUBLISH.First()|qos<<1, wire.Str("a"), wire.U16(0), []byte("x")))
	}
}

// idsOfServer wants the ids in flight to be different, and the same when they are sent again.
func idsOfServer(e *env) {
	const n = 10
	topic, id := e.topic("a"), e.id()
	c := e.open(lasting(id))
	c.Subscribe(topic, 2)
	p := e.open()
	for i := range n {
		p.Publish(&wire.Publish{Topic: topic, Payload: number(i), QoS: byte(1 + i%2)})
	}
	ids, order := map[uint16]string{}, []string{}
	for range n {
		m := c.Expect(wire.PUBLISH)
		if used, ok := ids[m.ID]; ok {
			e.Fatalf("an id of its own wanted, got %v, which %q has", m, used)
		}
		ids[m.ID] = m.Payload
		order = append(order, m.Payload)
	}
	c.Close()
	c = e.open(lasting(id))
	for _, payload := range order {
		if m := c.Expect(wire.PUBLISH); m.Payload != payload || ids[m.ID] != payload {
			e.Fatalf("%q wanted with the id that it had (%v), got %v", payload, ids, m)
		}
	}
}

func idAbsent(e *env) {
	c := e.subscriber(2, e.topic("a"))
	p := e.open()
	p.SendRaw(wire.Packet(wire.PUBLISH.First(), wire.Str(e.topic("a")), []byte{0, 7, 'x'})...)
	if m := c.ReceiveMessage(e.topic("a"), "\x00\x07x"); m.QoS != 0 {
		e.Fatalf("QoS 0 wanted, got %v", m)
	}
}

func idOfAcks(e *env) {
	c := e.open()
	for _, id := range []uint16{1, 255, 256, 0x8000, 65535} {
		c.Publish(&wire.Publish{Topic: e.topic("a"), QoS: 1, ID: id})
		c.Publish(&wire.Publish{Topic: e.topic("a"), QoS: 2, ID: id})
	}
	c.ExpectNothing()
}

func idOfSuback(e *env) {
	c := e.open()
	for _, id := range []uint16{1, 255, 256, 0x8000, 65535} {
		c.Send(&wire.Subscribe{ID: id, Filters: []wire.Filter{{Filter: e.topic("a")}}})
		if ack := c.Expect(wire.SUBACK); ack.ID != id {
			e.Fatalf("id %d wanted, got %v", id, ack)
		}
		c.Send(&wire.Unsubscribe{ID: id, Filters: []string{e.topic("a")}})
		if ack := c.Expect(wire.UNSUBACK); ack.ID != id {
			e.Fatalf("id %d wanted, got %v", id, ack)
		}
	}
}

// violations are packets that no client may send at all, and packets whose length is wrong.
func violations(e *env) {
	for what, b := range map[string][]byte{
		"type 0":                     {0x00, 0},
		"type 15":                    {0xf0, 0},
		"CONNACK":                    {0x20, 2, 0, 0},
		"SUBACK":                     {0x90, 3, 0, 1, 0},
		"UNSUBACK":                   {0xb0, 2, 0, 1},
		"PINGRESP":                   {0xd0, 0},
		"PINGREQ with a body":        {0xc0, 1, 0},
		"DISCONNECT with a body":     {0xe0, 1, 0},
		"PUBACK of 1 byte":           {0x40, 1, 0},
		"PUBACK of 0 bytes":          {0x40, 0},
		"PUBACK of 3 bytes":          {0x40, 3, 0, 1, 0},
		"PUBREC of 3 bytes":          {0x50, 3, 0, 1, 0},
		"PUBREL of 1 byte":           {0x62, 1, 0},
		"PUBREL of 3 bytes":          {0x62, 3, 0, 1, 0},
		"PUBCOMP of 3 bytes":         {0x70, 3, 0, 1, 0},
		"PUBACK of id 0":             {0x40, 2, 0, 0},
		"PUBREL of id 0":             {0x62, 2, 0, 0},
		"PUBLISH of 0 bytes":         {0x30, 0},
		"PUBLISH of 1 byte":          {0x30, 1, 0},
		"PUBLISH: topic beyond":      {0x30, 4, 0, 9, 'a', 'b'},
		"PUBLISH: no room for an id": {0x32, 4, 0, 1, 'a', 0},
		"SUBSCRIBE of 1 byte":        {0x82, 1, 0},
		"SUBSCRIBE: no QoS":          {0x82, 5, 0, 1, 0, 1, 'a'},
		"SUBSCRIBE: filter beyond":   {0x82, 6, 0, 1, 0, 9, 'a', 0},
		"SUBSCRIBE: half a second":   {0x82, 8, 0, 1, 0, 1, 'a', 0, 0, 1},
		"UNSUBSCRIBE: filter beyond": {0xa2, 5, 0, 1, 0, 9, 'a'},
		"UNSUBSCRIBE: half a second": {0xa2, 6, 0, 1, 0, 1, 'a', 0},
		"length of five bytes":       {0xc0, 0x80, 0x80, 0x80, 0x80, 0x00},
		"length of five bytes, 1":    {0x30, 0x81, 0x80, 0x80, 0x80, 0x01},
		"length that never ends":     {0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		e.refuses(what, b)
	}
	e.refusesConnect("length of five bytes before CONNECT", []byte{0x10, 0x80, 0x80, 0x80, 0x80, 0x00})
}

// byteStream sends packets in pieces of one byte, and many packets in one.
func byteStream(e *env) {
	topic := e.topic("a")
	packets := func() []byte {
		return wire.Cat(
			e.connect().Bytes(0),
			(&wire.Subscribe{ID: 1, Filters: []wire.Filter{{Filter: topic}}}).Bytes(wire.V311),
			(&wire.Publish{Topic: topic, Payload: "x", QoS: 1, ID: 2}).Bytes(wire.V311),
			wire.PingReq(),
		)
	}
	check := func(c *wire.Client) {
		c.ExpectCode(wire.CONNACK, 0)
		c.Await(wire.SUBACK, 1)
		c.Await(wire.PUBACK, 2)
		c.ReceiveMessage(topic, "x")
		c.Await(wire.PINGRESP, 0)
		c.Close()
	}
	one := e.dial()
	for _, b := range packets() {
		one.SendRaw(b)
	}
	check(one)
	all := e.dial()
	all.SendRaw(packets()...)
	check(all)
}
