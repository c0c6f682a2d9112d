// Package room is the fan-out: it turns batches of decoded events into frames that any number of sessions share.
//
// A room is a distinct (filters, devices, form, delivery, rate, scope); sessions that ask for the same thing, and may read the
// same, are in the same room. A room encodes each flush once into a frame, puts it into its ring and wakes its members. A member holds no
// queue, only a cursor into the ring ([Sub]); one that has fallen out of the ring reads what it missed from the log.
//
// Life: [New], [Registry.Run] until its context ends. [Registry.Offer] is called by one goroutine, in the log's order.
// Join and Leave may be called from anywhere. A Sub belongs to one goroutine at a time. All writing to rooms happens
// under the registry's lock; members read rings without any.
package room

import (
	"encoding/binary"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
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
	// Scope is what the members may read; nil is everything. What it does not see is as if it were not there.
	Scope event.Scope
}

// Default rates in frames a second.
const (
	rateEvery  = 50
	rateLatest = 10
	rateView   = 1
)

// maxInterval is the longest time between two frames, however low the rate.
const maxInterval = time.Hour

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
	// A rate next to nothing would overflow.
	return time.Duration(min(float64(time.Second)/rate, float64(maxInterval)))
}

// key tells specs apart. Each string goes in with its length, so that no character in one can make two specs equal.
func (s Spec) key() string {
	b := make([]byte, 0, 64)
	b = append(b, byte(s.Form), byte(s.Delivery))
	b = binary.AppendUvarint(b, math.Float64bits(s.Rate))
	for _, list := range [...][]string{s.Filters, s.Devices} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, text := range list {
			b = binary.AppendUvarint(b, uint64(len(text)))
			b = append(b, text...)
		}
	}
	if s.Scope == nil {
		return string(b)
	}
	return string(append(append(b, 1), s.Scope.Key()...)) // what stands before it says how long it is
}

// matches reports whether an event of this topic and device belongs into the room.
func (s Spec) matches(topic, device string) bool {
	return s.hasDevice(device) && s.selects(topic)
}

// selects reports whether the topic is one of the filters' that may be read.
func (s Spec) selects(topic string) bool {
	return event.MatchAny(s.Filters, topic) && event.Sees(s.Scope, topic)
}

func (s Spec) hasDevice(device string) bool {
	if len(s.Devices) == 0 {
		return true
	}
	_, found := slices.BinarySearch(s.Devices, device)
	return found
}

// A frame is one flush, shared by all members: a message in each encoding that somebody takes.
type frame struct {
	// to is the position after it.
	to event.Position
	// version is what a view room's frame brings its reader up to.
	version  uint64
	messages [wire.Encodings]*wire.Message
	// viewers says that the frame is only for those who want to know who else watches.
	viewers bool
}

// frameOverhead is what a frame in a ring takes in bytes besides its messages.
const frameOverhead = 192

func (f *frame) size() int {
	size := frameOverhead
	for _, m := range f.messages {
		if m != nil {
			size += len(m.Bytes())
		}
	}
	return size
}

// A window is an immutable view of a ring: frames[0] has the number first.
type window struct {
	first  uint64
	frames []*frame
	// begin is the position before the oldest frame, end the one after the newest; kept when there is none.
	begin, end event.Position
}

func (w *window) next() uint64 { return w.first + uint64(len(w.frames)) }

// start is the position before frame k, or after the last.
func (w *window) start(k int) event.Position {
	if k == 0 {
		return w.begin
	}
	return w.frames[k-1].to
}

// A member is woken when its room has a new frame. Wake must not block.
type member interface{ Wake() }

// Room is one room. Everything but win belongs to the registry's lock.
type Room struct {
	reg      *Registry
	id       uint64
	key      string
	spec     Spec
	interval time.Duration
	win      atomic.Pointer[window]

	members map[*Sub]member
	takers  [wire.Encodings]int // members by encoding
	pos     event.Position
	due     time.Time // when the next frame may be made; one that is long past allows for several at once
	dirty   bool      // waits in the registry's list for its due time
	touched bool      // got events of the batch being offered

	gathered  gatherer
	announced [wire.Encodings]map[uint32]*event.Series
	entrances [wire.Encodings]*entrance
	audience  *audience
	ringBytes int

	source  Source
	version uint64
}

// since is what changed in the room's view after a version.
func (r *Room) since(version uint64) (*pulsov1.Frame, uint64) {
	return r.source.Since(r.spec.Filters, r.spec.Scope, version)
}

// put adds a frame and wakes the members.
func (r *Room) put(f *frame) {
	w := r.win.Load()
	frames := append(w.frames, f) //nolint:gocritic // readers of the old window never look past its length
	r.ringBytes += f.size()
	if !f.viewers {
		r.pos = f.to
	}
	r.win.Store(r.evict(&window{first: w.first, frames: frames, begin: w.begin, end: f.to}))
	for _, m := range r.members {
		m.Wake()
	}
}

// evict drops the oldest frames of a window beyond the ring's bound, a quarter of it at a time, so that the copying is
// rare. The newest frame stays, whatever its size.
func (r *Room) evict(w *window) *window {
	limit := r.reg.ringLimit()
	if r.spec.Delivery == wire.DeliveryLatest {
		limit = min(limit, latestRingBytes)
	}
	if r.ringBytes <= limit {
		return w
	}
	evicted := 0
	for r.ringBytes > limit-limit/4 && len(w.frames)-evicted > 1 {
		r.ringBytes -= w.frames[evicted].size()
		evicted++
	}
	if evicted == 0 {
		return w
	}
	// A copy, so that evicted frames are not kept alive by the array.
	frames := append(make([]*frame, 0, 2*(len(w.frames)-evicted)), w.frames[evicted:]...)
	return &window{first: w.first + uint64(evicted), frames: frames, begin: w.frames[evicted-1].to, end: w.end}
}

// flush makes a frame of what is pending, if anything is, with to as the position after it.
func (r *Room) flush(to event.Position, now time.Time) {
	if r.gathered.empty() {
		return
	}
	f := &frame{to: to}
	for e, n := range r.takers {
		if n == 0 {
			continue
		}
		fields := r.gathered.appendTo(r.reg.scratch[:0], wire.Encoding(e), r.announced[e])
		f.messages[e] = wire.Encoding(e).Frame(r.id, to, fields)
		r.reg.keepScratch(fields)
	}
	r.gathered.reset()
	r.put(f)
	r.spend(now)
}

// spend moves the time of the next frame on by one interval, which the load of the machine may stretch. A room of
// `every` at the hub's own rate that has been quiet has a few frames to spare, so that messages that come one by one, no more often than
// the rate allows, need not wait for each other's interval. A frame that its size has forced puts the next off no further than
// one interval from now.
func (r *Room) spend(now time.Time) {
	interval := r.reg.pace.stretch(r.interval)
	next := now.Add(interval)
	if r.spec.Rate == 0 && r.spec.Delivery == wire.DeliveryEvery {
		if spared := r.due.Add(interval); spared.Before(next) {
			next = spared
		}
		if least := now.Add((1 - spareFrames) * interval); next.Before(least) {
			next = least
		}
	}
	r.due = next
}

// spareFrames is how many frames a quiet room may make at once.
const spareFrames = 4
