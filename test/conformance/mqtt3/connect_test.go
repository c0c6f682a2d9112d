package mqtt3

import (
	"fmt"
	"strings"
	"time"

	"pulso/test/conformance/wire"
)

// connectWith is a CONNECT at MQTT 3.1.1 from its flags and what its payload holds.
func connectWith(flags byte, payload ...string) []byte {
	parts := [][]byte{wire.Str("MQTT"), {4, flags, 0, 0}}
	for _, s := range payload {
		parts = append(parts, wire.Str(s))
	}
	return wire.Packet(wire.CONNECT.First(), parts...)
}

func connectFirst(e *env) {
	for what, b := range map[string][]byte{
		"PUBLISH":     {0x30, 4, 0, 1, 'a', 'x'},
		"PUBLISH 1":   {0x32, 6, 0, 1, 'a', 0, 1, 'x'},
		"PUBACK":      {0x40, 2, 0, 1},
		"PUBREC":      {0x50, 2, 0, 1},
		"PUBREL":      {0x62, 2, 0, 1},
		"PUBCOMP":     {0x70, 2, 0, 1},
		"SUBSCRIBE":   {0x82, 6, 0, 1, 0, 1, 'a', 0},
		"UNSUBSCRIBE": {0xa2, 5, 0, 1, 0, 1, 'a'},
		"PINGREQ":     {0xc0, 0},
		"DISCONNECT":  {0xe0, 0},
		"HTTP":        []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		e.refusesConnect(what, b)
	}
}

func connectTwice(e *env) {
	e.run("the same", func(e *env) {
		first := e.connect()
		c := wire.Open(e, e.addr, first)
		c.Send(first)
		c.ExpectClose()
	})
	e.run("another", func(e *env) {
		sub := e.subscriber(0, e.topic("will"))
		c := e.open(leaving(&wire.Will{Topic: e.topic("will"), Payload: "violation"}))
		c.Send(e.connect())
		c.ExpectClose()
		sub.ReceiveMessage(e.topic("will"), "violation")
	})
	e.run("at once", func(e *env) {
		c := e.dial()
		c.Send(e.connect(), e.connect())
		c.ExpectCode(wire.CONNACK, 0)
		c.ExpectClose()
	})
}

func protocolName(e *env) {
	for _, name := range []string{"mqtt", "MQTTX", "MQT", "MQIsdp", "HTTP", "M\x80TT"} {
		e.run(fmt.Sprintf("%q", name), func(e *env) {
			c := e.dial()
			c.Send(e.connect(func(c *wire.Connect) { c.Name = name }))
			c.ExpectRefused(1)
		})
	}
	e.refusesConnect("empty", wire.Packet(wire.CONNECT.First(), wire.Str(""), []byte{4, 2, 0, 0}, wire.Str("a")))
}

func protocolLevel(e *env) {
	for _, level := range []byte{0, 1, 2, 6, 7, 127} {
		e.run(fmt.Sprint(level), func(e *env) {
			c := e.dial()
			c.SendRaw(wire.Packet(wire.CONNECT.First(), wire.Str("MQTT"), []byte{level, 2, 0, 0}, wire.Str(e.id()))...)
			c.ExpectCode(wire.CONNACK, 1)
			c.ExpectClose()
		})
	}
}

func connectReserved(e *env) {
	e.refusesConnect("clean", connectWith(0x03, e.id()))
	e.refusesConnect("resuming", connectWith(0x01, e.id()))
	e.refusesConnect("with will", connectWith(0x07, e.id(), "a", "b"))
}

func userAbsent(e *env)  { e.refusesConnect("user without flag", connectWith(0x02, e.id(), "user")) }
func userPresent(e *env) { e.refusesConnect("flag without user", connectWith(0x82, e.id())) }
func passwordAbsent(e *env) {
	e.refusesConnect("password without flag", connectWith(0x82, e.id(), "user", "password"))
}

func passwordPresent(e *env) {
	e.refusesConnect("flag without password", connectWith(0xc2, e.id(), "user"))
}

func passwordAlone(e *env) {
	e.refusesConnect("password without user", connectWith(0x42, e.id(), "password"))
}

