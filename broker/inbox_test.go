package broker

import (
	"testing"

	"pulso/broker/packet"
)

// What an earlier connection asked is answered over the next one only if it is asked there again, once: with two answers
// the client would take the second for that of the next message with the identifier.
func TestAnswersOfAnEarlierConnection(t *testing.T) {
	for name, again := range map[string]bool{"PUBREL, again when it is stored": false, "PUBREL, again while it waits": true} {
		t.Run(name, func(t *testing.T) {
			r := newLastingRig(t, nil)
			c := r.connect(lasting("c"))
			c.publish("a", "one", 2, 9)
			c.wantAck(0x50, 9)
			r.stored()
			release := r.store.hold()
			c.ack(packet.Pubrel, 9)
			c.ping()
			c = r.connect(lasting("c"))
			if again {
				c.ack(packet.Pubrel, 9)
				c.ping()
			}
			release()
			if !again {
				r.stored()
				c.ping() // no PUBCOMP before it
				c.ack(packet.Pubrel, 9)
			}
			c.want(0x70)
			c.ping()
		})
	}
	t.Run("PUBLISH", func(t *testing.T) {
		r := newLastingRig(t, nil)
		c := r.connect(lasting("c"))
		r.stored()
		resume := r.sink.pause()
		defer resume()
		c.publish("a", "one", 2, 9)
		c.ping()
		c = r.connect(lasting("c"))
		resume()
		eventually(t, "the answer is due", func() bool {
			s := r.session("c")
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.received[9] == receivingStored
		})
		c.ping() // no PUBREC before it
		c.publish("a", "one", 2, 9)
		c.wantAck(0x50, 9)
		c.ping()
		if n := len(r.sink.topic("a")); n != 1 {
			t.Fatalf("logged %d times", n)
		}
	})
}
