package broker

import (
	"sync"
	"sync/atomic"
)

// maxWatched bounds the events whose delivery somebody waits for.
const maxWatched = 4096

// A Delivery is what became of an event that is watched, see [Broker.Watch].
type Delivery struct {
	// Offset is the event's own.
	Offset uint64
	// Client has taken it: it was handed to the client's connection at QoS 0, and acknowledged by the client else. Empty: no
	// session subscribes to the event's topic.
	Client string
}

// watched are the events whose delivery somebody waits for. While there are none, they cost one atomic load an event.
type watched struct {
	tell  func(Delivery)
	count atomic.Int32

	mu      sync.Mutex
	offsets map[uint64]struct{}
}

// Watch has Config.OnDelivery told of the first delivery of an event, once. It must be called before the event is given to
// Deliver. It reports whether there was room: at most 4,096 are watched at one time.
func (b *Broker) Watch(offset uint64) bool {
	w := &b.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tell == nil || len(w.offsets) >= maxWatched {
		return false
	}
	if w.offsets == nil {
		w.offsets = map[uint64]struct{}{}
	}
	w.offsets[offset] = struct{}{}
	w.count.Store(int32(len(w.offsets)))
	return true
}

// Unwatch ends what Watch began.
func (b *Broker) Unwatch(offset uint64) { b.watched.take(offset) }

// take removes an event and reports whether it was watched.
func (w *watched) take(offset uint64) bool {
	if w.count.Load() == 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, found := w.offsets[offset]
	delete(w.offsets, offset)
	w.count.Store(int32(len(w.offsets)))
	return found
}

func (w *watched) unheard(offset uint64) {
	if w.take(offset) {
		w.tell(Delivery{Offset: offset})
	}
}

func (w *watched) delivered(offset uint64, client string) {
	if w.take(offset) {
		w.tell(Delivery{Offset: offset, Client: client})
	}
}
