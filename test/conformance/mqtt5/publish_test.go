package mqtt5

import (
	"fmt"
	"slices"
	"strings"

	"pulso/test/conformance/wire"
)

// noIDAtQoS0 has a payload that would be taken for a packet id if there were one.
func noIDAtQoS0(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 0)
	for qos := range byte(3) {
		c.Publish(&wire.Publish{Topic: s.topic("x"), Payload: "\x00\x01", QoS: qos})
		if got := c.ReceiveMessage(s.topic("x"), "\x00\x01"); got.QoS != 0 || got.ID != 0 {
			s.Errorf("got %v", got)
		}
	}
}

func idNotZero(s *suite) {
	s.breaks("PUBLISH at QoS 1", &wire.Publish{Topic: s.topic("x"), QoS: 1})
	s.breaks("PUBLISH at QoS 2", &wire.Publish{Topic: s.topic("x"), QoS: 2})
	s.breaks("SUBSCRIBE", &wire.Subscribe{Filters: []wire.Filter{{Filter: s.topic("x")}}})
	s.breaks("UNSUBSCRIBE", &wire.Unsubscribe{Filters: []string{s.topic("x")}})
	s.breaks("PUBACK", &wire.Ack{Type: wire.PUBACK})
	s.breaks("PUBREL", &wire.Ack{Type: wire.PUBREL})
}

func unusedIDs(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 2)
	pub := s.publisher()
	for i := range 10 {
		pub.Publish(&wire.Publish{Topic: s.topic("x"), QoS: byte(1 + i%2)})
	}
	used := map[uint16]bool{}
	for range 10 {
		p := c.Expect(wire.PUBLISH)
		if p.ID == 0 || used[p.ID] {
			s.Errorf("id %d after %v", p.ID, used)
		}
		used[p.ID] = true
	}
	// An exchange that is half done uses its id still.
	for i := range 20 {
		pub.Publish(&wire.Publish{Topic: s.topic("x"), QoS: byte(1 + i%2)})
		p := c.Receive()
		if used[p.ID] {
			s.Errorf("id %d is in use", p.ID)
		}
	}
}

func sameIDs(s *suite) {
	c := s.client("a")
	for _, id := range []uint16{1, 0xff, 0x100, 0x1234, 0xffff} {
		c.TrySubscribe(&wire.Subscribe{ID: id, Filters: []wire.Filter{{Filter: s.topic("y")}}})
		c.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 1, ID: id})
		c.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 2, ID: id})
		c.Send(&wire.Unsubscribe{ID: id, Filters: []string{s.topic("y")}})
		if ack := c.Expect(wire.UNSUBACK); ack.ID != id {
			s.Errorf("got %v for id %d", ack, id)
		}
	}
}

func propertyLengthZero(s *suite) {
	c, topic := s.client("a"), s.topic("x")
	c.Subscribe(topic, 0)
	c.Publish(&wire.Publish{Topic: topic, Payload: "1"})
	got := c.ReceiveMessage(topic, "1")
	if want := 2 + 2 + len(topic) + 1 + 1; got.Size != want || len(got.Props) != 0 {
		s.Errorf("%d bytes, %d wanted: %v", got.Size, want, got)
	}
	s.breaks("without a property length", wire.Raw(wire.Packet(wire.PUBLISH.First(), wire.Str(topic))))
}

// plainQoS0 publishes at every QoS: at QoS 0 the client refuses DUP by itself [MQTT-3.3.1-2].
func plainQoS0(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 0)
	c.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 1, Dup: true})
	c.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 2, Dup: true})
	for range 2 {
		if got := c.Receive(); got.QoS != 0 || got.Dup {
			s.Errorf("got %v", got)
		}
	}
}

func dupAtQoS0(s *suite) {
	s.breaks("from the client", &wire.Publish{Topic: s.topic("x"), Dup: true})
	plainQoS0(s)
}

func dupNotPassedOn(s *suite) {
	c := s.client("a")
	c.Subscribe(s.topic("x"), 2)
	for qos := byte(1); qos <= 2; qos++ {
		c.Publish(&wire.Publish{Topic: s.topic("x"), QoS: qos, Dup: true})
		if got := c.Receive(); got.Dup || got.QoS != qos {
			s.Errorf("got %v", got)
		}
	}
}

func publishQoS3(s *suite) {
	s.breaks("", &wire.Publish{Topic: s.topic("x"), QoS: 3, ID: 1}, 0x81)
}

