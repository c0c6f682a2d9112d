package room_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// Rights are a scope of filters.
type rights struct{ allow, deny []string }

func (r rights) Key() string { return fmt.Sprintf("%q but %q", r.allow, r.deny) }

func (r rights) Sees(topic string) bool {
	return event.MatchAny(r.allow, topic) && !event.MatchAny(r.deny, topic)
}

// A told event or value is one row that a member got.
type told struct {
	topic, row string
}

// rows are what messages say of topics: those of snapshots in any order, those of frames in theirs.
func rows(t *testing.T, raw []*wire.Message) (snapshot, frames []told) {
	t.Helper()
	topics := map[float64]string{} // of series by their numbers
	for _, m := range raw {
		var read struct {
			fields

			Snapshot *fields         `json:"snapshot"`
			Gap      json.RawMessage `json:"gap"`
		}
		if err := json.Unmarshal(m.Bytes(), &read); err != nil || read.Gap != nil {
			t.Fatalf("%v in %s", err, m.Bytes())
		}
		if read.Snapshot != nil {
			snapshot = append(snapshot, read.Snapshot.rows(t, topics)...)
		}
		frames = append(frames, read.rows(t, topics)...)
	}
	slices.SortFunc(snapshot, func(a, b told) int { return strings.Compare(a.topic+a.row, b.topic+b.row) })
	return snapshot, frames
}

type fields struct {
	Series [][]any          `json:"series"`
	Values [][]float64      `json:"values"`
	Events []map[string]any `json:"events"`
}

func (f *fields) rows(t *testing.T, topics map[float64]string) (out []told) {
	t.Helper()
	for _, s := range f.Series {
		number, isNumber := s[0].(float64)
		topic, isText := s[4].(string)
		if !isNumber || !isText {
			t.Fatalf("series %v", s)
		}
		topics[number] = topic
	}
	for _, e := range f.Events {
		topic, _ := e["topic"].(string)
		out = append(out, told{topic, fmt.Sprint(e)})
	}
	for _, v := range f.Values {
		out = append(out, told{topics[v[0]], fmt.Sprint(v)})
	}
	return out
}

func seenOf(all []told, scope event.Scope) (out []told) {
	for _, r := range all {
		if scope.Sees(r.topic) {
			out = append(out, r)
		}
	}
	return out
}

// takeAll is what a member gets: from Begin on.
func (w *world) takeAll(sub *room.Sub) []*wire.Message {
	w.t.Helper()
	raw, err := sub.Begin(nil, 1)
	for more := true; more && err == nil; {
		raw, more, err = sub.Next(raw, 1<<20)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// somewhere is a random topic, or a random filter.
func somewhere(random *rand.Rand, filter bool) string {
	levels := make([]string, 1+random.IntN(3))
	for i := range levels {
		levels[i] = string(rune('a' + random.IntN(3)))
		if filter && random.IntN(3) == 0 {
			levels[i] = "+"
		}
	}
	if filter && random.IntN(3) == 0 {
		levels[len(levels)-1] = "#"
	}
	return strings.Join(levels, "/")
}

func someFilters(random *rand.Rand, least int) []string {
	out := make([]string, least+random.IntN(3))
	for i := range out {
		out[i] = somewhere(random, true)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestScopeIsAFilter lets two members come to the same at the same time, one of whom may read a part: it gets what the other gets of
// these topics, and nothing else. Topics, filters, scopes, forms, and where they begin are random.
func TestScopeIsAFilter(t *testing.T) {
	kept, hidden := 0, 0
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, memlog.Config{}, room.Config{RingBytes: []int{0, 300}[random.IntN(2)]})
		n := 0
		publish := func() event.Position {
			for range random.IntN(8) {
				batch := make([]string, 1+random.IntN(5))
				for i := range batch {
					n++
					batch[i] = fmt.Sprintf("%s=%d", somewhere(random, false), n)
				}
				w.publish(batch...)
			}
			_, next := w.Bounds()
			return next
		}
		// Values are told at no time but their own, and each by itself.
		whole := room.Spec{
			Filters: someFilters(random, 1), Form: []wire.Form{wire.FormEvents, wire.FormValues}[random.IntN(2)],
			Delivery: []wire.Delivery{wire.DeliveryEvery, wire.DeliveryLatest}[random.IntN(2)], Rate: 1e9,
		}
		if random.IntN(4) == 0 {
			whole.Devices = []string{"a", "b"}
		}
		part := whole
		scope := rights{someFilters(random, 1), someFilters(random, 0)}
		part.Scope = scope
		publish()
		from := publish()
		publish()
		options := room.Options{History: random.IntN(3)}
		switch random.IntN(4) {
		case 0:
			options.From = from
		case 1:
			options.FromStart = true
		}
		var subs [2]*room.Sub
		for i, s := range []room.Spec{whole, part} {
			var err error
			if subs[i], err = w.reg.Join(s, options, sleeper{}); err != nil {
				t.Fatal(err)
			}
		}
		publish()
		all, allFrames := rows(t, w.takeAll(subs[0]))
		some, someFrames := rows(t, w.takeAll(subs[1]))
		if subs[0].Room() == subs[1].Room() {
			t.Fatalf("seed %d: who may read a part is in the room of who may read all", seed)
		}
		if want := seenOf(all, scope); !slices.Equal(some, want) {
			t.Errorf("seed %d, %v: the snapshot has %v, want %v of %v", seed, scope.Key(), some, want, all)
		}
		if want := seenOf(allFrames, scope); !sameRows(someFrames, want) {
			t.Errorf("seed %d, %v, %+v: frames have %v, want %v", seed, scope.Key(), options, someFrames, want)
		}
		kept += len(some) + len(someFrames)
		hidden += len(all) + len(allFrames) - len(some) - len(someFrames)
	}
	if kept < 500 || hidden < 500 {
		t.Errorf("the test tested little: %d rows were seen, %d hidden", kept, hidden)
	}
}

func sameRows(a, b []told) bool { return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b)) }

