package room_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"pulso/bridge/event"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a log and the rooms over it. Payloads are JSON numbers, and each is a reading "n" in °C of the device that
// the topic's second level names.
type world struct {
	flushing sync.Mutex
	t        testing.TB
	log      *memlog.Log
	reg      *room.Registry

	mu     sync.Mutex
	series map[string]*event.Series
	refs   map[string]*event.Ref // a hub's broker hands one out for each topic
	fail   error                 // what Read returns, if not nil
}

func newWorld(t testing.TB, log memlog.Config, cfg room.Config) *world {
	t.Helper()
	l, err := memlog.New(log)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, log: l, series: make(map[string]*event.Series), refs: make(map[string]*event.Ref)}
	cfg.Past = w
	_, next := l.Bounds()
	w.reg = room.New(cfg, next)
	return w
}

// publish appends one batch, one number a topic ("devices/d1/t=17"), and offers it.
func (w *world) publish(messages ...string) []event.Decoded {
	w.t.Helper()
	batch := w.append(messages...)
	decoded := w.decode(batch)
	for i := range decoded {
		decoded[i].Ref = w.ref(decoded[i].Topic)
	}
	w.reg.Offer(decoded)
	return decoded
}

func (w *world) append(messages ...string) []event.Event {
	w.t.Helper()
	batch := make([]event.Event, len(messages))
	for i, m := range messages {
		topic, payload, _ := strings.Cut(m, "=")
		batch[i] = event.Event{Topic: topic, Payload: []byte(payload), Time: time.Now().UnixNano()}
	}
	if err := w.log.Append(batch, false); err != nil {
		w.t.Error(err)
	}
	return batch
}

func (w *world) decode(events []event.Event) []event.Decoded {
	out := make([]event.Decoded, len(events))
	for i, e := range events {
		out[i] = event.Decoded{Event: e, JSON: true}
		if levels := strings.Split(e.Topic, "/"); len(levels) > 1 {
			out[i].Device = levels[1]
		}
		if v, err := strconv.ParseFloat(string(e.Payload), 64); err == nil {
			out[i].Metrics = []event.Metric{{Series: w.intern(out[i].Device, e.Topic), Value: v}}
		}
	}
	return out
}

func (w *world) ref(topic string) *event.Ref {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.refs[topic]
	if r == nil {
		r = &event.Ref{Topic: topic}
		w.refs[topic] = r
	}
	return r
}

func (w *world) intern(device, topic string) *event.Series {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.series[topic]
	if s == nil {
		s = &event.Series{ID: uint32(len(w.series) + 1), Device: device, Name: "n", Unit: "°C", Topic: topic}
		w.series[topic] = s
	}
	return s
}

func (w *world) Read(from event.Position, limit int) ([]event.Decoded, error) {
	w.mu.Lock()
	err := w.fail
	w.mu.Unlock()
	if err != nil {
		return nil, err
	}
	events, err := w.log.Read(from, limit)
	return w.decode(events), err
}

func (w *world) Last(topic string, before event.Position, limit int) ([]event.Decoded, error) {
	events, err := w.log.Last(topic, before, limit)
	return w.decode(events), err
}

func (w *world) Bounds() (first, next event.Position) { return w.log.Bounds() }

func (w *world) Topics(filters, _ []string, scope event.Scope, limit int) ([]string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var topics []string
	for topic := range w.series {
		if event.MatchAny(filters, topic) && event.Sees(scope, topic) {
			topics = append(topics, topic)
		}
	}
	if len(topics) > limit {
		return topics[:limit], true
	}
	return topics, false
}

