package mqtt3

import (
	"fmt"
	"slices"
	"time"

	"pulso/test/conformance/wire"
)

var casesV5 = []useCase{
	{"MQTT 5: a message arrives with all that it was sent with", propertiesHandedOn},
	{"MQTT 5: request and response", requestResponse},
	{"MQTT 5: properties stay away from older clients", propertiesAndOlderClients},
	{"MQTT 5: topic aliases are the connection's", topicAliases},
	{"MQTT 5: subscription identifiers", subscriptionIdentifiers},
	{"MQTT 5: retain handling and RETAIN as published", retainOptions},
	{"MQTT 5: no local", noLocal},
	{"MQTT 5: receive maximum", receiveMaximum},
	{"MQTT 5: receive maximum and a backlog", receiveMaximumBacklog},
	{"MQTT 5: maximum packet size", maximumPacketSize},
	{"MQTT 5: messages expire while a client is absent", messageExpiry},
	{"MQTT 5: sessions expire", sessionExpiry},
	{"MQTT 5: a will waits", willDelay},
	{"MQTT 5: a will waits in vain for a client that returns", willDelayReturned},
	{"MQTT 5: a will with DISCONNECT", willOnDisconnect},
	{"MQTT 5: a shared subscription gets each message once", sharedOnce},
	{"MQTT 5: a shared subscription goes on without a member", sharedWithoutMember},
	{"MQTT 5: a shared subscription beside a plain one", sharedAndPlain},
	{"MQTT 5: a shared subscription gets nothing retained", sharedRetained},
	{"MQTT 5: a taken over connection is told", takenOverIsTold},
}

// five makes CONNECT one of MQTT 5.
func five(props ...wire.Property) func(c *wire.Connect) {
	return func(c *wire.Connect) { c.Version, c.Props = wire.V5, props }
}

// fiveSubscriber is a client at MQTT 5 with subscriptions at QoS 2.
func (e *env) fiveSubscriber(filters ...string) *wire.Client {
	e.Helper()
	c := e.open(five())
	for _, f := range filters {
		c.Subscribe(f, 2)
	}
	return c
}

func propertiesHandedOn(e *env) {
	sent := wire.Properties{
		wire.Num(wire.PayloadFormat, 1), wire.Text(wire.ContentType, "text/plain; charset=utf-8"),
		wire.User("b", "1"), wire.User("a", "2"), wire.User("b", "1"), wire.User("", ""),
	}
	present, retained := e.fiveSubscriber(e.topic("a")), e.fiveSubscriber()
	e.open(five()).Publish(&wire.Publish{Topic: e.topic("a"), Payload: "é", QoS: 2, Retain: true, Props: sent})
	retained.Subscribe(e.topic("a"), 2)
	for _, c := range []*wire.Client{present, retained} {
		m := c.ReceiveMessage(e.topic("a"), "é")
		if m.Props.Num(wire.PayloadFormat, 0) != 1 || m.Props.Text(wire.ContentType) != sent.Text(wire.ContentType) ||
			!slices.Equal(m.Props.Users(), sent.Users()) || len(m.Props) != len(sent) {
			e.Fatalf("%v wanted, got %v", sent, m.Props)
		}
	}
}

func requestResponse(e *env) {
	server, client := e.fiveSubscriber(e.topic("requests")), e.fiveSubscriber(e.topic("answers/1"))
	client.Publish(&wire.Publish{
		Topic: e.topic("requests"), Payload: "?", QoS: 1,
		Props: wire.Properties{wire.Text(wire.ResponseTopic, e.topic("answers/1")), wire.Text(wire.CorrelationData, "\x00\xff7")},
	})
	request := server.ReceiveMessage(e.topic("requests"), "?")
	server.Publish(&wire.Publish{
		Topic: request.Props.Text(wire.ResponseTopic), Payload: "!", QoS: 1,
		Props: wire.Properties{wire.Text(wire.CorrelationData, request.Props.Text(wire.CorrelationData))},
	})
	if m := client.ReceiveMessage(e.topic("answers/1"), "!"); m.Props.Text(wire.CorrelationData) != "\x00\xff7" {
		e.Fatalf("the correlation data of the request wanted, got %v", m)
	}
}

