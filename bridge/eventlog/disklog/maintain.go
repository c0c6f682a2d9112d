package disklog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"pulso/bridge/eventlog"
)

// trimEvery is how often retention by age is looked at.
const trimEvery = time.Minute

// A sealJob is a segment that has ended and the handle that its appender held.
type sealJob struct {
	segment *segment
	handle  *handle
}

// sealAll seals segments as they end, until there will be no more. It never waits for the appender, which waits for it.
func (l *Log) sealAll() {
	for j := range l.sealing {
		l.seal(j)
		l.warnOfRetention(l.drop())
	}
}

// tick syncs what is not durable and applies retention, until Close.
func (l *Log) tick() {
	syncs := time.NewTicker(l.cfg.SyncInterval)
	defer syncs.Stop()
	trims := time.NewTicker(trimEvery)
	defer trims.Stop()
	for {
		select {
		case <-syncs.C:
			l.syncActive()
			l.retryIdentity()
		case <-trims.C:
			l.sealLeft()
			if err := l.Trim(); !errors.Is(err, eventlog.ErrClosed) {
				l.warnOfRetention(err)
			}
		case <-l.stop:
			return
		}
	}
}

// warnOfRetention says that files could not be removed: nobody waits for the outcome.
func (l *Log) warnOfRetention(err error) {
	if err != nil {
		l.log.Warn("retention failed", "folder", l.cfg.Dir, "error", err)
	}
}

// syncActive brings to the disk what was not durable. Appending goes on meanwhile, but no durable commit overtakes it.
func (l *Log) syncActive() {
	l.appendMu.Lock()
	if l.broken() != nil || !l.dirty {
		l.appendMu.Unlock()
		return
	}
	l.dirty = false
	h, _, err := l.handles.acquire(l.active)
	if err != nil {
		l.appendMu.Unlock()
		return // closed
	}
	defer l.handles.release(h)
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.appendMu.Unlock()
	_ = l.syncNow(h.file) // a failure has been noted for all appends
}

// seal makes an ended segment durable and moves its indexes from memory to the disk.
func (l *Log) seal(j sealJob) {
	defer l.handles.release(j.handle)
	l.maintainMu.Lock()
	defer l.maintainMu.Unlock()
	s := j.segment
	if !l.holds(s) || s.live.Load() == nil {
		return
	}
	if l.syncFile(j.handle.file) != nil {
		return
	}
	offsets, topics := encodeIndexes(s, s.live.Load())
	n := int64(len(offsets) + len(topics))
	if err := writeIndexes(s, offsets, topics); err != nil {
		l.log.Warn("writing a segment's indexes: they stay in memory for now", "file", s.segPath(), "error", err)
		return
	}
	l.mu.Lock()
	s.indexBytes = n
	l.bytes += n
	l.mu.Unlock()
	l.handles.sealed(s)
}

// sealLeft tries again to seal the segments whose indexes could not be written when they ended.
func (l *Log) sealLeft() {
	l.mu.RLock()
	left := slices.Clone(l.segments[:len(l.segments)-1])
	l.mu.RUnlock()
	for _, s := range left {
		if s.live.Load() == nil {
			continue
		}
		if h, _, err := l.handles.acquire(s); err == nil {
			l.seal(sealJob{s, h})
		}
	}
}

// holds reports whether retention has left s.
func (l *Log) holds(s *segment) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Contains(l.segments, s)
}

// Trim implements [eventlog.Log].
func (l *Log) Trim() error {
	l.mu.RLock()
	closed := l.closed
	l.mu.RUnlock()
	if closed {
		return eventlog.ErrClosed
	}
	return errors.Join(l.rollAged(), l.drop())
}

// drop removes the oldest segments as retention asks for, but never the active one. Readers of a segment finish.
func (l *Log) drop() error {
	var err error
	l.maintainMu.Lock()
	defer l.maintainMu.Unlock()
	for s := l.expire(); s != nil; s = l.expire() {
		l.handles.remove(s)
		l.metrics.trimmedSegments.Inc()
		l.metrics.trimmedEvents.Add(float64(s.end - s.base))
		for _, path := range [...]string{s.segPath(), s.offsetsPath(), s.topicsPath()} {
			if rmErr := os.Remove(path); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
				err = errors.Join(err, fmt.Errorf("retention: %w", rmErr))
			}
		}
	}
	return err
}

// expire takes the oldest segment out of the log if retention asks for it; else it returns nil.
func (l *Log) expire() *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.segments) < 2 {
		return nil
	}
	s := l.segments[0]
	tooMuch := l.cfg.RetainBytes > 0 && l.bytes > l.cfg.RetainBytes
	if !tooMuch && !l.aged(s) {
		return nil
	}
	l.segments = l.segments[1:]
	l.bytes -= s.bytes()
	return s
}

// aged reports whether retention by age may drop s.
func (l *Log) aged(s *segment) bool {
	return l.cfg.RetainAge > 0 && s.last < time.Now().Add(-l.cfg.RetainAge).UnixNano()
}

// rollAged ends the active segment if all its events are too old, so that a log that gets no more events forgets too.
func (l *Log) rollAged() error {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if l.broken() != nil || l.active.size == segmentHeader || !l.aged(l.active) {
		return nil
	}
	err := l.saveIdentity()
	if err == nil {
		err = l.roll(l.next)
	}
	if noRoom(err) {
		return err // nobody waits to append: that is not why the log is not ready
	}
	if err != nil {
		return l.fail(err)
	}
	return nil
}
