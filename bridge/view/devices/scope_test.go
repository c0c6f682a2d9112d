package devices_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/view/devices"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// A scope sees the topics that have its text.
type scope string

func (s scope) Key() string            { return string(s) }
func (s scope) Sees(topic string) bool { return strings.Contains(topic, string(s)) }

func (w *world) speaks(device, topic string) {
	e := event.Decoded{
		Device: device, Metrics: []event.Metric{{Series: w.series.intern(device, "x", "", topic), Value: 1}},
		Texts: []event.Text{{Name: "state", Value: "said on " + topic}},
	}
	e.Topic, e.Client = topic, "c1"
	w.apply(e)
}

// A reader keeps what it is told, as screens do.
type reader struct {
	scope   event.Scope
	filters []string
	version uint64
	known   map[uint32]string // ids by numbers
}

func (r *reader) read(v *devices.View) *pulsov1.Frame {
	if r.known == nil {
		r.known = map[uint32]string{}
	}
	f, version := v.Since(r.filters, r.scope, r.version)
	r.take(f)
	r.version = version
	return f
}

func (r *reader) take(f *pulsov1.Frame) {
	for _, number := range f.GetRemoved() {
		delete(r.known, number)
	}
	for _, d := range f.GetDevices() {
		r.known[d.GetDevice()] = d.GetId()
	}
}

func (r *reader) ids() []string { return slices.Sorted(maps.Values(r.known)) }

// TestDeviceThatSpeaksOnAHiddenTopicIsRemoved: for who does not see that topic.
func TestDeviceThatSpeaksOnAHiddenTopicIsRemoved(t *testing.T) {
	w := newWorld(t, devices.Config{MaxTopics: 4})
	a, all := &reader{scope: scope("a"), filters: []string{"#"}}, &reader{filters: []string{"#"}}
	w.speaks("d1", "a/1")
	w.speaks("d2", "a/2")
	w.speaks("d3", "b/3")
	a.read(w.v)
	if got := a.ids(); !slices.Equal(got, []string{"d1", "d2"}) {
		t.Errorf("at first: %v", got)
	}
	w.speaks("d2", "b/2")
	w.speaks("d3", "b/4")
	f := a.read(w.v)
	if !slices.Equal(f.GetRemoved(), []uint32{2}) || len(f.GetStatus()) != 0 {
		t.Errorf("a hidden topic: %v", f)
	}
	w.speaks("d2", "a/2")
	w.forgets("d3")
	if f := a.read(w.v); f != nil {
		t.Errorf("of hidden devices: %v", f)
	}
	for i := range 4 { // as many as are kept: there may be others
		w.speaks("d1", fmt.Sprint("a/", i))
	}
	w.speaks("d4", "a/4")
	w.forgets("d4")
	if f := a.read(w.v); !slices.Equal(f.GetRemoved(), []uint32{4, 1}) || len(f.GetDevices()) != 0 {
		t.Errorf("too many topics, and forgotten before it was told of: %v", f)
	}
	all.read(w.v)
	if got := all.ids(); !slices.Equal(got, []string{"d1", "d2"}) {
		t.Errorf("everything is %v", got)
	}
	for device, want := range map[string][2]bool{"d1": {}, "d2": {}, "d9": {true, false}} {
		if sees := [2]bool{w.v.SeesSeries(scope("a"), device, "a/2"), w.v.SeesSeries(scope("a"), device, "b/2")}; sees != want {
			t.Errorf("series of %s: %v, want %v", device, sees, want)
		}
	}
	if !w.v.SeesSeries(nil, "d1", "b/2") {
		t.Error("who sees everything does not see a series")
	}
}

