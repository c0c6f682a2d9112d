package interop

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pulso/test/internal/hub"
)

var errNoConnack = errors.New("no CONNACK")

// each runs test for every client, side by side, and waits for them.
func each(t *testing.T, test func(t *testing.T, name string, c client)) {
	t.Helper()
	all := clients()
	t.Run("each", func(t *testing.T) {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, name, all[name])
			})
		}
	})
}

// big is 900 KiB that do not compress well.
func big() []byte {
	b := make([]byte, 900<<10)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = 'a' + byte(x>>24)%26
	}
	return b
}

// Every client publishes at every QoS, to topics in many scripts, large and empty payloads, and every client receives it all, in
// the order of each publisher.
func TestEveryoneHearsEveryone(t *testing.T) {
	h := hub.Start(t)
	all := clients()
	names := slices.Sorted(maps.Keys(all))
	receivers := map[string]*receiver{}
	each(t, func(t *testing.T, _ string, c client) { c.open(t, h, connection{}).disconnect() })
	for _, name := range names {
		receivers[name] = all[name].open(t, h, connection{qos: 2, filters: []string{"all/#"}})
	}
	// At QoS 0 a hub owes nobody what it has no room for, so the large ones come when the small ones have arrived.
	for what, says := range map[string]func(name string) []message{"small": small, "large": large} {
		want := byTopic{}
		for _, name := range names {
			want.add(says(name)...)
		}
		each(t, func(t *testing.T, name string, c client) {
			c.publish(t, h, says(name)...)
		})
		for _, name := range names {
			t.Run(what+" to "+name, func(t *testing.T) {
				want.compare(t, receivers[name].collect(t, want.number()))
			})
		}
	}
}

// large is a message near the largest that a hub takes by default.
func large(name string) []message {
	return []message{{topic: "all/" + name + "/big", payload: big(), qos: 1}}
}

// small is the rest of what a client has to say.
func small(name string) []message {
	prefix := "all/" + name + "/"
	return []message{
		{topic: prefix + "qos/0", payload: []byte("QoS 0"), qos: 0},
		{topic: prefix + "qos/1", payload: []byte("QoS 1"), qos: 1},
		{topic: prefix + "qos/2", payload: []byte("QoS 2"), qos: 2},
		{topic: prefix + "größe/θερμοκρασία/🌡/with space", payload: []byte("öffnen ✓"), qos: 1},
		{topic: prefix + "/", payload: nil, qos: 2},
	}
}

// byTopic holds messages by their topics: MQTT orders the messages of a topic and a QoS, not those of all topics [MQTT-4.6.0-5].
type byTopic map[string][]message

func (b byTopic) add(messages ...message) {
	for _, m := range messages {
		b[m.topic] = append(b[m.topic], m)
	}
}

func (b byTopic) number() int {
	n := 0
	for _, messages := range b {
		n += len(messages)
	}
	return n
}

// compare says what is wrong with each topic of got, of which some are enough.
func (b byTopic) compare(t *testing.T, got byTopic) {
	t.Helper()
	wrong := 0
	for _, topic := range slices.Sorted(maps.Keys(b)) {
		if slices.EqualFunc(got[topic], b[topic], message.equal) {
			continue
		}
		if wrong++; wrong > 5 {
			t.Error("and more topics")
			return
		}
		compare(t, topic, got[topic], b[topic])
	}
	for _, topic := range slices.Sorted(maps.Keys(got)) {
		if _, ok := b[topic]; !ok {
			t.Errorf("%s: got %v, want nothing", topic, got[topic])
		}
	}
}

// compare says where got begins to differ.
func compare(t *testing.T, topic string, got, want []message) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("%s: %d messages, want %d; the first missing is %v", topic, len(got), len(want), want[i])
		case i >= len(want):
			t.Errorf("%s: %d messages, want %d; the first too many is %v", topic, len(got), len(want), got[i])
		case got[i].equal(want[i]):
			continue
		default:
			t.Errorf("%s: number %d is %v, want %v", topic, i, got[i], want[i])
		}
		return
	}
}

// collect takes n messages, and what else comes at once.
func (r *receiver) collect(t *testing.T, n int) byTopic {
	t.Helper()
	got := byTopic{}
	timeout := time.After(2 * patience)
	for i := range n {
		select {
		case m := <-r.messages:
			got.add(m)
		case <-timeout:
			t.Errorf("%d messages within %v, want %d", i, 2*patience, n)
			return got
		}
	}
	r.silent(t, 50*time.Millisecond)
	return got
}

// What a client retains, every client gets when it subscribes, marked as retained, until it is cleared.
func TestRetained(t *testing.T) {
	h := hub.Start(t)
	want := byTopic{}
	for name := range clients() {
		want.add(message{topic: "retained/" + name, payload: []byte("kept by " + name), qos: 1, retained: true})
	}
	each(t, func(t *testing.T, name string, c client) {
		topic := "retained/" + name
		c.publish(t, h, message{topic: topic, payload: []byte("before"), qos: 1, retained: true})
		c.publish(t, h, want[topic]...)
	})
	for _, end := range ends {
		bounce(h, end)
		t.Run("read "+end, func(t *testing.T) {
			each(t, func(t *testing.T, _ string, c client) {
				r := c.open(t, h, connection{qos: 1, filters: []string{"retained/#"}})
				want.compare(t, r.collect(t, want.number()))
				r.disconnect()
			})
		})
	}
	each(t, func(t *testing.T, name string, c client) {
		c.publish(t, h, message{topic: "retained/" + name, qos: 1, retained: true})
		r := c.open(t, h, connection{qos: 1, filters: []string{"retained/" + name}})
		r.silent(t, 100*time.Millisecond)
	})
}