// A message is anything that a member gets, read back from its JSON.
type message struct {
	Room       uint64 `json:"room"`
	Position   string `json:"position"`
	Subscribed *struct {
		Position  string `json:"position"`
		Recovered bool   `json:"recovered"`
		Reason    string `json:"reason"`
	} `json:"subscribed"`
	Changed *struct {
		Room      uint64 `json:"room"`
		Position  string `json:"position"`
		Recovered bool   `json:"recovered"`
	} `json:"changed"`
	Snapshot *message `json:"snapshot"`
	Gap      *struct {
		From   string `json:"from"`
		To     string `json:"to"`
		Events int    `json:"events"`
		Reason string `json:"reason"`
	} `json:"gap"`
	Series [][]any     `json:"series"`
	Values [][]float64 `json:"values"`
	Events []struct {
		Payload float64 `json:"payload"`
		Count   int     `json:"count"`
	} `json:"events"`
	Topics json.RawMessage `json:"topics"`
}

// A member is one who watches.
type member struct {
	world *world
	sub   *room.Sub
	spec  room.Spec
	wake  chan struct{}
}

func (m *member) Wake() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func spec(form wire.Form, delivery wire.Delivery, filters ...string) room.Spec {
	return room.Spec{Filters: filters, Form: form, Delivery: delivery}
}

// join makes a member and returns what Begin says.
func (w *world) join(s room.Spec, o room.Options) (*member, []message) {
	w.t.Helper()
	m := &member{world: w, spec: s, wake: make(chan struct{}, 1)}
	hello := m.join(o)
	return m, hello
}

func (m *member) join(o room.Options) []message {
	m.world.t.Helper()
	sub, err := m.world.reg.Join(m.spec, o, m)
	if err != nil {
		m.world.t.Fatal(err)
	}
	m.sub = sub
	raw, err := sub.Begin(nil, 1)
	if err != nil {
		m.world.t.Fatal(err)
	}
	return parse(m.world.t, raw)
}

func (m *member) leave() { m.world.reg.Leave(m.sub) }

// next returns all that is due.
func (m *member) next() []message {
	m.world.t.Helper()
	var raw []*wire.Message
	for more := true; more; {
		var err error
		if raw, more, err = m.sub.Next(raw, 1<<20); err != nil {
			m.world.t.Fatal(err)
		}
	}
	return parse(m.world.t, raw)
}

func parse(t testing.TB, raw []*wire.Message) []message {
	t.Helper()
	out := make([]message, len(raw))
	for i, b := range raw {
		text := b.Bytes()
		if b.Encoding() == wire.Proto {
			text = asJSON(t, text)
		}
		if err := json.Unmarshal(text, &out[i]); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
	return out
}

// numbers are the payloads and values of messages, in their order.
func numbers(messages []message) []int {
	var out []int
	for _, m := range messages {
		for _, e := range m.Events {
			out = append(out, int(e.Payload))
		}
		for _, v := range m.Values {
			out = append(out, int(v[2]))
		}
	}
	return out
}

func position(t testing.TB, s string) event.Position {
	t.Helper()
	p, err := event.ParsePosition(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// asJSON writes a message of the proto as the JSON form has it, as far as these tests look.
func asJSON(t testing.TB, b []byte) []byte {
	t.Helper()
	var m pulsov1.Message
	if err := proto.Unmarshal(b, &m); err != nil {
		t.Fatalf("%v in %x", err, b)
	}
	plain := func(f *pulsov1.Frame) map[string]any {
		var events []map[string]any
		for _, e := range f.GetEvents() {
			events = append(events, map[string]any{"payload": json.RawMessage(e.GetPayload()), "count": e.GetCount()})
		}
		var rows [][]float64
		values, err := wire.DecodeValues(f.GetValues())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			rows = append(rows, []float64{float64(v.Series), float64(v.Time), v.Last})
		}
		return map[string]any{"room": m.GetRoom(), "position": f.GetPosition(), "events": events, "values": rows}
	}
	var out any = map[string]any{
		"room": m.GetRoom(), "subscribed": m.GetSubscribed(), "changed": m.GetChanged(), "gap": m.GetGap(),
	}
	switch {
	case m.GetFrame() != nil:
		out = plain(m.GetFrame())
	case m.GetSnapshot() != nil:
		out = map[string]any{"room": m.GetRoom(), "snapshot": plain(m.GetSnapshot())}
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
