// Package room is the fan-out: it turns batches of decoded events into frames that any number of sessions share.
//
// A room is a distinct (filters, devices, form, delivery, rate); sessions that ask for the same thing are in the same
// room. A room encodes each flush once into a frame, puts it into its ring and wakes its members. A member holds no
// queue, only a cursor into the ring ([Sub]); one that has fallen out of the ring reads what it missed from the log.
//
// Life: [New], [Registry.Run] until its context ends. [Registry.Offer] is called by one goroutine, in the log's order.
// Join and Leave may be called from anywhere. A Sub belongs to one goroutine at a time. All writing to rooms happens
// under the registry's lock; members read rings without any.
package room

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// A Spec is what a room is for. Filters and Devices are sorted, without doublets, and valid.
type Spec struct {
	Filters []string
	// Devices restricts to these device ids; empty means all.
	Devices  []string
	Form     wire.Form
	Delivery wire.Delivery
	// Rate is frames a second at most; 0 is the default of the form and delivery.
	Rate float64
}

// Default rates in frames a second.
const (
	rateEvery  = 50
	rateLatest = 10
	rateView   = 1
)

func (s Spec) interval() time.Duration {
	rate := s.Rate
	if rate == 0 {
		switch {
		case s.Form.IsView():
			rate = rateView
		case s.Delivery == wire.DeliveryLatest:
			rate = rateLatest
		default:
			rate = rateEvery
		}
	}
	return time.Duration(float64(time.Second) / rate)
}

func (s Spec) key() string {
	return fmt.Sprintf("%d %d %g %s\x00%s", s.Form, s.Delivery, s.Rate, strings.Join(s.Filters, "\x01"), strings.Join(s.Devices, "\x01"))
}

// matches reports whether an event of this topic and device belongs into the room.
func (s Spec) matches(topic, device string) bool {
	if len(s.Devices) > 0 && !contains(s.Devices, device) {
		return false
	}
	return event.MatchAny(s.Filters, topic)
}

func contains(sorted []string, s string) bool {
	for _, x := range sorted {
		if x == s {
			return true
		}
	}
	return false
}

// A frame is the bytes of one flush, shared by all members.
type frame struct {
	// to is the position after it.
	to event.Position
	// version is what a view room's frame brings its reader up to.
	version uint64
	data    []byte
}

// A window is an immutable view of a ring: frames[0] has the number first.
type window struct {
	first  uint64
	frames []*frame
	// end is the position after the newest frame, kept when there is none.
	end event.Position
}

func (w *window) next() uint64 { return w.first + uint64(len(w.frames)) }

// A member is woken when its room has a new frame. Wake must not block.
type member interface{ Wake() }

// Room is one room. Everything but win belongs to the registry's lock.
type Room struct {
	id       uint64
	spec     Spec
	interval time.Duration
	win      atomic.Pointer[window]

	members map[*Sub]member
	pos     event.Position
	due     time.Time
	dirty   bool // waits in the registry's list for its due time
	touched bool // got events of the batch being offered

	enc       encoder
	announced map[uint32]*event.Series
	ringBytes int
	ringLimit int

	source  Source
	version uint64
}

// put adds a frame and evicts the oldest ones beyond the ring's bound.
func (r *Room) put(f *frame) {
	w := r.win.Load()
	frames := append(w.frames, f) //nolint:gocritic // readers of the old window never look past its length
	first := w.first
	r.ringBytes += len(f.data)
	evicted := 0
	for r.ringBytes > r.ringLimit && len(frames)-evicted > 1 {
		r.ringBytes -= len(frames[evicted].data)
		evicted++
	}
	if evicted > 0 {
		// A copy, so that evicted frames are not kept alive by the array.
		frames = append(make([]*frame, 0, 2*(len(frames)-evicted)), frames[evicted:]...)
		first += uint64(evicted)
	}
	r.pos = f.to
	r.win.Store(&window{first: first, frames: frames, end: f.to})
	for _, m := range r.members {
		m.Wake()
	}
}

// flush makes a frame of what is pending, with to as the position after it. It reports whether there was anything.
func (r *Room) flush(to event.Position, now time.Time) bool {
	if r.enc.empty() {
		return false
	}
	data := wire.AppendHead(make([]byte, 0, r.enc.size()+96), r.id, to)
	data = r.enc.appendTo(data, r.announced)
	r.put(&frame{to: to, data: append(data, '}')})
	r.due = now.Add(r.interval)
	return true
}
