package crash

import (
	"fmt"
	"testing"
	"time"

	"pulso/test/crash/internal/load"
	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// TestResumeOrder kills the hub while a subscriber has messages that it has not answered, publishes more while it is away, and
// lets it come back: what was in flight comes first [MQTT-4.4.0-1], then the rest, all in order.
func TestResumeOrder(t *testing.T) {
	for i, later := range []time.Duration{0, 700 * time.Millisecond} {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("QoS %d, after %v", qos, later), func(t *testing.T) { resumeOrder(t, qos, load.Version(i), later) })
		}
	}
}

func resumeOrder(t *testing.T, qos, version byte, later time.Duration) {
	const before, after = 10, 400
	h := hub.Start(t)
	connect := &mqtt.Connect{Version: version, ID: "subscriber", Persistent: true}
	conn, err := mqtt.Open(h.MQTT, "", connect)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Subscribe(qos, "resume"); err != nil {
		t.Fatal(err)
	}
	publish(t, h, qos, 0, before)
	expectInOrder(t, conn, before)
	time.Sleep(later) // in which the hub may store what it has sent
	h.Kill()
	h.Again()
	publish(t, h, qos, before, before+after)
	back, err := mqtt.Open(h.MQTT, "", connect)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if !back.Present {
		t.Error("the session is gone")
	}
	// The client answers none, so at most a window of messages comes.
	expectInOrder(t, back, 2*before)
}

// publish publishes the numbers from the first up to the end, and waits until they are acknowledged.
func publish(t *testing.T, h *hub.Hub, qos byte, from, to int) {
	t.Helper()
	conn, err := mqtt.Open(h.MQTT, "", &mqtt.Connect{ID: "publisher"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ack := map[byte]byte{1: mqtt.PUBACK, 2: mqtt.PUBREC}[qos]
	for n := from; n < to; n++ {
		m := mqtt.Publish{Topic: "resume", Payload: fmt.Append(nil, n), QoS: qos, ID: n + 1}
		if _, err := conn.Write(m.Bytes(conn.Version)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Expect(ack, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if qos == 2 { // so that few are in flight
			if _, err := conn.Write(mqtt.Ack(mqtt.PUBREL, n+1)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// expectInOrder reads the messages from 0 up to n.
func expectInOrder(t *testing.T, conn *mqtt.Conn, n int) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for i := 0; i < n; {
		first, body, err := conn.Next()
		if err != nil {
			t.Fatalf("got %d of %d messages: %v", i, n, err)
		}
		if first&0xf0 != mqtt.PUBLISH {
			continue
		}
		m, err := conn.ParsePublish(first, body)
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("got %s (DUP %v, identifier %d) instead of %d", m.Payload, m.Dup, m.ID, i)
		}
		i++
	}
}
