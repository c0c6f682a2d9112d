package crash

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pulso/test/crash/internal/ledger"
	"pulso/test/crash/internal/load"
	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// checkRetained subscribes as a new client, which must get each retained message that was acknowledged, or a later one. A later one
// may come as a new message.
func checkRetained(t *testing.T, h *hub.Hub, books *ledger.Ledger, topics []*ledger.Topic, version byte) {
	t.Helper()
	least := make(map[string]int64)
	for _, topic := range topics {
		if acknowledged, _ := topic.Bounds(); acknowledged >= 0 {
			least[topic.Name] = acknowledged
		}
	}
	conn, err := mqtt.Open(h.MQTT, "", &mqtt.Connect{Version: version, ID: "retained-" + fmt.Sprint(time.Now().UnixNano())})
	if err != nil {
		t.Errorf("connect right after the restart: %v", err)
		return
	}
	defer conn.Close()
	if _, err := conn.Write(mqtt.Subscribe(version, 1, 0, "load/+/state")); err != nil {
		t.Error(err)
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for len(least) > 0 {
		first, body, err := conn.Next()
		if err != nil {
			books.Faultf(ledger.Retained, "%d of %d retained messages did not come after the restart: %v", len(least), len(topics), err)
			return
		}
		if first&0xf0 != mqtt.PUBLISH {
			continue
		}
		m, err := conn.ParsePublish(first, body)
		if err != nil {
			t.Error(err)
			return
		}
		acknowledged, wanted := least[m.Topic]
		if !wanted {
			continue
		}
		delete(least, m.Topic)
		number, _, _ := strings.Cut(string(m.Payload), " ")
		var n int64
		_, err = fmt.Sscan(number, &n)
		at := slices.IndexFunc(topics, func(topic *ledger.Topic) bool { return topic.Name == m.Topic })
		_, sent := topics[at].Bounds()
		if err == nil && n > acknowledged && !m.Retain {
			continue // one that a publisher has just sent (again) replaced the retained one, and came by itself
		}
		if err != nil || n < acknowledged || n >= int64(sent) || !m.Retain {
			books.Faultf(ledger.Retained, "%s is %q right after the restart; %d was acknowledged, %d the last one sent",
				m.Topic, number, acknowledged, sent-1)
		}
	}
}

// A probe is a client of one round with a persistent session: what it subscribed to, unsubscribed from and ended before the
// hub was killed must be so afterwards.
type probe struct {
	t       *testing.T
	hub     *hub.Hub
	books   *ledger.Ledger
	round   int
	version byte
}

func newProbe(t *testing.T, h *hub.Hub, books *ledger.Ledger, round int) *probe {
	t.Helper()
	return &probe{t: t, hub: h, books: books, round: round, version: load.Version(round)}
}

func (p *probe) id(name string) string { return fmt.Sprintf("probe-%s-%d", name, p.round) }

func (p *probe) open(id string, persistent bool) *mqtt.Conn {
	p.t.Helper()
	conn, err := mqtt.Open(p.hub.MQTT, "", &mqtt.Connect{Version: p.version, ID: id, Persistent: persistent})
	if err != nil {
		p.t.Fatalf("connect %s: %v", id, err)
	}
	return conn
}

// prepare makes the sessions, right before the hub is killed.
func (p *probe) prepare() {
	p.t.Helper()
	ended := p.open(p.id("ended"), true)
	p.subscribe(ended, p.id("kept"))
	ended.Close()
	p.open(p.id("ended"), false).Close() // a clean session ends the one before [MQTT-3.1.2-6]

	kept := p.open(p.id("kept"), true)
	defer kept.Close()
	p.subscribe(kept, p.id("kept"), p.id("gone"))
	if _, err := kept.Write(mqtt.Unsubscribe(p.version, 2, p.id("gone"))); err != nil {
		p.t.Fatal(err)
	}
	if _, err := kept.Expect(mqtt.UNSUBACK, 10*time.Second); err != nil {
		p.t.Fatal(err)
	}
}

func (p *probe) subscribe(conn *mqtt.Conn, filters ...string) {
	p.t.Helper()
	if err := conn.Subscribe(1, filters...); err != nil {
		p.t.Fatal(err)
	}
}

// check publishes for the sessions while they are offline, and comes back.
func (p *probe) check() {
	p.t.Helper()
	const messages = 10
	publisher := p.open(p.id("publisher"), false)
	defer publisher.Close()
	for n := range messages {
		for i, topic := range []string{p.id("kept"), p.id("gone")} {
			m := mqtt.Publish{Topic: topic, Payload: fmt.Append(nil, n), QoS: 1, ID: 1 + 2*n + i}
			if _, err := publisher.Write(m.Bytes(p.version)); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	for range 2 * messages {
		if _, err := publisher.Expect(mqtt.PUBACK, 10*time.Second); err != nil {
			p.t.Fatal(err)
		}
	}
	ended := p.open(p.id("ended"), true)
	if ended.Present {
		p.books.Faultf(ledger.NoSession, "%s: a session that was ended is there again after the restart", p.id("ended"))
	}
	ended.Close()
	p.open(p.id("ended"), false).Close()

	kept := p.open(p.id("kept"), true)
	if !kept.Present {
		p.books.Faultf(ledger.NoSession, "%s, right after the restart", p.id("kept"))
	}
	p.drain(kept, messages)
	kept.Close()
	p.open(p.id("kept"), false).Close()
}

// drain checks that the session's queue is complete, in order, and nothing else.
func (p *probe) drain(conn *mqtt.Conn, messages int) {
	p.t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for n := 0; n < messages; {
		first, body, err := conn.Next()
		if err != nil {
			p.books.Faultf(ledger.Lost, "%s: got %d of %d messages that came while it was offline: %v", p.id("kept"), n, messages, err)
			return
		}
		if first&0xf0 != mqtt.PUBLISH {
			continue
		}
		m, err := conn.ParsePublish(first, body)
		if err != nil {
			p.t.Fatal(err)
		}
		if m.Topic != p.id("kept") || string(m.Payload) != fmt.Sprint(n) {
			p.books.Faultf(ledger.Disorder, "%s: got %q of %s instead of %d", p.id("kept"), m.Payload, m.Topic, n)
			return
		}
		n++
		if _, err := conn.Write(mqtt.Ack(mqtt.PUBACK, m.ID)); err != nil {
			p.t.Fatal(err)
		}
	}
}