func userUTF8(e *env) {
	for what, s := range illFormed {
		e.refusesConnect(what, connectWith(0xc2, e.id(), s, "password"))
	}
}

func connectOrder(e *env) {
	sub := e.subscriber(1, e.topic("will"))
	c := e.dial()
	c.SendRaw(connectWith(0xce, e.id(), e.topic("will"), "last words", "user", "password")...)
	c.ExpectCode(wire.CONNACK, 0)
	c.Close()
	sub.ReceiveMessage(e.topic("will"), "last words")
}

func clientIDIdentifies(e *env) {
	id := e.id()
	lower := e.open(lasting(id + "a"))
	lower.Subscribe(e.topic("a"), 1)
	lower.Disconnect(0)
	for _, other := range []string{id + "A", id + "a ", id, id + "aa"} {
		c := e.open(lasting(other))
		if c.Connack.Present {
			e.Fatalf("%q has the session of %q", other, id+"a")
		}
		c.ExpectNothing()
	}
	if c := e.open(lasting(id + "a")); !c.Connack.Present {
		e.Fatalf("%q lost its session", id+"a")
	}
}

func clientIDPresent(e *env) {
	e.refusesConnect("absent", connectWith(0x02))
	e.refusesConnect("half a length", wire.Packet(wire.CONNECT.First(), wire.Str("MQTT"), []byte{4, 2, 0, 0, 0}))
	e.refusesConnect("too short", wire.Packet(wire.CONNECT.First(), wire.Str("MQTT"), []byte{4, 2, 0, 0, 0, 5, 'a'}))
}

func clientIDUTF8(e *env) {
	for what, s := range illFormed {
		e.refusesConnect(what, connectWith(0x02, s))
	}
}

func clientIDAccepted(e *env) {
	const all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for i := 0; i < len(all); i += 23 {
		e.open(as(all[i:min(i+23, len(all))])).ExpectNothing()
	}
	for i := range all {
		e.open(as(all[i : i+1])).ExpectNothing()
	}
}

func clientIDEmpty(e *env) {
	a, b := e.open(as("")), e.open(as(""))
	a.Subscribe(e.topic("a"), 0)
	b.Subscribe(e.topic("b"), 0)
	b.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: 1})
	a.ReceiveMessage(e.topic("a"), "x")
	b.ExpectNoMessage()
}

func clientIDEmptyResume(e *env) {
	c := e.dial()
	c.Send(e.connect(lasting("")))
	c.ExpectCode(wire.CONNACK, 2)
	c.ExpectClose()
}

// clientIDRejected tries ids that a server may reject: it must say so, or serve them.
func clientIDRejected(e *env) {
	for what, id := range map[string]string{
		"long": strings.Repeat("x", 2000), "wildcards": "a/+/#", "spaces": "a b", "emoji": "sensor😀", "dollar": "$SYS",
	} {
		e.run(what, func(e *env) {
			c := e.dial()
			if ack := c.TryConnect(e.connect(as(id))); ack.Code == 0 {
				c.ExpectNothing()
				return
			} else if ack.Code != 2 {
				e.Fatalf("code 0 or 2 wanted, got %v", ack)
			}
			c.ExpectClose()
		})
	}
}

// malformedConnects are CONNECTs that break section 3.1 in one way each.
func malformedConnects(e *env) map[string][]byte {
	return map[string][]byte{
		"no body":                {0x10, 0},
		"name only":              wire.Packet(wire.CONNECT.First(), wire.Str("MQTT")),
		"no keep-alive":          wire.Packet(wire.CONNECT.First(), wire.Str("MQTT"), []byte{4, 2}),
		"bytes behind the end":   wire.Packet(wire.CONNECT.First(), wire.Str("MQTT"), []byte{4, 2, 0, 0}, wire.Str(e.id()), []byte{0}),
		"reserved flag":          connectWith(0x03, e.id()),
		"will QoS 3":             connectWith(0x1e, e.id(), "a", "b"),
		"will QoS without will":  connectWith(0x0a, e.id()),
		"retain without will":    connectWith(0x22, e.id()),
		"no will message":        connectWith(0x06, e.id(), "a"),
		"will topic + message":   connectWith(0x06, e.id(), "a/+", "b"),
		"will topic # message":   connectWith(0x06, e.id(), "#", "b"),
		"empty will topic":       connectWith(0x06, e.id(), "", "b"),
		"password without user":  connectWith(0x42, e.id(), "b"),
		"string beyond the end":  wire.Packet(wire.CONNECT.First(), wire.Str("MQTT"), []byte{4, 0x82, 0, 0}, wire.Str(e.id()), []byte{0, 9, 'u'}),
		"client id is not UTF-8": connectWith(0x02, "a\xff"),
	}
}

