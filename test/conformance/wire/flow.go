package wire

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"
)

// Open connects to a server over TCP, sends CONNECT and wants to be accepted.
func Open(t testing.TB, addr string, connect *Connect) *Client {
	t.Helper()
	c := Dial(t, addr)
	c.Connect(connect)
	return c
}

// Connect sends CONNECT, wants to be accepted and returns the CONNACK.
func (c *Client) Connect(connect *Connect) *Received {
	c.t.Helper()
	ack := c.TryConnect(connect)
	if ack.Code != 0 {
		c.t.Fatalf("the connection was refused: %v", ack)
	}
	return ack
}

// TryConnect sends CONNECT and returns the CONNACK, whatever it says.
func (c *Client) TryConnect(connect *Connect) *Received {
	c.t.Helper()
	c.Version, c.ID = connect.version(), connect.ClientID
	c.Send(connect)
	c.Connack = c.Expect(CONNACK)
	if id := c.Connack.Props.Text(AssignedClientID); id != "" {
		c.ID = id
	}
	return c.Connack
}

// NextID is a packet id that this client has not used for long.
func (c *Client) NextID() uint16 {
	if c.next++; c.next == 0 {
		c.next = 1
	}
	return c.next
}

// Subscribe subscribes to a filter with options and wants the server to grant the QoS that they say.
func (c *Client) Subscribe(filter string, options byte, props ...Property) {
	c.t.Helper()
	ack := c.TrySubscribe(&Subscribe{Filters: []Filter{{filter, options}}, Props: props})
	if ack.Codes[0] != options&3 {
		c.t.Fatalf("subscribe to %q: QoS %d wanted, got 0x%02x", filter, options&3, ack.Codes[0])
	}
}

// TrySubscribe sends SUBSCRIBE, with a packet id if it has none, and returns the SUBACK, whatever it says.
func (c *Client) TrySubscribe(s *Subscribe) *Received {
	c.t.Helper()
	if s.ID == 0 {
		s.ID = c.NextID()
	}
	c.Send(s)
	ack := c.Await(SUBACK, s.ID)
	if len(ack.Codes) != len(s.Filters) {
		c.t.Fatalf("%d codes wanted, got %v [MQTT-3.8.4-6]", len(s.Filters), ack)
	}
	return ack
}

// Unsubscribe sends UNSUBSCRIBE and returns the UNSUBACK.
func (c *Client) Unsubscribe(filters ...string) *Received {
	c.t.Helper()
	id := c.NextID()
	c.Send(&Unsubscribe{ID: id, Filters: filters})
	ack := c.Await(UNSUBACK, id)
	if c.Version == V5 && len(ack.Codes) != len(filters) {
		c.t.Fatalf("%d codes wanted, got %v [MQTT-3.11.3-1]", len(filters), ack)
	}
	return ack
}

// Publish sends PUBLISH, with a packet id if it needs one and has none, and sees its QoS through. It returns the last
// acknowledgement (nil at QoS 0) and fails the test if that is an error.
func (c *Client) Publish(p *Publish) *Received {
	c.t.Helper()
	ack := c.TryPublish(p)
	if ack != nil && ack.Code >= 0x80 {
		c.t.Fatalf("publish to %q: %v", p.Topic, ack)
	}
	return ack
}

// TryPublish is Publish, but for the refusal that a PUBACK or PUBREC may be, which it returns.
func (c *Client) TryPublish(p *Publish) *Received {
	c.t.Helper()
	if p.QoS > 0 && p.ID == 0 {
		p.ID = c.NextID()
	}
	c.Send(p)
	switch p.QoS {
	case 1:
		return c.Await(PUBACK, p.ID)
	case 2:
		if rec := c.Await(PUBREC, p.ID); rec.Code >= 0x80 {
			return rec
		}
		c.Send(&Ack{Type: PUBREL, ID: p.ID})
		return c.Await(PUBCOMP, p.ID)
	default:
		return nil
	}
}

// Receive expects a PUBLISH and sees its QoS through.
func (c *Client) Receive() *Received {
	c.t.Helper()
	p := c.Await(PUBLISH, 0)
	c.Acknowledge(p)
	return p
}

// ReceiveMessage is Receive, for a message that must have the topic and the payload.
func (c *Client) ReceiveMessage(topic, payload string) *Received {
	c.t.Helper()
	p := c.Receive()
	if p.Topic != topic || p.Payload != payload {
		c.t.Fatalf("%q=%.80q wanted, got %v", topic, payload, p)
	}
	return p
}

// Acknowledge sees the QoS of a message that was received through.
func (c *Client) Acknowledge(p *Received) {
	c.t.Helper()
	switch p.QoS {
	case 1:
		c.Send(&Ack{Type: PUBACK, ID: p.ID})
	case 2:
		c.Send(&Ack{Type: PUBREC, ID: p.ID})
		c.Await(PUBREL, p.ID)
		c.Send(&Ack{Type: PUBCOMP, ID: p.ID})
	}
}

// Drain returns the packets that the server had for this client before now, messages that it had acknowledged to other
// clients and retained ones included, and acknowledges none of them. For that it publishes to a topic of its own and reads
// until the message arrives, then subscribes once more and reads until it arrives as a retained one: servers deliver in order,
// and answer subscriptions in theirs. Of no use while the receive maximum holds messages back.
func (c *Client) Drain() []*Received {
	c.t.Helper()
	if c.fence == "" {
		c.fence = "fence/" + rand.Text()
		c.Subscribe(c.fence, 0)
	}
	mark := rand.Text()
	c.Publish(&Publish{Topic: c.fence, Payload: mark, QoS: 1, Retain: true})
	before := c.until(mark, false)
	c.Subscribe(c.fence, 0)
	return append(before, c.until(mark, true)...)
}

// until returns what comes before the fence's message.
func (c *Client) until(mark string, retained bool) []*Received {
	c.t.Helper()
	var before []*Received
	for deadline := time.Now().Add(Patience); ; {
		p, err := c.Read(time.Until(deadline))
		switch {
		case err != nil:
			c.t.Fatalf("messages wanted, got %v %v after %v", p, err, before)
		case p.Type != PUBLISH || p.Topic != c.fence:
			before = append(before, p)
		case p.Payload == mark && p.Retain == retained:
			return before
		}
	}
}

// ExpectNoMessage wants the server to have nothing for this client; see Drain.
func (c *Client) ExpectNoMessage() {
	c.t.Helper()
	if got := c.Drain(); len(got) > 0 {
		c.t.Fatalf("nothing wanted, got %v", got)
	}
}

// ExpectMessages wants the server to have messages with exactly these payloads for this client, in this order; see Drain. It
// sees their QoS through and returns them.
func (c *Client) ExpectMessages(payloads ...string) []*Received {
	c.t.Helper()
	got := c.Drain()
	var have []string
	for _, p := range got {
		if p.Type != PUBLISH {
			c.t.Fatalf("messages wanted, got %v", p)
		}
		have = append(have, p.Payload)
	}
	if !slices.Equal(have, payloads) {
		c.t.Fatalf("messages %q wanted, got %v", payloads, got)
	}
	for _, p := range got {
		c.Acknowledge(p)
	}
	return got
}

// Disconnect sends DISCONNECT with a code and wants the server to close the connection.
func (c *Client) Disconnect(code byte, props ...Property) {
	c.t.Helper()
	c.Send(&Disconnect{Code: code, Props: props})
	c.ExpectClose()
}
