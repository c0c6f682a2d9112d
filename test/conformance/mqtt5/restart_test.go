package mqtt5

import (
	"fmt"
	"testing"

	"pulso/test/conformance/wire"
	"pulso/test/internal/hub"
)

// TestRestart wants session state to outlive the server's process, stopped or killed: nothing in the standard lets a server
// forget it [MQTT-3.1.2-23] [MQTT-4.1.0-2].
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*hub.Hub){"stopped": (*hub.Hub).Stop, "killed": (*hub.Hub).Kill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &suite{T: t, hub: hub.Start(t)}
			before := beforeRestart(s)
			end(s.hub)
			s.hub.Again()
			afterRestart(s, before)
		})
	}
}

// A restart is what must be the same afterwards.
type restart struct {
	unacknowledged, released *wire.Received
}

func beforeRestart(s *suite) restart {
	var r restart
	pub := s.lasting("publisher")
	c := s.lasting("inflight")
	c.Subscribe(s.topic("x"), 2, wire.Num(wire.SubscriptionID, 7))
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "unacknowledged", QoS: 1})
	r.unacknowledged = c.Expect(wire.PUBLISH)
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "released", QoS: 2})
	r.released = c.Expect(wire.PUBLISH)
	c.Send(&wire.Ack{Type: wire.PUBREC, ID: r.released.ID})
	c.Expect(wire.PUBREL)

	away := s.lasting("away")
	away.Subscribe(s.topic("+"), 1|wire.RetainAsPublished)
	away.Disconnect(0)
	for i := range 100 {
		pub.Publish(&wire.Publish{Topic: s.topic("y"), Payload: fmt.Sprint(i), QoS: byte(1 + i%2)})
	}
	pub.Publish(&wire.Publish{Topic: s.topic("kept"), Payload: "kept", QoS: 2, Retain: true, Props: wire.Properties{wire.User("n", "v")}})
	pub.Publish(&wire.Publish{Topic: s.topic("gone"), Payload: "gone", QoS: 1, Retain: true})
	pub.Publish(&wire.Publish{Topic: s.topic("gone"), QoS: 1, Retain: true})

	pub.Send(&wire.Publish{Topic: s.topic("once"), Payload: "once", QoS: 2, ID: 4_711})
	pub.ExpectCode(wire.PUBREC, 0, 0x10)
	s.client("fleeting").Subscribe(s.topic("y"), 1)

	s.client("brief", wire.Num(wire.SessionExpiry, 1)).Disconnect(0)
	s.open(&wire.Connect{ClientID: s.id("dead"), Props: wire.Properties{wire.Num(wire.SessionExpiry, 600)}, Will: &wire.Will{
		Topic: s.topic("wills/delayed"), Payload: "gone", Props: wire.Properties{wire.Num(wire.WillDelay, 2)},
	}}).Disconnect(4)
	// The will has been left behind before this session is acknowledged, and so is kept as surely as it.
	s.lasting("mourner").Subscribe(s.topic("wills/+"), 1)
	pub.Publish(&wire.Publish{Topic: s.topic("wills/marker"), Payload: "the server knows", QoS: 1})
	return r
}

func afterRestart(s *suite, r restart) {
	c := s.resume("inflight")
	for range 2 {
		switch p := c.Expect(wire.PUBLISH, wire.PUBREL); {
		case p.Type == wire.PUBREL && p.ID == r.released.ID:
		case p.Type == wire.PUBLISH && p.ID == r.unacknowledged.ID && p.Dup && p.Payload == "unacknowledged":
		default:
			s.Errorf("got %v", p)
		}
	}
	c.Send(&wire.Ack{Type: wire.PUBACK, ID: r.unacknowledged.ID}, &wire.Ack{Type: wire.PUBCOMP, ID: r.released.ID})

	pub := s.resume("publisher")
	pub.Send(&wire.Publish{Topic: s.topic("once"), Payload: "once", QoS: 2, ID: 4_711, Dup: true})
	pub.ExpectCode(wire.PUBREC, 0, 0x10)
	pub.Send(&wire.Ack{Type: wire.PUBREL, ID: 4_711})
	pub.ExpectCode(wire.PUBCOMP, 0)

	away := s.resume("away")
	for i := range 100 {
		away.ReceiveMessage(s.topic("y"), fmt.Sprint(i))
	}
	if got := away.ReceiveMessage(s.topic("kept"), "kept"); !got.Retain {
		s.Errorf("got %v", got)
	}
	away.ReceiveMessage(s.topic("gone"), "gone")
	away.ReceiveMessage(s.topic("gone"), "")
	away.ReceiveMessage(s.topic("once"), "once")
	away.ExpectNoMessage()

	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "new", QoS: 2})
	if got := c.ReceiveMessage(s.topic("x"), "new"); got.QoS != 2 || got.Props.Num(wire.SubscriptionID, 0) != 7 {
		s.Errorf("got %v", got)
	}
	mourner := s.resume("mourner")
	mourner.ReceiveMessage(s.topic("wills/marker"), "the server knows")
	mourner.ReceiveMessage(s.topic("wills/delayed"), "gone")
	if s.open(&wire.Connect{ClientID: s.id("brief"), Resume: true}).Connack.Present {
		s.Error("a session that has expired came back")
	}
	late := s.client("late")
	late.Subscribe(s.topic("+"), 2)
	if got := late.ReceiveMessage(s.topic("kept"), "kept"); !got.Retain || got.QoS != 2 || len(got.Props.Users()) != 2 {
		s.Errorf("got %v", got)
	}
	late.ExpectNoMessage()
	if s.open(&wire.Connect{ClientID: s.id("fleeting"), Resume: true}).Connack.Present {
		s.Error("a session that ended with its connection came back")
	}
}
