package disklog

import (
	"errors"
	"fmt"
	"io"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// Sizes of reading, in bytes.
const (
	minRead      = 8 << 10
	maxRead      = 256 << 10
	perEventRead = 256 // what an event is guessed to take
	keepBuffer   = 512 << 10
	slabBytes    = 16 << 10 // the most that one small payload keeps alive of others'
	smallPayload = 4 << 10

	maxNames     = 4096
	maxNameBytes = 256
)

// A reader holds the buffers of one Read or Last.
type reader struct {
	buf    []byte
	found  []record
	names  map[string]string // topics and clients seen lately, so that equal ones are one string
	events []event.Event
	limit  int
	bytes  int    // of payload, in events
	slab   []byte // holds small payloads of events
}

func newReader() *reader { return &reader{names: make(map[string]string)} }

func (l *Log) reader(limit int) *reader {
	r, _ := l.readers.Get().(*reader)
	r.limit = limit
	return r
}

func (r *reader) hasRoom() bool { return len(r.events) < r.limit && r.bytes < eventlog.ReadBytes }

// take returns the events and makes the reader fit for its next use.
func (r *reader) take() []event.Event {
	events := r.events
	r.events, r.bytes, r.slab = nil, 0, nil
	clear(r.found)
	if cap(r.buf) > keepBuffer {
		r.buf = nil
	}
	return events
}

// fill reads up to n bytes at a place. Where the file ends before its segment should, it returns what there is, and an
// error.
func (r *reader) fill(f io.ReaderAt, v view, place int64, n int) ([]byte, error) {
	n = int(min(int64(n), v.size-place))
	if n < atTime {
		return nil, fmt.Errorf("%w: beyond the segment's end", errDamaged)
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, max(n, minRead))
	}
	b := r.buf[:n]
	n, err := f.ReadAt(b, place)
	switch {
	case n == len(b):
		return b, nil
	case errors.Is(err, io.EOF):
		return b[:n], fmt.Errorf("%w: the file ends early", errDamaged)
	}
	return nil, fmt.Errorf("read %s at %d: %w", v.segment.segPath(), place, err)
}

// seek returns the place of an offset's record: the index leads near it, the lengths of records the rest of the way.
func (r *reader) seek(f io.ReaderAt, v view, entries []entry, offset uint64) (int64, error) {
	near := floor(entries, uint32(offset-v.segment.base))
	at, place := v.segment.base+uint64(near.ordinal), int64(near.place)
	for at < offset {
		b, err := r.fill(f, v, place, indexEvery+atTime)
		if len(b) < atTime && err != nil {
			return 0, err
		}
		for at < offset {
			n, got, err := peek(b)
			if errors.Is(err, errShort) {
				break
			}
			if err == nil && got != at {
				err = fmt.Errorf("%w: offset %d instead of %d", errDamaged, got, at)
			}
			if err != nil {
				return 0, err
			}
			at, place, b = at+1, place+int64(n), b[min(n, len(b)):]
		}
	}
	return place, nil
}

// gather decodes records from a place on, until the segment ends or there is no more room, and returns the offset after
// the last one.
func (r *reader) gather(l *Log, f io.ReaderAt, v view, place int64, offset uint64) (uint64, error) {
	guess := func() int { return max(minRead, min(maxRead, (r.limit-len(r.events))*perEventRead)) }
	for want := guess(); offset < v.end && r.hasRoom(); {
		b, fillErr := r.fill(f, v, place, want)
		n, cutErr := r.cut(b, v, offset)
		done, err := r.decode(l)
		offset += uint64(done)
		place += int64(n)
		switch {
		case err != nil:
			return offset, err
		case cutErr != nil && !errors.Is(cutErr, errShort):
			return offset, cutErr
		case n > 0:
			want = guess()
			continue
		case fillErr != nil:
			return offset, fillErr
		}
		if want, _, err = peek(b); err != nil || int64(want) > v.size-place {
			return offset, fmt.Errorf("%w: cut off", errDamaged)
		}
	}
	return offset, nil
}

