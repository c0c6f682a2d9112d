package mqtt5

import (
	"slices"
	"strings"

	"pulso/test/conformance/wire"
)

// refusesFilters wants each filter to fail: with a code in SUBACK, or as malformed with the connection's end.
func (s *suite) refusesFilters(filters ...string) {
	s.Helper()
	for _, filter := range filters {
		c := s.client("a")
		c.Send(&wire.Subscribe{ID: 1, Filters: []wire.Filter{{Filter: filter}}})
		switch p := c.Expect(wire.SUBACK, wire.DISCONNECT); {
		case p.Type == wire.DISCONNECT && p.Code < 0x80, p.Type == wire.SUBACK && p.Codes[0] < 0x80:
			s.Errorf("%q: got %v", filter, p)
		case p.Type == wire.DISCONNECT:
			c.ExpectClose()
		}
	}
}

func (s *suite) acceptsFilters(filters ...string) {
	s.Helper()
	c := s.client("a")
	for _, filter := range filters {
		c.Subscribe(filter, 0|wire.RetainNever)
	}
	c.Close()
}

func filterHash(s *suite) {
	s.refusesFilters("a#", "a/#/b", "#/", "#a", "##", "a/b#", "+#", "#/+", "a/#/#")
	s.acceptsFilters("#", s.topic("#"), "/#", "+/#", "//#")
}

func filterPlus(s *suite) {
	s.refusesFilters("a+", "+a", "a/+b", "a/b+/c", "++", "a/++", "+/+a/+")
	s.acceptsFilters("+", "+/+", "/+", "+/", s.topic("+"), s.topic("+/a"), s.topic("+/+/#"))
}

func emptyTopics(s *suite) {
	s.refusesFilters("")
	s.breaks("topic", &wire.Publish{})
	s.refuses("will", &wire.Connect{Will: &wire.Will{}}, 0x81, 0x82, 0x90)
	c := s.client("b")
	c.Send(&wire.Unsubscribe{ID: 1, Filters: []string{""}})
	if p := c.Expect(wire.UNSUBACK, wire.DISCONNECT); p.Type == wire.UNSUBACK && p.Codes[0] == 0 {
		s.Errorf("got %v", p)
	}
	// A single slash and a single space are topics.
	d := s.client("c")
	for _, topic := range []string{"/", " "} {
		d.Subscribe(topic, 0|wire.RetainNever)
		d.Publish(&wire.Publish{Topic: topic, Payload: s.own()})
		for got := ""; got != s.own(); { // others publish there too
			got = d.Await(wire.PUBLISH, 0).Payload
		}
	}
}

// dollarTopics publishes to a topic with $ that clients may publish to, or else takes what the server publishes itself: no
// filter that begins with a wildcard gets it, one that names it does.
func dollarTopics(s *suite) {
	topic := "$" + s.own() + "/x"
	wild, named := s.client("wild"), s.client("named")
	for _, filter := range []string{"#", "+/x", "+/#", "+/+"} {
		wild.Subscribe(filter, 0|wire.RetainNever)
	}
	named.Subscribe("$"+s.own()+"/#", 1)
	named.Subscribe("$"+s.own()+"/+", 0)
	named.Publish(&wire.Publish{Topic: s.topic("$x"), Payload: "level", QoS: 1}) // $ elsewhere means nothing
	pub := s.publisher()
	ack := pub.TryPublish(&wire.Publish{Topic: topic, Payload: "1", QoS: 1})
	if ack.Code < 0x80 {
		if got := named.Drain(); !slices.Contains(payloads(got), "1") {
			s.Errorf("%q was accepted and did not come: %v", topic, got)
		}
		pub.Publish(&wire.Publish{Topic: topic, Payload: "2", QoS: 1, Retain: true})
		wild.Subscribe("#", 0)
	}
	var level bool
	for _, p := range wild.Drain() {
		level = level || p.Topic == s.topic("$x")
		if strings.HasPrefix(p.Topic, "$") {
			s.Errorf("got %v", p)
		}
	}
	if !level {
		s.Errorf("%q did not match #", s.topic("$x"))
	}
}

// noNormalisation has topics that Unicode, paths or case would make the same: none gets another's messages.
func noNormalisation(s *suite) {
	topics := []string{
		"\u00c5", "A\u030a", "\u212b", "a", "A", "a/", "/a", "a//b", "a/b", "a/./b", "a/../b", "a ", " a", "%61", "\ufb01", "fi",
		"ß", "SS", "\U0001f600", "a\u200b", "\ufeffa", "a\\b", "*", "a/*", "$x",
	}
	c := s.client("a")
	for i, topic := range topics {
		c.Subscribe(s.topic(topic), 0, wire.Num(wire.SubscriptionID, uint32(i+1)))
	}
	for _, topic := range topics {
		c.Publish(&wire.Publish{Topic: s.topic(topic), Payload: topic})
	}
	got := c.Drain()
	equal(s, "payloads", payloads(got), topics)
	for i, p := range got {
		if p.Topic != s.topic(p.Payload) || !slices.Equal(p.Props.SubscriptionIDs(), []uint32{uint32(i + 1)}) {
			s.Errorf("got %v", p)
		}
	}
}

func sharedNames(s *suite) {
	s.refusesFilters("$share/", "$share//", "$share//a", "$share/g", "$share/g/", "$share/+/a", "$share/#/a", "$share/g+/a",
		"$share/g#/a", "$share/g/a#", "$share/#")
	s.acceptsFilters("$share/g/"+s.topic("x"), "$share/g/"+s.topic("#"), "$share/ä b/"+s.topic("+/a"), "$share/g//"+s.topic("x"))
}
