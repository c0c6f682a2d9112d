package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An event is one thing that happened, to a message or to a client.
type event struct {
	at        time.Duration // since the ledger began
	n         uint32
	id        uint16
	who, what string
}

// A ring holds the newest events.
type ring struct {
	events []event
	next   int
}

func newRing(size int) ring { return ring{events: make([]event, 0, size)} }

func (r *ring) add(e event) {
	if len(r.events) < cap(r.events) {
		r.events = append(r.events, e)
		return
	}
	r.events[r.next] = e
	r.next = (r.next + 1) % len(r.events)
}

// history tells what happened to a message, to its publisher and to a reader from its first event on.
func (l *Ledger) history(t *Topic, n uint32, reader string) string {
	var told []event
	for _, e := range t.events.events {
		if e.n == n && (e.who == t.publisher || e.who == reader) {
			told = append(told, e)
		}
	}
	if len(told) == 0 {
		return "\n\t\tits history is older than what is held"
	}
	first := slices.MinFunc(told, func(a, b event) int { return cmp.Compare(a.at, b.at) }).at
	for _, e := range l.events.events {
		if e.at >= first && (e.who == t.publisher || e.who == reader || e.who == "") {
			told = append(told, e)
		}
	}
	slices.SortStableFunc(told, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	for _, e := range told {
		fmt.Fprintf(&b, "\n\t\t%9.4f s %-14s %s", e.at.Seconds(), cmp.Or(e.who, "the hub"), e.what)
		if e.id != 0 {
			fmt.Fprintf(&b, ", identifier %d", e.id)
		}
	}
	return b.String()
}
