package disklog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
)

// rebuild makes the indexes of a sealed segment from its records, for a reason, and writes them. Where there is no room
// for them they are in memory for as long as the segment is open.
func (l *Log) rebuild(s *segment, h *handle, why error) error {
	t := newSegment(l.cfg.Dir, s.base)
	x := newLiveIndex()
	damage, err := l.scanOver(t, h.file, x)
	if err != nil {
		return fmt.Errorf("segment %s: %w", s.segPath(), err)
	}
	l.metrics.rebuilt.Inc()
	level := slog.LevelWarn
	if damage == nil && errors.Is(why, fs.ErrNotExist) {
		level = slog.LevelInfo // the process ended before it had written them
	}
	l.log.Log(context.Background(), level, "building a segment's indexes anew",
		"file", s.segPath(), "why", why, "next", t.end, "damage", damage)
	offsets, topics := encodeIndexes(t, x)
	err = writeIndexes(t, offsets, topics)
	if err == nil {
		return l.loadIndexes(s, h)
	}
	if !noRoom(err) {
		return err
	}
	l.log.Warn("no room for a segment's indexes: they are in memory", "file", s.segPath(), "error", err)
	if h.offsets, err = parseOffsetIndex(offsets, s.base); err == nil {
		h.topics, err = openTopicIndex(bytes.NewReader(topics), int64(len(topics)), s.base, t.size)
	}
	return err
}

// scanOver fills an index with all records of a segment that can be read, and the segment with its bounds. Behind damage
// it goes on at the next record that the segment's last offset index names, if that can still be read.
func (l *Log) scanOver(s *segment, f file, x *liveIndex) (damage, failed error) {
	var known offsetIndex
	if data, err := os.ReadFile(s.offsetsPath()); err == nil {
		known, _ = parseOffsetIndex(data, s.base) // else nothing is known
	}
	r := newReader()
	whole := view{s, known.end, known.size}
	end, size := s.base, int64(segmentHeader)
	for {
		next, place, why, err := scan(f, end, size, s.indexer(x))
		if err != nil {
			return nil, err
		}
		s.end, s.size = max(next, known.end), max(place, known.size)
		if why == nil {
			return damage, nil
		}
		damage = why
		if end = r.resume(f, whole, known.entries, next); end >= known.end {
			return damage, nil
		}
		size = int64(floor(known.entries, uint32(end-s.base)).place)
		x.nextEntry = 0 // what lies behind damage is reached by the index alone
	}
}

// indexer returns what scan calls to fill an index.
func (s *segment) indexer(x *liveIndex) func(record, int64) error {
	return func(r record, place int64) error {
		if place > math.MaxUint32 {
			return fmt.Errorf("%w: segment longer than 4 GiB", errDamaged)
		}
		x.addRecord(r, uint32(r.offset()-s.base), uint32(place))
		s.noteTime(r.time())
		return nil
	}
}

// encodeIndexes returns the index files of a segment that no longer grows.
func encodeIndexes(s *segment, x *liveIndex) (offsets, topics []byte) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return appendOffsetIndex(nil, s, x.entries), appendTopicIndex(nil, s, x.list)
}

func writeIndexes(s *segment, offsets, topics []byte) error {
	if err := writeRebuildable(s.topicsPath(), topics); err != nil {
		return err
	}
	return writeRebuildable(s.offsetsPath(), offsets)
}
