package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pulso/bridge/event"
)

func (r *rig) paho(id string) paho.Client {
	r.t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + r.addr).SetClientID(id))
	wait(r.t, c.Connect())
	r.t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func wait(t testing.TB, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatal("no answer in time")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}

func TestRoundTrip(t *testing.T) {
	r := newRig(t, nil)
	for _, qos := range []byte{0, 1, 2} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			topic := fmt.Sprintf("devices/d%d/telemetry", qos)
			got := make(chan paho.Message, 200)
			sub, pub := r.paho(fmt.Sprintf("sub%d", qos)), r.paho(fmt.Sprintf("pub%d", qos))
			wait(t, sub.Subscribe("devices/+/telemetry", qos, func(_ paho.Client, m paho.Message) { got <- m }))
			var want []string
			for i := range 100 {
				p := fmt.Sprintf(`{"temperature":%d}`, i)
				want = append(want, p)
				wait(t, pub.Publish(topic, qos, false, p))
			}
			var have []string
			for range want {
				select {
				case m := <-got:
					if m.Topic() != topic || m.Qos() != qos {
						t.Fatalf("got %s at QoS %d", m.Topic(), m.Qos())
					}
					have = append(have, string(m.Payload()))
				case <-time.After(patience):
					t.Fatalf("%d of %d messages arrived", len(have), len(want))
				}
			}
			if !slices.Equal(have, want) {
				t.Fatalf("order differs: %v", have)
			}
			if logged := payloads(r.sink.topic(topic)); !slices.Equal(logged, want) {
				t.Fatalf("log holds %d messages, want %d, in order", len(logged), len(want))
			}
			wait(t, sub.Unsubscribe("devices/+/telemetry"))
		})
	}
}

func TestMosquittoPub(t *testing.T) {
	path, err := exec.LookPath("mosquitto_pub")
	if err != nil {
		t.Skip("mosquitto_pub is not installed")
	}
	r := newRig(t, nil)
	_, port, _ := net.SplitHostPort(r.addr)
	for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		for _, qos := range []string{"0", "1", "2"} {
			cmd := exec.CommandContext(t.Context(), path, "-p", port, "-V", version, "-q", qos, "-t", "m/"+version+"/"+qos, "-m", "x")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s QoS %s: %v %s", version, qos, err, out)
			}
			eventually(t, version+" QoS "+qos, func() bool { return len(r.sink.topic("m/"+version+"/"+qos)) == 1 })
		}
	}
}

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
		c.send(ackPacket(nil, typePubrel, 9, 0, version))
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

func TestPublishesBeyondReceiveMaximumWhilePaused(t *testing.T) {
	r := newRig(t, nil)
	resume := r.sink.pause()
	defer resume()
	c := r.connect(options{version: 5, id: "d"})
	const n = receiveMaximum + 500
	for i := range n {
		c.publish("a", "x", 1, uint16(i+1))
	}
	c.ping()
	resume()
	for i := range n {
		c.wantAck(0x40, uint16(i+1))
	}
}

