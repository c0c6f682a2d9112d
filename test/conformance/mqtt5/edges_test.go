package mqtt5

import (
	"fmt"
	"strings"
	"time"

	"pulso/test/conformance/wire"
)

// smallerWindow comes back with a receive maximum below what is unacknowledged: no more than that is sent again at once.
func smallerWindow(s *suite) {
	c := s.lasting("a")
	c.Subscribe(s.topic("x"), 2)
	pub := s.publisher()
	for i := range 10 {
		pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: fmt.Sprint(i), QoS: byte(1 + i%2)})
	}
	ids := map[string]uint16{}
	for range 10 {
		p := c.Expect(wire.PUBLISH)
		ids[p.Payload] = p.ID
	}
	c.Close()
	c = s.resume("a", wire.Num(wire.ReceiveMaximum, 3))
	var open []*wire.Received
	for range 3 {
		open = append(open, c.Expect(wire.PUBLISH))
	}
	c.ExpectNothing()
	c.ExpectSilence(300 * time.Millisecond)
	for i := range 10 {
		p := open[0]
		if p.Payload != fmt.Sprint(i) || !p.Dup || p.ID != ids[p.Payload] {
			s.Fatalf("message %d with id %d wanted, got %v", i, ids[fmt.Sprint(i)], p)
		}
		c.Acknowledge(p)
		if open = open[1:]; i < 7 {
			open = append(open, c.Await(wire.PUBLISH, 0))
		}
	}
	c.ExpectNoMessage()
}

// smallerPackets comes back with a maximum packet size below that of an unacknowledged message: it counts as delivered, and
// gives its place in the window free.
func smallerPackets(s *suite) {
	c := s.lasting("a", wire.Num(wire.ReceiveMaximum, 1))
	c.Subscribe(s.topic("x"), 2)
	pub := s.publisher()
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: strings.Repeat("x", 1_000), QoS: 1})
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "small", QoS: 1})
	c.Expect(wire.PUBLISH)
	c.Close()
	c = s.resume("a", wire.Num(wire.ReceiveMaximum, 1), wire.Num(wire.MaximumPacketSize, 200))
	c.ReceiveMessage(s.topic("x"), "small")
	c.ExpectNoMessage()
}

// fromPastToPresent resumes a session with a long past while messages go on to be published: all come once, in their order.
func fromPastToPresent(s *suite) {
	const n = 1_500
	c := s.lasting("a")
	c.Subscribe(s.topic("#"), 1)
	c.Disconnect(0)
	pub := s.publisher()
	under := 0
	publish := func(i int) {
		pub.Send(&wire.Publish{Topic: s.topic(fmt.Sprint(i % 7)), Payload: fmt.Sprint(i), QoS: 1, ID: uint16(i + 1)})
		if under++; under == 50 {
			for ; under > 0; under-- {
				pub.Expect(wire.PUBACK)
			}
		}
	}
	for i := range n / 2 {
		publish(i)
	}
	c = s.resume("a", wire.Num(wire.ReceiveMaximum, 8))
	next, published := 0, n/2
	for next < n {
		if published < n {
			publish(published)
			published++
		}
		if p := c.Receive(); p.Payload != fmt.Sprint(next) || p.Dup {
			s.Fatalf("message %d wanted, got %v", next, p)
		}
		next++
	}
	c.ExpectNoMessage()
}

// reconnectsInBetween loses its connection every few messages: what it had not acknowledged comes again and nothing else, and
// the first deliveries are in order.
func reconnectsInBetween(s *suite) {
	const n = 200
	c := s.lasting("a")
	c.Subscribe(s.topic("x"), 2)
	c.Close()
	pub := s.publisher()
	for i := range n {
		pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: fmt.Sprint(i), QoS: byte(1 + i%2)})
	}
	next := 0
	for round := 0; next < n; round++ {
		c = s.resume("a", wire.Num(wire.ReceiveMaximum, 6))
		for i := 0; i < 6 && next < n; i++ {
			p := c.Await(wire.PUBLISH, 0)
			if p.Payload != fmt.Sprint(next) {
				s.Fatalf("round %d: message %d wanted, got %v", round, next, p)
			}
			if i < 3+round%3 {
				c.Acknowledge(p)
				next++
				continue
			}
			break // sent and not acknowledged
		}
		c.Settle()
		c.Close()
	}
	s.resume("a").ExpectNoMessage()
}

