package disklog

import (
	"context"
	"errors"
	"io/fs"
	"sort"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// A view is a segment as far as it could be read at one moment.
type view struct {
	segment *segment
	end     uint64
	size    int64
}

// view returns the segment that has an offset's event; none at the log's end. Errors: ErrClosed, TrimmedError.
func (l *Log) view(offset uint64) (view, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return view{}, eventlog.ErrClosed
	}
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].base > offset }) - 1
	if i < 0 {
		return view{}, &eventlog.TrimmedError{From: l.position(offset), First: l.position(l.first())}
	}
	s := l.segments[i]
	switch {
	case offset < s.end:
		return view{s, s.end, s.size}, nil
	case i == len(l.segments)-1:
		return view{}, nil
	}
	return view{}, l.hole(offset, l.segments[i+1].base)
}

// hole is the error of reading where events are lost to damage.
func (l *Log) hole(from, first uint64) error {
	return &eventlog.TrimmedError{From: l.position(from), First: l.position(first), Damaged: true}
}

// Read implements [eventlog.Log].
func (l *Log) Read(from event.Position, limit int) ([]event.Event, error) {
	if _, err := l.checkOpen(from); err != nil {
		return nil, err
	}
	r := l.reader(limit)
	defer l.readers.Put(r)
	for offset := from.Offset; r.hasRoom(); {
		v, err := l.view(offset)
		if err == nil && v.segment == nil {
			break
		}
		if err == nil {
			offset, err = l.readSegment(r, v, offset)
		}
		if err != nil && len(r.events) == 0 {
			return nil, err
		}
		if err != nil {
			break
		}
	}
	return r.take(), nil
}

// checkOpen is check for readers. It returns the offset after the newest event.
func (l *Log) checkOpen(p event.Position) (next uint64, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return 0, eventlog.ErrClosed
	}
	return l.next, l.check(p)
}

// readSegment gathers the events of a segment from an offset on and returns the offset after them.
func (l *Log) readSegment(r *reader, v view, offset uint64) (uint64, error) {
	h, live, err := l.handles.acquire(v.segment)
	if err != nil {
		return offset, l.vanished(err, offset)
	}
	defer l.handles.release(h)
	entries := h.offsets.entries
	if live != nil {
		entries = live.sparse()
	}
	place, err := r.seek(h.file, v, entries, offset)
	if err == nil {
		offset, _, err = r.gather(l, h.file, v, place, offset)
	}
	if errors.Is(err, errDamaged) {
		l.noteDamage(v.segment, offset, err)
		err = l.hole(offset, r.resume(h.file, v, entries, offset))
	}
	return offset, err
}

// vanished turns the error of a segment that retention has just removed into the one that says so.
func (l *Log) vanished(err error, offset uint64) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, viewErr := l.view(offset); viewErr != nil {
		return viewErr
	}
	return err
}

func (l *Log) noteDamage(s *segment, offset uint64, err error) {
	l.metrics.damaged.Inc()
	if s.noted.CompareAndSwap(false, true) {
		l.log.Error("events cannot be read any more", "file", s.segPath(), "offset", offset, "reason", err)
	}
}

// Wait implements [eventlog.Log].
func (l *Log) Wait(ctx context.Context, from event.Position) error {
	for {
		changed := l.signal.C()
		next, err := l.checkOpen(from)
		if err != nil || from.Offset < next {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
