package broker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

func TestAckOnlyAfterStored(t *testing.T) {
	r := newRig(t, nil)
	resume := r.sink.pause()
	defer resume()
	c := r.connect(options{id: "d"})
	const n = 500
	for i := range n { // the reader goes on although nothing is stored
		c.publish("a", fmt.Sprint(i), 1, uint16(i+1))
	}
	c.ping() // answered after all publishes have been read, and before any acknowledgement
	resume()
	for i := range n {
		c.wantAck(0x40, uint16(i+1))
	}
	if got := len(r.sink.topic("a")); got != n {
		t.Fatalf("%d messages in the log, want %d", got, n)
	}
}

func TestQoS2AckOnlyAfterStored(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(options{id: "d"})
	resume := r.sink.pause()
	defer resume()
	c.publish("a", "1", 2, 9)
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if first, _, err := c.tryRead(); err == nil {
		t.Fatalf("packet %#x before the message was stored", first)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	resume()
	c.wantAck(0x50, 9)
}

func TestQoS2SentAgainIsLoggedOnce(t *testing.T) {
	for _, version := range []byte{4, 5} {
		r := newRig(t, nil)
		c := r.connect(options{version: version, id: "d"})
		for range 3 {
			c.publish("a", "1", 2, 9)
			if body := c.want(0x50); len(body) > 2 && body[2] != 0 {
				t.Fatalf("PUBREC with reason %#x", body[2])
			}
		}
		c.send(packet.AppendAck(nil, packet.Pubrel, 9, 0, version))
		c.wantAck(0x70, 9)
		if n := len(r.sink.topic("a")); n != 1 {
			t.Fatalf("MQTT %d: logged %d times", version, n)
		}
		c.publish("a", "2", 2, 9) // the id is free again
		c.wantAck(0x50, 9)
		if n := len(r.sink.topic("a")); n != 2 {
			t.Fatalf("MQTT %d: logged %d times", version, n)
		}
	}
}

func TestStoreFailureIsNotAcknowledged(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		r := newRig(t, nil)
		c := r.connect(options{id: "d"})
		eventually(t, "connected event", func() bool { return len(r.sink.kind(event.KindConnected, "d")) == 1 })
		r.sink.setFail(errors.New("disk full"))
		c.publish("a", "x", qos, 1)
		if rest := c.wantEnd(); len(rest) > 0 {
			t.Fatalf("QoS %d: got %x", qos, rest)
		}
		eventually(t, "closed for the store", func() bool { return r.closed(reasonStore) == 1 })
	}
}

func TestFailuresAreToldOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		b := &Broker{log: slog.New(slog.NewTextHandler(&said, nil))}
		for range 5 {
			b.notStored("d", errors.New("disk full"))
		}
		time.Sleep(time.Second)
		b.notStored("e", errors.New("disk full"))
		text := said.String()
		if strings.Count(text, "ERROR") != 2 || !strings.Contains(text, "count=1 client=d") || !strings.Contains(text, "count=5 client=e") {
			t.Errorf("said: %s", text)
		}
	})
}
