package mqtt5

import (
	"strings"

	"pulso/test/conformance/wire"
)

// noDisconnectFirst sends bad packets before and instead of CONNECT: a DISCONNECT is no answer to them.
func noDisconnectFirst(s *suite) {
	for _, b := range []wire.Sender{
		wire.Raw{0xc0, 0},
		wire.Raw{0x10, 0},
		wire.Raw{0x10, 0xff, 0xff, 0xff, 0xff, 1},
		wire.Raw{0xf0, 0},
		wire.Raw{0xe0, 0},
		&wire.Connect{FlipFlags: 1}, &wire.Connect{Props: wire.Properties{wire.RawProperty(0x7f)}},
	} {
		c := s.dial()
		c.Send(b)
		c.ExpectRefused(0x81, 0x82, 0x84, 0x95)
	}
}

func disconnectFlags(s *suite) {
	for _, flags := range []byte{1, 2, 4, 8, 15} {
		s.breaks("", wire.Raw{0xe0 | flags, 0}, 0x81)
	}
}

// disconnectCodes provokes DISCONNECT in several ways. The client knows the codes of a server and that Session Expiry is not
// among its properties.
func disconnectCodes(s *suite) {
	s.breaks("malformed", wire.Raw{0x82, 0})
	s.breaks("protocol error", &wire.Publish{Topic: "t", Props: wire.Properties{wire.Num(wire.SubscriptionID, 1)}})
	s.breaks("topic alias", &wire.Publish{Topic: "t", Props: wire.Properties{wire.Num(wire.TopicAlias, 0)}}, 0x94)
	c := s.lasting("a")
	s.lasting("a")
	c.ExpectDisconnect(0x8e)
	d := s.client("b")
	d.Send(wire.Raw(wire.Packet(0xe0, []byte{0x03}))) // a client's code has to be a listed one too
	d.ExpectDisconnect(malformed...)
}

func smallDisconnect(s *suite) {
	const limit = 28
	c := s.client("a", wire.Num(wire.MaximumPacketSize, limit))
	c.Send(&wire.Publish{Topic: strings.Repeat("#", 200), Props: wire.Properties{wire.User("n", strings.Repeat("v", 200))}})
	if p := c.ExpectDisconnect(0x81, 0x82, 0x90); p.Size > limit {
		s.Errorf("%d bytes where %d are the maximum: %v", p.Size, limit, p)
	}
}

// disconnectIsLast has the server send DISCONNECT while it has messages for the client, its own and another's: nothing comes
// behind it.
func disconnectIsLast(s *suite) {
	pub := s.publisher()
	var flood []wire.Sender
	for range 50 {
		flood = append(flood, &wire.Publish{Topic: s.topic("x"), Payload: "1"})
	}
	for range 20 {
		c := s.client("a")
		c.Subscribe(s.topic("x"), 0)
		pub.Send(flood...)
		c.Send(append(flood, wire.Raw{0, 0}, wire.PingReq(), &wire.Publish{Topic: s.topic("x"), QoS: 1, ID: 1})...)
		for {
			if p := c.Expect(wire.PUBLISH, wire.DISCONNECT); p.Type == wire.DISCONNECT {
				break
			}
		}
		c.ExpectClose()
	}
	// What a client sends behind its own DISCONNECT counts for nothing.
	watcher, c := s.client("watcher"), s.client("a")
	watcher.Subscribe(s.topic("y"), 0)
	c.Send(&wire.Disconnect{}, &wire.Publish{Topic: s.topic("y"), QoS: 1, ID: 1}, wire.PingReq())
	c.ExpectClose()
	watcher.ExpectNoMessage()
}

func authFlags(s *suite) {
	for _, flags := range []byte{1, 2, 4, 8, 15} {
		s.breaks("", wire.Raw{0xf0 | flags, 0})
	}
}

func authCode(s *suite) {
	for _, code := range []byte{1, 0x17, 0x80, 0xff} {
		s.breaks("", &wire.Auth{Code: code, Props: wire.Properties{wire.Text(wire.AuthMethod, "x")}})
	}
}

func noAuthMethod(s *suite) {
	c := s.open(&wire.Connect{ClientID: s.id("a"), User: new("u"), Password: new("p")})
	if c.Connack.Props.Has(wire.AuthMethod) || c.Connack.Props.Has(wire.AuthData) {
		s.Errorf("got %v", c.Connack)
	}
	c.ExpectNothing()
}

func authWithoutMethod(s *suite) {
	for what, auth := range map[string]wire.Sender{
		"continue":         &wire.Auth{Code: 0x18, Props: wire.Properties{wire.Text(wire.AuthMethod, "x")}},
		"re-authenticate":  &wire.Auth{Code: 0x19, Props: wire.Properties{wire.Text(wire.AuthMethod, "x")}},
		"success":          &wire.Auth{},
		"nothing in it":    wire.Raw{0xf0, 0},
		"without a method": &wire.Auth{Code: 0x19},
	} {
		s.breaks(what, auth, 0x81, 0x82, 0x8c)
	}
}

