package mqtt5

import (
	"fmt"
	"slices"
	"strings"

	"pulso/test/conformance/wire"
)

// sections are what the standard says without giving it a number, named by the section.
var sections = []struct {
	name string
	test func(*suite)
}{
	{"3.1.2.11.7-response-information", responseInformation},
	{"3.1.3.2.2-will-after-its-delay", willAfterDelay},
	{"3.1.3.2.2-will-with-its-session", willWithSession},
	{"3.1.4-takeover-and-wills", takeoverWill},
	{"3.1.4-takeover-with-messages-in-flight", takeoverInFlight},
	{"3.1.4-takeover-from-another-transport", acrossTransports},
	{"3.2.2.3.14-server-keep-alive", serverKeepAlive},
	{"3.3.1.3-many-retained-messages", retainedMany},
	{"3.3.2.3.8-request-response", requestResponse},
	{"3.4-unknown-ids", unknownIDs},
	{"3.8.3.1-options-of-old-versions", oldVersions},
	{"3.14.2.2.2-expiry-from-nothing", expiryFromNothing},
	{"4.2-packets-in-pieces", inPieces},
	{"4.4-reconnects-in-between", reconnectsInBetween},
	{"4.4-from-past-to-present", fromPastToPresent},
	{"4.4-no-id-is-lost-to-acks-in-any-order", acksInAnyOrder},
	{"4.8.2-take-over-from-a-dead-member", sharedTakeOver},
	{"4.8.2-beside-own-subscriptions", sharedBeside},
	{"4.8.2-no-retained-messages", sharedWithoutRetained},
	{"4.8.2-order-within-a-member", sharedOrder},
	{"4.9-smaller-window-on-return", smallerWindow},
	{"4.9-smaller-packets-on-return", smallerPackets},
	{"4.13-said-before-the-end", saidBeforeTheEnd},
}

// responseInformation requests it: a server may return it, and if so it is a string that topics can begin with.
func responseInformation(s *suite) {
	c := s.client("a", wire.Num(wire.RequestResponse, 1))
	if c.Connack.Props.Has(wire.ResponseInformation) {
		info := c.Connack.Props.Text(wire.ResponseInformation)
		if info == "" || strings.ContainsAny(info, "+#") {
			s.Errorf("response information %q", info)
		}
	}
	c.ExpectNothing()
}

// takeoverWill wants no will of a session that goes on and whose will has a delay, and the one that has none at once.
func takeoverWill(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("x"), 1)
	lasting := wire.Properties{wire.Num(wire.SessionExpiry, 600)}
	will := func(payload string, delay uint32) *wire.Will {
		return &wire.Will{Topic: s.topic("x"), Payload: payload, Props: wire.Properties{wire.Num(wire.WillDelay, delay)}}
	}
	s.open(&wire.Connect{ClientID: s.id("a"), Props: lasting, Will: will("delayed", 1)})
	s.open(&wire.Connect{ClientID: s.id("a"), Resume: true, Props: lasting, Will: will("at once", 0)})
	s.open(&wire.Connect{ClientID: s.id("a"), Resume: true, Props: lasting})
	watcher.ReceiveMessage(s.topic("x"), "at once")
	wait(2.2)
	watcher.ExpectNoMessage()
}

// retainedMany keeps many messages and wants them all: no queue may be too short for them.
func retainedMany(s *suite) {
	const n = 2_000
	pub := s.publisher()
	var packets []wire.Sender
	for i := range n {
		packets = append(packets, &wire.Publish{Topic: s.topic(fmt.Sprint(i)), Payload: fmt.Sprint(i), Retain: true, QoS: 1, ID: uint16(i + 1)})
	}
	for len(packets) > 0 { // no more under way than the server accepts
		window := int(min(100, pub.Connack.Props.Num(wire.ReceiveMaximum, 65_535), uint32(len(packets))))
		pub.Send(packets[:window]...)
		packets = packets[window:]
		for range window {
			pub.Expect(wire.PUBACK)
		}
	}
	for qos := range byte(2) {
		c := s.client(fmt.Sprint("sub", qos), wire.Num(wire.ReceiveMaximum, 20))
		c.Subscribe(s.topic("+"), qos)
		seen := map[string]bool{}
		for range n {
			p := c.Receive()
			if !p.Retain || p.Topic != s.topic(p.Payload) || seen[p.Topic] {
				s.Fatalf("got %v", p)
			}
			seen[p.Topic] = true
		}
		c.ExpectNoMessage()
	}
}

