package mqtt5

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"pulso/test/conformance/wire"
)

// connectFirst sends other packets before CONNECT: the server has to close the connection and to say nothing, for there is no
// packet that it may send [MQTT-3.2.0-1] [MQTT-3.14.0-1].
func connectFirst(s *suite) {
	topic := s.topic("x")
	watcher := s.client("watcher")
	watcher.Subscribe(topic, 0)
	for what, packet := range map[string]wire.Sender{
		"PUBLISH":    &wire.Publish{Topic: topic},
		"SUBSCRIBE":  &wire.Subscribe{ID: 1, Filters: []wire.Filter{{Filter: topic}}},
		"PINGREQ":    wire.PingReq(),
		"DISCONNECT": &wire.Disconnect{},
		"AUTH":       &wire.Auth{Code: 0x18},
		"PUBACK":     &wire.Ack{Type: wire.PUBACK, ID: 1},
		"type 0":     wire.Raw{0, 0},
		"CONNACK":    wire.Raw{0x20, 3, 0, 0, 0},
		"HTTP":       wire.Raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
	} {
		c := s.dial()
		c.Send(packet)
		c.ExpectClose()
		s.Log(what)
	}
	watcher.ExpectNoMessage()
}

func connectTwice(s *suite) {
	c := s.client("a")
	c.Send(&wire.Connect{ClientID: s.id("a")})
	c.ExpectDisconnect(0x82)

	both := s.dial() // in one write
	both.Send(&wire.Connect{ClientID: s.id("b")}, &wire.Connect{ClientID: s.id("c")})
	both.ExpectCode(wire.CONNACK, 0)
	both.ExpectDisconnect(0x82)
}

// unsupported wants a CONNECT at a protocol that the server doesn't know to end the connection, before which there may be a
// CONNACK with 0x84, or where old is set that of MQTT 3.1.1 with 0x01.
func (s *suite) unsupported(what string, old bool, connect []byte) {
	s.Helper()
	c := s.dial()
	c.SendRaw(connect...)
	_ = c.Conn().SetReadDeadline(time.Now().Add(wire.Patience))
	answer, err := io.ReadAll(c.Conn())
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.Errorf("%s: still open after % x", what, answer)
	case len(answer) == 0, old && string(answer) == "\x20\x02\x00\x01":
	default:
		p, err := wire.Decode(wire.V5, answer[0], answer[min(2, len(answer)):])
		if err != nil || p.Type != wire.CONNACK || p.Code != 0x84 {
			s.Errorf("%s: got % x, which is %v %v", what, answer, p, err)
		}
	}
}

func protocolName(s *suite) {
	for _, name := range []string{"mqtt", "MQTX", "MQTTT", "MQT", "M\x00TT"} {
		s.unsupported(name, false, (&wire.Connect{Name: name}).Bytes(0))
	}
	s.unsupported("MQIsdp", true, (&wire.Connect{Name: "MQIsdp"}).Bytes(0))
	s.unsupported("empty", false, wire.Packet(0x10, wire.Str(""), []byte{5, 2}, wire.U16(0), []byte{0}, wire.Str("a")))
}

// protocolVersion accepts the answer that MQTT 3.1.1 demands where MQTT 5 permits another [MQTT-3.1.1 3.1.2-2]: a server of
// both cannot know which of them the client understands.
func protocolVersion(s *suite) {
	for _, level := range []byte{1, 2, 6, 7, 127, 0x84, 0x85, 255} {
		s.unsupported(fmt.Sprint("level ", level), true, (&wire.Connect{Level: level}).Bytes(0))
	}
	s.unsupported("level 0", true, wire.Packet(0x10, wire.Str("MQTT"), []byte{0, 2}, wire.U16(0), []byte{0}, wire.Str("a")))
}

func connectReserved(s *suite) { s.refuses("", &wire.Connect{FlipFlags: 1}) }

func userFlags(s *suite) {
	s.refuses("name without flag", &wire.Connect{User: new("u"), FlipFlags: 0x80})
	s.refuses("flag without name", &wire.Connect{FlipFlags: 0x80})
	s.refuses("name cut off", wire.Raw(wire.Packet(0x10, wire.Str("MQTT"), []byte{5, 0x82}, wire.U16(0), []byte{0}, wire.Str("a"), []byte{0, 5, 'u'})))
}