func connectMalformed(e *env) {
	for what, b := range malformedConnects(e) {
		e.refusesConnect(what, b)
	}
}

func takeover(e *env) {
	id := e.id()
	sub := e.subscriber(0, e.topic("will"))
	old := e.open(as(id), leaving(&wire.Will{Topic: e.topic("will"), Payload: "taken over"}))
	young := e.open(as(id))
	old.ExpectClose()
	sub.ReceiveMessage(e.topic("will"), "taken over")
	young.ExpectNothing()
	for range 5 {
		next := e.open(as(id))
		young.ExpectClose()
		young = next
	}
	young.ExpectNothing()
}

func cleanSessionSequence(e *env) {
	id := e.id()
	for i, step := range []struct{ resume, present bool }{
		{true, false}, {true, true}, {true, true}, {false, false}, {true, false}, {true, true}, {false, false}, {false, false}, {true, false},
	} {
		c := e.open(func(c *wire.Connect) { c.ClientID, c.Resume = id, step.resume })
		if c.Connack.Present != step.present {
			e.Fatalf("connection %d: Session Present %t wanted, got %v", i, step.present, c.Connack)
		}
		c.Disconnect(0)
	}
}

func connackBytes(e *env) {
	c := e.open()
	if c.Connack.Size != 4 || c.Connack.Present || c.Connack.Code != 0 {
		e.Fatalf("20 02 00 00 wanted, got %v", c.Connack)
	}
}

func rejectedThenData(e *env) {
	reject := func(what string, connect []byte) {
		e.run(what, func(e *env) {
			sub := e.subscriber(0, e.topic("#"))
			c := e.dial()
			c.SendRaw(wire.Cat(connect, (&wire.Publish{Topic: e.topic("a"), Payload: "x", Retain: true}).Bytes(wire.V311))...)
			for {
				if _, err := c.Read(wire.Patience); err != nil {
					break
				}
			}
			sub.ExpectNoMessage()
			e.subscriber(0, e.topic("#")).ExpectNoMessage()
		})
	}
	reject("level", wire.Packet(wire.CONNECT.First(), wire.Str("MQTT"), []byte{9, 2, 0, 0}, wire.Str("a")))
	reject("no id", connectWith(0x00, ""))
	reject("malformed", connectWith(0x03, "a"))
}

func connackFirst(e *env) {
	e.run("queued messages", func(e *env) {
		id := e.id()
		c := e.open(lasting(id))
		c.Subscribe(e.topic("a"), 1)
		c.Disconnect(0)
		p := e.open()
		for i := range 10 {
			p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: number(i), QoS: 1})
		}
		c = e.open(lasting(id)) // wants CONNACK first
		for i := range 10 {
			c.ReceiveMessage(e.topic("a"), number(i))
		}
	})
	e.run("all at once", func(e *env) {
		e.open().Publish(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: 1, Retain: true})
		c := e.dial()
		c.Send(e.connect(), &wire.Subscribe{ID: 1, Filters: []wire.Filter{{Filter: e.topic("a")}}})
		c.ExpectCode(wire.CONNACK, 0)
		c.Await(wire.SUBACK, 1)
		c.ReceiveMessage(e.topic("a"), "x")
	})
}

func presentClean(e *env) {
	id := e.id()
	e.open(lasting(id)).Disconnect(0)
	if c := e.open(as(id)); c.Connack.Present {
		e.Fatalf("no session wanted, got %v", c.Connack)
	}
}