// ends are the ways in which a hub may end between two parts of a test.
var ends = []string{"running", "stopped", "killed"}

// bounce ends a hub in the way that is named and starts it again.
func bounce(h *hub.Hub, how string) {
	switch how {
	case "stopped":
		h.Stop()
		h.Again()
	case "killed":
		h.Kill()
		h.Again()
	}
}

// A will is published when a client's connection is cut, retained if it says so, and not when the client disconnects.
func TestWill(t *testing.T) {
	h := hub.Start(t)
	each(t, func(t *testing.T, name string, c client) {
		watch := (&pahoClassic{version: 4}).open(t, h, connection{qos: 1, filters: []string{"will/" + name}})
		will := &message{topic: "will/" + name, payload: []byte("gone"), qos: 1, retained: true}
		c.open(t, h, connection{will: will}).disconnect()
		if name == "mosquitto-5" { // When it is asked to end, it asks for its will (reason code 0x04) [MQTT-3.14.4-3].
			watch.expect(t, message{topic: will.topic, payload: will.payload, qos: 1})
		} else {
			watch.silent(t, 200*time.Millisecond)
		}
		c.open(t, h, connection{will: will}).cut()
		watch.expect(t, message{topic: will.topic, payload: will.payload, qos: 1})
		later := c.open(t, h, connection{qos: 1, filters: []string{"will/" + name}})
		later.expect(t, *will)
	})
}

// Unsubscribing ends what a subscription brought, the others go on.
func TestUnsubscribe(t *testing.T) {
	h := hub.Start(t)
	each(t, func(t *testing.T, name string, c client) {
		a, b := name+"/a", name+"/b"
		first := c.open(t, h, connection{id: "u-" + name, persistent: true, qos: 1, filters: []string{a, b}})
		c.publish(t, h, message{topic: a, payload: []byte("1"), qos: 1})
		first.expect(t, message{topic: a, payload: []byte("1"), qos: 1})
		first.disconnect()
		again := c.open(t, h, connection{id: "u-" + name, persistent: true, qos: 1, unsubscribe: []string{a}})
		c.publish(t, h, message{topic: a, payload: []byte("2"), qos: 1})
		c.publish(t, h, message{topic: b, payload: []byte("3"), qos: 1})
		// The first may have left before it had acknowledged what it got: then that comes again.
		again.until(t, name, message{topic: b, payload: []byte("3"), qos: 1})
		again.silent(t, 50*time.Millisecond)
		for _, m := range again.seen {
			if string(m.payload) == "2" {
				t.Errorf("got %v after unsubscribing", m)
			}
		}
	})
}

// A persistent session gets all that was published while its client was away, in order and once, also if the hub was stopped or
// killed in between, and at every QoS that keeps messages.
func TestPersistentSession(t *testing.T) {
	h := hub.Start(t)
	asks := func(name string) connection {
		return connection{id: "s-" + name, persistent: true, qos: 2, filters: []string{"session/#"}}
	}
	each(t, func(t *testing.T, name string, c client) {
		r := c.open(t, h, asks(name))
		r.disconnect()
	})
	want := byTopic{}
	for round, end := range ends {
		bounce(h, end)
		each(t, func(t *testing.T, name string, c client) {
			c.publish(t, h, append(numbered(sessionTopic(name, 1), 1, round), numbered(sessionTopic(name, 2), 2, round)...)...)
		})
		for name := range clients() {
			want.add(numbered(sessionTopic(name, 1), 1, round)...)
			want.add(numbered(sessionTopic(name, 2), 2, round)...)
		}
	}
	bounce(h, "killed")
	each(t, func(t *testing.T, name string, c client) {
		r := c.open(t, h, asks(name))
		want.compare(t, r.collect(t, want.number()))
		r.disconnect()
		c.open(t, h, asks(name)).silent(t, 100*time.Millisecond)
	})
}

func sessionTopic(name string, qos byte) string { return fmt.Sprintf("session/%s/%d", name, qos) }

func numbered(topic string, qos byte, round int) []message {
	batch := make([]message, 20)
	for i := range batch {
		batch[i] = message{topic: topic, payload: fmt.Appendf(nil, "%d.%d", round, i), qos: qos}
	}
	return batch
}

// A client that is connected when the hub ends comes back by itself and misses nothing.
func TestReconnect(t *testing.T) {
	h := hub.Start(t)
	all := clients()
	receivers := map[string]*receiver{}
	asks := func(name string) connection {
		return connection{id: "r-" + name, persistent: true, qos: 1, filters: []string{"reconnect/#"}}
	}
	for name, c := range all {
		receivers[name] = c.open(t, h, asks(name))
	}
	var want []message
	for round, end := range ends {
		bounce(h, end)
		batch := numbered("reconnect/all", 1, round)
		(&pahoClassic{version: 4}).publish(t, h, batch...)
		want = append(want, batch...)
		if end == "stopped" { // At MQTT 5 mosquitto_sub ends when the hub says goodbye: it has to be started again.
			const name = "mosquitto-5"
			seen := receivers[name].seen
			receivers[name] = all[name].open(t, h, asks(name))
			receivers[name].seen = seen
		}
		for name, r := range receivers {
			r.until(t, name, batch[len(batch)-1])
		}
	}
	for name, r := range receivers {
		t.Run(name, func(t *testing.T) {
			compare(t, "reconnect/all", r.seen, want)
		})
	}
}
