package room

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pulso/bridge/event"
)

// TestTrieAgreesWithMatch compares the trie with the plain matching of filters while rooms come and go.
func TestTrieAgreesWithMatch(t *testing.T) {
	t.Parallel()
	level := rapid.SampledFrom([]string{"a", "b", "", "$SYS", "+"})
	filter := rapid.Custom(func(t *rapid.T) string {
		levels := rapid.SliceOfN(level, 1, 4).Draw(t, "levels")
		if rapid.Bool().Draw(t, "hash") {
			levels = append(levels, "#")
		}
		if len(levels) == 2 && levels[0] == "" && levels[1] == "#" && rapid.Bool().Draw(t, "all") {
			return "#"
		}
		return strings.Join(levels, "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		var trie node
		var rooms []*Room
		valid := func(f string) bool { return event.CheckFilter(f) == nil }
		for id := range rapid.IntRange(1, 6).Draw(t, "rooms") {
			r := &Room{id: uint64(id)}
			r.spec.Filters = slices.Compact(slices.Sorted(slices.Values(rapid.SliceOfN(filter.Filter(valid), 1, 4).Draw(t, "filters"))))
			for _, f := range r.spec.Filters {
				trie.insert(f, r)
			}
			rooms = append(rooms, r)
		}
		check := func() {
			topic := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "$SYS"}), 1, 5).Draw(t, "topic"), "/")
			if event.CheckTopic(topic) != nil {
				return
			}
			got := map[*Room]int{}
			for _, r := range trie.match(topic) {
				got[r]++
			}
			for _, r := range rooms {
				want := 0
				if event.MatchAny(r.spec.Filters, topic) {
					want = 1
				}
				if got[r] != want {
					t.Fatalf("topic %q: room of %q found %d times, want %d", topic, r.spec.Filters, got[r], want)
				}
			}
		}
		for len(rooms) > 0 {
			check()
			gone := rooms[0]
			for _, f := range gone.spec.Filters {
				trie.remove(f, gone)
			}
			rooms = rooms[1:]
		}
		if !trie.empty() {
			t.Fatalf("the trie keeps %+v", trie)
		}
	})
}

// TestTrieHasFewNodes puts filters of as many levels as there may be into the trie, which part early, late or by and by: a level
// more costs no node.
func TestTrieHasFewNodes(t *testing.T) {
	t.Parallel()
	var trie node
	var count func(n *node) int
	count = func(n *node) int {
		nodes := 1
		for _, child := range n.children {
			nodes += count(child)
		}
		return nodes
	}
	const filters = 1000
	filter := func(i int) string {
		levels := slices.Repeat([]string{"a"}, event.MaxLevels)
		levels[i%7*20] = strconv.Itoa(i)
		if i%3 == 0 {
			levels[event.MaxLevels-1] = "#"
		}
		return strings.Join(levels[:event.MaxLevels-i%2*50], "/")
	}
	room := &Room{}
	for i := range filters {
		trie.insert(filter(i), room)
	}
	for left := filters; left > 0; left-- {
		if n := count(&trie); n > 2*left {
			t.Fatalf("%d nodes for %d filters", n, left)
		}
		trie.remove(filter(left-1), room)
	}
	if !trie.empty() {
		t.Errorf("the trie keeps %+v", trie)
	}
}
