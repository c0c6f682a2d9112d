// Package interop tests the hub with other people's clients, as their users use them: Eclipse Paho for Go (MQTT 3.1, 3.1.1 and
// 5), mosquitto_pub and mosquitto_sub (MQTT 3.1, 3.1.1 and 5) and MQTT.js (3.1.1 and 5, over TCP and over WebSocket).
// gRPC for Go and curl are the clients of the stream service.
// It is a module of its own, so that these clients are no dependencies of the hub.
package interop

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pulso/test/internal/hub"
)

func TestMain(m *testing.M) {
	os.Exit(hub.Main(m))
}

// patience bounds every wait for something that should happen at once, on a machine that has much else to do.
const patience = 10 * time.Second

// A message is what all clients know of one.
type message struct {
	topic    string
	payload  []byte
	qos      byte
	retained bool
}

func (m message) String() string {
	payload := m.payload
	if len(payload) > 40 {
		return fmt.Sprintf("%s: %s… (%d bytes, QoS %d, retained %t)", m.topic, payload[:40], len(m.payload), m.qos, m.retained)
	}
	return fmt.Sprintf("%s: %s (QoS %d, retained %t)", m.topic, payload, m.qos, m.retained)
}

func (m message) equal(o message) bool {
	return m.topic == o.topic && bytes.Equal(m.payload, o.payload) && m.qos == o.qos && m.retained == o.retained
}

// A connection is what a client is asked to do when it connects.
type connection struct {
	id          string // "" is one that the client or the hub makes up
	persistent  bool   // a session that outlives the connection
	qos         byte   // of the filters
	filters     []string
	unsubscribe []string
	will        *message
}

// A client is one of other people's programs, at one version of the protocol and on one transport. Both methods fail the test
// themselves.
type client interface {
	// open connects and does what is asked. It returns when everything is acknowledged. From then on the program connects again
	// by itself when it loses the connection.
	open(t *testing.T, h *hub.Hub, c connection) *receiver
	// publish connects, publishes the messages in their order, waits for their acknowledgements and disconnects.
	publish(t *testing.T, h *hub.Hub, messages ...message)
}

// A receiver is a client that has subscribed.
type receiver struct {
	messages   chan message
	disconnect func() // leaves with DISCONNECT
	cut        func() // leaves without

	seen []message // by until, without what came again
}

func newReceiver() *receiver {
	return &receiver{messages: make(chan message, 100_000)}
}

// expect waits for the next message.
func (r *receiver) expect(t *testing.T, want message) {
	t.Helper()
	select {
	case got := <-r.messages:
		if !got.equal(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	case <-time.After(patience):
		t.Errorf("no message within %v, want %v", patience, want)
	}
}

// until takes messages until one is the last. QoS 1 may deliver a message again after the connection was lost: what came again
// is left out of seen.
func (r *receiver) until(t *testing.T, name string, last message) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m := <-r.messages:
			if !slices.ContainsFunc(r.seen, m.equal) {
				r.seen = append(r.seen, m)
			}
			if m.equal(last) {
				return
			}
		case <-timeout:
			t.Errorf("%s: %d messages within %v, and not %v", name, len(r.seen), patience, last)
			return
		}
	}
}

// silent waits that long for a message that should not come.
func (r *receiver) silent(t *testing.T, wait time.Duration) {
	t.Helper()
	select {
	case got := <-r.messages:
		t.Errorf("got %v, want no message", got)
	case <-time.After(wait):
	}
}

// clients are all that are tested, by the names that the subtests have.
func clients() map[string]client {
	return map[string]client{
		"paho-3.1":        &pahoClassic{version: 3},
		"paho-3.1.1":      &pahoClassic{version: 4},
		"paho-5":          &pahoFive{},
		"mosquitto-3.1":   &mosquitto{version: "mqttv31"},
		"mosquitto-3.1.1": &mosquitto{version: "mqttv311"},
		"mosquitto-5":     &mosquitto{version: "mqttv5"},
		"mqttjs-3.1.1":    &mqttJS{version: 4},
		"mqttjs-3.1.1-ws": &mqttJS{version: 4, websocket: true},
		"mqttjs-5":        &mqttJS{version: 5},
		"mqttjs-5-ws":     &mqttJS{version: 5, websocket: true},
	}
}