func passwordFlags(s *suite) {
	s.refuses("password without flag", &wire.Connect{User: new("u"), Password: new("p"), FlipFlags: 0x40})
	s.refuses("flag without password", &wire.Connect{User: new("u"), FlipFlags: 0x40})
	s.refuses("password cut off", wire.Raw(wire.Packet(0x10, wire.Str("MQTT"), []byte{5, 0x42}, wire.U16(0), []byte{0}, wire.Str("a"), []byte{0, 5, 'p'})))
}

// keepAlive wants the connection of a silent client to end one and a half keep alives after its last packet, not before, and
// as if the network had failed: with its will. Whoever sends PINGREQ in time stays.
func keepAlive(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("will"), 1)
	c := s.open(&wire.Connect{ClientID: s.id("a"), KeepAlive: 1, Will: &wire.Will{Topic: s.topic("will"), Payload: "gone"}})
	period := time.Duration(c.Connack.Props.Num(wire.ServerKeepAlive, 1)) * time.Second
	for range 3 {
		time.Sleep(period)
		c.ExpectNothing()
	}
	began := time.Now()
	if p, err := c.Read(period*3/2 - 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Fatalf("after %v of a keep alive of %v: %v %v", time.Since(began), period, p, err)
	}
	if p, err := c.Read(wire.Patience); err == nil { // the server may say why
		if p.Type != wire.DISCONNECT || p.Code != 0x8d {
			s.Errorf("got %v", p)
		}
		c.ExpectClose()
	}
	if took := time.Since(began); took > period*3/2+2*time.Second {
		s.Errorf("closed after %v with a keep alive of %v", took, period)
	}
	watcher.ReceiveMessage(s.topic("will"), "gone")
}

// connectFieldOrder has all fields tell themselves apart: if they were taken in another order, the will would be another.
func connectFieldOrder(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("+"), 0)
	c := s.open(&wire.Connect{
		ClientID: s.id("a"), User: new("user"), Password: new("password"),
		Will: &wire.Will{Topic: s.topic("will"), Payload: "payload"},
	})
	c.Close()
	watcher.ReceiveMessage(s.topic("will"), "payload")
}

func clientIDPresent(s *suite) {
	head := wire.Cat(wire.Str("MQTT"), []byte{5, 2}, wire.U16(0), []byte{0})
	s.refuses("no payload", wire.Raw(wire.Packet(0x10, head)), 0x81, 0x82, 0x85)
	s.refuses("half a length", wire.Raw(wire.Packet(0x10, head, []byte{0})), 0x81, 0x82, 0x85)
	s.refuses("cut off", wire.Raw(wire.Packet(0x10, head, []byte{0, 3, 'a'})), 0x81, 0x82, 0x85)
}

func clientIDLetters(s *suite) {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, id := range []string{letters[:23], letters[20:43], letters[39:62], "7", "Z"} {
		s.open(&wire.Connect{ClientID: id})
	}
}

func assignedID(s *suite) {
	seen := map[string]bool{}
	for range 20 {
		id := s.open(&wire.Connect{}).Connack.Props.Text(wire.AssignedClientID)
		if id == "" || seen[id] {
			s.Fatalf("assigned client id %q, after %v", id, seen)
		}
		seen[id] = true
	}
	if id := s.client("a").Connack.Props.Text(wire.AssignedClientID); id != "" {
		s.Errorf("%q was assigned to a client that has an id", id)
	}
}

func assignedIDCounts(s *suite) {
	c := s.open(&wire.Connect{Props: wire.Properties{wire.Num(wire.SessionExpiry, 600)}})
	id := c.ID
	c.Subscribe(s.topic("x"), 1)
	c.Disconnect(0)
	s.publisher().Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 1})
	again := s.open(&wire.Connect{ClientID: id, Resume: true})
	if !again.Connack.Present {
		s.Fatalf("no session for the assigned client id %q", id)
	}
	again.ReceiveMessage(s.topic("x"), "1")
}

// clientIDRejected offers client ids that a server may find unfit; those that it does have to end the connection.
func clientIDRejected(s *suite) {
	for _, id := range []string{strings.Repeat("x", 1_000), strings.Repeat("x", 65_535), "a b/#+$", "\ufeff", "\u0001"} {
		c := s.dial()
		c.Send(&wire.Connect{ClientID: id})
		p, err := c.Read(wire.Patience)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, wire.ErrMalformed):
			s.Fatalf("client id %.20q…: %v", id, err)
		case err == nil && p.Code >= 0x80:
			c.ExpectClose()
		case err == nil:
			c.ExpectNothing()
		}
	}
}