// cut finds the records in b, the first with that offset, for as many as there is room, and returns their bytes. The
// error says why the next one is none.
func (r *reader) cut(b []byte, v view, offset uint64) (n int, err error) {
	r.found = r.found[:0]
	for bytes := r.bytes; offset < v.end && len(r.events)+len(r.found) < r.limit && bytes < eventlog.ReadBytes; offset++ {
		rec, err := cutRecord(b[n:], offset)
		if err != nil {
			return n, err
		}
		r.found = append(r.found, rec)
		bytes += rec.payloadLen()
		n += len(rec)
	}
	return n, nil
}

// decode appends the records found as events that own their memory and returns how many.
func (r *reader) decode(l *Log) (int, error) {
	small := 0
	for _, rec := range r.found {
		if n := rec.payloadLen(); n <= smallPayload {
			small += n
		}
	}
	if r.events == nil {
		r.events = make([]event.Event, 0, len(r.found))
	}
	for i, rec := range r.found {
		if err := r.add(l, rec, small); err != nil {
			return i, err
		}
		if n := rec.payloadLen(); n <= smallPayload {
			small -= n
		}
	}
	return len(r.found), nil
}

// add appends a record as an event; more is how many bytes of small payloads are to come, this one included.
func (r *reader) add(l *Log, rec record, more int) error {
	properties, err := rec.properties()
	if err != nil {
		return err
	}
	payload := r.own(rec.payload(), more)
	r.bytes += len(payload)
	r.events = append(r.events, event.Event{
		Position: l.position(rec.offset()), Time: rec.time(), Topic: r.name(rec.topic()), Client: r.name(rec.client()),
		Payload: payload, Properties: properties, Kind: event.Kind(rec[atKind]), Source: event.Source(rec[atSource]),
		QoS: rec[atFlags] & flagQoS, Retain: rec[atFlags]&flagRetain != 0,
	})
	return nil
}

// own copies a payload; small ones share slabs.
func (r *reader) own(payload []byte, more int) []byte {
	n := len(payload)
	switch {
	case n == 0:
		return nil
	case n > smallPayload:
		return append(make([]byte, 0, n), payload...)
	case n > cap(r.slab)-len(r.slab):
		r.slab = make([]byte, 0, max(n, min(more, slabBytes)))
	}
	r.slab = append(r.slab, payload...)
	return r.slab[len(r.slab)-n:][:n:n]
}

// name returns b as a string, the same one as lately where possible.
func (r *reader) name(b []byte) string {
	if s, ok := r.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) <= maxNameBytes {
		if len(r.names) >= maxNames {
			clear(r.names)
		}
		r.names[s] = s
	}
	return s
}

// recordAt returns the record at a place.
func (r *reader) recordAt(f io.ReaderAt, v view, place int64) (record, error) {
	b, fillErr := r.fill(f, v, place, 2*perEventRead)
	n, offset, err := peek(b)
	if err == nil && n > len(b) && fillErr == nil {
		b, fillErr = r.fill(f, v, place, n)
	}
	rec, err := cutRecord(b, offset)
	if errors.Is(err, errShort) && fillErr != nil {
		return nil, fillErr
	}
	if errors.Is(err, errShort) {
		return nil, fmt.Errorf("%w: cut off", errDamaged)
	}
	return rec, err
}

// resume returns the offset at which a segment can be read again after damage: that of a record which the index names.
func (r *reader) resume(f io.ReaderAt, v view, entries []entry, damaged uint64) uint64 {
	for _, e := range entries {
		offset := v.segment.base + uint64(e.ordinal)
		if offset <= damaged || offset >= v.end {
			continue
		}
		if rec, err := r.recordAt(f, v, int64(e.place)); err == nil && rec.offset() == offset {
			return offset
		}
	}
	return v.end
}