// malformedPackets are packets with errors that other statements have no test for. Each ends its own connection only.
func malformedPackets(s *suite) {
	neighbour := s.client("neighbour")
	str, id, none := wire.Str, wire.U16(1), []byte{0}
	twice := wire.Properties{wire.Text(wire.ReasonString, "a"), wire.Text(wire.ReasonString, "a")}
	subscribe := func(props ...wire.Property) wire.Sender {
		return &wire.Subscribe{ID: 1, Filters: []wire.Filter{{Filter: "t"}}, Props: props}
	}
	publish := func(props ...wire.Property) wire.Sender { return &wire.Publish{Topic: "t", Props: props} }
	raw := func(first byte, parts ...[]byte) wire.Sender { return wire.Raw(wire.Packet(first, parts...)) }
	for what, packet := range map[string]wire.Sender{
		"type 0":                             wire.Raw{0, 0},
		"CONNACK":                            raw(0x20, []byte{0, 0, 0}),
		"SUBACK":                             raw(0x90, id, none, none),
		"UNSUBACK":                           raw(0xb0, id, none, none),
		"PINGRESP":                           raw(0xd0),
		"PINGREQ too long":                   raw(0xc0, none),
		"remaining length of five bytes":     wire.Raw{0x30, 0x80, 0x80, 0x80, 0x80, 1},
		"payload format of 2":                publish(wire.Num(wire.PayloadFormat, 2)),
		"payload format twice":               publish(wire.Num(wire.PayloadFormat, 1), wire.Num(wire.PayloadFormat, 1)),
		"message expiry twice":               publish(wire.Num(wire.MessageExpiry, 1), wire.Num(wire.MessageExpiry, 1)),
		"content type twice":                 publish(wire.Text(wire.ContentType, "a"), wire.Text(wire.ContentType, "a")),
		"response topic twice":               publish(wire.Text(wire.ResponseTopic, "a"), wire.Text(wire.ResponseTopic, "a")),
		"correlation data twice":             publish(wire.Text(wire.CorrelationData, "a"), wire.Text(wire.CorrelationData, "a")),
		"topic alias twice":                  publish(wire.Num(wire.TopicAlias, 1), wire.Num(wire.TopicAlias, 1)),
		"property of CONNECT in PUBLISH":     publish(wire.Num(wire.SessionExpiry, 1)),
		"reason string in PUBLISH":           publish(wire.Text(wire.ReasonString, "a")),
		"unknown property":                   publish(wire.RawProperty(0x7e, 0)),
		"property identifier of four bytes":  publish(wire.RawProperty(0xa6, 0x80, 0x80, 1, 0)),
		"property cut off":                   publish(wire.RawProperty(wire.MessageExpiry, 0, 0)),
		"property length beyond the packet":  raw(0x30, str("t"), []byte{9, 1}),
		"property length of five bytes":      raw(0x30, str("t"), []byte{0x80, 0x80, 0x80, 0x80, 1}),
		"subscription identifier of 0":       subscribe(wire.Num(wire.SubscriptionID, 0)),
		"two subscription identifiers":       subscribe(wire.Num(wire.SubscriptionID, 1), wire.Num(wire.SubscriptionID, 2)),
		"other property in SUBSCRIBE":        subscribe(wire.Num(wire.TopicAlias, 1)),
		"subscription id in UNSUBSCRIBE":     &wire.Unsubscribe{ID: 1, Filters: []string{"t"}, Props: wire.Properties{wire.Num(wire.SubscriptionID, 1)}},
		"PUBACK too short":                   raw(0x40, none),
		"PUBACK with an unlisted code":       raw(0x40, id, []byte{0x01}),
		"PUBACK with a property of others":   raw(0x40, id, none, []byte{3, wire.TopicAlias, 0, 1}),
		"PUBACK with two reason strings":     raw(0x40, id, none, twice.Bytes()),
		"PUBACK too long":                    raw(0x40, id, none, none, none),
		"PUBREC with an unlisted code":       raw(0x50, id, []byte{0x02}),
		"PUBREL with an unlisted code":       raw(0x62, id, []byte{0x10}),
		"PUBREL too long":                    raw(0x62, id, none, none, none),
		"PUBCOMP with an unlisted code":      raw(0x70, id, []byte{0x80}),
		"DISCONNECT with a code of a server": raw(0xe0, []byte{0x8e}),
		"DISCONNECT with two expiries":       &wire.Disconnect{Props: wire.Properties{wire.Num(wire.SessionExpiry, 0), wire.Num(wire.SessionExpiry, 0)}},
		"DISCONNECT with others' property":   &wire.Disconnect{Props: wire.Properties{wire.Num(wire.TopicAlias, 1)}},
		"DISCONNECT too long":                raw(0xe0, none, none, none),
	} {
		s.breaks(what, packet, 0x81, 0x82, 0x94, 0x95)
	}
	neighbour.ExpectNothing()
}

// errorsEnd sends codes of 0x80 and more, and has the server send some: the server closes the connection each time.
func errorsEnd(s *suite) {
	for _, code := range []byte{0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99} {
		s.client("a").Disconnect(code)
	}
	s.breaks("DISCONNECT of the server", wire.Raw{0, 0})
	authMethodRefused(s)
}