func propertiesAndOlderClients(e *env) {
	old, young := e.subscriber(2, e.topic("a")), e.fiveSubscriber(e.topic("a"))
	e.open(five()).Publish(&wire.Publish{
		Topic: e.topic("a"), Payload: "x", QoS: 2, Props: wire.Properties{wire.User("a", "b"), wire.Num(wire.PayloadFormat, 1)},
	})
	old.ReceiveMessage(e.topic("a"), "x")
	young.ReceiveMessage(e.topic("a"), "x")
	e.open().Publish(&wire.Publish{Topic: e.topic("a"), Payload: "y", QoS: 2})
	old.ReceiveMessage(e.topic("a"), "y")
	if m := young.ReceiveMessage(e.topic("a"), "y"); len(m.Props) > 0 {
		e.Fatalf("no properties wanted, got %v", m)
	}
}

func topicAliases(e *env) {
	sub := e.fiveSubscriber(e.topic("#"))
	c := e.open(five())
	if c.Connack.Props.Num(wire.TopicAliasMaximum, 0) < 2 {
		e.Skip("the server takes no two aliases")
	}
	send := func(topic string, alias uint32, payload string) {
		c.Publish(&wire.Publish{Topic: topic, Payload: payload, QoS: 1, Props: wire.Properties{wire.Num(wire.TopicAlias, alias)}})
	}
	send(e.topic("a"), 1, "1")
	send("", 1, "2")
	send(e.topic("b"), 2, "3")
	send("", 1, "4")
	send(e.topic("c"), 1, "5") // another topic for the same alias
	send("", 1, "6")
	send("", 2, "7")
	for i, topic := range []string{"a", "a", "b", "a", "c", "c", "b"} {
		sub.ReceiveMessage(e.topic(topic), fmt.Sprint(i+1))
	}
	other := e.open(five())
	other.Send(&wire.Publish{Payload: "x", QoS: 1, ID: 1, Props: wire.Properties{wire.Num(wire.TopicAlias, 1)}})
	other.ExpectDisconnect()
}

func subscriptionIdentifiers(e *env) {
	c := e.open(five())
	c.Subscribe(e.topic("a"), 1, wire.Num(wire.SubscriptionID, 7))
	c.Subscribe(e.topic("+"), 1, wire.Num(wire.SubscriptionID, 268_435_455))
	c.Subscribe(e.topic("#"), 1)
	e.open().Publish(&wire.Publish{Topic: e.topic("a"), Payload: "x", QoS: 1})
	var got []uint32
	for _, m := range c.Drain() { // one message with both identifiers, or a message for each subscription
		c.Acknowledge(m)
		got = append(got, m.Props.SubscriptionIDs()...)
	}
	slices.Sort(got)
	if !slices.Equal(got, []uint32{7, 268_435_455}) {
		e.Fatalf("identifiers 7 and 268435455 wanted, got %v", got)
	}
}

func retainOptions(e *env) {
	p := e.open()
	p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "kept", QoS: 1, Retain: true})
	c := e.open(five())
	c.Subscribe(e.topic("a"), 1|wire.RetainNever)
	c.ExpectNoMessage()
	c.Subscribe(e.topic("a"), 1|wire.RetainIfNew)
	c.ExpectNoMessage()
	c.Subscribe(e.topic("+"), 1|wire.RetainIfNew|wire.RetainAsPublished)
	if m := c.ReceiveMessage(e.topic("a"), "kept"); !m.Retain {
		e.Fatalf("RETAIN 1 wanted, got %v", m)
	}
	c.Unsubscribe(e.topic("a"))
	for _, retain := range []bool{true, false} {
		p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "new", QoS: 1, Retain: retain})
		if m := c.ReceiveMessage(e.topic("a"), "new"); m.Retain != retain {
			e.Fatalf("RETAIN as published (%t) wanted, got %v", retain, m)
		}
	}
}

func noLocal(e *env) {
	c, other := e.open(five()), e.open()
	c.Subscribe(e.topic("a"), 1|wire.NoLocal)
	c.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "mine", QoS: 1})
	other.Publish(&wire.Publish{Topic: e.topic("a"), Payload: "yours", QoS: 1})
	c.ReceiveMessage(e.topic("a"), "yours")
	c.ExpectNoMessage()
}

func receiveMaximum(e *env) {
	for _, limit := range []int{1, 3} {
		for qos := byte(1); qos < 3; qos++ {
			e.run(fmt.Sprintf("%d QoS %d", limit, qos), func(e *env) {
				const n = 20
				c := e.open(five(wire.Num(wire.ReceiveMaximum, uint32(limit))))
				c.Subscribe(e.topic("a"), qos)
				e.publish(e.open(), e.topic("a"), qos, numbers(0, n)...)
				held := []*wire.Received{}
				for i := range n {
					m := c.Expect(wire.PUBLISH)
					if m.Payload != number(i) {
						e.Fatalf("%q wanted, got %v", number(i), m)
					}
					if held = append(held, m); len(held) == limit {
						c.ExpectNothing()
						c.Acknowledge(held[0])
						held = held[1:]
					}
				}
			})
		}
	}
}

