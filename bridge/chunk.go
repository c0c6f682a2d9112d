package bridge

import (
	"container/list"
	"sync"

	"pulso/bridge/event"
)

// Bounds of the cache of the past.
const (
	// chunkEvents is how many events of the log a chunk is of: as many as a reader of a room takes at once.
	chunkEvents = 256
	// maxChunks and maxCachedBytes bound the chunks and the payload bytes in them. The ones that nobody has read for longest go.
	maxChunks      = 64
	maxCachedBytes = 16 << 20
	// maxChunkBytes is the payload from which on a chunk grows no more: what is behind it in the log is not kept.
	maxChunkBytes = 4 << 20
)

// A chunkCache keeps decoded events of the log for readers of the same part of it: when a thousand sessions resume at
// once, each event is read and decoded once and not a thousand times.
//
// The log is the truth of what can be read, not the cache: it is asked for its bounds each time, and for everything that is
// not found here at exactly the position that was asked for. What stands at a position of the log never changes, so that
// nothing here goes stale; a chunk at the log's end grows with it.
type chunkCache struct {
	read func(from event.Position, limit int) ([]event.Decoded, error)

	mu     sync.Mutex
	chunks map[uint64]*chunk
	recent *list.List // of *chunk, the one that was read last in front
	bytes  int
}

func newChunkCache(read func(from event.Position, limit int) ([]event.Decoded, error)) *chunkCache {
	return &chunkCache{read: read, chunks: make(map[uint64]*chunk), recent: list.New()}
}

// A chunk is the events from number*chunkEvents on. The cache's mutex guards element and bytes.
type chunk struct {
	number  uint64
	element *list.Element
	bytes   int // those that the cache counts

	// mu is held while the log is read: who wants the same events waits for them.
	mu sync.Mutex
	// events only grow, within the memory that they were given at first, so that readers may keep a part of them.
	events []event.Decoded
	size   int // of their payloads
}

// get returns up to limit events from a position on, as [Past.Read] does, and whether nothing had to be read. first and
// next are the log's bounds.
func (c *chunkCache) get(from, first, next event.Position, limit int) (events []event.Decoded, hit bool, err error) {
	if from.Offset < first.Offset || from.Offset >= next.Offset || limit <= 0 {
		events, err = c.read(from, limit)
		return events, false, err
	}
	if events, hit = c.shared(from, first, limit); events != nil {
		return events, hit, nil
	}
	events, err = c.read(from, limit)
	return events, false, err
}

// shared returns events of a chunk, which grows for it where it must, and whether it had them; nil where the chunk cannot
// have the event at exactly this position.
func (c *chunkCache) shared(from, first event.Position, limit int) (events []event.Decoded, hit bool) {
	k := c.chunk(from.Offset / chunkEvents)
	k.mu.Lock()
	defer k.mu.Unlock()
	if events = k.at(from, limit); events != nil {
		return events, true
	}
	grown := k.grow(c.read, from, first)
	c.settle(k)
	if !grown {
		return nil, false
	}
	return k.at(from, limit), false
}

// chunk returns the chunk with a number, a new one if there is none.
func (c *chunkCache) chunk(number uint64) *chunk {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.chunks[number]
	if k == nil {
		k = &chunk{number: number}
		k.element = c.recent.PushFront(k)
		c.chunks[number] = k
	}
	c.recent.MoveToFront(k.element)
	return k
}

// settle counts what a chunk has become, and forgets chunks beyond the bounds. A chunk without events is of no use, nor is one
// that was forgotten while it was read.
func (c *chunkCache) settle(k *chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chunks[k.number] != k {
		return
	}
	if len(k.events) == 0 {
		c.forget(k)
		return
	}
	c.bytes += k.size - k.bytes
	k.bytes = k.size
	for len(c.chunks) > maxChunks || c.bytes > maxCachedBytes {
		oldest, ok := c.recent.Back().Value.(*chunk)
		if !ok {
			return
		}
		c.forget(oldest)
	}
}

func (c *chunkCache) forget(k *chunk) {
	c.recent.Remove(k.element)
	delete(c.chunks, k.number)
	c.bytes -= k.bytes
}

// at returns up to limit events from a position on; nil if the chunk has none at exactly this position.
func (k *chunk) at(from event.Position, limit int) []event.Decoded {
	if len(k.events) == 0 || from.Offset < k.events[0].Position.Offset {
		return nil
	}
	i := from.Offset - k.events[0].Position.Offset
	if i >= uint64(len(k.events)) || k.events[i].Position != from {
		return nil
	}
	end := min(int(i)+limit, len(k.events))
	return k.events[i:end:end]
}

// grow reads on until the chunk has the event at a position, and reports whether it got there. first is where the log
// begins.
func (k *chunk) grow(read func(event.Position, int) ([]event.Decoded, error), from, first event.Position) bool {
	if len(k.events) == 0 {
		begin := event.Position{Epoch: from.Epoch, Offset: max(k.number*chunkEvents, first.Offset)}
		events, err := read(begin, k.left(begin))
		if err != nil && begin != from { // damage, or another epoch's end, lies between
			events, err = read(from, k.left(from))
		}
		if err != nil || len(events) == 0 {
			return false
		}
		k.add(events)
	}
	for k.size < maxChunkBytes {
		next := k.events[len(k.events)-1].Next()
		if from.Offset < next.Offset {
			return true
		}
		events, err := read(next, k.left(next))
		if err != nil || len(events) == 0 || events[0].Position.Offset != next.Offset {
			return false
		}
		k.add(events)
	}
	return from.Offset < k.events[len(k.events)-1].Next().Offset
}

// left is how many events of the chunk there are from a position on.
func (k *chunk) left(from event.Position) int { return int((k.number+1)*chunkEvents - from.Offset) }

// add appends events. The first are kept as they are, if there is nothing behind them in the chunk.
func (k *chunk) add(events []event.Decoded) {
	for i := range events {
		k.size += len(events[i].Payload)
	}
	left := k.left(events[len(events)-1].Next())
	switch {
	case len(k.events) > 0:
		k.events = append(k.events, events...)
	case left == 0:
		k.events = events
	default:
		k.events = append(make([]event.Decoded, 0, len(events)+left), events...)
	}
}