func TestTopicAlias(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(options{version: 5, id: "d"})
	alias := func(topic, payload string, id byte) []byte {
		body := append(appendString(nil, topic), 0, id, 3, 0x23, 0, 5)
		return packet(0x32, append(body, payload...))
	}
	c.send(alias("a/b", "1", 1))
	c.wantAck(0x40, 1)
	c.send(alias("", "2", 2))
	c.wantAck(0x40, 2)
	if got := payloads(r.sink.topic("a/b")); !slices.Equal(got, []string{"1", "2"}) {
		t.Fatalf("log holds %v", got)
	}
	other := r.connect(options{version: 5, id: "other"}) // aliases belong to a connection
	other.send(alias("", "3", 1))
	if rest := other.wantEnd(); !bytes.Equal(rest, []byte{0xe0, 2, 0x82, 0}) {
		t.Fatalf("an unknown alias got %x", rest)
	}
	if n := len(r.sink.kind(event.KindPublish, "other")); n != 0 {
		t.Fatal("a message without a topic was logged")
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRig(t, func(c *Config) { c.Metrics = registry })
	c := r.connect(options{id: "c"})
	c.publish("a", "x", 1, 1)
	c.wantAck(0x40, 1)
	m := r.broker.metrics
	if got := testutil.ToFloat64(m.received[1]); got != 1 {
		t.Errorf("received: %v", got)
	}
	if got := testutil.ToFloat64(m.connects); got != 1 {
		t.Errorf("connects: %v", got)
	}
	if got := testutil.ToFloat64(m.bytesIn); got < 20 {
		t.Errorf("bytes: %v", got)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	if _, err := New(Config{Sink: r.sink, Metrics: registry}); err == nil {
		t.Error("registered twice without an error")
	}
}

func TestPropertiesPassThrough(t *testing.T) {
	r := newRig(t, nil)
	sub := r.connect(options{version: 5, id: "sub"})
	sub.subscribe("p", 1)
	pub := r.connect(options{version: 5, id: "pub"})
	e := &event.Event{Topic: "p", Payload: []byte("x"), Properties: &event.Properties{
		ContentType: "text/plain", ResponseTopic: "reply/here", CorrelationData: []byte{1, 2},
		User:   []event.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}},
		Expiry: 60, HasExpiry: true, UTF8: true,
	}}
	pub.send(appendPublish(nil, 5, &publish{event: e, qos: 1, id: 1, expiry: 60}))
	pub.wantAck(0x40, 1)
	got := sub.want(0x32)
	want := appendPublish(nil, 5, &publish{event: e, qos: 1, id: 1, expiry: 59})
	at60 := appendPublish(nil, 5, &publish{event: e, qos: 1, id: 1, expiry: 60})
	if !bytes.Equal(got, want[2:]) && !bytes.Equal(got, at60[2:]) {
		t.Fatalf("got  %x\nwant %x", got, want[2:])
	}
	if p := r.sink.topic("p")[0].Properties; p == nil || p.ContentType != "text/plain" || len(p.User) != 2 || p.Expiry != 60 {
		t.Fatalf("logged %+v", p)
	}
}

func TestDeliveryFollowsTheLog(t *testing.T) {
	r := newRig(t, nil)
	sub := r.connect(options{id: "sub"})
	sub.subscribe("#", 0)
	const publishers, each = 8, 50
	var wg sync.WaitGroup
	for p := range publishers {
		c := r.connect(options{id: fmt.Sprint("pub", p)})
		wg.Go(func() {
			for i := range each {
				c.publish("t", fmt.Sprintf("%d-%d", p, i), 1, uint16(i+1))
				c.wantAck(0x40, uint16(i+1))
			}
		})
	}
	var got []string
	for range publishers * each {
		_, payload, _ := sub.wantMessage()
		got = append(got, payload)
	}
	wg.Wait()
	if want := payloads(r.sink.topic("t")); !slices.Equal(got, want) {
		t.Fatal("subscribers see another order than the log")
	}
}

func TestNoLocal(t *testing.T) {
	r := newRig(t, nil)
	a := r.connect(options{version: 5, id: "a"})
	b := r.connect(options{version: 5, id: "b"})
	a.subscribe("chat/x", 4)
	a.publish("chat/x", "mine", 0, 0)
	b.publish("chat/x", "other", 1, 1)
	if _, payload, _ := a.wantMessage(); payload != "other" {
		t.Fatalf("got %q", payload)
	}
}

