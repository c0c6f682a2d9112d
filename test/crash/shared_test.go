package crash

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// jobs is how many messages a group gets.
const jobs = 300

// A group is the members of one shared subscription, and who got which of the messages, which are numbered.
type group struct {
	t   *testing.T
	hub *hub.Hub
	qos byte

	mu      sync.Mutex
	got     map[int]map[string]bool // by message, the members that got it
	running sync.WaitGroup
}

func newGroup(t *testing.T, h *hub.Hub, qos byte) *group {
	t.Helper()
	g := &group{t: t, hub: h, qos: qos, got: make(map[int]map[string]bool)}
	t.Cleanup(g.running.Wait)
	return g
}

// join connects a member. One that answers takes part until its connection ends; one that does not takes messages and never
// acknowledges. Its session lasts if persistent, else it ends with the connection.
func (g *group) join(name string, persistent, answers bool) *mqtt.Conn {
	g.t.Helper()
	conn, err := mqtt.Open(g.hub.MQTT, "", &mqtt.Connect{Version: mqtt.V5, ID: name, Persistent: persistent})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	subscribed := make(chan struct{})
	g.running.Go(func() { g.work(name, conn, answers, subscribed) })
	if conn.Present {
		return conn
	}
	if _, err := conn.Write(mqtt.Subscribe(conn.Version, 1, g.qos, "$share/workers/job/#")); err != nil {
		g.t.Fatal(err)
	}
	select {
	case <-subscribed:
	case <-time.After(10 * time.Second):
		g.t.Fatalf("%s has not subscribed in 10 s", name)
	}
	return conn
}

// work takes messages until the connection ends. They may come before the SUBACK (MQTT 5, 3.8.4).
func (g *group) work(name string, conn *mqtt.Conn, answers bool, subscribed chan<- struct{}) {
	for {
		first, body, err := conn.Next()
		if err != nil {
			return
		}
		var answer []byte
		switch {
		case first&0xf0 == mqtt.PUBLISH:
			m, err := conn.ParsePublish(first, body)
			if err != nil {
				return
			}
			g.take(name, m)
			answer = mqtt.Ack(mqtt.PUBACK, m.ID)
			if m.QoS == 2 {
				answer = mqtt.Ack(mqtt.PUBREC, m.ID)
			}
		case first == mqtt.PUBREL:
			answer = mqtt.Ack(mqtt.PUBCOMP, int(binary.BigEndian.Uint16(body)))
		case first == mqtt.SUBACK:
			close(subscribed)
			continue
		default:
			continue
		}
		if answers {
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	}
}

func (g *group) take(name string, m *mqtt.Publish) {
	var n int
	if _, err := fmt.Sscan(string(m.Payload), &n); err != nil {
		g.t.Errorf("%s got %q", name, m.Payload)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.got[n] == nil {
		g.got[n] = make(map[string]bool)
	}
	g.got[n][name] = true
}

// by is how many messages at least one of the members got.
func (g *group) by(members ...string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := 0
	for _, who := range g.got {
		for _, m := range members {
			if who[m] {
				sum++
				break
			}
		}
	}
	return sum
}

// both is how many messages more than one member got.
func (g *group) both() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := 0
	for _, who := range g.got {
		if len(who) > 1 {
			sum++
		}
	}
	return sum
}

// publish publishes the messages from the first up to the end, and waits until they are acknowledged.
func (g *group) publish(from, to int) {
	g.t.Helper()
	conn, err := mqtt.Open(g.hub.MQTT, "", &mqtt.Connect{ID: "boss"})
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	ack := byte(mqtt.PUBACK)
	if g.qos == 2 {
		ack = mqtt.PUBREC
	}
	for n := from; n < to; n++ {
		m := mqtt.Publish{Topic: "job/new", Payload: fmt.Append(nil, n), QoS: g.qos, ID: n + 1}
		if _, err := conn.Write(m.Bytes(conn.Version)); err != nil {
			g.t.Fatal(err)
		}
		if _, err := conn.Expect(ack, 10*time.Second); err != nil {
			g.t.Fatal(err)
		}
	}
}

// kill ends a connection as the death of its process does.
func kill(conn *mqtt.Conn) {
	if tcp, ok := conn.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

// TestSharedTakeover lets a member die that has taken messages and acknowledged none: the rest of the group gets them.
func TestSharedTakeover(t *testing.T) {
	for _, persistent := range []bool{false, true} {
		t.Run(fmt.Sprintf("QoS 1, persistent %v", persistent), func(t *testing.T) {
			g := newGroup(t, hub.Start(t), 1)
			mute := g.join("mute", persistent, false)
			g.join("a", persistent, true)
			g.join("b", persistent, true)
			g.publish(0, jobs)
			reach(t, "messages that the mute member took", 5, func() int { return g.by("mute") })
			t.Logf("the mute member holds %d of %d messages and dies", g.by("mute"), jobs)
			kill(mute)
			reach(t, "messages that the others got", jobs, func() int { return g.by("a", "b") })
		})
	}
}

// TestSharedQoS2 lets a member die that has taken QoS 2 messages and answered none. These stay its own [MQTT-4.8.2-4]: it gets
// them when it returns, nobody else does; what it had not been sent goes to the others.
func TestSharedQoS2(t *testing.T) {
	g := newGroup(t, hub.Start(t), 2)
	mute := g.join("mute", true, false)
	g.join("a", true, true)
	g.publish(0, jobs/2)
	reach(t, "messages that the two took", jobs/2, func() int { return g.by("a", "mute") })
	kill(mute)
	g.publish(jobs/2, jobs)
	held := g.by("mute")
	reach(t, "messages that the other or the dead member got", jobs, func() int { return g.by("a", "mute") })
	back := g.join("mute", true, true)
	if !back.Present {
		t.Fatal("the session of the dead member is gone")
	}
	reach(t, "messages", jobs, func() int { return g.by("a", "mute") })
	if n := g.both(); n > 0 {
		t.Errorf("%d of the %d messages that the dead member held went to the other as well", n, held)
	}
}

// TestSharedOverKill kills the hub while members of a group have messages in flight, at once or when the hub has had the time to
// store that: each message gets to one of them.
func TestSharedOverKill(t *testing.T) {
	for _, later := range []time.Duration{0, 200 * time.Millisecond, 700 * time.Millisecond} {
		t.Run(fmt.Sprintf("after %v", later), func(t *testing.T) {
			h := hub.Start(t)
			g := newGroup(t, h, 1)
			g.join("mute", true, false)
			g.join("a", true, true)
			g.publish(0, jobs/2)
			reach(t, "messages that the mute member took", 5, func() int { return g.by("mute") })
			time.Sleep(later)
			h.Kill()
			h.Again()
			g.publish(jobs/2, jobs-1) // nobody is connected
			for _, name := range []string{"a", "b"} {
				if conn := g.join(name, true, true); conn.Present != (name == "a") {
					t.Errorf("%s: session present: %v", name, conn.Present)
				}
			}
			g.publish(jobs-1, jobs)
			reach(t, "messages that the living members got", jobs, func() int { return g.by("a", "b") })
		})
	}
}
