package mqtt5

import (
	"slices"
	"time"

	"pulso/test/conformance/wire"
)

// willPublished ends connections in each way that a will is for.
func willPublished(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("+"), 1)
	connect := func(name string) (*wire.Client, string) {
		topic := s.topic(name)
		return s.open(&wire.Connect{ClientID: s.id(name), Will: &wire.Will{Topic: topic, Payload: name, QoS: 1}}), topic
	}

	c, topic := connect("cut")
	c.Close()
	watcher.ReceiveMessage(topic, "cut")

	c, topic = connect("asked") // DISCONNECT with the will
	c.Disconnect(4)
	watcher.ReceiveMessage(topic, "asked")

	c, topic = connect("failed") // DISCONNECT for any other reason than a normal one
	c.Disconnect(0x80)
	watcher.ReceiveMessage(topic, "failed")

	c, topic = connect("protocol") // the server ends it
	c.Send(wire.Raw{0, 0})
	c.ExpectDisconnect(malformed...)
	watcher.ReceiveMessage(topic, "protocol")

	_, topic = connect("taken") // the session ends with the old connection, and Clean Start is a new one
	s.client("taken")
	watcher.ReceiveMessage(topic, "taken")
}

func willFields(s *suite) {
	head := wire.Cat(wire.Str("MQTT"), []byte{5, 0x06}, wire.U16(0), []byte{0}, wire.Str(s.id("x")))
	s.refuses("no will", wire.Raw(wire.Packet(0x10, head)))
	s.refuses("no topic", wire.Raw(wire.Packet(0x10, head, []byte{0})))
	s.refuses("no payload", wire.Raw(wire.Packet(0x10, head, []byte{0}, wire.Str("t"))))
	s.refuses("payload cut off", wire.Raw(wire.Packet(0x10, head, []byte{0}, wire.Str("t"), []byte{0, 2, 'x'})))

	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("+"), 2)
	for qos := range byte(3) {
		s.open(&wire.Connect{ClientID: s.id("a"), Will: &wire.Will{Topic: s.topic("x"), QoS: qos}}).Close()
		if got := watcher.ReceiveMessage(s.topic("x"), ""); got.QoS != qos {
			s.Errorf("QoS %d wanted, got %v", qos, got)
		}
	}
}

// willRemoved comes back without a will, after one was published and after one was discarded.
func willRemoved(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("+"), 1)
	connect := &wire.Connect{
		ClientID: s.id("a"), Resume: true, Props: wire.Properties{wire.Num(wire.SessionExpiry, 600)},
		Will: &wire.Will{Topic: s.topic("x"), Payload: "1"},
	}
	s.open(connect).Close()
	watcher.ReceiveMessage(s.topic("x"), "1")
	s.resume("a").Close()
	s.barrier("a")
	watcher.ExpectNoMessage()

	s.open(connect).Disconnect(0)
	s.resume("a").Close()
	s.barrier("a")
	watcher.ExpectNoMessage()
}

// barrier returns when the server has dealt with the end of the last connection of lasting or resume: a new connection takes
// the session over.
func (s *suite) barrier(name string) {
	s.Helper()
	s.resume(name).Disconnect(0)
}

func willQoSWithoutWill(s *suite) {
	s.refuses("1", &wire.Connect{FlipFlags: 0x08})
	s.refuses("2", &wire.Connect{FlipFlags: 0x10})
	s.refuses("3", &wire.Connect{FlipFlags: 0x18})
}

func willQoS(s *suite) {
	for qos := range byte(3) {
		s.open(&wire.Connect{ClientID: s.id("a"), Will: &wire.Will{Topic: s.topic("x"), QoS: qos}}).Disconnect(0)
	}
	s.refuses("3", &wire.Connect{Will: &wire.Will{Topic: s.topic("x"), QoS: 3}})
}

func willRetainWithoutWill(s *suite) { s.refuses("", &wire.Connect{FlipFlags: 0x20}) }

func (s *suite) willOnce(retain bool) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("x"), 1|wire.RetainAsPublished)
	s.open(&wire.Connect{ClientID: s.id("a"), Will: &wire.Will{Topic: s.topic("x"), Payload: "1", Retain: retain}}).Close()
	if got := watcher.ReceiveMessage(s.topic("x"), "1"); got.Retain != retain {
		s.Errorf("retain %t wanted, got %v", retain, got)
	}
}