func topicFirst(s *suite) {
	s.breaks("neither topic nor alias", &wire.Publish{}, malformed...)
	s.breaks("nothing", wire.Raw(wire.Packet(wire.PUBLISH.First())))
	s.breaks("half a length", wire.Raw(wire.Packet(wire.PUBLISH.First(), []byte{0})))
	s.breaks("cut off", wire.Raw(wire.Packet(wire.PUBLISH.First(), []byte{0, 5, 'a'})))
	s.breaks("no packet id", wire.Raw(wire.Packet(wire.PUBLISH.First()|2, wire.Str(s.topic("x")))))
	for what, text := range bad {
		s.breaks(what, &wire.Publish{Topic: text}, 0x81, 0x82, 0x90)
	}
}

func topicWildcards(s *suite) {
	for _, topic := range []string{"#", "+", "a/#", "a/+/b", "a+", "#a"} {
		s.breaks(topic, &wire.Publish{Topic: topic}, 0x81, 0x82, 0x90)
		s.breaks(topic+" at QoS 1", &wire.Publish{Topic: topic, QoS: 1, ID: 1}, 0x81, 0x82, 0x90)
	}
}

func responseTopicWildcards(s *suite) {
	for _, topic := range []string{"#", "+", "a/#", "a/+/b"} {
		s.breaks(topic, &wire.Publish{Topic: "t", Props: wire.Properties{wire.Text(wire.ResponseTopic, topic)}}, 0x81, 0x82, 0x90)
	}
}

// topicMatches publishes to topics of which each filter matches some: what arrives has to match.
func topicMatches(s *suite) {
	topics := []string{"a", "a/", "/a", "a/b", "a/b/c", "b", "a//c", "A"}
	for filter, want := range map[string][]string{
		"a":     {"a"},
		"a/#":   {"a", "a/", "a/b", "a/b/c", "a//c"},
		"a/+":   {"a/", "a/b"},
		"+":     {"a", "b", "A"},
		"+/+":   {"a/", "/a", "a/b"},
		"a/+/c": {"a/b/c", "a//c"},
		"/+":    {"/a"},
		"#":     topics,
		"+/#":   topics,
		"a/+/#": {"a/", "a/b", "a/b/c", "a//c"},
		"b/#":   {"b"},
	} {
		c := s.client("a")
		c.Subscribe(s.topic(filter), 0)
		for _, topic := range topics {
			c.Publish(&wire.Publish{Topic: s.topic(topic), Payload: topic})
		}
		var got []string
		for _, p := range c.Drain() {
			got = append(got, strings.TrimPrefix(p.Topic, s.topic("")))
		}
		equal(s, filter, got, want)
	}
}

// passedOn wants properties of a message to arrive as they were: live, from a session, retained, and where they are empty or
// absent.
func passedOn(ids ...byte) func(*suite) {
	return func(s *suite) {
		s.passedOn(ids, wire.Properties{
			wire.User("z", "1"), wire.Num(wire.PayloadFormat, 1), wire.User("a", "2"), wire.Text(wire.ContentType, "text/plain; π"),
			wire.Text(wire.ResponseTopic, "answers/here"), wire.Text(wire.CorrelationData, "\x00\xff\x00"), wire.User("z", "0"), wire.User("", ""),
		})
		s.passedOn(ids, nil)
		// A payload format of 0 says the same as none, but it is to be passed on unaltered.
		s.passedOn(ids, wire.Properties{
			wire.Num(wire.PayloadFormat, 0), wire.Text(wire.ContentType, ""), wire.Text(wire.CorrelationData, ""), wire.User("", ""),
		})
	}
}

func (s *suite) passedOn(ids []byte, props wire.Properties) {
	s.Helper()
	check := func(where string, got *wire.Received) {
		s.Helper()
		for _, id := range ids {
			if id == wire.UserProperty {
				equal(s, where+": user properties", got.Props.Users(), props.Users())
				continue
			}
			if got.Props.Has(id) != props.Has(id) || got.Props.Num(id, 0) != props.Num(id, 0) || got.Props.Text(id) != props.Text(id) {
				s.Errorf("%s: property 0x%02x of %v: got %v", where, id, props, got)
			}
		}
	}
	topic := s.topic("x")
	away := s.lasting("away")
	away.Subscribe(topic, 1|wire.RetainNever)
	away.Disconnect(0)
	for qos := range byte(3) {
		c := s.client("a")
		c.Subscribe(topic, qos|wire.RetainNever)
		c.Publish(&wire.Publish{Topic: topic, QoS: 2, Props: props})
		check("live", c.Receive())
		c.Disconnect(0)
	}
	away = s.resume("away")
	for range 3 {
		check("from the session", away.Receive())
	}
	away.Publish(&wire.Publish{Topic: topic, Payload: "kept", QoS: 1, Retain: true, Props: props})
	late := s.client("late")
	late.Subscribe(topic, 1)
	check("retained", late.Receive())
}