func receiveMaximumBacklog(e *env) {
	const n = 100
	id := e.absent(true, 2, e.topic("a"))
	e.publish(e.open(), e.topic("a"), 2, numbers(0, n)...)
	c := e.open(lasting(id), five(wire.Num(wire.ReceiveMaximum, 2), wire.Num(wire.SessionExpiry, 60)))
	for i := 0; i < n; i += 2 {
		first, second := c.Expect(wire.PUBLISH), c.Expect(wire.PUBLISH)
		c.ExpectNothing()
		if first.Payload != number(i) || second.Payload != number(i+1) {
			e.Fatalf("messages %d and %d wanted, got %v and %v", i, i+1, first, second)
		}
		c.Send(&wire.Ack{Type: wire.PUBREC, ID: first.ID}, &wire.Ack{Type: wire.PUBREC, ID: second.ID})
		c.Await(wire.PUBREL, first.ID)
		c.Await(wire.PUBREL, second.ID)
		c.ExpectNothing() // PUBREC gives no room, PUBCOMP does
		c.Send(&wire.Ack{Type: wire.PUBCOMP, ID: first.ID}, &wire.Ack{Type: wire.PUBCOMP, ID: second.ID})
	}
	c.ExpectNothing()
}

func maximumPacketSize(e *env) {
	small := e.open(five(wire.Num(wire.MaximumPacketSize, 200)))
	small.Subscribe(e.topic("a"), 1)
	large := e.fiveSubscriber(e.topic("a"))
	p := e.open()
	for _, size := range []int{10, 1000, 20, 300, 30} {
		p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: fmt.Sprintf("%0*d", size, size), QoS: 1})
		if m := large.Receive(); len(m.Payload) != size {
			e.Fatalf("%d bytes wanted, got %v", size, m)
		}
	}
	for _, size := range []int{10, 20, 30} {
		if m := small.Receive(); len(m.Payload) != size || m.Size > 200 {
			e.Fatalf("%d bytes wanted, got %v", size, m)
		}
	}
}

func messageExpiry(e *env) {
	id := e.id()
	c := e.open(five(wire.Num(wire.SessionExpiry, 60)), lasting(id))
	c.Subscribe(e.topic("a"), 1)
	c.Disconnect(0)
	p := e.open(five())
	for i, seconds := range []uint32{1, 100, 1, 0} {
		var props wire.Properties
		if seconds > 0 {
			props = wire.Properties{wire.Num(wire.MessageExpiry, seconds)}
		}
		p.Publish(&wire.Publish{Topic: e.topic("a"), Payload: number(i), QoS: 1, Retain: i == 0, Props: props})
	}
	p.ExpectSilence(2200 * time.Millisecond) // the seconds that the messages live
	c = e.open(five(wire.Num(wire.SessionExpiry, 60)), lasting(id))
	m := c.ReceiveMessage(e.topic("a"), number(1))
	if left := m.Props.Num(wire.MessageExpiry, 0); left < 90 || left > 98 {
		e.Fatalf("about 97 seconds wanted, got %v", m)
	}
	c.ReceiveMessage(e.topic("a"), number(3))
	c.ExpectNoMessage()
	e.subscriber(1, e.topic("a")).ExpectNoMessage()
}

func sessionExpiry(e *env) {
	id := e.id()
	short := func(c *wire.Connect) {
		c.Version, c.ClientID, c.Resume, c.Props = wire.V5, id, true, wire.Properties{wire.Num(wire.SessionExpiry, 1)}
	}
	c := e.open(short)
	c.Subscribe(e.topic("a"), 1)
	c.Close()
	if c = e.open(short); !c.Connack.Present {
		e.Fatal("the session ended before its time")
	}
	c.Close()
	e.open().ExpectSilence(2500 * time.Millisecond) // the second that the session lives, and one to see that it is over
	if c = e.open(short); c.Connack.Present {
		e.Fatal("the session outlived its time")
	}
}

