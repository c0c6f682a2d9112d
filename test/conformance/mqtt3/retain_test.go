package mqtt3

import (
	"fmt"
	"maps"
	"slices"

	"pulso/test/conformance/wire"
)

func retainStores(e *env) {
	for stored := range byte(3) {
		for granted := range byte(3) {
			e.run(fmt.Sprintf("QoS %d to QoS %d", stored, granted), func(e *env) {
				topic := e.topic("a")
				e.open().Publish(&wire.Publish{Topic: topic, Payload: "kept", QoS: stored, Retain: true})
				// A message at QoS 0 is not acknowledged: the server may not have it yet when somebody else subscribes.
				e.settled(topic)
				m := e.subscriber(granted, topic).ReceiveMessage(topic, "kept")
				if m.QoS != min(stored, granted) || !m.Retain || m.Dup {
					e.Fatalf("QoS %d with RETAIN 1 wanted, got %v", min(stored, granted), m)
				}
			})
		}
	}
}

// settled waits until there is a retained message for a topic.
func (e *env) settled(topic string) {
	e.Helper()
	c := e.subscriber(0, topic)
	c.Await(wire.PUBLISH, 0)
	c.Close()
}

// retained returns what subscribers to a filter get at once, by topic.
func (e *env) retained(filter string) map[string]string {
	e.Helper()
	c := e.subscriber(1, filter)
	got := map[string]string{}
	for _, m := range c.Drain() {
		if _, twice := got[m.Topic]; twice || !m.Retain {
			e.Fatalf("each topic once and RETAIN 1 wanted, got %v", m)
		}
		got[m.Topic] = m.Payload
	}
	c.Close()
	return got
}

func retainLast(e *env) {
	p := e.open()
	want := map[string]string{}
	for i := range 100 {
		topic := e.topic(fmt.Sprintf("%d/a", i%10))
		want[topic] = number(i)
		p.Publish(&wire.Publish{Topic: topic, Payload: number(i), QoS: 1, Retain: true})
	}
	want[e.topic("b")] = "b"
	p.Publish(&wire.Publish{Topic: e.topic("b"), Payload: "b", QoS: 1, Retain: true})
	if got := e.retained(e.topic("#")); !maps.Equal(got, want) {
		e.Fatalf("%v wanted, got %v", want, got)
	}
	delete(want, e.topic("b"))
	if got := e.retained(e.topic("+/a")); !maps.Equal(got, want) {
		e.Fatalf("%v wanted, got %v", want, got)
	}
	if got := e.retained(e.topic("3/a")); len(got) != 1 || got[e.topic("3/a")] != number(93) {
		e.Fatalf("the last of one topic wanted, got %v", got)
	}
	if got := e.retained(e.topic("3")); len(got) > 0 {
		e.Fatalf("nothing wanted, got %v", got)
	}
}

func retainQoS0(e *env) {
	topic := e.topic("a")
	p := e.open()
	p.Publish(&wire.Publish{Topic: topic, Payload: "old", QoS: 1, Retain: true})
	p.Publish(&wire.Publish{Topic: topic, Payload: "new", Retain: true})
	p.ExpectNothing()
	p.Publish(&wire.Publish{Topic: e.topic("b"), QoS: 1}) // what comes before it is done
	if got := e.retained(topic); got[topic] != "new" && len(got) > 0 {
		e.Fatalf("the new message or none wanted, got %v", got)
	}
}

func retainFlagNew(e *env) {
	topic := e.topic("a")
	e.open().Publish(&wire.Publish{Topic: topic, Payload: "kept", QoS: 1, Retain: true})
	for _, f := range []string{"a", "+", "#"} {
		if m := e.subscriber(1, e.topic(f)).ReceiveMessage(topic, "kept"); !m.Retain {
			e.Fatalf("RETAIN 1 wanted, got %v", m)
		}
	}
}

func retainFlagEstablished(e *env) {
	topic := e.topic("a")
	subs := []*wire.Client{e.subscriber(2, topic), e.subscriber(2, e.topic("+"))}
	p := e.open()
	for qos := range byte(3) {
		p.Publish(&wire.Publish{Topic: topic, Payload: "kept", QoS: qos, Retain: true})
		for _, s := range subs {
			if m := s.ReceiveMessage(topic, "kept"); m.Retain {
				e.Fatalf("RETAIN 0 wanted, got %v", m)
			}
		}
	}
}