func messageExpires(s *suite) {
	topic := s.topic("x")
	away := s.lasting("away")
	away.Subscribe(topic, 1)
	away.Disconnect(0)
	pub := s.publisher()
	publish := func(payload string, seconds uint32) {
		pub.Publish(&wire.Publish{Topic: topic, Payload: payload, QoS: 1, Props: wire.Properties{wire.Num(wire.MessageExpiry, seconds)}})
	}
	publish("short", 1)
	publish("long", 600)
	publish("short too", 1)
	pub.Publish(&wire.Publish{Topic: topic, Payload: "for ever", QoS: 1})
	pub.Publish(&wire.Publish{
		Topic: s.topic("kept"), Payload: "short", QoS: 1, Retain: true, Props: wire.Properties{wire.Num(wire.MessageExpiry, 1)},
	})
	wait(2.2)
	away = s.resume("away")
	away.ReceiveMessage(topic, "long")
	away.ReceiveMessage(topic, "for ever")
	away.Subscribe(s.topic("kept"), 1)
	away.ExpectNoMessage()
}

func messageExpiryCounts(s *suite) {
	topic := s.topic("x")
	away := s.lasting("away")
	away.Subscribe(topic, 1)
	away.Disconnect(0)
	live := s.client("live")
	live.Subscribe(topic, 1)
	props := wire.Properties{wire.Num(wire.MessageExpiry, 100)}
	s.publisher().Publish(&wire.Publish{Topic: topic, Payload: "1", QoS: 1, Retain: true, Props: props})
	left := func(c *wire.Client) uint32 { return c.ReceiveMessage(topic, "1").Props.Num(wire.MessageExpiry, 0) }
	if n := left(live); n < 99 || n > 100 {
		s.Errorf("live: %d s of 100 left", n)
	}
	wait(2.1)
	if n := left(s.resume("away")); n < 90 || n > 98 {
		s.Errorf("from the session, after 2 s: %d s of 100 left", n)
	}
	late := s.client("late")
	late.Subscribe(topic, 1)
	if n := left(late); n < 90 || n > 98 {
		s.Errorf("retained, after 2 s: %d s of 100 left", n)
	}
}

func aliasNotCarried(s *suite) {
	c := s.lasting("a")
	s.needAliases(c)
	c.Publish(&wire.Publish{Topic: s.topic("x"), QoS: 1, Props: wire.Properties{wire.Num(wire.TopicAlias, 1)}})
	c.Close()
	c = s.resume("a")
	c.Send(&wire.Publish{QoS: 1, ID: 9, Props: wire.Properties{wire.Num(wire.TopicAlias, 1)}})
	c.ExpectDisconnect(0x82, 0x94)

	// Nor does the server carry its own over: the client knows no alias of the connection before, and fails if one is used.
	d := s.lasting("b", wire.Num(wire.TopicAliasMaximum, 5))
	d.Subscribe(s.topic("y"), 1)
	for range 2 {
		d.Publish(&wire.Publish{Topic: s.topic("y"), QoS: 1})
		d.ReceiveMessage(s.topic("y"), "")
		d.Settle()
		d.Close()
		d = s.resume("b", wire.Num(wire.TopicAliasMaximum, 5))
	}
}

// needAliases skips the test if the server accepts no topic aliases, and returns its maximum.
func (s *suite) needAliases(c *wire.Client) uint32 {
	s.Helper()
	limit := c.Connack.Props.Num(wire.TopicAliasMaximum, 0)
	if limit == 0 {
		s.Skip("the server accepts no topic aliases")
	}
	return limit
}

func aliasZero(s *suite) {
	s.breaks("with a topic", &wire.Publish{Topic: s.topic("x"), Props: wire.Properties{wire.Num(wire.TopicAlias, 0)}}, 0x94)
	s.breaks("without", &wire.Publish{Props: wire.Properties{wire.Num(wire.TopicAlias, 0)}}, 0x94, 0x82)
}

func aliasTooHigh(s *suite) {
	limit := s.client("a").Connack.Props.Num(wire.TopicAliasMaximum, 0)
	if limit < 65_535 {
		s.breaks("above", &wire.Publish{Topic: s.topic("x"), Props: wire.Properties{wire.Num(wire.TopicAlias, limit+1)}}, 0x94)
		s.breaks("highest", &wire.Publish{Topic: s.topic("x"), Props: wire.Properties{wire.Num(wire.TopicAlias, 65_535)}}, 0x94)
	}
}

