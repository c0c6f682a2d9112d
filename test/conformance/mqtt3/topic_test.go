package mqtt3

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"pulso/test/conformance/wire"
)

func wildcardsInFilters(e *env) {
	for _, topic := range []string{"+", "#", "a/+", "a/#", "a+", "#a"} {
		e.refuses("topic "+topic, (&wire.Publish{Topic: e.topic(topic), Payload: "x"}).Bytes(wire.V311))
		e.refusesConnect("will "+topic, e.connect(leaving(&wire.Will{Topic: e.topic(topic)})).Bytes(0))
	}
	c := e.subscriber(0, e.topic("+"), e.topic("+/a"), e.topic("b/#"))
	c.ExpectNothing()
}

// refusesFilter wants a bad filter never to be granted: the connection ends, or the SUBACK says so.
func (e *env) refusesFilter(filter string) {
	e.Helper()
	e.run(fmt.Sprintf("%q", filter), func(e *env) {
		c := e.open()
		c.Send(&wire.Subscribe{ID: 1, Filters: filters(1, filter)})
		switch p, err := c.Read(wire.Patience); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			e.Fatal("no answer")
		case err == nil && (p.Type != wire.SUBACK || p.Codes[0] != 0x80):
			e.Fatalf("the connection's end or 0x80 wanted, got %v", p)
		}
	})
}

func multiLevel(e *env) {
	for _, f := range []string{"a#", "a/b#", "#a", "#/a", "a/#/b", "##", "a/##", "#/#", "#/", "a/#/", "+#", "a/+#"} {
		e.refusesFilter(f)
	}
	e.matches("a/#", map[string]bool{"a": true, "a/": true, "a/b": true, "a/b/c": true, "a//": true, "ab": false, "b/a": false, "/a": false})
	e.matches("#", map[string]bool{"a": true, "a/b": true, "/": true, "//": true, "/a": true})
	e.matches("/#", map[string]bool{"/": true, "/a": true, "//": true, "a": false, "a/": false})
}

func singleLevel(e *env) {
	for _, f := range []string{"a+", "+a", "a/b+", "a/+b", "a+/b", "++", "a/++", "a/++/b", "+a/b"} {
		e.refusesFilter(f)
	}
	e.matches("a/+", map[string]bool{"a/": true, "a/b": true, "a": false, "a/b/": false, "a/b/c": false, "b/a": false})
	e.matches("+", map[string]bool{"a": true, "a/": false, "/a": false, "a/b": false, "abc d": true})
	e.matches("+/+", map[string]bool{"a/b": true, "/a": true, "a/": true, "/": true, "a": false, "//": false})
	e.matches("/+", map[string]bool{"/a": true, "/": true, "a": false, "a/": false, "//": false})
	e.matches("a/+/c", map[string]bool{"a/b/c": true, "a//c": true, "a/c": false, "a/b/d/c": false, "a/b/c/": false})
	e.matches("+/a/#", map[string]bool{"x/a": true, "/a": true, "x/a/b/c": true, "a": false, "x/y/a": false})
	e.matches("+/+/#", map[string]bool{"a": false, "a/b": true, "a/b/c": true, "/": true})
	e.matches("a/+/+/#", map[string]bool{"a/b": false, "a/b/c": true, "a/b/c/d": true, "a//": true})
}

// matches subscribes to a filter and wants the topics that match it, all of them below one that only this test uses.
func (e *env) matches(filter string, topics map[string]bool) {
	e.Helper()
	e.run(strings.ReplaceAll(filter, "/", "|"), func(e *env) {
		sub, p := e.subscriber(1, e.topic(filter)), e.open()
		var want []string
		for topic, match := range topics {
			p.Publish(&wire.Publish{Topic: e.topic(topic), Payload: topic, QoS: 1})
			if match {
				want = append(want, topic)
			}
		}
		// "#" stands for the level above it as well.
		sub.ExpectMessages(want...)
	})
}