// connectMalformed are CONNECT packets that are not as section 3.1 wants them, beside those that other statements have.
func connectMalformed(s *suite) {
	good := (&wire.Connect{ClientID: s.id("x")}).Bytes(0)
	s.refuses("too long", wire.Raw(wire.Packet(0x10, good[2:], []byte{0})))
	s.refuses("property length beyond the end", wire.Raw(wire.Packet(0x10, wire.Str("MQTT"), []byte{5, 2, 0, 0, 100})))
	s.refuses("property length of five bytes",
		wire.Raw(wire.Packet(0x10, wire.Str("MQTT"), []byte{5, 2, 0, 0, 0x80, 0x80, 0x80, 0x80, 1}, wire.Str("a"))))
	s.refuses("nothing", wire.Raw(wire.Packet(0x10)), 0x81, 0x82, 0x84)
	for what, props := range map[string]wire.Properties{
		"session expiry twice":              {wire.Num(wire.SessionExpiry, 1), wire.Num(wire.SessionExpiry, 1)},
		"receive maximum twice":             {wire.Num(wire.ReceiveMaximum, 1), wire.Num(wire.ReceiveMaximum, 1)},
		"receive maximum of 0":              {wire.Num(wire.ReceiveMaximum, 0)},
		"maximum packet size twice":         {wire.Num(wire.MaximumPacketSize, 100), wire.Num(wire.MaximumPacketSize, 100)},
		"maximum packet size of 0":          {wire.Num(wire.MaximumPacketSize, 0)},
		"topic alias maximum twice":         {wire.Num(wire.TopicAliasMaximum, 1), wire.Num(wire.TopicAliasMaximum, 1)},
		"request response information of 2": {wire.Num(wire.RequestResponse, 2)},
		"request response twice":            {wire.Num(wire.RequestResponse, 0), wire.Num(wire.RequestResponse, 0)},
		"request problem information of 2":  {wire.Num(wire.RequestProblem, 2)},
		"request problem twice":             {wire.Num(wire.RequestProblem, 0), wire.Num(wire.RequestProblem, 0)},
		"data without a method":             {wire.Text(wire.AuthData, "x")},
		"method twice":                      {wire.Text(wire.AuthMethod, "x"), wire.Text(wire.AuthMethod, "x")},
		"will delay outside of the will":    {wire.Num(wire.WillDelay, 1)},
		"a property of PUBLISH":             {wire.Num(wire.TopicAlias, 1)},
		"a property of CONNACK":             {wire.Num(wire.ServerKeepAlive, 1)},
		"unknown property":                  {wire.RawProperty(0x7f, 0)},
		"property 0":                        {wire.RawProperty(0, 0)},
		"property cut off":                  {wire.RawProperty(wire.SessionExpiry, 0, 0)},
	} {
		s.refuses(what, &wire.Connect{Props: props}, 0x81, 0x82, 0x8c)
	}
	for what, props := range map[string]wire.Properties{
		"will delay twice":     {wire.Num(wire.WillDelay, 1), wire.Num(wire.WillDelay, 1)},
		"payload format of 2":  {wire.Num(wire.PayloadFormat, 2)},
		"payload format twice": {wire.Num(wire.PayloadFormat, 1), wire.Num(wire.PayloadFormat, 1)},
		"expiry twice":         {wire.Num(wire.MessageExpiry, 1), wire.Num(wire.MessageExpiry, 1)},
		"content type twice":   {wire.Text(wire.ContentType, "a"), wire.Text(wire.ContentType, "a")},
		"response topic twice": {wire.Text(wire.ResponseTopic, "a"), wire.Text(wire.ResponseTopic, "a")},
		"correlation twice":    {wire.Text(wire.CorrelationData, "a"), wire.Text(wire.CorrelationData, "a")},
		"topic alias":          {wire.Num(wire.TopicAlias, 1)},
		"session expiry":       {wire.Num(wire.SessionExpiry, 1)},
		"properties cut off":   {wire.RawProperty(wire.WillDelay)},
	} {
		s.refuses("will: "+what, &wire.Connect{Will: &wire.Will{Topic: "t", Props: props}})
	}
	s.refuses("will: no topic", &wire.Connect{Will: &wire.Will{}}, 0x81, 0x82, 0x90)
	s.refuses("will: wildcards", &wire.Connect{Will: &wire.Will{Topic: "a/#"}}, 0x81, 0x82, 0x90)
	s.refuses("will: wildcards in the response topic", &wire.Connect{
		Will: &wire.Will{Topic: "a", Props: wire.Properties{wire.Text(wire.ResponseTopic, "a/+")}},
	}, 0x81, 0x82, 0x90)
}