func presentStored(e *env) {
	id := e.id()
	e.open(lasting(id)).Disconnect(0)
	for range 3 {
		c := e.open(lasting(id))
		if !c.Connack.Present {
			e.Fatalf("a session wanted, got %v", c.Connack)
		}
		c.Close()
	}
	c := e.open(lasting(id))
	if taken := e.open(lasting(id)); !taken.Connack.Present {
		e.Fatalf("the session of the connection taken over wanted, got %v", taken.Connack)
	}
	c.ExpectClose()
}

func presentNone(e *env) {
	id := e.id()
	if c := e.open(lasting(id)); c.Connack.Present {
		e.Fatalf("no session wanted, got %v", c.Connack)
	}
}

// presentRefused has a session, but none for an empty id or an unknown level.
func presentRefused(e *env) {
	id := e.id()
	e.open(lasting(id)).Disconnect(0)
	c := e.dial()
	c.SendRaw(wire.Packet(wire.CONNECT.First(), wire.Str("MQTT"), []byte{2, 0, 0, 0}, wire.Str(id))...)
	if ack := c.ExpectCode(wire.CONNACK, 1); ack.Present {
		e.Fatalf("no session wanted, got %v", ack)
	}
	c = e.dial()
	c.Send(e.connect(lasting("")))
	if ack := c.ExpectCode(wire.CONNACK, 2); ack.Present {
		e.Fatalf("no session wanted, got %v", ack)
	}
}

func refusedCloses(e *env) {
	c := e.dial()
	c.SendRaw(wire.Packet(wire.CONNECT.First(), wire.Str("MQTT"), []byte{2, 2, 0, 0}, wire.Str(e.id()))...)
	c.ExpectCode(wire.CONNACK, 1)
	c.ExpectClose()
	c = e.dial()
	c.Send(e.connect(lasting("")))
	c.ExpectCode(wire.CONNACK, 2)
	c.ExpectClose()
}

func noCodeFits(e *env) {
	e.refusesConnect("wildcard in the will's topic", connectWith(0x06, e.id(), "a/+", "b"))
	e.refusesConnect("surrogate in the client id", connectWith(0x02, "\xed\xa0\x80"))
	e.refusesConnect("will QoS 3", connectWith(0x1e, e.id(), "a", "b"))
}

func keepAlive(e *env) {
	every := func(d time.Duration, c *wire.Client, packet wire.Sender, answer wire.Type) {
		for range 3 {
			c.ExpectSilence(d)
			c.Send(packet)
			if answer != 0 {
				c.Expect(answer)
			}
		}
	}
	short := func(c *wire.Connect) { c.KeepAlive = 1 }
	silent := func(c *wire.Client) {
		began := time.Now()
		c.ExpectClose()
		// A server may look every other second. It may not end the connection of a client that keeps to its interval.
		if d := time.Since(began); d < time.Second || d > 5*time.Second {
			e.Errorf("closed after %v, 1.5 s wanted", d)
		}
	}
	e.run("nothing", func(e *env) {
		sub := e.subscriber(0, e.topic("will"))
		c := e.open(short, leaving(&wire.Will{Topic: e.topic("will"), Payload: "silent"}))
		silent(c)
		sub.ReceiveMessage(e.topic("will"), "silent")
	})
	e.run("PINGREQ", func(e *env) {
		c := e.open(short)
		every(time.Second, c, wire.PingReq(), wire.PINGRESP)
		silent(c)
	})
	e.run("PUBLISH", func(e *env) {
		c := e.open(short)
		every(time.Second, c, &wire.Publish{Topic: e.topic("a")}, 0)
		silent(c)
	})
	e.run("what is received does not count", func(e *env) {
		c := e.open(short)
		c.Subscribe(e.topic("a"), 0)
		p, began := e.open(), time.Now()
		for i := 0; ; i++ {
			p.Publish(&wire.Publish{Topic: e.topic("a"), QoS: 1})
			if _, err := c.Read(wire.Patience); err != nil {
				break
			}
			if time.Since(began) > 5*time.Second {
				e.Fatal("still open after 5 s")
			}
		}
	})
	e.run("0 is for ever", func(e *env) {
		c := e.open()
		c.ExpectSilence(4 * time.Second)
		c.ExpectNothing()
	})
}
