package room

import (
	"fmt"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/wire"
)

// BenchmarkTrieMatch looks up the rooms of a topic that no cache knows, among rooms with one filter each, of which it reaches
// three.
func BenchmarkTrieMatch(b *testing.B) {
	for _, rooms := range []int{3, 1000, 100_000} {
		b.Run(fmt.Sprint(rooms), func(b *testing.B) {
			var trie node
			for i, f := range append([]string{"fleet/+/devices/7/telemetry", "fleet/3/#", "#"}, benchmarkFilters(rooms-3)...) {
				trie.insert(f, &Room{id: uint64(i), spec: Spec{Filters: []string{f}}})
			}
			b.ReportAllocs()
			for b.Loop() {
				if n := len(trie.match("fleet/3/devices/7/telemetry")); n != 3 {
					b.Fatal(n)
				}
			}
		})
	}
}

// BenchmarkTrieChange puts a filter in and takes it out, among 10,000.
func BenchmarkTrieChange(b *testing.B) {
	var trie node
	filters := benchmarkFilters(10_000)
	for _, f := range filters {
		trie.insert(f, &Room{})
	}
	r := &Room{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f := filters[i%len(filters)]
		trie.insert(f, r)
		trie.remove(f, r)
	}
}

// benchmarkFilters select topics of other fleets.
func benchmarkFilters(n int) []string {
	filters := make([]string, n)
	for i := range filters {
		filters[i] = fmt.Sprintf([]string{"other/%d/devices/%d/telemetry", "other/%d/+/%d/telemetry", "other/%d/devices/%d/#"}[i%3], i%100, i)
	}
	return filters
}

// BenchmarkRingPut puts frames of 4 KiB into a ring that is full: for each, an old one goes.
func BenchmarkRingPut(b *testing.B) {
	r, _ := benchmarkRoom(b)
	m := wire.JSON.Frame(1, event.Position{Epoch: 1}, wire.JSON.AppendEvents(nil, make([]byte, 4<<10)))
	to := event.Position{Epoch: 1}
	b.ReportAllocs()
	for b.Loop() {
		to.Offset++
		f := &frame{to: to}
		f.messages[wire.JSON] = m
		r.put(f)
	}
}

// BenchmarkRingNext has a member take what is new, one frame of 4 KiB, as each of a room's members does after each flush.
func BenchmarkRingNext(b *testing.B) {
	const members = 100
	r, reg := benchmarkRoom(b)
	m := wire.JSON.Frame(1, event.Position{Epoch: 1}, wire.JSON.AppendEvents(nil, make([]byte, 4<<10)))
	var subs [members]*Sub
	for i := range subs {
		sub, err := reg.Join(r.spec, Options{Viewer: Viewer{Session: fmt.Sprint(i)}}, nobody{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := sub.Begin(nil, 1); err != nil {
			b.Fatal(err)
		}
		subs[i] = sub
	}
	to := r.pos
	var taken []*wire.Message
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%members == 0 {
			to.Offset++
			f := &frame{to: to}
			f.messages[wire.JSON] = m
			r.put(f)
		}
		var more bool
		if taken, more = subs[i%members].Live(taken[:0], 1<<20); len(taken) != 1 || more {
			b.Fatalf("%d frames, more: %v", len(taken), more)
		}
	}
}

type nobody struct{}

func (nobody) Wake() {}

// benchmarkRoom is a room of events in JSON with one member.
func benchmarkRoom(b *testing.B) (*Room, *Registry) {
	b.Helper()
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		b.Fatal(err)
	}
	_, next := log.Bounds()
	reg := New(Config{}, next)
	sub, err := reg.Join(Spec{Filters: []string{"#"}, Form: wire.FormEvents, Delivery: wire.DeliveryEvery}, Options{}, nobody{})
	if err != nil {
		b.Fatal(err)
	}
	return sub.room, reg
}