func retainZeroBytes(e *env) {
	for qos := range byte(3) {
		e.run(fmt.Sprintf("QoS %d", qos), func(e *env) {
			topic := e.topic("a")
			p := e.open()
			p.Publish(&wire.Publish{Topic: topic, Payload: "kept", QoS: 1, Retain: true})
			sub := e.subscriber(2, topic)
			sub.ReceiveMessage(topic, "kept")
			p.Publish(&wire.Publish{Topic: topic, QoS: qos, Retain: true})
			if m := sub.ReceiveMessage(topic, ""); m.Retain || m.QoS != qos {
				e.Fatalf("QoS %d and RETAIN 0 wanted, got %v", qos, m)
			}
			e.subscriber(1, topic).ExpectNoMessage()
		})
	}
}

func retainZeroBytesNotStored(e *env) {
	p := e.open()
	for qos := range byte(3) {
		p.Publish(&wire.Publish{Topic: e.topic("a"), QoS: qos, Retain: true})
	}
	e.subscriber(1, e.topic("#")).ExpectNoMessage()
}

func retainZero(e *env) {
	topic := e.topic("a")
	p, present := e.open(), e.subscriber(1, topic)
	p.Publish(&wire.Publish{Topic: topic, Payload: "passing", QoS: 1})
	present.ReceiveMessage(topic, "passing") // delivered to all that were there
	e.subscriber(1, topic).ExpectNoMessage()
	p.Publish(&wire.Publish{Topic: topic, Payload: "kept", QoS: 1, Retain: true})
	p.Publish(&wire.Publish{Topic: topic, Payload: "passing", QoS: 1})
	p.Publish(&wire.Publish{Topic: topic, QoS: 1}) // zero bytes without RETAIN remove nothing
	present.ExpectMessages("kept", "passing", "")
	e.subscriber(1, topic).ExpectMessages("kept")
}

// topicFirst sends PUBLISHs without a topic.
func topicFirst(e *env) {
	e.refuses("nothing", []byte{0x30, 0})
	e.refuses("half a length", []byte{0x30, 1, 0})
	e.refuses("too short", []byte{0x30, 3, 0, 5, 'a'})
	for what, s := range illFormed {
		e.refuses(what, wire.Packet(wire.PUBLISH.First(), wire.Str(s)))
	}
}

func topicWildcards(e *env) {
	for _, topic := range []string{"#", "+", "a/#", "a/+", "+/a", "a/+/b", "a#", "a+b", "#/a", "/+", "/#"} {
		for qos := range byte(3) {
			e.refuses(fmt.Sprintf("%q QoS %d", topic, qos), (&wire.Publish{Topic: topic, Payload: "x", QoS: qos, ID: 1}).Bytes(wire.V311))
		}
	}
}

func topicMatches(e *env) {
	sub := e.subscriber(1, e.topic("a/+/c"), e.topic("x/#"))
	p := e.open()
	topics := []string{"a/b/c", "a//c", "x", "x/y", "x/y/z"}
	for _, topic := range []string{"a/b/c", "a/b", "a//c", "x", "a/b/c/d", "x/y", "b/b/c", "x/y/z", "a", "xy", "a/b/C"} {
		p.Publish(&wire.Publish{Topic: e.topic(topic), Payload: topic, QoS: 1})
	}
	for _, m := range sub.ExpectMessages(topics...) {
		if m.Topic != e.topic(m.Payload) {
			e.Fatalf("the topic it was published to wanted, got %v", m)
		}
	}
}

// overlapping wants a message at least once at the highest QoS of all subscriptions that match.
func overlapping(e *env) {
	for published := range byte(3) {
		e.run(fmt.Sprintf("QoS %d", published), func(e *env) {
			for _, order := range [][]byte{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
				c, topic := e.open(), e.topic(fmt.Sprintf("% x", order))
				for i, f := range []string{topic, e.topic("+"), e.topic("#")} {
					c.Subscribe(f, order[i])
				}
				e.open().Publish(&wire.Publish{Topic: topic, Payload: "x", QoS: published})
				e.settledAt(published)
				var got []byte
				for _, m := range c.Drain() {
					c.Acknowledge(m)
					if m.Payload == "x" {
						got = append(got, m.QoS)
					}
				}
				if len(got) == 0 || slices.Max(got) != published {
					e.Fatalf("subscribed with QoS %v: QoS %d wanted, got %v", order, published, got)
				}
				c.Close()
			}
		})
	}
}

// settledAt gives a message that nobody acknowledges time to arrive.
func (e *env) settledAt(qos byte) {
	if qos == 0 {
		e.open().ExpectNoMessage()
	}
}