// TestScopesShareByKey: those of one key share a room and its viewers, others nothing.
func TestScopesShareByKey(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{})
	of := func(name string, scope event.Scope) *room.Sub {
		s := spec(wire.FormEvents, wire.DeliveryEvery, "#")
		s.Scope = scope
		sub, err := w.reg.Join(s, room.Options{Viewers: true, Viewer: room.Viewer{Session: name, Name: name}}, sleeper{})
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	all, empty := of("all", nil), of("empty", named(""))
	a, b := rights{allow: []string{"a/#"}}, rights{allow: []string{"b/#"}}
	one, same, other := of("one", a), of("same", a), of("other", b)
	if one.Room() != same.Room() || one.Room() == other.Room() || all.Room() == one.Room() || all.Room() == empty.Room() {
		t.Errorf("rooms %d, %d, %d, %d, %d", all.Room(), empty.Room(), one.Room(), same.Room(), other.Room())
	}
	for sub, want := range map[*room.Sub][]string{all: {"all"}, empty: {"empty"}, one: {"one", "same"}, other: {"other"}} {
		text := ""
		for _, m := range w.takeAll(sub) {
			text += string(m.Bytes())
		}
		for _, name := range []string{"all", "empty", "one", "same", "other"} {
			if got := strings.Contains(text, `["`+name+`",`); got != slices.Contains(want, name) {
				t.Errorf("%v: %s is told: %t in %s", want, name, got, text)
			}
		}
	}
}

// A named scope has a key and sees nothing.
type named string

func (n named) Key() string    { return string(n) }
func (named) Sees(string) bool { return false }

// TestGapCountsNothingHidden: how much of a gap was for somebody with a scope is unknown, and how much was not is not told.
func TestGapCountsNothingHidden(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{})
	_, from := w.Bounds()
	w.reg = room.New(room.Config{Past: &damagedPast{w, 3, 7}}, from)
	for i := range 10 {
		w.publish(fmt.Sprintf("a=%d", i))
	}
	s := spec(wire.FormEvents, wire.DeliveryEvery, "#")
	s.Scope = rights{allow: []string{"a"}}
	m, _ := w.join(s, room.Options{From: from})
	got := m.next()
	if i := slices.IndexFunc(got, func(m message) bool { return m.Gap != nil }); i < 0 || got[i].Gap.Events != 0 || got[i].Gap.Reason != "damaged" {
		t.Errorf("%+v", got)
	}
}