func TestRetained(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxRetained = 2_000 })
	pub := r.paho("pub")
	for i := range 2_000 {
		wait(t, pub.Publish(fmt.Sprintf("state/%d", i), 0, true, "on"))
	}
	wait(t, pub.Publish("state/full", 1, true, "x")) // delivered, not retained
	wait(t, pub.Publish("state/7", 1, true, ""))     // cleared
	eventually(t, "all retained", func() bool { return r.broker.retained.count.Load() == 1_999 })
	for _, qos := range []byte{0, 1} {
		sub := r.connect(options{id: fmt.Sprint("sub", qos)})
		sub.subscribe("state/#", qos)
		seen := map[string]bool{}
		for len(seen) < 1_999 {
			topic, _, id := sub.wantMessage()
			seen[topic] = true
			if id > 0 {
				sub.send(ackPacket(nil, typePuback, id, 0, 4))
			}
		}
		if seen["state/7"] || seen["state/full"] {
			t.Fatal("a message that is not retained was replayed")
		}
	}
}

func TestRetainHandling(t *testing.T) {
	r := newRig(t, nil)
	wait(t, r.paho("pub").Publish("s", 1, true, "on"))
	eventually(t, "retained", func() bool { return r.broker.retained.count.Load() == 1 })
	c := r.connect(options{version: 5, id: "sub"})
	c.subscribe("s", 0x20) // never
	c.ping()
	c.subscribe("s", 0x10) // if new: it is not
	c.ping()
	c.subscribe("s", 0)
	if _, payload, _ := c.wantMessage(); payload != "on" {
		t.Fatalf("got %q", payload)
	}
}

func TestOfflineQueueInOrder(t *testing.T) {
	r := newRig(t, nil)
	sub := r.connect(options{id: "sub", persistent: true})
	sub.subscribe("q", 1)
	sub.send([]byte{0xe0, 0})
	sub.wantEnd()
	eventually(t, "the end of the connection", func() bool { return len(r.sink.kind(event.KindDisconnected, "sub")) == 1 })
	pub := r.paho("pub")
	const n = 600
	for i := range n {
		wait(t, pub.Publish("q", 1, false, fmt.Sprint(i)))
	}
	sub = r.connect(options{id: "sub", persistent: true})
	for i := range n {
		_, payload, id := sub.wantMessage()
		if payload != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, payload)
		}
		sub.send(ackPacket(nil, typePuback, id, 0, 4))
	}
}

func TestUnacknowledgedIsSentAgain(t *testing.T) {
	r := newRig(t, nil)
	sub := r.connect(options{id: "sub", persistent: true})
	sub.subscribe("q", 2)
	pub := r.paho("pub")
	wait(t, pub.Publish("q", 1, false, "one"))
	wait(t, pub.Publish("q", 2, false, "two"))
	_, _, first := sub.wantMessage()
	_, _, second := sub.wantMessage()
	sub.send(ackPacket(nil, typePubrec, second, 0, 4))
	sub.wantAck(0x62, second)
	_ = sub.Close()

	sub = r.connect(options{id: "sub", persistent: true})
	head, body := sub.read()
	if head != 0x3a || string(body[5:]) != "one" {
		t.Fatalf("got %#x %q, want the first message again with DUP", head, body)
	}
	sub.wantAck(0x62, second)
	sub.send(ackPacket(nil, typePuback, first, 0, 4))
	sub.send(ackPacket(nil, typePubcomp, second, 0, 4))
	sub.ping()
	s := r.broker.sessions["sub"]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inflight) != 0 {
		t.Fatalf("%d messages are still in flight", len(s.inflight))
	}
}

func TestReceiveMaximumIsHonoured(t *testing.T) {
	r := newRig(t, nil)
	sub := r.connect(options{version: 5, id: "sub", props: []byte{0x21, 0, 2}})
	sub.subscribe("q", 1)
	pub := r.paho("pub")
	for i := range 50 {
		wait(t, pub.Publish("q", 1, false, fmt.Sprint(i)))
	}
	for i := 0; i < 50; i += 2 {
		_, a, id := sub.wantMessage()
		_, b, id2 := sub.wantMessage()
		if a != fmt.Sprint(i) || b != fmt.Sprint(i+1) {
			t.Fatalf("got %s and %s at %d", a, b, i)
		}
		sub.ping() // nothing comes beyond the window
		sub.send(ackPacket(nil, typePuback, id, 0, 5))
		sub.send(ackPacket(nil, typePuback, id2, 0, 5))
	}
}

