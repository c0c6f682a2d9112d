package mqtt5

import (
	"fmt"
	"slices"

	"pulso/test/conformance/wire"
)

// retain publishes a retained message.
func (s *suite) retain(topic, payload string, qos byte) {
	s.Helper()
	s.publisher().Publish(&wire.Publish{Topic: topic, Payload: payload, QoS: qos, Retain: true})
}

// wantRetained subscribes anew and wants exactly this retained message, or none for "".
func (s *suite) wantRetained(topic, payload string, qos byte) {
	s.Helper()
	c := s.client("late")
	c.Subscribe(topic, 2)
	if payload == "" {
		c.ExpectNoMessage()
		return
	}
	if got := c.ReceiveMessage(topic, payload); !got.Retain || got.Dup || got.QoS != qos {
		s.Errorf("retained at QoS %d wanted, got %v", qos, got)
	}
	c.ExpectNoMessage()
}

func retainReplaces(s *suite) {
	watcher := s.client("watcher")
	watcher.Subscribe(s.topic("x"), 0)
	for _, qos := range []byte{1, 2, 0, 1} {
		payload := fmt.Sprint("at ", qos)
		s.retain(s.topic("x"), payload, qos)
		watcher.ReceiveMessage(s.topic("x"), payload) // at QoS 0 nothing else tells that it has arrived
		s.wantRetained(s.topic("x"), payload, qos)
	}
	s.wantRetained(s.topic("y"), "", 0)
}

func retainRemoved(s *suite) {
	live := s.client("live")
	live.Subscribe(s.topic("x"), 1)
	s.retain(s.topic("x"), "1", 1)
	live.ReceiveMessage(s.topic("x"), "1")
	s.retain(s.topic("x"), "", 1)
	live.ReceiveMessage(s.topic("x"), "") // an ordinary message to those who are there
	s.wantRetained(s.topic("x"), "", 0)
	s.retain(s.topic("never"), "", 2)
	s.wantRetained(s.topic("never"), "", 0)
	s.retain(s.topic("x"), "2", 1)
	s.wantRetained(s.topic("x"), "2", 1)
}

func retainUntouched(s *suite) {
	pub := s.publisher()
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "not kept", QoS: 1})
	s.wantRetained(s.topic("x"), "", 0)
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "kept", QoS: 1, Retain: true})
	pub.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "not kept", QoS: 2})
	pub.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 1})
	s.wantRetained(s.topic("x"), "kept", 1)
}

// keepThree retains messages on three topics and returns a client and a filter that matches them.
func (s *suite) keepThree() (*wire.Client, string) {
	for _, topic := range []string{"a", "b/c", "b/d"} {
		s.retain(s.topic(topic), topic, 1)
	}
	return s.client("a"), s.topic("#")
}

// wantThree wants all three, each once, in any order.
func (s *suite) wantThree(c *wire.Client) {
	s.Helper()
	got := c.Drain()
	for _, p := range got {
		if !p.Retain || p.QoS != 1 {
			s.Errorf("got %v", p)
		}
		c.Acknowledge(p)
	}
	have := payloads(got)
	slices.Sort(have)
	equal(s, "retained", have, []string{"a", "b/c", "b/d"})
}

func retainHandling0(s *suite) {
	c, filter := s.keepThree()
	for range 3 { // for each SUBSCRIBE
		c.Subscribe(filter, 1)
		s.wantThree(c)
	}
	c.Subscribe(s.topic("b/+"), 1)
	if got := c.Drain(); len(got) != 2 {
		s.Errorf("got %v", got)
	}
}

func retainHandling1(s *suite) {
	c, filter := s.keepThree()
	c.Subscribe(filter, 1|wire.RetainIfNew)
	s.wantThree(c)
	for range 2 {
		c.Subscribe(filter, 1|wire.RetainIfNew)
		c.ExpectNoMessage()
	}
	c.Subscribe(filter, 1)
	s.wantThree(c)
	c.Unsubscribe(filter)
	c.Subscribe(filter, 1|wire.RetainIfNew)
	s.wantThree(c)
	// A session that is resumed has its subscriptions already.
	d := s.lasting("b")
	d.Subscribe(filter, 1|wire.RetainIfNew)
	s.wantThree(d)
	d.Disconnect(0)
	d = s.resume("b")
	d.Subscribe(filter, 1|wire.RetainIfNew)
	d.ExpectNoMessage()
}

func retainHandling2(s *suite) {
	c, filter := s.keepThree()
	for range 2 {
		c.Subscribe(filter, 1|wire.RetainNever)
		c.ExpectNoMessage()
	}
	s.retain(s.topic("a"), "now", 1)
	c.ReceiveMessage(s.topic("a"), "now") // what is published later comes as ever
}

func retainCleared(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 1)
	for _, retain := range []bool{true, false} {
		c.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "1", QoS: 1, Retain: retain})
		if got := c.ReceiveMessage(s.topic("x"), "1"); got.Retain {
			s.Errorf("retain %t: got %v", retain, got)
		}
	}
}

func retainAsPublished(s *suite) {
	c, away := s.client("a"), s.lasting("b")
	c.Subscribe(s.topic("x"), 1|wire.RetainAsPublished)
	away.Subscribe(s.topic("x"), 1|wire.RetainAsPublished)
	away.Disconnect(0)
	for i, retain := range []bool{true, false, true} {
		c.Publish(&wire.Publish{Topic: s.topic("x"), Payload: fmt.Sprint(i), QoS: 1, Retain: retain})
		if got := c.ReceiveMessage(s.topic("x"), fmt.Sprint(i)); got.Retain != retain {
			s.Errorf("retain %t: got %v", retain, got)
		}
	}
	away = s.resume("b")
	for i, retain := range []bool{true, false, true} {
		if got := away.ReceiveMessage(s.topic("x"), fmt.Sprint(i)); got.Retain != retain {
			s.Errorf("from the session, retain %t: got %v", retain, got)
		}
	}
}