func authMethodRefused(s *suite) {
	for _, props := range []wire.Properties{
		{wire.Text(wire.AuthMethod, "SCRAM-SHA-1")},
		{wire.Text(wire.AuthMethod, "SCRAM-SHA-1"), wire.Text(wire.AuthData, "client-first-data")},
		{wire.Text(wire.AuthMethod, "")},
	} {
		c := s.dial()
		c.Send(&wire.Connect{ClientID: s.id("a"), Props: props})
		c.ExpectCode(wire.CONNACK, 0x8c, 0x87)
		c.ExpectClose()
	}
}

func takeover(s *suite) {
	for range 30 {
		first := s.client("a")
		second := s.client("a")
		first.ExpectDisconnect(0x8e)
		second.ExpectNothing()
		second.Close()
	}
	old := s.open(&wire.Connect{Version: wire.V311, ClientID: s.id("b")})
	s.client("b").ExpectNothing()
	old.ExpectClose()
}

func cleanStartAtTakeover(s *suite) {
	first := s.lasting("a")
	first.Subscribe(s.topic("x"), 1)
	second := s.resume("a") // takes over with the session
	first.ExpectDisconnect(0x8e)
	s.publisher().Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 1})
	second.ReceiveMessage(s.topic("x"), "1")
	third := s.lasting("a") // and without
	second.ExpectDisconnect(0x8e)
	if third.Connack.Present {
		s.Error("session present after Clean Start")
	}
	s.publisher().Publish(&wire.Publish{Topic: s.topic("x"), Payload: "2", QoS: 1})
	third.ExpectNoMessage()
}

func connackSuccess(s *suite) {
	for _, connect := range []*wire.Connect{
		{ClientID: s.id("a")},
		{ClientID: s.id("b"), Resume: true},
		{ClientID: s.id("c"), KeepAlive: 65_535, Props: wire.Properties{
			wire.Num(wire.SessionExpiry, 0xffffffff), wire.Num(wire.ReceiveMaximum, 65_535), wire.Num(wire.MaximumPacketSize, 0xffffffff),
			wire.Num(wire.TopicAliasMaximum, 65_535), wire.Num(wire.RequestResponse, 1), wire.Num(wire.RequestProblem, 0),
			wire.User("n", "v"), wire.User("n", "v"), wire.User("", ""),
		}},
	} {
		c := s.open(connect)
		c.ExpectNothing()
		c.Disconnect(0, wire.Num(wire.SessionExpiry, 0))
	}
}

func nothingAfterRejection(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("#"), 0)
	for _, connect := range []*wire.Connect{
		{Props: wire.Properties{wire.Text(wire.AuthMethod, "x")}},
		{FlipFlags: 1},
		{Props: wire.Properties{wire.Num(wire.ReceiveMaximum, 0)}},
	} {
		c := s.dial()
		c.Send(connect, &wire.Publish{Topic: s.topic("x"), Retain: true}, &wire.Publish{Topic: s.topic("x"), QoS: 1, ID: 1})
		c.ExpectRefused(0x81, 0x82, 0x84, 0x8c, 0x87)
	}
	watcher.ExpectNoMessage()
}

// connackFirst sends requests right behind CONNECT, and comes back to a session that has messages: CONNACK is first.
func connackFirst(s *suite) {
	c := s.dial()
	c.Send(&wire.Connect{ClientID: s.id("a"), Props: wire.Properties{wire.Num(wire.SessionExpiry, 600)}},
		&wire.Subscribe{ID: 1, Filters: []wire.Filter{{Filter: s.topic("x"), Options: 1}}},
		&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 1, ID: 2}, wire.PingReq())
	c.ExpectCode(wire.CONNACK, 0)
	c.Await(wire.SUBACK, 1)
	c.Await(wire.PUBACK, 2)
	c.Await(wire.PINGRESP, 0)
	c.Await(wire.PUBLISH, 0)
	c.Close()
	for range 5 {
		s.resume("a").Close()
	}
}

func errorWithoutPresent(s *suite) {
	s.lasting("a").Disconnect(0)
	c := s.dial()
	ack := c.TryConnect(&wire.Connect{ClientID: s.id("a"), Resume: true, Props: wire.Properties{wire.Text(wire.AuthMethod, "x")}})
	if ack.Code < 0x80 || ack.Present {
		s.Errorf("got %v", ack)
	}
	c.ExpectClose()
	s.resume("a") // the refused one has not hurt the session
}