func TestSharedSubscription(t *testing.T) {
	r := newRig(t, nil)
	a, b := r.connect(options{id: "a"}), r.connect(options{id: "b"})
	a.subscribe("$share/g/w", 0)
	b.subscribe("$share/g/w", 0)
	pub := r.paho("pub")
	for i := range 10 {
		wait(t, pub.Publish("w", 1, false, fmt.Sprint(i)))
	}
	for range 5 {
		a.wantMessage()
		b.wantMessage()
	}
	a.ping()
	b.ping()
}

func TestInvalidFilters(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxSubscriptions = 2 })
	c := r.connect(options{version: 5, id: "c"})
	for filter, want := range map[string]byte{
		"a/b+": 0x8f, "a/#/b": 0x8f, "#a": 0x8f, "$share/g": 0x8f, "$SHARE/g/a": 0x8f, strings.Repeat("/", 200): 0x8f, "": 0x8f,
	} {
		if got := c.subscribe(filter, 0); got != want {
			t.Errorf("filter %.20q: reason %#x, want %#x", filter, got, want)
		}
	}
	if got := []byte{c.subscribe("a", 0), c.subscribe("b", 1), c.subscribe("c", 0), c.subscribe("a", 2)}; string(got) != "\x00\x01\x97\x02" {
		t.Fatalf("reasons %x", got)
	}
	if got := r.connect(options{id: "v3"}).subscribe("a/b+", 0); got != 0x80 {
		t.Fatalf("MQTT 3: %#x", got)
	}
}

func TestPortInUse(t *testing.T) {
	r := newRig(t, nil)
	b, err := New(Config{Sink: r.sink, Address: r.addr})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), r.addr) {
		t.Fatalf("Run: %v", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Fatal("no sink, no error")
	}
}

func TestStopUnderLoad(t *testing.T) {
	r := newRig(t, nil)
	var mu sync.Mutex
	acked := map[string]bool{}
	var wg sync.WaitGroup
	for p := range 4 {
		c := r.connect(options{id: fmt.Sprint("pub", p), will: "wills"})
		wg.Go(func() {
			for i := 1; ; i = i%60_000 + 1 {
				_, err := c.Write(appendPublish(nil, 4, &publish{
					event: &event.Event{Topic: "t", Payload: fmt.Appendf(nil, "%d-%d", p, i)}, qos: 1, id: uint16(i),
				}))
				if err != nil {
					return
				}
			}
		})
		wg.Go(func() {
			for {
				_, body, err := c.tryRead()
				if err != nil {
					return
				}
				mu.Lock()
				acked[fmt.Sprintf("%d-%d", p, int(body[0])<<8|int(body[1]))] = true
				mu.Unlock()
			}
		})
	}
	eventually(t, "acknowledgements", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acked) > 2_000
	})
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.broker.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Fatalf("Stop took %s", d)
	}
	wg.Wait()
	stored := map[string]bool{}
	for _, p := range payloads(r.sink.topic("t")) {
		stored[p] = true
	}
	for p := range acked {
		if !stored[p] {
			t.Fatalf("%s was acknowledged and is not in the log", p)
		}
	}
	eventually(t, "the ends of the sessions", func() bool {
		ends := r.sink.kind(event.KindDisconnected, "")
		return len(ends) == 4 && string(ends[0].Payload) == event.DisconnectedShutdown
	})
	if n := len(r.sink.topic("wills")); n > 0 {
		t.Fatalf("a clean stop published %d wills", n)
	}
	if err := r.broker.Stop(ctx); err != nil {
		t.Fatalf("second Stop: %v", err)
	}
}

func TestStopSaysGoodbye(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(options{version: 5, id: "c"})
	idle := r.dial() // no CONNECT at all
	if err := r.broker.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rest := c.wantEnd(); string(rest) != "\xe0\x02\x8b\x00" {
		t.Fatalf("got %x", rest)
	}
	idle.wantEnd()
}
