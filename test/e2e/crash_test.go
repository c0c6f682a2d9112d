package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// A load publishes numbered messages at QoS 1 from several devices and knows which were acknowledged.
type load struct {
	clients []mqtt.Client
	stop    chan struct{}
	wg      sync.WaitGroup
	count   atomic.Int64

	mu    sync.Mutex
	acked map[string][]int // by topic, the numbers acknowledged
}

// startLoad lets n devices publish, each with up to 16 messages in flight, until stopped. Each connection is used once:
// what was in flight when it broke stays unacknowledged.
func startLoad(t *testing.T, h *hub, n int) *load {
	t.Helper()
	l := &load{stop: make(chan struct{}), acked: make(map[string][]int)}
	for i := range n {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://"+h.mqtt).SetClientID(fmt.Sprintf("load-%d", i)).
			SetAutoReconnect(false).SetConnectTimeout(5*time.Second).SetWill("devices/load-"+fmt.Sprint(i)+"/status", "offline", 1, false))
		if token := c.Connect(); !token.WaitTimeout(5*time.Second) || token.Error() != nil {
			t.Fatalf("connect: %v", token.Error())
		}
		l.clients = append(l.clients, c)
		l.wg.Go(func() { l.publish(c, fmt.Sprintf("devices/load-%d/telemetry", i)) })
	}
	return l
}

func (l *load) publish(c mqtt.Client, topic string) {
	type sent struct {
		number int
		token  mqtt.Token
	}
	inflight := make(chan sent, 16)
	var acks sync.WaitGroup
	acks.Go(func() {
		for s := range inflight {
			if !s.token.WaitTimeout(5*time.Second) || s.token.Error() != nil {
				continue
			}
			l.mu.Lock()
			l.acked[topic] = append(l.acked[topic], s.number)
			l.mu.Unlock()
			l.count.Add(1)
		}
	})
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			close(inflight)
			acks.Wait()
			return
		default:
		}
		token := c.Publish(topic, 1, false, fmt.Sprintf(`{"n":%d,"temperature":%d.5}`, n, n%30))
		select {
		case inflight <- sent{n, token}:
		case <-l.stop:
			close(inflight)
			acks.Wait()
			return
		}
	}
}

func (l *load) end() {
	close(l.stop)
	for _, c := range l.clients {
		c.Disconnect(0)
	}
	l.wg.Wait()
}

// numbers gathers the numbers of the load's messages by topic from events.
func numbers(t *testing.T, into map[string][]int, events []streamEvent) {
	t.Helper()
	for _, e := range events {
		if !strings.HasSuffix(e.Topic, "/telemetry") {
			continue
		}
		var p struct {
			N int `json:"n"`
		}
		if err := json.Unmarshal(e.Payload, &p); err != nil {
			t.Fatalf("%s: %v", e.Payload, err)
		}
		into[e.Topic] = append(into[e.Topic], p.N)
	}
}

// The hub is killed in the middle of QoS 1 traffic and started again: every acknowledged message is in the log, in order,
// and a client that resumes from its last position gets exactly what it missed.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	data := t.TempDir()
	h := serve(t, data)
	watcher := dial(t, h)
	watcher.sendf(`{"id":1,"subscribe":{"filters":["devices/#"]}}`)
	watcher.until(5*time.Second, func(m *message) bool { return m.Subscribed != nil })

	l := startLoad(t, h, 8)
	seen := make(map[string][]int)
	// The watcher reads for a while, and then misses the rest.
	watcher.until(20*time.Second, func(m *message) bool {
		numbers(t, seen, m.Events)
		return l.count.Load() > 5000
	})
	left := watcher.position
	more := l.count.Load() + 5000
	eventually(t, 20*time.Second, "more traffic", func() error {
		if n := l.count.Load(); n < more {
			return fmt.Errorf("%d acknowledged", n)
		}
		return nil
	})
	h.kill()
	l.end()

	h = serveOn(t, data, h.mqtt, h.http)
	all := readAll(t, h, "start")
	checkAcknowledged(t, l.acked, all)

	// What was seen and what the resume brings is the whole, none missing, none twice, in order.
	rest := readAll(t, h, left)
	for topic, want := range all {
		got := append(append([]int(nil), seen[topic]...), rest[topic]...)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: seen %d and resumed %d, the log has %d", topic, len(seen[topic]), len(rest[topic]), len(want))
		}
	}
	t.Logf("acknowledged %d; resumed from %s", l.count.Load(), left)
}

// readAll resumes from a position and reads to the log's end, which a marker shows.
func readAll(t *testing.T, h *hub, from string) map[string][]int {
	t.Helper()
	s := dial(t, h)
	s.sendf(`{"id":1,"subscribe":{"filters":["devices/#","marker"],"from":%q}}`, from)
	s.until(5*time.Second, func(m *message) bool {
		if m.Subscribed != nil && !m.Subscribed.Recovered {
			t.Errorf("resume from %s: not recovered", from)
		}
		return m.Subscribed != nil
	})
	s.sendf(`{"id":2,"publish":{"topic":"marker","payload":1,"qos":1}}`)
	got := make(map[string][]int)
	position := ""
	s.until(30*time.Second, func(m *message) bool {
		if m.Gap != nil {
			t.Errorf("gap %s", m.Gap)
		}
		numbers(t, got, m.Events)
		if m.Published != nil {
			position = m.Published.Position
		}
		return position != "" && s.position == position
	})
	return got
}

// checkAcknowledged checks that each topic's numbers in the log go up without a hole and hold all that were acknowledged.
func checkAcknowledged(t *testing.T, acked, logged map[string][]int) {
	t.Helper()
	for topic, numbers := range logged {
		for i, n := range numbers {
			if n != i {
				t.Fatalf("%s: number %d stands at place %d: out of order, lost or twice", topic, n, i)
			}
		}
	}
	for topic, numbers := range acked {
		if len(numbers) == 0 {
			t.Errorf("%s: nothing was acknowledged", topic)
			continue
		}
		if last := numbers[len(numbers)-1]; last >= len(logged[topic]) {
			t.Errorf("%s: %d was acknowledged, the log ends before %d", topic, last, len(logged[topic]))
		}
	}
}

// The hub is asked to stop under load: it does so in time, with nothing acknowledged lost and no wills.
func TestStopUnderLoad(t *testing.T) {
	data := t.TempDir()
	h := serve(t, data)
	l := startLoad(t, h, 8)
	eventually(t, 20*time.Second, "traffic", func() error {
		if n := l.count.Load(); n < 5000 {
			return fmt.Errorf("%d acknowledged", n)
		}
		return nil
	})
	took, err := h.stop()
	l.end()
	if err != nil {
		t.Errorf("the hub ended with %v", err)
	}
	if took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	h = serveOn(t, data, h.mqtt, h.http)
	checkAcknowledged(t, l.acked, readAll(t, h, "start"))
	s := dial(t, h)
	s.sendf(`{"id":1,"subscribe":{"filters":["devices/+/status"],"history":10}}`)
	s.until(5*time.Second, func(m *message) bool {
		if m.Snapshot != nil && len(m.Snapshot.Events) > 0 {
			t.Errorf("false wills: %+v", m.Snapshot.Events)
		}
		return m.Snapshot != nil
	})
	t.Logf("stopped in %v with %d acknowledged", took, l.count.Load())
}