func willDelay(e *env) {
	sub := e.subscriber(1, e.topic("will"))
	c := e.open(five(wire.Num(wire.SessionExpiry, 60)), leaving(&wire.Will{
		Topic: e.topic("will"), Payload: "gone", QoS: 1, Props: wire.Properties{wire.Num(wire.WillDelay, 2)},
	}))
	c.Close()
	sub.ExpectSilence(time.Second)
	sub.ReceiveMessage(e.topic("will"), "gone")
}

func willDelayReturned(e *env) {
	id, sub := e.id(), e.subscriber(1, e.topic("will"))
	returning := func(c *wire.Connect) {
		c.Version, c.ClientID, c.Resume, c.Props = wire.V5, id, true, wire.Properties{wire.Num(wire.SessionExpiry, 60)}
	}
	e.open(returning, leaving(&wire.Will{
		Topic: e.topic("will"), Payload: "gone", QoS: 1, Props: wire.Properties{wire.Num(wire.WillDelay, 1)},
	})).Close()
	e.open(returning)
	sub.ExpectSilence(3 * time.Second)
}

func willOnDisconnect(e *env) {
	for _, code := range []byte{0x00, 0x04, 0x80, 0x81, 0x98} { // all but 0 let the will be published [MQTT-3.14.4-3]
		e.run(fmt.Sprintf("0x%02x", code), func(e *env) {
			sub := e.subscriber(1, e.topic("will"))
			e.open(five(), leaving(&wire.Will{Topic: e.topic("will"), Payload: "gone", QoS: 1})).Disconnect(code)
			if code != 0 {
				sub.ReceiveMessage(e.topic("will"), "gone")
			}
			sub.ExpectNoMessage()
		})
	}
}

// shared subscribes n clients to a filter as one group.
func (e *env) shared(n int, filter string) []*wire.Client {
	e.Helper()
	var group []*wire.Client
	for range n {
		c := e.open(five())
		c.Subscribe("$share/group/"+filter, 1)
		group = append(group, c)
	}
	return group
}

// drain returns the payloads that all clients have, sorted, and how many clients have any. It acknowledges them.
func drain(clients []*wire.Client) (payloads []string, having int) {
	for _, c := range clients {
		got := c.Drain()
		for _, m := range got {
			c.Acknowledge(m)
			payloads = append(payloads, m.Payload)
		}
		if len(got) > 0 {
			having++
		}
	}
	slices.Sort(payloads)
	return payloads, having
}

func sharedOnce(e *env) {
	const n = 30
	group := e.shared(3, e.topic("#"))
	e.publish(e.open(), e.topic("a"), 1, numbers(0, n)...)
	got, having := drain(group)
	if !slices.Equal(got, numbers(0, n)) || having < 2 {
		e.Fatalf("each of %d messages once wanted, spread; got %q, for %d clients", n, got, having)
	}
}

// sharedWithoutMember has a member that leaves with what it has not acknowledged.
func sharedWithoutMember(e *env) {
	const n = 10
	group := e.shared(2, e.topic("a"))
	e.publish(e.open(), e.topic("a"), 1, numbers(0, n)...)
	got := map[string]bool{}
	for _, m := range group[1].Drain() {
		group[1].Acknowledge(m)
		got[m.Payload] = true
	}
	group[0].Close()
	for len(got) < n {
		m := group[1].Receive()
		if got[m.Payload] {
			e.Fatalf("%v again", m)
		}
		got[m.Payload] = true
	}
	e.publish(e.open(), e.topic("a"), 1, numbers(n, 5)...)
	e.receives(group[1], numbers(n, 5)...)
}

func sharedAndPlain(e *env) {
	c := e.shared(1, e.topic("a"))[0]
	c.Subscribe(e.topic("a"), 1)
	e.publish(e.open(), e.topic("a"), 1, "x")
	c.ExpectMessages("x", "x")
	c.Unsubscribe(e.topic("a"))
	e.publish(e.open(), e.topic("a"), 1, "y")
	c.ExpectMessages("y")
	c.Unsubscribe("$share/group/" + e.topic("a"))
	e.publish(e.open(), e.topic("a"), 1, "z")
	c.ExpectNoMessage()
}

func sharedRetained(e *env) {
	e.open().Publish(&wire.Publish{Topic: e.topic("a"), Payload: "kept", QoS: 1, Retain: true})
	e.shared(1, e.topic("a"))[0].ExpectNoMessage()
}

func takenOverIsTold(e *env) {
	id := e.id()
	old := e.open(five(), as(id))
	e.open(as(id))
	old.ExpectDisconnect(0x8e)
}
