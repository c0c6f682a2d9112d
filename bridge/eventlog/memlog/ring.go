package memlog

import (
	"slices"

	"pulso/bridge/event"
)

// A ring holds the events from the offset first up to next. Its room doubles when it is full and never shrinks: the
// log's bounds bound it.
type ring struct {
	events      []event.Event // the length is zero or a power of two
	first, next uint64
}

const firstRoom = 64

func (r *ring) len() int { return int(r.next - r.first) }

func (r *ring) at(offset uint64) *event.Event { return &r.events[offset&uint64(len(r.events)-1)] }

func (r *ring) push(e event.Event) {
	if r.len() == len(r.events) {
		wider := ring{events: make([]event.Event, max(firstRoom, 2*len(r.events)))}
		for o := r.first; o < r.next; o++ {
			*wider.at(o) = *r.at(o)
		}
		r.events = wider.events
	}
	r.next++
	*r.at(r.next - 1) = e
}

func (r *ring) pop() {
	*r.at(r.first) = event.Event{}
	r.first++
}

// offsets are the offsets of one topic's events, ascending. The front that has been popped is given back when it is the
// larger part.
type offsets struct {
	all  []uint64
	gone int
}

func (o *offsets) push(offset uint64) {
	if o.gone > len(o.all)/2 {
		o.all = slices.Delete(o.all, 0, o.gone)
		o.gone = 0
	}
	o.all = append(o.all, offset)
}

// pop removes the oldest and reports whether none is left.
func (o *offsets) pop() bool {
	o.gone++
	return o.gone == len(o.all)
}

// below returns the offsets before a bound; good until the next change.
func (o *offsets) below(end uint64) []uint64 {
	held := o.all[o.gone:]
	i, _ := slices.BinarySearch(held, end)
	return held[:i]
}
