package broker

import (
	"bytes"
	"context"
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
	"pulso/broker/packet"
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

func TestReceiveMaximumOfTheServer(t *testing.T) {
	r := newRig(t, nil)
	resume := r.sink.pause()
	defer resume()
	const n = 1_024 + 500
	old := r.connect(options{version: 4, id: "old"}) // knows no such thing
	for i := range n {
		old.publish("a", "x", 1, uint16(i+1))
	}
	old.ping()
	c := r.connect(options{version: 5, id: "d"})
	for i := range n {
		if _, err := c.Write(packet.AppendPublish(nil, 5, &packet.Message{Event: &event.Event{Topic: "a"}, QoS: 1, ID: uint16(i + 1)})); err != nil {
			break
		}
	}
	c.wantReason(0x93)
	resume()
	for i := range n {
		old.wantAck(0x40, uint16(i+1))
	}
}

func TestTopicAlias(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(options{version: 5, id: "d"})
	alias := func(topic, payload string, id byte) []byte {
		body := append(appendString(nil, topic), 0, id, 3, 0x23, 0, 5)
		return rawPacketOf(0x32, append(body, payload...))
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
	other.wantReason(0x82)
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
	if _, err := New(t.Context(), Config{Sink: r.sink, Metrics: registry}); err == nil {
		t.Error("registered twice without an error")
	}
}

func TestPropertiesPassThrough(t *testing.T) {
	r := newRig(t, nil)
	sub := r.connect(options{version: 5, id: "sub"})
	sub.subscribe("p", 1)
	pub := r.connect(options{version: 5, id: "pub"})
	e := &event.Event{Topic: "p", Payload: []byte("x"), Properties: &event.Properties{
		HasContentType: true, ContentType: "text/plain", ResponseTopic: "reply/here", CorrelationData: []byte{1, 2},
		User:   []event.UserProperty{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}},
		Expiry: 60, HasExpiry: true, UTF8: true,
	}}
	pub.send(packet.AppendPublish(nil, 5, &packet.Message{Event: e, QoS: 1, ID: 1, Expiry: 60}))
	pub.wantAck(0x40, 1)
	got := sub.want(0x32)
	want := packet.AppendPublish(nil, 5, &packet.Message{Event: e, QoS: 1, ID: 1, Expiry: 59})
	at60 := packet.AppendPublish(nil, 5, &packet.Message{Event: e, QoS: 1, ID: 1, Expiry: 60})
	if !bytes.Equal(got, want[2:]) && !bytes.Equal(got, at60[2:]) {
		t.Fatalf("got  %x\nwant %x", got, want[2:])
	}
	if p := r.sink.topic("p")[0].Properties; p == nil || p.ContentType != "text/plain" || len(p.User) != 2 || p.Expiry != 60 {
		t.Fatalf("logged %+v", p)
	}
}

func TestInvalidFilters(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxSubscriptions = 3 })
	c := r.connect(options{version: 5, id: "c"})
	for filter, want := range map[string]byte{
		"a/b+": 0x8f, "a/#/b": 0x8f, "#a": 0x8f, "$share/g": 0x8f, "$SHARE/g/a": 0, strings.Repeat("/", 200): 0x8f,
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
	b, err := New(t.Context(), Config{Sink: r.sink, Log: r.sink, Address: r.addr})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), r.addr) {
		t.Fatalf("Run: %v", err)
	}
	if _, err := New(t.Context(), Config{}); err == nil {
		t.Fatal("no sink, no error")
	}
}

func TestStopUnderLoad(t *testing.T) {
	r := newRig(t, nil)
	var mu sync.Mutex
	acked := map[string]bool{}
	served := [4]int{} // of each client
	var wg sync.WaitGroup
	for p := range 4 {
		c := r.connect(options{id: fmt.Sprint("pub", p), will: "wills"})
		wg.Go(func() {
			for i := 1; ; i = i%60_000 + 1 {
				_, err := c.Write(packet.AppendPublish(nil, 4, &packet.Message{
					Event: &event.Event{Topic: "t", Payload: fmt.Appendf(nil, "%d-%d", p, i)}, QoS: 1, ID: uint16(i),
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
				served[p]++
				mu.Unlock()
			}
		})
	}
	eventually(t, "acknowledgements", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acked) > 2_000 && slices.Min(served[:]) > 0 // a client that is served has begun, so it has an end
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
	c.wantReason(0x8b)
	idle.wantEnd()
}
