package broker

import "testing"

// What is watched is told of once, and what is not costs nothing.
func TestWatch(t *testing.T) {
	var told []Delivery
	b := &Broker{watched: watched{tell: func(d Delivery) { told = append(told, d) }}}
	b.watched.delivered(1, "nobody asked")
	for offset := range uint64(maxWatched) {
		if !b.Watch(offset) {
			t.Fatalf("no room for %d", offset)
		}
	}
	if b.Watch(maxWatched) {
		t.Error("there is room for ever")
	}
	b.watched.delivered(1, "a")
	b.watched.delivered(1, "b")
	b.watched.unheard(2)
	b.Unwatch(3)
	b.watched.delivered(3, "c")
	if want := []Delivery{{Offset: 1, Client: "a"}, {Offset: 2}}; len(told) != 2 || told[0] != want[0] || told[1] != want[1] {
		t.Errorf("told %v, want %v", told, want)
	}
	if n := b.watched.count.Load(); n != maxWatched-3 {
		t.Errorf("%d are watched", n)
	}
}
