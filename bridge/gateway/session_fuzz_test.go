package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/gateway"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// A memory is a log with rooms, and what was published to it.
type memory struct {
	log   *memlog.Log
	rooms *room.Registry

	mu     sync.Mutex
	topics []string
}

// Ingest implements [gateway.Publisher].
func (m *memory) Ingest(_ context.Context, e event.Event, done func(event.Position, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	batch := []event.Event{e}
	if err := m.log.Append(batch, false); err != nil {
		return err
	}
	m.topics = append(m.topics, e.Topic)
	m.rooms.Offer(decoded(batch))
	done(batch[0].Next(), nil)
	return nil
}

func (m *memory) published() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.topics)
}

func decoded(events []event.Event) []event.Decoded {
	out := make([]event.Decoded, len(events))
	for i, e := range events {
		out[i] = event.Decoded{
			Event: e, JSON: json.Valid(e.Payload),
			Metrics: []event.Metric{{Series: &event.Series{ID: 1, Device: "d", Name: "n", Topic: "a"}, Value: float64(i)}},
		}
	}
	return out
}

func (m *memory) Read(from event.Position, limit int) ([]event.Decoded, error) {
	events, err := m.log.Read(from, limit)
	return decoded(events), err
}

func (m *memory) Last(topic string, before event.Position, limit int) ([]event.Decoded, error) {
	events, err := m.log.Last(topic, before, limit)
	return decoded(events), err
}

func (m *memory) Bounds() (first, next event.Position) { return m.log.Bounds() }

func (m *memory) Topics(filters, _ []string, _ event.Scope, limit int) (topics []string, more bool) {
	for _, topic := range m.published() {
		if event.MatchAny(filters, topic) && !slices.Contains(topics, topic) && len(topics) < limit {
			topics = append(topics, topic)
		}
	}
	return topics, false
}

// commandOf is the nth command that a script can have, about the room, topic or place n.
func commandOf(kind, n byte) string {
	filter := []string{"#", "a", "a/+", "b/#", "$x"}[n%5]
	form := []string{"events", "values"}[n/5%2]
	delivery := []string{"every", "latest"}[n/10%2]
	from := []string{"", "start", "1.1", "9zzz.0"}[n/20%4]
	subscribe := fmt.Sprintf(`{"filters":[%q],"form":%q,"delivery":%q,"rate":%d,"viewers":%t`, filter, form, delivery, int(n%3)*500, n%2 == 0)
	switch kind % 10 {
	case 0:
		return `{"id":1,"ping":{}}`
	case 1:
		return fmt.Sprintf(`{"id":2,"hello":{"name":"%d"}}`, n)
	case 2, 3:
		return fmt.Sprintf(`{"id":3,"subscribe":%s,"from":%q,"history":%d}}`, subscribe, from, n%4)
	case 4:
		return fmt.Sprintf(`{"id":4,"unsubscribe":{"room":%d}}`, n%12)
	case 5:
		return fmt.Sprintf(`{"id":5,"change":{"room":%d,"subscribe":%s}}}`, n%12, subscribe)
	case 9:
		return fmt.Sprintf(`{"id":7,"painted":{"counts":[%d]}}`, n)
	default:
		return fmt.Sprintf(`{"id":6,"publish":{"topic":%q,"payload":%d,"qos":%d}}`, []string{"a", "a/b", "b", "$x", "c//"}[n%5], n, n%2)
	}
}

// FuzzSession runs scripts of commands, good ones and others, in a session in either encoding that reads what it gets or does
// not, beside another that watches everything in rooms with rings of any size: that one gets all that is published, once and in
// order.
func FuzzSession(f *testing.F) {
	f.Add(byte(0), uint16(0), []byte("\x02\x00\x06\x00\x07\x01\x05\x01\x06\x02\x04\x02\x08\x03"))
	f.Add(byte(1), uint16(300), []byte("\x02\x0a\x06\x00\x06\x00\x05\x05\x06\x00\xff\x02ab\x02\x14\x03\x28"))
	f.Add(byte(2), uint16(64), []byte("\xff\x03{}}\xff\x01\x08\x03\x05\x03\x06\x06\x01"))
	f.Fuzz(func(t *testing.T, manner byte, ring uint16, script []byte) {
		log, err := memlog.New(memlog.Config{})
		if err != nil {
			t.Fatal(err)
		}
		m := &memory{log: log}
		_, next := log.Bounds()
		m.rooms = room.New(room.Config{Past: m, RingBytes: 1 + int(ring)}, next)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = m.rooms.Run(ctx) })
		defer wg.Wait()
		defer cancel()
		g := gateway.New(gateway.Config{Publisher: m, Rooms: m.rooms})

		witness := newValve()
		close(witness.gate)
		watching := begin(t, g, witness, wire.JSON)
		watching.Handle([]byte(`{"id":1,"subscribe":{"filters":["#"],"rate":1000}}`))

		v := newValve()
		if manner&1 == 0 {
			close(v.gate)
		}
		s := begin(t, g, v, []wire.Encoding{wire.JSON, wire.Proto}[manner>>1&1])
		play(s, script[:min(len(script), 200)])
		s.Close(wire.CloseSlow)
		s.End()

		watching.Handle([]byte(`{"id":2,"publish":{"topic":"end","payload":1}}`))
		expect(t, witness, m)
		watching.Close(wire.CloseShutdown)
		watching.End()
		if n := g.Sessions(); n != 0 {
			t.Errorf("%d sessions", n)
		}
		if n, _, _ := m.rooms.Stats(); n != 0 {
			t.Errorf("%d rooms that nobody is in", n)
		}
	})
}

func begin(t *testing.T, g *gateway.Gateway, v *valve, e wire.Encoding) *gateway.Session {
	t.Helper()
	s, err := g.Open(v, gateway.Client{Transport: "test", Encoding: e})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// play runs a script: pairs of bytes are commands, and 0xff stands before the length of a message that is whatever it is.
func play(s *gateway.Session, script []byte) {
	for len(script) >= 2 {
		kind, n := script[0], script[1]
		script = script[2:]
		if kind == 0xff {
			raw := script[:min(int(n), len(script))]
			script = script[len(raw):]
			s.Handle(raw)
			continue
		}
		s.HandleIn(wire.JSON, []byte(commandOf(kind, n)))
	}
}

// expect waits until the witness has had everything, and checks that it is what was published.
func expect(t *testing.T, witness *valve, m *memory) {
	t.Helper()
	var want []string
	for _, topic := range m.published() {
		if topic[0] != '$' {
			want = append(want, topic)
		}
	}
	var got []string
	for end := time.Now().Add(10 * time.Second); len(got) < len(want) && time.Now().Before(end); time.Sleep(time.Millisecond) {
		got = witness.topics(t)
	}
	if !slices.Equal(got, want) {
		t.Errorf("a witness got %q of %q", got, want)
	}
}

// topics are those of the events that a valve has let through.
func (v *valve) topics(t *testing.T) (topics []string) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range v.messages {
		var frame struct {
			Events []struct {
				Topic string `json:"topic"`
			} `json:"events"`
		}
		if err := json.Unmarshal(m.Bytes(), &frame); err != nil {
			t.Fatalf("%s: %v", m.Bytes(), err)
		}
		for _, e := range frame.Events {
			topics = append(topics, e.Topic)
		}
	}
	return topics
}
