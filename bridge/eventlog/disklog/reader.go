package disklog

import (
	"errors"
	"fmt"
	"io"
	"math"

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

// A reader holds the buffers of one Read, Scan or Last.
type reader struct {
	buf    []byte
	found  []hit
	names  map[string]*name // topics and clients seen lately, so that equal ones are one string
	events []event.Event
	limit  int
	bytes  int    // of payload, in events
	slab   []byte // holds small payloads of events

	look int                     // how many more records gather may look at
	want func(topic string) bool // what Scan wants; nil: everything
	scan uint64                  // counts the Scans
}

// A name is a topic or a client, and what the Scan with a number wants of the topic.
type name struct {
	text   string
	scan   uint64
	wanted bool
}

// A hit is a record that is to become an event, and its topic if that has been looked up.
type hit struct {
	record

	topic *name
}

func newReader() *reader {
	return &reader{names: make(map[string]*name), look: math.MaxInt}
}

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
	r.look, r.want = math.MaxInt, nil
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

// gather decodes the records that are wanted from a place on, until the segment ends, there is no more room, or enough
// has been looked at, and returns the offset and the place after the last one looked at.
func (r *reader) gather(l *Log, f io.ReaderAt, v view, place int64, offset uint64) (uint64, int64, error) {
	for size := r.guess(); offset < v.end && r.hasRoom() && r.look > 0; {
		b, fillErr := r.fill(f, v, place, size)
		n, next, cutErr := r.cut(b, v, offset)
		if bad, err := r.decode(l); err != nil {
			return bad.offset(), place, err
		}
		offset = next
		place += int64(n)
		switch {
		case cutErr != nil && !errors.Is(cutErr, errShort):
			return offset, place, cutErr
		case n > 0:
			size = r.guess()
			continue
		case fillErr != nil:
			return offset, place, fillErr
		}
		var err error
		if size, _, err = peek(b); err != nil || int64(size) > v.size-place {
			return offset, place, fmt.Errorf("%w: cut off", errDamaged)
		}
	}
	return offset, place, nil
}

// guess is how many bytes to read for the events that there is room for.
func (r *reader) guess() int {
	least := minRead
	if r.want != nil {
		least = scanRead
	}
	return max(least, min(maxRead, (r.limit-len(r.events))*perEventRead))
}

// cut finds the records in b, the first with that offset, for as many as there is room, keeps those that are wanted, and
// returns the bytes of all and the offset after them. The error says why the next one is none.
func (r *reader) cut(b []byte, v view, offset uint64) (n int, next uint64, err error) {
	r.found = r.found[:0]
	for bytes := r.bytes; offset < v.end && r.look > 0 && len(r.events)+len(r.found) < r.limit && bytes < eventlog.ReadBytes; offset++ {
		rec, err := cutRecord(b[n:], offset)
		if err != nil {
			return n, offset, err
		}
		r.look--
		n += len(rec)
		if topic, yes := r.wants(rec); yes {
			r.found = append(r.found, hit{rec, topic})
			bytes += rec.payloadLen()
		}
	}
	return n, offset, nil
}

// decode appends the records found as events that own their memory. With an error it returns the record that it is about.
func (r *reader) decode(l *Log) (bad record, err error) {
	small := 0
	for _, rec := range r.found {
		if n := rec.payloadLen(); n <= smallPayload {
			small += n
		}
	}
	if r.events == nil && len(r.found) > 0 {
		r.events = make([]event.Event, 0, len(r.found))
	}
	for _, h := range r.found {
		if err := r.add(l, h, small); err != nil {
			return h.record, err
		}
		if n := h.payloadLen(); n <= smallPayload {
			small -= n
		}
	}
	return nil, nil
}

// add appends a record as an event; more is how many bytes of small payloads are to come, this one included.
func (r *reader) add(l *Log, h hit, more int) error {
	rec := h.record
	if h.topic == nil {
		h.topic = r.name(rec.topic())
	}
	properties, packetID, err := rec.tail()
	if err != nil {
		return err
	}
	payload := r.own(rec.payload(), more)
	r.bytes += len(payload)
	r.events = append(r.events, event.Event{
		Position: l.position(rec.offset()), Time: rec.time(), Topic: h.topic.text, Client: r.name(rec.client()).text,
		Payload: payload, Properties: properties, Kind: event.Kind(rec[atKind]), Source: event.Source(rec[atSource]),
		QoS: rec[atFlags] & flagQoS, Retain: rec[atFlags]&flagRetain != 0, PacketID: packetID,
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

// name returns b as a name, the same one as lately where possible.
func (r *reader) name(b []byte) *name {
	if n, ok := r.names[string(b)]; ok {
		return n
	}
	n := &name{text: string(b)}
	if len(b) <= maxNameBytes {
		if len(r.names) >= maxNames {
			clear(r.names)
		}
		r.names[n.text] = n
	}
	return n
}

// wants reports whether a record is wanted. It asks once for each topic as far as that can be remembered.
func (r *reader) wants(rec record) (topic *name, yes bool) {
	if r.want == nil {
		return nil, true
	}
	n := r.name(rec.topic())
	if n.scan != r.scan {
		n.scan, n.wanted = r.scan, r.want(n.text)
	}
	return n, n.wanted
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
