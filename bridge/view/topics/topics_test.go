package topics_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pulso/bridge/event"
	"pulso/bridge/view"
	"pulso/bridge/view/topics"
	"pulso/bridge/view/viewtest"
	"pulso/bridge/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ view.View   = (*topics.View)(nil)
	_ view.Ticker = (*topics.View)(nil)
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newView(t testing.TB, c topics.Config) *topics.View {
	t.Helper()
	v, err := topics.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// since returns the members of a frame in JSON, checked in both encodings.
func since(t viewtest.T, v *topics.View, filters []string, version uint64) ([]byte, uint64) {
	t.Helper()
	f, now := v.Since(filters, nil, version)
	return viewtest.Members(t, f), now
}

func message(topic, device, payload string, at time.Time) event.Decoded {
	e := event.Decoded{Device: device}
	e.Topic, e.Payload, e.Time = topic, []byte(payload), at.UnixNano()
	return e
}

func TestRows(t *testing.T) {
	v := newView(t, topics.Config{})
	v.Apply([]event.Decoded{message("a/b", "d\"1", "x\x00\n\"y\"", start), message("chat/c", "", "\xff\xfe", start)})
	got, version := since(t, v, []string{"#"}, 0)
	want := `"topics":[[1,"a/b","d\"1"],[2,"chat/c",""]],` +
		`"activity":[[1,1767225600000,1,0,6,"x  \"y\""],[2,1767225600000,1,0,2,"` + "\ufffd\ufffd" + `"]]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, _ = since(t, v, []string{"#"}, version); len(got) > 0 {
		t.Errorf("nothing new, but %s", got)
	}
	v.Apply([]event.Decoded{message("a/b", "d\"1", strings.Repeat("ü", 300), start)})
	got, _ = since(t, v, []string{"a/#"}, version)
	if want = `"activity":[[1,1767225600000,2,0,600,"` + strings.Repeat("ü", 120) + `"]]`; string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRate(t *testing.T) {
	v := newView(t, topics.Config{})
	for i := range 20 {
		at := start.Add(time.Duration(i) * 500 * time.Millisecond)
		v.Apply([]event.Decoded{message("a", "", "1", at)})
	}
	v.Tick(start.Add(10 * time.Second))
	if got, _ := since(t, v, []string{"#"}, 0); !strings.Contains(string(got), `,20,2,1,"1"]`) {
		t.Errorf("%s", got)
	}
	version := v.Version()
	v.Tick(start.Add(time.Minute))
	if got, _ := since(t, v, []string{"#"}, version); !strings.Contains(string(got), `,20,0,1,"1"]`) {
		t.Errorf("after silence: %s", got)
	}
}

func TestBounds(t *testing.T) {
	v := newView(t, topics.Config{MaxTopics: 2})
	for i := range 5 {
		v.Apply([]event.Decoded{message(fmt.Sprintf("t/%d", i%3), fmt.Sprintf("d%d", i%3), "", start)})
	}
	if known, refused := v.Counts(); known != 2 || refused != 1 {
		t.Errorf("%d known, %d refused", known, refused)
	}
	if names, more := v.Topics([]string{"t/+"}, nil, nil, 1); !slices.Equal(names, []string{"t/0"}) || !more {
		t.Errorf("%v %t", names, more)
	}
	if names, more := v.Topics([]string{"t/+"}, []string{"d1"}, nil, 1); !slices.Equal(names, []string{"t/1"}) || more {
		t.Errorf("%v %t", names, more)
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	for _, state := range []string{"[", `{"version":9}`, `{"version":1}{"name":"a"}{"name":"a"}`} {
		v := newView(t, topics.Config{})
		if err := v.Restore(strings.NewReader(state)); err == nil {
			t.Errorf("%s: no error", state)
		}
	}
}

func events(t *rapid.T) []event.Decoded {
	at := start
	all := make([]event.Decoded, rapid.IntRange(0, 60).Draw(t, "events"))
	for i := range all {
		at = at.Add(time.Duration(rapid.Int64Range(0, 3e9).Draw(t, "gap")))
		topic := rapid.SampledFrom([]string{"a", "a/b", "a/c", "b"}).Draw(t, "topic")
		all[i] = message(topic, rapid.SampledFrom([]string{"", "d1", "d2"}).Draw(t, "device"), rapid.String().Draw(t, "payload"), at)
	}
	return all
}

func state(t *rapid.T, v *topics.View) string {
	var b bytes.Buffer
	if err := v.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func fresh(t *rapid.T) *topics.View {
	v, err := topics.New(topics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSnapshotAndTailEqualReplay restarts a view anywhere in a history.
func TestSnapshotAndTailEqualReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := events(t)
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		whole, before, after := fresh(t), fresh(t), fresh(t)
		whole.Apply(all)
		before.Apply(all[:cut])
		if err := after.Restore(strings.NewReader(state(t, before))); err != nil {
			t.Fatal(err)
		}
		after.Apply(all[cut:])
		if got, want := state(t, after), state(t, whole); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

type rows map[string]string

// update takes a frame in as a client does and returns the version it is up to date with.
func (r rows) update(t *rapid.T, v *topics.View, filters []string, known uint64) uint64 {
	members, version := since(t, v, filters, known)
	var frame struct {
		Topics   [][]json.RawMessage `json:"topics"`
		Activity [][]json.RawMessage `json:"activity"`
	}
	if err := json.Unmarshal([]byte("{"+string(members)+"}"), &frame); err != nil || !utf8.Valid(members) {
		t.Fatalf("%v: %s", err, members)
	}
	for _, row := range frame.Topics {
		r["topic "+string(row[0])] = fmt.Sprintf("%s", row)
	}
	for _, row := range frame.Activity {
		if r["topic "+string(row[0])] == "" {
			t.Fatalf("activity before the topic: %s", members)
		}
		r["activity "+string(row[0])] = fmt.Sprintf("%s", row)
	}
	return version
}

// TestChangesAddUpToSnapshot holds a client that gets changes against one that gets a snapshot at the end.
func TestChangesAddUpToSnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := fresh(t)
		filters := rapid.SampledFrom([][]string{{"#"}, {"a/+"}, {"b", "a/c"}}).Draw(t, "filters")
		follower, version := make(rows), uint64(0)
		for all := events(t); len(all) > 0; {
			n := rapid.IntRange(1, len(all)).Draw(t, "batch")
			v.Apply(all[:n])
			if rapid.Bool().Draw(t, "tick") {
				v.Tick(all[n-1].Arrival().Add(time.Duration(rapid.Int64Range(0, 20e9).Draw(t, "later"))))
			}
			all = all[n:]
			if rapid.Bool().Draw(t, "update") {
				version = follower.update(t, v, filters, version)
			}
		}
		follower.update(t, v, filters, version)
		late := make(rows)
		late.update(t, v, filters, 0)
		if got, want := fmt.Sprint(follower), fmt.Sprint(late); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	v := newView(b, topics.Config{})
	batch := make([]event.Decoded, 1024)
	for i := range batch {
		batch[i] = message(fmt.Sprintf("devices/device-%05d/telemetry", i), fmt.Sprintf("device-%05d", i), strings.Repeat("x", 128), start)
	}
	b.ReportAllocs()
	for b.Loop() {
		v.Apply(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1024, "ns/event")
}

// BenchmarkSince is a frame of a room: everything, in an encoding.
func BenchmarkSince(b *testing.B) {
	v := newView(b, topics.Config{})
	for i := range 10_000 {
		v.Apply([]event.Decoded{message(fmt.Sprintf("devices/device-%05d/telemetry", i), "d", strings.Repeat("x", 128), start)})
	}
	for _, e := range []wire.Encoding{wire.JSON, wire.Proto} {
		b.Run(e.String(), func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				f, _ := v.Since([]string{"#"}, nil, 0)
				dst = e.AppendView(dst[:0], f)
			}
			b.ReportMetric(float64(len(dst)), "bytes")
		})
	}
}

// A below scope sees the topics that begin with it.
type below string

func (b below) Key() string            { return string(b) }
func (b below) Sees(topic string) bool { return strings.HasPrefix(topic, string(b)) }

// TestScopedTopics: those that are not seen take no room on a page and do not say that there are more.
func TestScopedTopics(t *testing.T) {
	v := newView(t, topics.Config{})
	for _, name := range []string{"a/1", "b/1", "a/2", "b/2", "a/3", "c/1"} {
		v.Apply([]event.Decoded{message(name, "d", "", start)})
	}
	for _, c := range []struct {
		scope event.Scope
		limit int
		want  []string
		more  bool
	}{{below("b/"), 2, []string{"b/1", "b/2"}, false}, {below("a/"), 2, []string{"a/1", "a/2"}, true}, {below("x"), 2, nil, false}} {
		var listed []string
		page, more := v.List("", "", c.scope, c.limit)
		for _, p := range page {
			listed = append(listed, p.Name)
		}
		found, moreFound := v.Topics([]string{"#"}, nil, c.scope, c.limit)
		if !slices.Equal(listed, c.want) || !slices.Equal(found, c.want) || more != c.more || moreFound != c.more {
			t.Errorf("%s: %v %t, %v %t", c.scope, listed, more, found, moreFound)
		}
	}
	f, version := v.Since([]string{"#"}, below("b/"), 0)
	if len(f.GetTopics()) != 2 || len(f.GetActivity()) != 2 {
		t.Errorf("a screen is told %v", f)
	}
	v.Apply([]event.Decoded{message("a/1", "d", "", start)})
	if f, later := v.Since([]string{"#"}, below("b/"), version); f != nil || later == version {
		t.Errorf("of what is hidden: %v", f)
	}
}
