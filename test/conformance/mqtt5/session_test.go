package mqtt5

import (
	"fmt"
	"time"

	"pulso/test/conformance/wire"
)

func cleanStart(s *suite) {
	c := s.lasting("a")
	c.Subscribe(s.topic("x"), 1)
	c.Disconnect(0)
	pub := s.publisher()
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 1})
	clean := s.lasting("a")
	if clean.Connack.Present {
		s.Error("session present after Clean Start")
	}
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "2", QoS: 1})
	clean.ExpectNoMessage()
}

func resumeSession(s *suite) {
	c := s.lasting("a")
	c.Subscribe(s.topic("x"), 1)
	c.Disconnect(0)
	pub := s.publisher()
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 1})
	again := s.resume("a")
	again.ReceiveMessage(s.topic("x"), "1")
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "2", QoS: 1})
	again.ReceiveMessage(s.topic("x"), "2")
	again.ExpectNoMessage()
}

func resumeNothing(s *suite) {
	c := s.open(&wire.Connect{ClientID: s.id("a"), Resume: true, Props: wire.Properties{wire.Num(wire.SessionExpiry, 600)}})
	if c.Connack.Present {
		s.Error("session present where there was none")
	}
	c.Subscribe(s.topic("x"), 1)
	c.Close()
	s.resume("a")
}

// sessionStored ends the connection in each way and wants subscriptions and messages under way to have stayed.
func sessionStored(s *suite) {
	topic := s.topic("x")
	pub := s.publisher()
	c := s.lasting("a")
	c.Subscribe(topic, 2)
	pub.Publish(&wire.Publish{Topic: topic, Payload: "1", QoS: 1})
	pub.Publish(&wire.Publish{Topic: topic, Payload: "2", QoS: 2})
	one, two := c.Expect(wire.PUBLISH), c.Expect(wire.PUBLISH)
	c.Close()

	c = s.resume("a")
	equal(s, "ids", []uint16{c.Expect(wire.PUBLISH).ID, c.Expect(wire.PUBLISH).ID}, []uint16{one.ID, two.ID})
	c.Acknowledge(one)
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: two.ID})
	c.Expect(wire.PUBREL)
	c.Send(wire.Raw{0, 0}) // a protocol error ends the connection, not the session
	c.ExpectDisconnect(malformed...)

	c = s.resume("a")
	if rel := c.Expect(wire.PUBREL); rel.ID != two.ID {
		s.Errorf("got %v", rel)
	}
	c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: two.ID})
	c.Disconnect(0x80)
	c = s.resume("a")
	c.ExpectNoMessage()
}

func sessionPresent(s *suite) {
	for _, step := range []struct {
		resume  bool
		expiry  uint32
		present bool
	}{
		{true, 600, false},
		{true, 600, true},
		{true, 0, true}, // this one ends with its connection
		{true, 600, false},
		{false, 600, false},
		{true, 0xffffffff, true},
		{true, 0, true},
		{false, 0, false},
	} {
		c := s.open(&wire.Connect{ClientID: s.id("a"), Resume: step.resume, Props: wire.Properties{wire.Num(wire.SessionExpiry, step.expiry)}})
		if c.Connack.Present != step.present {
			s.Fatalf("%+v: got %v", step, c.Connack)
		}
		c.Disconnect(0)
	}
}

func clientIDIsSession(s *suite) {
	for _, name := range []string{"a", "A", "a/b", "a b", "ä"} {
		c := s.lasting(name)
		c.Subscribe(s.topic(name), 1)
		c.Disconnect(0)
	}
	pub := s.publisher()
	for _, name := range []string{"a", "A", "a/b", "a b", "ä"} {
		pub.Publish(&wire.Publish{Topic: s.topic(name), Payload: name, QoS: 1})
	}
	for _, name := range []string{"a", "A", "a/b", "a b", "ä"} {
		c := s.resume(name)
		c.ReceiveMessage(s.topic(name), name)
		c.ExpectNoMessage()
	}
}

func sessionStaysWhileOpen(s *suite) {
	c := s.client("a", wire.Num(wire.SessionExpiry, 1))
	d := s.client("b")
	c.Subscribe(s.topic("x"), 1)
	d.Subscribe(s.topic("x"), 1)
	wait(2.5)
	s.publisher().Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 1})
	c.ReceiveMessage(s.topic("x"), "1")
	d.ReceiveMessage(s.topic("x"), "1")
}

// sessionExpires wants sessions to be gone when their time is over, and not before.
func sessionExpires(s *suite) {
	for name, expiry := range map[string]uint32{"none": 0, "one": 1, "long": 30, "for ever": 0xffffffff} {
		c := s.client(name, wire.Num(wire.SessionExpiry, expiry))
		c.Subscribe(s.topic("x"), 1)
		c.Close()
	}
	// DISCONNECT changes the interval [MQTT-5 3.14.2.2.2].
	s.client("shortened", wire.Num(wire.SessionExpiry, 600)).Disconnect(0, wire.Num(wire.SessionExpiry, 1))
	s.client("ended", wire.Num(wire.SessionExpiry, 600)).Disconnect(0, wire.Num(wire.SessionExpiry, 0))
	s.client("prolonged", wire.Num(wire.SessionExpiry, 1)).Disconnect(0, wire.Num(wire.SessionExpiry, 600))
	wait(3)
	for name, want := range map[string]bool{
		"none": false, "one": false, "long": true, "for ever": true, "shortened": false, "ended": false, "prolonged": true,
	} {
		c := s.open(&wire.Connect{ClientID: s.id(name), Resume: true})
		if c.Connack.Present != want {
			s.Errorf("%s: session present %t", name, c.Connack.Present)
		}
	}
}

