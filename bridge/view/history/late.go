package history

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/compression"
)

// rewriteLate writes the log of late samples anew after a crash, without its records that samples are in chunks now: the
// chunks are gone, and the storage would drop the samples. Segments get higher numbers than those before, which tells them apart.
// Whenever it is interrupted, it can be done again.
func (v *View) rewriteLate() error {
	dir := filepath.Join(v.dir, wlog.WblDirName)
	whole, part := dir+".whole", dir+".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if _, err := os.Stat(whole); errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err := v.copyLate(dir, part); err != nil {
			return fmt.Errorf("rewrite %s: %w", dir, err)
		}
		if err := os.Rename(part, whole); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(whole, dir)
}

// copyLate copies what is readable of the log of late samples.
func (v *View) copyLate(from, to string) (err error) {
	_, last, err := wlog.Segments(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o750); err != nil {
		return err
	}
	if last < 0 {
		return nil
	}
	// The new log begins after the segment that it finds.
	before := wlog.SegmentName(to, last)
	if err := os.WriteFile(before, nil, 0o640); err != nil {
		return err
	}
	w, err := wlog.New(slog.New(slog.DiscardHandler), nil, to, compression.Snappy)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close(), os.Remove(before)) }()
	segments, err := wlog.NewSegmentsReader(from)
	if err != nil {
		return err
	}
	defer func() { _ = segments.Close() }() // it was only read
	var decoder record.Decoder
	r := wlog.NewReader(segments)
	for r.Next() {
		if decoder.Type(r.Record()) == record.MmapMarkers {
			continue
		}
		if err := w.Log(r.Record()); err != nil {
			return err
		}
	}
	if damage, ok := errors.AsType[*wlog.CorruptionErr](r.Err()); ok {
		v.lateUntil = &mark{segment: int64(damage.Segment), size: damage.Offset}
		return nil
	}
	return r.Err()
}
