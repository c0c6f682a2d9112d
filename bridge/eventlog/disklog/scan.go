package disklog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// Bounds of one Scan, in records looked at. To ask about a topic counts as half a record.
const (
	scanWork = 1 << 17
	// walkFirst is how many records are looked at one after another before a segment's index is asked, at least; tests
	// have fewer.
	walkFirst = 1 << 10
	// scanRead is how much is read at once of records that follow each other, at least.
	scanRead = 32 << 10
	// scanGap is how many bytes that nobody wants are read so that one reading does for two records.
	scanGap = 4 << 10
)

// Scan implements [eventlog.Log]. At a segment's start the index says which records are wanted. In the midst of one, where
// the last Scan has ended, records are looked at one after another for about as long as asking the index would take: so
// a Scan that finds much costs about what Read does, and one that finds little costs the index twice.
func (l *Log) Scan(from event.Position, want func(topic string) bool, limit int) (found []event.Event, next event.Position, err error) {
	if _, err := l.checkOpen(from); err != nil {
		return nil, event.Position{}, err
	}
	r := l.reader(limit)
	defer l.readers.Put(r)
	r.want, r.look = want, scanWork
	r.scan++
	offset := from.Offset
	for r.hasRoom() && r.look > 0 && err == nil {
		v, viewErr := l.view(offset)
		if err = viewErr; err == nil && v.segment == nil {
			break
		}
		if err == nil {
			offset, err = l.scanSegment(r, v, offset)
		}
	}
	found = r.take()
	if err != nil && offset == from.Offset {
		return nil, event.Position{}, err
	}
	return found, l.position(offset), nil
}

// scanSegment gathers the wanted events of a segment from an offset on and returns the offset after what it has looked at.
// Damage may be the index's: it is built anew once, and else the records speak for themselves.
func (l *Log) scanSegment(r *reader, v view, offset uint64) (uint64, error) {
	offset, err := l.walkOrChoose(r, v, offset)
	if !errors.Is(err, errIndex) {
		return offset, err
	}
	if err := l.reindex(v.segment, err); err == nil {
		if offset, err = l.walkOrChoose(r, v, offset); !errors.Is(err, errIndex) {
			return offset, err
		}
	}
	r.look = max(r.look, l.cfg.walkFirst)
	return l.readSegment(r, v, offset)
}

// errIndex says that an index does not lead to what it should.
var errIndex = errors.New("topic index does not fit its segment")

func (l *Log) walkOrChoose(r *reader, v view, offset uint64) (uint64, error) {
	h, live, err := l.handles.acquire(v.segment)
	if err != nil {
		return offset, l.vanished(err, offset)
	}
	defer l.handles.release(h)
	s := source{h.file, h.offsets.entries, h.topics, live}
	if live != nil {
		s.entries = live.sparse()
	}
	records := int(v.end - v.segment.base)
	few := max(l.cfg.walkFirst, s.topicCount()/2)
	if offset > v.segment.base || records <= few || live == nil && s.topics.total != uint32(records) {
		if live == nil && s.topics.total != uint32(records) {
			few = r.look // the index does not know all records: they are damaged
		}
		var done bool
		if offset, done, err = l.walk(r, s, v, offset, few); done || err != nil {
			return offset, err
		}
	}
	chosen, err := s.choose(v, r.want)
	if err != nil {
		return offset, fmt.Errorf("%w: %w", errIndex, err)
	}
	r.look -= max(l.cfg.walkFirst, chosen.topics/2)
	if chosen.dense {
		offset, _, err = l.walk(r, s, v, offset, max(r.look, l.cfg.walkFirst))
		return offset, err
	}
	place, err := r.seek(s.file, v, s.entries, offset)
	if err != nil {
		return offset, fmt.Errorf("%w: %w", errIndex, err)
	}
	events, bytes := len(r.events), r.bytes
	places, all := chosen.from(place, r.limit-len(r.events))
	n, err := r.pick(l, s.file, v, places)
	switch {
	case err != nil:
		r.events, r.bytes = r.events[:events], bytes
		return offset, fmt.Errorf("%w: %w", errIndex, err)
	case n == len(places) && all:
		return v.end, nil
	}
	return r.events[len(r.events)-1].Position.Offset + 1, nil
}