// expiryFromNothing wants a session that was to end with its connection not to be prolonged by DISCONNECT.
func expiryFromNothing(s *suite) {
	c := s.client("a")
	c.Send(&wire.Disconnect{Props: wire.Properties{wire.Num(wire.SessionExpiry, 600)}})
	c.ExpectDisconnect(0x82)
	if s.open(&wire.Connect{ClientID: s.id("a"), Resume: true}).Connack.Present {
		s.Error("the session stayed")
	}
}

func redeliverDup(s *suite) {
	topic := s.topic("x")
	c := s.lasting("a")
	c.Subscribe(topic, 2)
	pub := s.publisher()
	pub.Publish(&wire.Publish{Topic: topic, Payload: "1", QoS: 1})
	pub.Publish(&wire.Publish{Topic: topic, Payload: "2", QoS: 2})
	first := []*wire.Received{c.Expect(wire.PUBLISH), c.Expect(wire.PUBLISH)}
	for range 2 {
		c.Close()
		c = s.resume("a")
		for _, want := range first {
			got := c.Expect(wire.PUBLISH)
			if want.Dup || !got.Dup || got.ID != want.ID || got.Payload != want.Payload || got.QoS != want.QoS {
				s.Errorf("first %v, then %v", want, got)
			}
		}
	}
}

// redeliverAll leaves messages in all states of their delivery and wants them again in their order, and that no time alone
// makes the server send anything again.
func redeliverAll(s *suite) {
	topic := s.topic("x")
	c := s.lasting("a")
	c.Subscribe(topic, 2)
	pub := s.publisher()
	for i := range 8 {
		pub.Publish(&wire.Publish{Topic: topic, Payload: fmt.Sprint(i), QoS: byte(1 + i%2)})
	}
	var sent []*wire.Received
	for range 8 {
		sent = append(sent, c.Expect(wire.PUBLISH))
	}
	c.Acknowledge(sent[2])
	c.Acknowledge(sent[5])
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: sent[1].ID}, &wire.Ack{Type: wire.PUBREC, ID: sent[7].ID})
	c.Expect(wire.PUBREL)
	c.Expect(wire.PUBREL)
	c.ExpectSilence(1500 * time.Millisecond)
	c.Close()

	c = s.resume("a")
	var publishes, releases []uint16
	for range 6 {
		switch p := c.Expect(wire.PUBLISH, wire.PUBREL); {
		case p.Type == wire.PUBREL:
			releases = append(releases, p.ID)
		case !p.Dup:
			s.Errorf("no DUP: %v", p)
		default:
			publishes = append(publishes, p.ID)
		}
	}
	equal(s, "PUBLISH", publishes, []uint16{sent[0].ID, sent[3].ID, sent[4].ID, sent[6].ID})
	equal(s, "PUBREL", releases, []uint16{sent[1].ID, sent[7].ID})
	c.ExpectNothing()
}

func refusedIsDone(s *suite) {
	topic := s.topic("x")
	c := s.lasting("a")
	c.Subscribe(topic, 2)
	pub := s.publisher()
	pub.Publish(&wire.Publish{Topic: topic, Payload: "1", QoS: 1})
	pub.Publish(&wire.Publish{Topic: topic, Payload: "2", QoS: 2})
	c.Send(&wire.Ack{Type: wire.PUBACK, ID: c.Expect(wire.PUBLISH).ID, Code: 0x83})
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: c.Expect(wire.PUBLISH).ID, Code: 0x97})
	c.ExpectNothing() // no PUBREL either
	c.Close()
	c = s.resume("a")
	c.ExpectNoMessage()
}

// offlineMessages publishes at every QoS to sessions without connection. Whether messages at QoS 0 wait is the server's
// choice; those at QoS 1 and 2 do.
func offlineMessages(s *suite) {
	for _, name := range []string{"a", "b"} {
		c := s.lasting(name)
		c.Subscribe(s.topic("+"), 2)
		c.Subscribe(s.topic("#"), 1)
		c.Disconnect(0)
	}
	pub := s.publisher()
	var want []string
	for i := range 20 {
		payload := fmt.Sprint(i)
		pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: payload, QoS: byte(1 + i%2)})
		want = append(want, payload)
	}
	for _, name := range []string{"a", "b"} {
		c := s.resume(name)
		seen := map[string]bool{}
		var got []string // overlapping subscriptions may deliver twice
		for len(got) < len(want) {
			if p := c.Receive(); !seen[p.Payload] {
				seen[p.Payload] = true
				got = append(got, p.Payload)
			}
		}
		equal(s, name, got, want)
	}
}