func maximumQoS(s *suite) {
	c := s.client("a")
	highest := byte(c.Connack.Props.Num(wire.MaximumQoS, 2))
	ack := c.TrySubscribe(&wire.Subscribe{Filters: []wire.Filter{
		{Filter: s.topic("x"), Options: 0}, {Filter: s.topic("x"), Options: 1}, {Filter: s.topic("x"), Options: 2},
	}})
	equal(s, "codes", ack.Codes, []byte{0, min(1, highest), highest})
	for qos := range highest + 1 {
		c.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: qos})
		if got := c.ReceiveMessage(s.topic("x"), "1"); got.QoS != qos {
			s.Errorf("QoS %d: got %v", qos, got)
		}
	}
}

// tooLargeForServer sends a packet above the server's maximum packet size, if it tells one.
func tooLargeForServer(s *suite) {
	c := s.client("a")
	limit := c.Connack.Props.Num(wire.MaximumPacketSize, 0)
	if limit == 0 {
		s.Skip("the server sets no maximum packet size")
	}
	fixed := len((&wire.Publish{Topic: s.topic("x")}).Bytes(wire.V5)) + len(wire.VarInt(limit)) - 1
	c.Publish(&wire.Publish{Topic: s.topic("x"), Payload: strings.Repeat("x", int(limit)-fixed), QoS: 0})
	c.ExpectNothing()
	c.Send(&wire.Publish{Topic: s.topic("x"), Payload: strings.Repeat("x", int(limit)-fixed+1)})
	c.ExpectDisconnect(0x95)
}

func smallConnack(s *suite) {
	const limit = 28
	for _, props := range []wire.Properties{
		{},
		{wire.Text(wire.AuthMethod, "x")},
		{wire.Num(wire.RequestProblem, 1), wire.Num(wire.RequestResponse, 1)},
	} {
		c := s.dial()
		ack := c.TryConnect(&wire.Connect{ClientID: s.id("a"), Props: append(props, wire.Num(wire.MaximumPacketSize, limit))})
		if ack.Size > limit {
			s.Errorf("%d bytes where %d are the maximum: %v", ack.Size, limit, ack)
		}
	}
}

func noResponseInformation(s *suite) {
	for _, props := range []wire.Properties{{}, {wire.Num(wire.RequestResponse, 0)}} {
		c := s.open(&wire.Connect{ClientID: s.id("a"), Props: props})
		if c.Connack.Props.Has(wire.ResponseInformation) {
			s.Errorf("got %v", c.Connack)
		}
	}
}

// noProblemInformation provokes every acknowledgement with an error: none may have a reason string or user properties.
func noProblemInformation(s *suite) {
	c := s.client("a", wire.Num(wire.RequestProblem, 0))
	for _, ack := range s.provoke(c) {
		if ack.Props.Has(wire.ReasonString) || ack.Props.Has(wire.UserProperty) {
			s.Errorf("got %v", ack)
		}
	}
}

// provoke has the server send every kind of acknowledgement, with an error where it can be had.
func (s *suite) provoke(c *wire.Client) []*wire.Received {
	s.Helper()
	props := wire.Properties{wire.User("name", strings.Repeat("value", 20))}
	c.Send(&wire.Publish{Topic: s.topic("nobody"), QoS: 1, ID: 100, Props: props})
	acks := []*wire.Received{c.Expect(wire.PUBACK)}
	c.Send(&wire.Publish{Topic: s.topic("nobody"), QoS: 2, ID: 101, Props: props})
	acks = append(acks, c.Expect(wire.PUBREC))
	c.Send(&wire.Ack{Type: wire.PUBREL, ID: 102, Props: props})
	acks = append(acks, c.ExpectCode(wire.PUBCOMP, 0x92))
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: 103, Props: props})
	acks = append(acks, c.ExpectCode(wire.PUBREL, 0x92))
	c.Send(&wire.Subscribe{ID: 104, Props: props, Filters: []wire.Filter{
		{Filter: "bad/#/filter", Options: 0}, {Filter: s.topic("good"), Options: 0}, {Filter: "$share/+/x", Options: 0},
	}})
	acks = append(acks, c.Expect(wire.SUBACK))
	c.Send(&wire.Unsubscribe{ID: 105, Props: props, Filters: []string{s.topic("never"), s.topic("good")}})
	return append(acks, c.Expect(wire.UNSUBACK))
}