// A source is what is open of a segment.
type source struct {
	file    io.ReaderAt
	entries []entry
	topics  *topicIndex
	live    *liveIndex // nil: topics
}

func (s *source) topicCount() int {
	if s.live == nil {
		return int(s.topics.count)
	}
	s.live.mu.RLock()
	defer s.live.mu.RUnlock()
	return len(s.live.list)
}

func (s *source) choose(v view, want func(topic string) bool) (selection, error) {
	if s.live != nil {
		return s.live.choose(v, want), nil
	}
	return s.topics.choose(v, want)
}

// walk looks at one record after another: few of them, and on for as long as many of them are wanted. It reports true
// when there is no more to do in the segment for now.
func (l *Log) walk(r *reader, s source, v view, offset uint64, few int) (uint64, bool, error) {
	place, err := r.seek(s.file, v, s.entries, offset)
	for err == nil {
		events, start, look := len(r.events), offset, r.look
		r.look = min(look, few)
		offset, place, err = r.gather(l, s.file, v, place, offset)
		r.look += look - min(look, few)
		switch {
		case err != nil:
		case offset >= v.end || !r.hasRoom() || r.look <= 0:
			return offset, true, nil
		case uint64(len(r.events)-events)*denseShare < offset-start:
			return offset, false, nil
		}
	}
	if errors.Is(err, errDamaged) {
		l.noteDamage(v.segment, offset, err)
		err = l.hole(offset, r.resume(s.file, v, s.entries, offset))
	}
	return offset, true, err
}

// pick decodes the records at ascending places, as far as there is room, and returns how many.
func (r *reader) pick(l *Log, f io.ReaderAt, v view, places []uint32) (int, error) {
	done := 0
	for done < len(places) && r.hasRoom() {
		first, last := int64(places[done]), int64(places[done])
		for _, p := range places[done+1:] {
			if int64(p) > last+scanGap || int64(p) > first+maxRead {
				break
			}
			last = int64(p)
		}
		b, fillErr := r.fill(f, v, first, int(last-first)+2*perEventRead)
		n, size, err := r.cutAt(b, v, first, places[done:])
		if err == nil && n == 0 && fillErr == nil { // the first is longer than was read
			b, fillErr = r.fill(f, v, first, size)
			n, _, err = r.cutAt(b, v, first, places[done:done+1])
		}
		if err == nil && n == 0 {
			err = fillErr
		}
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: cut off", errDamaged)
		}
		if err != nil {
			return done, err
		}
		if _, err := r.decode(l); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// cutAt finds the records in b, which is at a place of the segment, that begin at these places, and returns how many are
// whole, as far as there is room, and how long the next one says that it is.
func (r *reader) cutAt(b []byte, v view, at int64, places []uint32) (n, size int, err error) {
	r.found = r.found[:0]
	bytes := r.bytes
	for ; n < len(places) && len(r.events)+n < r.limit && bytes < eventlog.ReadBytes; n++ {
		from := int64(places[n]) - at
		if from >= int64(len(b)) {
			break
		}
		length, offset, err := peek(b[from:])
		if errors.Is(err, errShort) {
			break
		}
		if err != nil {
			return n, 0, err
		}
		rec, err := cutRecord(b[from:], offset)
		if errors.Is(err, errShort) {
			return n, length, nil
		}
		if err != nil {
			return n, 0, err
		}
		topic, wanted := r.wants(rec)
		if offset < v.segment.base || offset >= v.end || !wanted {
			return n, 0, fmt.Errorf("%w: not the record that the index means", errDamaged)
		}
		r.found = append(r.found, hit{rec, topic})
		bytes += rec.payloadLen()
	}
	return n, 2 * perEventRead, nil
}

// reindex removes a topic index that is damaged, once, so that the next reader builds it anew.
func (l *Log) reindex(s *segment, why error) error {
	if !s.reindexed.CompareAndSwap(false, true) {
		return why
	}
	l.log.Warn("a topic index is damaged", "file", s.topicsPath(), "reason", why)
	if err := os.Remove(s.topicsPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("damaged topic index: %w", err)
	}
	l.handles.forget(s)
	return nil
}