// requestResponse plays a request and its response through.
func requestResponse(s *suite) {
	asker, answerer := s.client("asker"), s.client("answerer")
	asker.Subscribe(s.topic("answers"), 1)
	answerer.Subscribe(s.topic("questions"), 1)
	asker.Publish(&wire.Publish{Topic: s.topic("questions"), QoS: 1, Props: wire.Properties{
		wire.Text(wire.ResponseTopic, s.topic("answers")), wire.Text(wire.CorrelationData, "\x00\x01"),
	}})
	q := answerer.Receive()
	answerer.Publish(&wire.Publish{Topic: q.Props.Text(wire.ResponseTopic), QoS: 1, Props: wire.Properties{
		wire.Text(wire.CorrelationData, q.Props.Text(wire.CorrelationData)),
	}})
	if got := asker.Receive(); got.Props.Text(wire.CorrelationData) != "\x00\x01" || got.Props.Has(wire.ResponseTopic) {
		s.Errorf("got %v", got)
	}
}

// unknownIDs acknowledges what was never sent: PUBACK and PUBCOMP need no answer, and none of it ends the connection.
func unknownIDs(s *suite) {
	c := s.client("a", wire.Num(wire.ReceiveMaximum, 2))
	c.Send(&wire.Ack{Type: wire.PUBACK, ID: 9}, &wire.Ack{Type: wire.PUBCOMP, ID: 9, Code: 0x92}, &wire.Ack{Type: wire.PUBACK, ID: 10, Code: 0x80})
	c.ExpectNothing()
	// None of this has widened the window.
	c.Subscribe(s.topic("x"), 1)
	pub := s.publisher()
	for range 3 {
		pub.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 1})
	}
	c.Expect(wire.PUBLISH)
	c.Expect(wire.PUBLISH)
	c.ExpectNothing()
}

// oldVersions has clients of all versions talk to each other.
func oldVersions(s *suite) {
	clients := map[byte]*wire.Client{}
	for _, version := range []byte{wire.V31, wire.V311, wire.V5} {
		clients[version] = s.open(&wire.Connect{Version: version, ClientID: fmt.Sprintf("%s-%d", s.own()[:4], version)})
		clients[version].Subscribe(s.topic("+"), 2)
	}
	for version, from := range clients {
		payload := fmt.Sprint("from ", version)
		p := &wire.Publish{Topic: s.topic("x"), Payload: payload, QoS: 2}
		if version == wire.V5 {
			p.Props = wire.Properties{wire.User("n", "v"), wire.Num(wire.MessageExpiry, 100), wire.Text(wire.ResponseTopic, "r")}
		}
		from.Publish(p)
		for _, to := range clients {
			if got := to.ReceiveMessage(s.topic("x"), payload); got.QoS != 2 {
				s.Errorf("got %v", got)
			}
		}
	}
}

// acksInAnyOrder acknowledges in reverse and leaves one out: that one alone comes again.
func acksInAnyOrder(s *suite) {
	c := s.lasting("a", wire.Num(wire.ReceiveMaximum, 10))
	c.Subscribe(s.topic("x"), 1)
	pub := s.publisher()
	for i := range 30 {
		pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: fmt.Sprint(i), QoS: 1})
	}
	var held *wire.Received
	next := 0
	for next < 30 {
		var batch []*wire.Received
		for want := min(30-next, 9); len(batch) < want; next++ {
			p := c.Expect(wire.PUBLISH)
			if p.Payload != fmt.Sprint(next) {
				s.Fatalf("%d wanted, got %v", next, p)
			}
			if p.Payload == "4" {
				held = p
			}
			batch = append(batch, p)
		}
		for _, p := range slices.Backward(batch) {
			if p != held {
				c.Acknowledge(p)
			}
		}
	}
	c.ExpectNothing()
	c.Close()
	c = s.resume("a")
	if got := c.Expect(wire.PUBLISH); got.ID != held.ID || !got.Dup || got.Payload != "4" {
		s.Errorf("got %v", got)
	}
	c.ExpectNothing()
}
