package disklog

import (
	"fmt"
	"os"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// writeBytes bounds the encoded bytes in memory: a batch that is larger takes several writes.
const writeBytes = 4 << 20

// Append implements [eventlog.Log].
func (l *Log) Append(batch []event.Event, durable bool) error {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err := l.broken(); err != nil {
		return err
	}
	if len(batch) == 0 {
		return nil
	}
	started := time.Now()
	total, err := l.measure(batch)
	if err != nil {
		return err
	}
	if err := l.write(batch, total, durable && l.cfg.Sync == SyncFsync); err != nil {
		return err
	}
	l.publish(batch, total)
	l.metrics.commits.Inc()
	l.metrics.events.Add(float64(len(batch)))
	l.metrics.bytes.Add(float64(total))
	l.metrics.commitSeconds.Observe(time.Since(started).Seconds())
	return nil
}

// measure returns the bytes that batch will take, or ErrTooLarge.
func (l *Log) measure(batch []event.Event) (int64, error) {
	total := int64(0)
	for i := range batch {
		n := recordSize(&batch[i])
		if n > l.cfg.MaxEventBytes || !fits(&batch[i]) {
			return 0, fmt.Errorf("%w: event %d of the batch, %d bytes, at most %d",
				eventlog.ErrTooLarge, i, n, l.cfg.MaxEventBytes)
		}
		total += int64(n)
	}
	if total > maxSegmentBytes {
		return 0, fmt.Errorf("%w: batch of %d bytes, at most %d", eventlog.ErrTooLarge, total, maxSegmentBytes)
	}
	return total, nil
}

// mustRoll reports whether a batch belongs into a new segment: the active one is full, or so old that retention by age
// would wait too long for its end.
func (l *Log) mustRoll(total, now int64) bool {
	s := l.active
	switch {
	case s.size == segmentHeader:
		return false
	case s.size+total > l.cfg.SegmentBytes:
		return true
	case l.cfg.RetainAge > 0 && now-s.first > int64(l.cfg.RetainAge/8):
		return true
	}
	return s.live.Load().full()
}

// write brings a batch to the active segment, or to a new one. Its error wraps ErrFull, and the files are as they were; or
// it is that of the log's failure.
func (l *Log) write(batch []event.Event, total int64, durable bool) error {
	err := l.saveIdentity()
	if err == nil && l.mustRoll(total, batch[0].Time) {
		err = l.roll(l.next)
	}
	if err == nil {
		err = l.store(batch)
	}
	if err == nil && durable {
		l.dirty = false
		if err = l.syncFile(l.end.file); err != nil {
			_ = l.undo() // that may fail on such a disk too; then the next opening may find it
		}
	}
	return l.outcome(err)
}

// store writes batch behind the active segment's last record; if that fails, it cuts off what was written.
func (l *Log) store(batch []event.Event) error {
	place := l.active.size
	l.buf, l.places = l.buf[:0], l.places[:0]
	for i := range batch {
		l.places = append(l.places, uint32(place)+uint32(len(l.buf)))
		l.buf = appendRecord(l.buf, &batch[i], l.next+uint64(i))
		if len(l.buf) < writeBytes && i < len(batch)-1 {
			continue
		}
		if _, err := l.end.file.WriteAt(l.buf, place); err != nil {
			return l.undone(fmt.Errorf("append to %s at %d: %w", l.active.segPath(), l.next, err), l.undo())
		}
		place += int64(len(l.buf))
		l.buf = l.buf[:0]
	}
	if cap(l.buf) > 2*writeBytes {
		l.buf = nil
	}
	l.dirty = true
	return nil
}

// undo cuts off what comes after the active segment's last record. With SyncFsync the cut is on the disk when it returns:
// what was refused must not come back after loss of power.
func (l *Log) undo() error {
	if err := l.end.file.Truncate(l.active.size); err != nil {
		return fmt.Errorf("cut off a batch from %s at %d: %w", l.active.segPath(), l.active.size, err)
	}
	if l.cfg.Sync != SyncFsync {
		l.dirty = true
		return nil
	}
	l.dirty = false
	return l.syncFile(l.end.file)
}

// syncFile syncs a segment's file. An earlier failure counts for this sync too: the system tells it only once.
func (l *Log) syncFile(f file) error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	return l.syncNow(f)
}

// syncNow is syncFile with syncMu held.
func (l *Log) syncNow(f file) error {
	l.mu.RLock()
	failed := l.failed
	l.mu.RUnlock()
	if failed != nil {
		return failed
	}
	started := time.Now()
	if err := f.Sync(); err != nil {
		return l.fail(fmt.Errorf("%w: %w", errSync, err))
	}
	l.metrics.syncSeconds.Observe(time.Since(started).Seconds())
	return nil
}

// publish lets readers see a batch that has been stored.
func (l *Log) publish(batch []event.Event, total int64) {
	s := l.active
	base := l.position(l.next)
	first := uint32(l.next - s.base)
	x := s.live.Load()
	x.mu.Lock()
	for i := range batch {
		x.addEvent(&batch[i], first+uint32(i), l.places[i])
	}
	x.mu.Unlock()

	l.mu.Lock()
	for i := range batch {
		batch[i].Position = event.Position{Epoch: base.Epoch, Offset: base.Offset + uint64(i)}
		s.noteTime(batch[i].Time)
	}
	l.next += uint64(len(batch))
	s.end = l.next
	s.size += total
	l.bytes += total
	l.mu.Unlock()
	l.signal.Wake()
}

// roll ends the active segment, if there is one, and begins another at an offset.
func (l *Log) roll(base uint64) error {
	if l.dirty && l.cfg.Sync == SyncFsync {
		if err := l.syncFile(l.end.file); err != nil {
			return err
		}
	}
	s := newSegment(l.cfg.Dir, base)
	f, err := l.begin(s)
	if err != nil {
		return err
	}
	s.live.Store(newLiveIndex())
	ended, handle := l.active, l.end
	l.active, l.end, l.dirty = s, l.handles.put(s, f), false
	l.mu.Lock()
	l.segments = append(l.segments, s)
	l.next = base
	l.bytes += segmentHeader
	l.mu.Unlock()
	if ended != nil {
		l.sealing <- sealJob{ended, handle}
	}
	return nil
}

// begin makes the file of a new segment. If that fails, it leaves none behind.
func (l *Log) begin(s *segment) (file, error) {
	f, err := l.cfg.open(s.segPath(), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	header := appendSegmentHeader(nil, s.base, l.identity.last().Epoch, time.Now().UnixNano())
	if _, err = f.WriteAt(header, 0); err != nil {
		err = fmt.Errorf("begin segment %s: %w", s.segPath(), err)
	} else if err = syncDir(l.cfg.Dir); err == nil {
		return f, nil
	}
	_ = f.Close() // what it holds is not needed
	return nil, l.undone(err, os.Remove(s.segPath()))
}