// TestRegistryTextsAreThoseOfTheirTopic: what somebody else says of a device is told to who sees where it was said, also after a restart.
func TestRegistryTextsAreThoseOfTheirTopic(t *testing.T) {
	w := newWorld(t, devices.Config{})
	w.speaks("d1", "a/1")
	e := event.Decoded{Device: "d1", Registry: true, Texts: []event.Text{{Name: "owner", Value: "secret"}, {Name: "state", Value: "said on a/1"}}}
	e.Topic = "b/registry"
	w.apply(e)
	check := func(v *devices.View) {
		t.Helper()
		d, found := v.DeviceFor("d1", scope("a"))
		if want := []event.Text{{Name: "state", Value: "said on a/1"}}; !found || !slices.Equal(d.Texts, want) {
			t.Errorf("a scope is told %v", d.Texts)
		}
		f, _ := v.Since([]string{"#"}, scope("a"), 0)
		if texts := f.GetDevices()[0].GetTexts(); len(texts) != 1 || texts[0].GetName() != "state" {
			t.Errorf("a screen is told %v", texts)
		}
		if d, _ := v.Device("d1"); len(d.Texts) != 2 {
			t.Errorf("everybody else is told %v", d.Texts)
		}
	}
	check(w.v)
	var saved bytes.Buffer
	if err := w.v.Save(&saved); err != nil {
		t.Fatal(err)
	}
	again := newWorld(t, devices.Config{})
	if err := again.v.Restore(bytes.NewReader(saved.Bytes())); err != nil {
		t.Fatal(err)
	}
	check(again.v)
	older := strings.Replace(saved.String(), `"registries":["","b/registry"]`, `"registries":[]`, 1)
	if err := again.v.Restore(strings.NewReader(older)); err != nil || older == saved.String() {
		t.Fatal(err)
	}
	if d, _ := again.v.DeviceFor("d1", scope("a")); len(d.Texts) != 0 {
		t.Errorf("of a state that does not say who said them: %v", d.Texts)
	}
}

// TestScopedReadersKnowWhatTheySee lets readers with scopes read at random while devices come, speak and are forgotten, from the version
// where they are or, as members of one room, from an earlier one: each knows just the devices that it sees.
func TestScopedReadersKnowWhatTheySee(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		w := newWorld(t, devices.Config{MaxTopics: 5})
		var readers []*reader
		for _, s := range []event.Scope{nil, scope("a"), scope("b"), scope("c")} {
			for _, filters := range [][]string{{"#"}, {"+/0"}} {
				readers = append(readers, &reader{scope: s, filters: filters})
			}
		}
		room, roomVersion := &reader{scope: scope("a"), filters: []string{"#"}}, w.v.Version()
		for range 60 {
			device := fmt.Sprint("d", random.IntN(6))
			switch random.IntN(8) {
			case 0:
				w.forgets(device)
			case 1:
				w.after(time.Minute)
			default:
				w.speaks(device, []string{"a", "ab", "abc", "b", "c"}[random.IntN(5)]+fmt.Sprint("/", random.IntN(3)))
			}
			if random.IntN(5) == 0 {
				room.known = nil
				room.version = 0
				room.read(w.v) // it enters, by a snapshot
			}
			if random.IntN(5) == 0 && room.known != nil { // the room's next frame begins before that
				f, version := w.v.Since(room.filters, room.scope, roomVersion)
				room.take(f)
				roomVersion = version
				checkKnown(t, seed, w.v, room)
			}
			if r := readers[random.IntN(len(readers))]; random.IntN(2) == 0 {
				r.read(w.v)
				checkKnown(t, seed, w.v, r)
			}
		}
	}
}

func checkKnown(t *testing.T, seed uint64, v *devices.View, r *reader) {
	t.Helper()
	page, _ := v.List(devices.Query{Limit: 100, MaxValues: 1000, Scope: r.scope})
	var want []string
	for _, d := range page {
		matches, hidden := false, len(d.Topics) >= 5 && r.scope != nil
		for _, topic := range d.Topics {
			matches = matches || event.MatchAny(r.filters, topic)
			hidden = hidden || r.scope != nil && !r.scope.Sees(topic)
		}
		if hidden {
			t.Fatalf("seed %d: %v is listed for %v", seed, d, r.scope)
		}
		if matches {
			want = append(want, d.ID)
		}
	}
	if got := r.ids(); !slices.Equal(got, want) {
		t.Fatalf("seed %d: %v, %v knows %v, want %v", seed, r.scope, r.filters, got, want)
	}
}