func aliasesAccepted(s *suite) {
	c := s.client("a")
	limit := s.needAliases(c)
	c.Subscribe(s.topic("+"), 1)
	numbers := []uint32{1, 2, limit/2 + 1, limit - 1, limit}
	slices.Sort(numbers)
	alias := func(n uint32) wire.Properties { return wire.Properties{wire.Num(wire.TopicAlias, n)} }
	for _, n := range slices.Compact(numbers) {
		if n == 0 {
			continue
		}
		first, second := s.topic(fmt.Sprint(n)), s.topic(fmt.Sprint(n, "again"))
		c.Publish(&wire.Publish{Topic: first, Payload: "set", Props: alias(n)})
		c.ReceiveMessage(first, "set")
		c.Publish(&wire.Publish{Payload: "used", QoS: 1, Props: alias(n)})
		c.ReceiveMessage(first, "used")
		c.Publish(&wire.Publish{Topic: second, Payload: "set anew", QoS: 2, Props: alias(n)})
		c.ReceiveMessage(second, "set anew")
		c.Publish(&wire.Publish{Payload: "used", Props: alias(n)})
		c.ReceiveMessage(second, "used")
	}
}

// aliasesWithinMaximum publishes to more topics than the subscriber accepts aliases for, again and again. The client knows by
// itself whether an alias was set before.
func aliasesWithinMaximum(s *suite) {
	c := s.client("a", wire.Num(wire.TopicAliasMaximum, 2))
	c.Subscribe(s.topic("+"), 1)
	pub := s.publisher()
	for range 3 {
		for i := range 5 {
			pub.Publish(&wire.Publish{Topic: s.topic(fmt.Sprint(i)), Payload: fmt.Sprint(i), QoS: 1})
			got := c.ReceiveMessage(s.topic(fmt.Sprint(i)), fmt.Sprint(i))
			if got.Props.Num(wire.TopicAlias, 0) > 2 {
				s.Errorf("got %v", got)
			}
		}
	}
}

func noAliases(s *suite) {
	for _, props := range []wire.Properties{{}, {wire.Num(wire.TopicAliasMaximum, 0)}} {
		c := s.client("a", props...)
		c.Subscribe(s.topic("x"), 0)
		for range 3 {
			c.Publish(&wire.Publish{Topic: s.topic("x")})
			if got := c.Receive(); got.Props.Has(wire.TopicAlias) {
				s.Errorf("got %v", got)
			}
		}
	}
}

func publishWithSubscriptionID(s *suite) {
	s.breaks("", &wire.Publish{Topic: s.topic("x"), Props: wire.Properties{wire.Num(wire.SubscriptionID, 1)}}, malformed...)
}

// order publishes to one topic from two clients at each QoS, to a live and to an absent subscriber.
func order(s *suite) {
	topic := s.topic("x")
	live, away := s.client("live"), s.lasting("away")
	live.Subscribe(topic, 2)
	away.Subscribe(topic, 2)
	away.Disconnect(0)
	a, b := s.client("a"), s.client("b")
	const n = 100
	for i := range n {
		qos := byte(i % 3)
		a.Send(&wire.Publish{Topic: topic, Payload: fmt.Sprintf("a%d %d", qos, i), QoS: qos, ID: uint16(i + 1)})
		b.Send(&wire.Publish{Topic: topic, Payload: fmt.Sprintf("b%d %d", qos, i), QoS: qos, ID: uint16(i + 1)})
	}
	for _, c := range []*wire.Client{a, b} {
		for i := range n {
			switch i % 3 {
			case 1:
				c.Await(wire.PUBACK, uint16(i+1))
			case 2:
				c.Await(wire.PUBREC, uint16(i+1))
				c.Send(&wire.Ack{Type: wire.PUBREL, ID: uint16(i + 1)})
			}
		}
	}
	check := func(c *wire.Client, want int) {
		last := map[string]int{"a0": -1, "a1": -1, "a2": -1, "b0": -1, "b1": -1, "b2": -1}
		for range want {
			p := c.Receive()
			var source string
			var i int
			if _, err := fmt.Sscanf(p.Payload, "%s %d", &source, &i); err != nil {
				s.Fatal(err)
			}
			if i <= last[source] {
				s.Fatalf("%s: %d after %d", source, i, last[source])
			}
			last[source] = i
		}
	}
	check(live, 2*n)
	away = s.resume("away") // at QoS 0 nothing need have waited
	check(away, 2*(n/3)*2)
}