func willNotRetained(s *suite) {
	s.publisher().Publish(&wire.Publish{Topic: s.topic("x"), Payload: "0", QoS: 1, Retain: true})
	watcher := s.client("b")
	watcher.Subscribe(s.topic("x"), 1)
	watcher.ReceiveMessage(s.topic("x"), "0")
	watcher.Unsubscribe(s.topic("x"))
	late := s.client("c")
	defer func() {
		late.Subscribe(s.topic("x"), 1)
		late.ReceiveMessage(s.topic("x"), "0") // the one before is still there
	}()
	live := s.client("watcher")
	live.Subscribe(s.topic("x"), 1|wire.RetainAsPublished|wire.RetainNever)
	s.open(&wire.Connect{ClientID: s.id("a"), Will: &wire.Will{Topic: s.topic("x"), Payload: "1"}}).Close()
	if got := live.ReceiveMessage(s.topic("x"), "1"); got.Retain {
		s.Errorf("got %v", got)
	}
}

func willRetained(s *suite) {
	s.willOnce(true)
	late := s.client("late")
	late.Subscribe(s.topic("x"), 1)
	if got := late.ReceiveMessage(s.topic("x"), "1"); !got.Retain {
		s.Errorf("got %v", got)
	}
}

// willDelayPrevents comes back before the will delay is over, and stays away the next time.
func willDelayPrevents(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("x"), 1)
	connect := &wire.Connect{
		ClientID: s.id("a"), Resume: true, Props: wire.Properties{wire.Num(wire.SessionExpiry, 600)},
		Will: &wire.Will{Topic: s.topic("x"), Payload: "1", Props: wire.Properties{wire.Num(wire.WillDelay, 1)}},
	}
	s.open(connect).Close()
	again := s.resume("a")
	watcher.ExpectSilence(2500 * time.Millisecond)
	again.Close()
}

// willAfterDelay wants a will not before its delay is over, and not long after.
func willAfterDelay(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("x"), 1)
	c := s.open(&wire.Connect{
		ClientID: s.id("a"), Props: wire.Properties{wire.Num(wire.SessionExpiry, 600)},
		Will: &wire.Will{Topic: s.topic("x"), Payload: "1", Props: wire.Properties{wire.Num(wire.WillDelay, 2)}},
	})
	began := time.Now()
	c.Close()
	watcher.ReceiveMessage(s.topic("x"), "1")
	if took := time.Since(began); took < 1900*time.Millisecond || took > 5*time.Second {
		s.Errorf("the will came after %v, its delay is 2 s", took)
	}
}

// willWithSession wants a will to be published when the session ends, though its delay is longer.
func willWithSession(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("x"), 1)
	will := &wire.Will{Topic: s.topic("x"), Payload: "1", Props: wire.Properties{wire.Num(wire.WillDelay, 600)}}
	s.open(&wire.Connect{ClientID: s.id("a"), Will: will, Props: wire.Properties{wire.Num(wire.SessionExpiry, 1)}}).Close()
	watcher.ReceiveMessage(s.topic("x"), "1") // expired
	s.open(&wire.Connect{ClientID: s.id("b"), Will: will}).Close()
	watcher.ReceiveMessage(s.topic("x"), "1") // ended with the connection
	s.open(&wire.Connect{ClientID: s.id("c"), Will: will, Props: wire.Properties{wire.Num(wire.SessionExpiry, 600)}}).Close()
	s.client("c")
	watcher.ReceiveMessage(s.topic("x"), "1") // ended by Clean Start
}

func willProperties(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("x"), 1)
	users := wire.Properties{wire.User("b", "1"), wire.User("a", "2"), wire.User("b", "0"), wire.User("a", "2")}
	s.open(&wire.Connect{ClientID: s.id("a"), Will: &wire.Will{Topic: s.topic("x"), Props: slices.Concat(users, wire.Properties{
		wire.Num(wire.PayloadFormat, 1), wire.Text(wire.ContentType, "text/plain"), wire.Text(wire.ResponseTopic, "answer"),
		wire.Text(wire.CorrelationData, "\x00\xff"), wire.Num(wire.MessageExpiry, 600),
	})}}).Close()
	got := watcher.ReceiveMessage(s.topic("x"), "")
	equal(s, "user properties", got.Props.Users(), users.Users())
	if got.Props.Num(wire.PayloadFormat, 0) != 1 || got.Props.Text(wire.ContentType) != "text/plain" ||
		got.Props.Text(wire.ResponseTopic) != "answer" || got.Props.Text(wire.CorrelationData) != "\x00\xff" {
		s.Errorf("got %v", got)
	}
	if left := got.Props.Num(wire.MessageExpiry, 0); left < 590 || left > 600 {
		s.Errorf("message expiry %d", left)
	}
}

func willDiscarded(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("x"), 1)
	for _, props := range []wire.Properties{{}, {wire.Num(wire.WillDelay, 1)}} {
		s.open(&wire.Connect{ClientID: s.id("a"), Will: &wire.Will{Topic: s.topic("x"), Props: props}}).Disconnect(0)
	}
	wait(2.2)
	watcher.ExpectNoMessage()
}