// takeoverInFlight takes a session over while messages are unacknowledged.
func takeoverInFlight(s *suite) {
	first := s.lasting("a")
	first.Subscribe(s.topic("x"), 2)
	pub := s.publisher()
	for i := range 5 {
		pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: fmt.Sprint(i), QoS: 2})
	}
	var sent []*wire.Received
	for range 5 {
		sent = append(sent, first.Expect(wire.PUBLISH))
	}
	second := s.resume("a")
	first.ExpectDisconnect(0x8e)
	for _, p := range sent {
		if again := second.Expect(wire.PUBLISH); again.ID != p.ID || !again.Dup || again.Payload != p.Payload {
			s.Errorf("first %v, then %v", p, again)
		}
	}
	for _, p := range sent {
		second.Acknowledge(p)
	}
	second.ExpectNoMessage()
}

// saidBeforeTheEnd sends a malformed packet with much behind it: the DISCONNECT comes all the same.
func saidBeforeTheEnd(s *suite) {
	for range 3 {
		c := s.client("a")
		c.SendRaw(append([]byte{0, 0}, make([]byte, 300_000)...)...)
		c.ExpectDisconnect(malformed...)
	}
	ws := s.webSocket("b")
	ws.SendRaw(append([]byte{0, 0}, make([]byte, 10_000)...)...)
	ws.ExpectDisconnect(malformed...)
}

// serverKeepAlive asks for a short keep alive and for longer ones: a server may shorten them and not lengthen them.
func serverKeepAlive(s *suite) {
	for _, asked := range []uint32{1, 30, 600, 65_535} {
		props := s.open(&wire.Connect{ClientID: s.id("a"), KeepAlive: int(asked)}).Connack.Props
		if n := props.Num(wire.ServerKeepAlive, asked); n == 0 || n > asked {
			s.Errorf("a keep alive of %d s became %d s", asked, n)
		}
	}
}

// acrossTransports takes a session over from TCP to WebSocket.
func acrossTransports(s *suite) {
	tcp := s.lasting("a")
	tcp.Subscribe(s.topic("x"), 1)
	ws := wire.DialWebSocket(s, "ws://"+s.hub.HTTP+"/mqtt")
	if !ws.Connect(&wire.Connect{ClientID: s.id("a"), Resume: true, Props: wire.Properties{wire.Num(wire.SessionExpiry, 600)}}).Present {
		s.Error("no session")
	}
	tcp.ExpectDisconnect(0x8e)
	s.publisher().Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 1})
	ws.ReceiveMessage(s.topic("x"), "1")
}

// inPieces sends packets byte by byte over TCP, and many in one write.
func inPieces(s *suite) {
	c := s.dial()
	for _, b := range (&wire.Connect{ClientID: s.id("a")}).Bytes(0) {
		c.SendRaw(b)
	}
	c.ExpectCode(wire.CONNACK, 0)
	c.Subscribe(s.topic("x"), 1)
	for _, b := range (&wire.Publish{Topic: s.topic("x"), Payload: "slow", QoS: 1, ID: 9}).Bytes(wire.V5) {
		c.SendRaw(b)
	}
	c.Await(wire.PUBACK, 9)
	c.ReceiveMessage(s.topic("x"), "slow")
	var many []wire.Sender
	for i := range 200 {
		many = append(many, &wire.Publish{Topic: s.topic("x"), Payload: fmt.Sprint(i)})
	}
	c.Send(many...)
	for i := range 200 {
		c.ReceiveMessage(s.topic("x"), fmt.Sprint(i))
	}
}
