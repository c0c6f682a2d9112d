package disklog

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// placesAtOnce bounds how many places of a topic are looked up at a time.
const placesAtOnce = 1024

// Last implements [eventlog.Log]. It asks the index of one segment after the other, from the newest to the oldest.
func (l *Log) Last(topic string, before event.Position, limit int) ([]event.Event, error) {
	views, offset, err := l.viewsBefore(before)
	if err != nil || topic == "" { // events of connections are of no topic
		return nil, err
	}
	r := l.reader(limit)
	defer l.readers.Put(r)
	for _, v := range slices.Backward(views) {
		if !r.hasRoom() {
			break
		}
		if err := l.lastOf(r, v, topic, offset); err != nil {
			r.take()
			return nil, err
		}
	}
	events := r.take()
	slices.Reverse(events)
	return events, nil
}

// viewsBefore returns the segments with events before a position, and its offset.
func (l *Log) viewsBefore(before event.Position) ([]view, uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return nil, 0, eventlog.ErrClosed
	}
	offset := l.next
	if !before.IsZero() {
		if err := l.check(before); err != nil {
			return nil, 0, err
		}
		offset = before.Offset
	}
	views := make([]view, 0, len(l.segments))
	for _, s := range l.segments {
		if s.base < offset {
			views = append(views, view{s, s.end, s.size})
		}
	}
	return views, offset, nil
}

// A query is what Last wants of one segment.
type query struct {
	topic  string
	before uint64 // offset
	below  int64  // place: of the record with that offset, or the segment's end
	// strict makes damage an error, and not something to pass over.
	strict bool
}

// lastOf adds the topic's events of one segment before an offset, the newest first. Damage may be the index's: it is
// built anew once before records are given up.
func (l *Log) lastOf(r *reader, v view, topic string, before uint64) error {
	events, bytes := len(r.events), r.bytes
	strict := !v.segment.reindexed.Load()
	err := l.query(r, v, query{topic: topic, before: before, strict: strict})
	if errors.Is(err, errDamaged) {
		if err = l.reindex(v.segment, err); err == nil {
			r.events, r.bytes = r.events[:events], bytes
			err = l.query(r, v, query{topic: topic, before: before})
		}
	}
	return err
}

func (l *Log) query(r *reader, v view, q query) error {
	h, live, err := l.handles.acquire(v.segment)
	if err != nil {
		if _, trimmed := errors.AsType[*eventlog.TrimmedError](l.vanished(err, v.segment.base)); trimmed {
			return nil // and so has everything older
		}
		return err
	}
	defer l.handles.release(h)
	entries := h.offsets.entries
	if live != nil {
		entries = live.sparse()
	}
	q.below = v.size
	if q.before < v.end {
		q.below, err = r.seek(h.file, v, entries, q.before)
		if errors.Is(err, errDamaged) {
			l.noteDamage(v.segment, q.before, err)
			q.below = placeBound(entries, uint32(q.before-v.segment.base), v.size)
		} else if err != nil {
			return err
		}
	}
	if live != nil {
		q.strict = false // an index in memory is not damaged
		_, err = r.collect(l, h.file, v, q, func(below int64, n int) ([]uint32, error) {
			return live.places(q.topic, below, n), nil
		})
		return err
	}
	refs, err := h.topics.find(topicHash(q.topic))
	for _, ref := range refs {
		ours, err := r.collect(l, h.file, v, q, func(below int64, n int) ([]uint32, error) {
			return h.topics.places(ref, below, n)
		})
		if ours || err != nil {
			return err
		}
	}
	return err
}

// placeBound is a place that no record before an ordinal lies beyond.
func placeBound(entries []entry, ordinal uint32, size int64) int64 {
	for _, e := range entries {
		if e.ordinal >= ordinal {
			return int64(e.place)
		}
	}
	return size
}

// collect adds the events at the places that an index gives for a topic, the newest first. It reports false as soon as
// a record has another topic: then the index's entry is not the topic's, only their hash is the same.
func (r *reader) collect(
	l *Log, f io.ReaderAt, v view, q query, places func(below int64, n int) ([]uint32, error),
) (bool, error) {
	for r.hasRoom() {
		some, err := places(q.below, min(placesAtOnce, r.limit-len(r.events)))
		if err != nil || len(some) == 0 {
			return true, err
		}
		r.events = slices.Grow(r.events, len(some))
		for i, place := range slices.Backward(some) {
			if int64(place) >= q.below {
				return true, fmt.Errorf("%w: places in disorder", errDamaged)
			}
			q.below = int64(place)
			rec, err := r.recordAt(f, v, q.below)
			if err == nil && string(rec.topic()) != q.topic {
				return false, nil
			}
			if err == nil && rec.offset() < q.before {
				err = r.add(l, hit{record: rec}, (i+1)*rec.payloadLen())
			}
			if errors.Is(err, errDamaged) && !q.strict {
				l.noteDamage(v.segment, v.segment.base, err)
			} else if err != nil {
				return true, err
			}
			if !r.hasRoom() {
				return true, nil
			}
		}
	}
	return true, nil
}