// dollarTopics publishes to topics of its own below $, which servers may forbid. Its filters see all, so it has its own server.
func dollarTopics(e *env) {
	e = newEnv(e.T, serve(e.T))
	id := strings.ReplaceAll(e.base, ".", "-")
	subs := map[string]*wire.Client{}
	for _, f := range []string{"#", "+/" + id, "+/#", "+/+", "+", "+/" + id + "/#"} {
		subs[f] = e.subscriber(1, f)
	}
	for _, topic := range []string{"$pulsotest/" + id, "$SYS/" + id, "$" + id, "$/" + id} {
		p := e.open()
		p.Send(&wire.Publish{Topic: topic, Payload: id, QoS: 1, ID: 1})
		_, _ = p.Read(wire.Patience) // an acknowledgement or the connection's end
	}
	e.open().Publish(&wire.Publish{Topic: "plain/" + id, Payload: id, QoS: 1})
	for f, sub := range subs {
		var plain bool
		for _, m := range sub.Drain() {
			sub.Acknowledge(m)
			plain = plain || m.Topic == "plain/"+id
			if strings.HasPrefix(m.Topic, "$") {
				e.Errorf("%q got %v", f, m)
			}
		}
		if !plain && f != "+" {
			e.Errorf("%q did not get plain/%s", f, id)
		}
	}
}

func topicEmpty(e *env) {
	for qos := range byte(3) {
		e.refuses(fmt.Sprintf("topic QoS %d", qos), (&wire.Publish{Payload: "x", QoS: qos, ID: 1}).Bytes(wire.V311))
	}
	e.refusesFilter("")
	e.refuses("unsubscribe", (&wire.Unsubscribe{ID: 1, Filters: []string{""}}).Bytes(wire.V311))
	e.refusesConnect("will", connectWith(0x06, e.id(), "", "x"))
}

func topicNull(e *env) {
	for _, s := range []string{"\x00", "a\x00", "\x00a", "a/\x00/b"} {
		for packet, b := range packetsWith(s) {
			e.refuses(fmt.Sprintf("%s %q", packet, s), b)
		}
	}
}

// topicLong wants a topic of any length to arrive as it is, or the connection to end: never to be cut.
func topicLong(e *env) {
	for _, n := range []int{255, 1000, 10_000, 65_535} {
		e.run(fmt.Sprint(n), func(e *env) {
			topic := e.topic("")
			topic += strings.Repeat("x", n-len(topic))
			c := e.open()
			c.Send(&wire.Subscribe{ID: 1, Filters: filters(0, topic)})
			p, err := c.Read(wire.Patience)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				e.Fatal("no answer")
			}
			if err != nil || p.Codes[0] == 0x80 {
				e.Logf("refused: %v %v", p, err)
				return
			}
			c.Publish(&wire.Publish{Topic: topic, Payload: "x", QoS: 1})
			c.ReceiveMessage(topic, "x")
		})
	}
}

func topicVerbatim(e *env) {
	topics := []string{
		"a", "A", "a/", "/a", "a//b", "a/b", " a", "a ", "é", "e\u0301", "\u00c5", "\u212b", "ﬁ", "fi", "a/./b", "a/../b", "%61", "a\\b",
		"\ufeffa", "\u65e5\u672c",
		"ACCOUNTS", "Accounts", "Accounts payable", "a*", "a?", "\U0010fffd", "ß", "ss",
	}
	sub := map[string]*wire.Client{}
	for _, topic := range topics {
		sub[topic] = e.subscriber(1, e.topic(topic))
	}
	p := e.open()
	for _, topic := range topics {
		p.Publish(&wire.Publish{Topic: e.topic(topic), Payload: topic, QoS: 1})
	}
	for topic, c := range sub {
		if m := c.ExpectMessages(topic)[0]; m.Topic != e.topic(topic) {
			e.Errorf("%q wanted, got %v", topic, m)
		}
	}
}
