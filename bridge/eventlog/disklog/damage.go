package disklog

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// damagedExt follows the name of a segment in that of a file which holds what was cut from it because of damage.
	damagedExt = ".damaged"
	// maxSaved bounds such files in a folder.
	maxSaved = 4
)

// cutEnd takes off the last segment's file what begins at a place and is no record, for a reason that wraps errShort or
// errDamaged. What a crash tore is nobody's loss; all else is saved before, as it may hold events.
func (l *Log) cutEnd(s *segment, f file, place int64, why error) error {
	info, err := os.Stat(s.segPath())
	if err != nil {
		return fmt.Errorf("cut segment: %w", err)
	}
	r := &l.recovery
	r.File, r.Cut, r.Reason, r.damaged = s.segPath(), info.Size()-place, why.Error(), errors.Is(why, errDamaged)
	end := io.NewSectionReader(f, place, r.Cut)
	if !r.damaged {
		if r.damaged, err = hasRecord(end, s.end); err != nil {
			return fmt.Errorf("cut segment %s: %w", s.segPath(), err)
		}
	}
	if r.damaged || s.end < l.identity.Next {
		if r.Saved, err = save(end, s.segPath()); err != nil {
			return fmt.Errorf("%w: save what is cut from %s: %w", ErrNotWritable, s.segPath(), err)
		}
	}
	if err := f.Truncate(place); err != nil {
		return fmt.Errorf("cut segment %s: %w", s.segPath(), err)
	}
	return nil
}

// hasRecord reports whether a whole record of an offset beyond end is anywhere in a segment's end, which is shorter than
// the length that it begins with. A torn write leaves none; a length that has changed looks like one, but does.
func hasRecord(segmentEnd *io.SectionReader, end uint64) (bool, error) {
	b := make([]byte, segmentEnd.Size())
	if _, err := segmentEnd.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read: %w", err)
	}
	for ; len(b) >= recordHeader; b = b[1:] {
		offset := binary.LittleEndian.Uint64(b[atOffset:])
		if offset <= end || offset-end > maxSegmentBytes/recordHeader {
			continue
		}
		if _, err := cutRecord(b, offset); err == nil {
			return true, nil
		}
	}
	return false, nil
}

// save writes what is about to be cut from a segment to a file of its own, which is on the disk before it returns, and
// removes the oldest such file when there are too many.
func save(cut io.Reader, segment string) (path string, err error) {
	path = segment + damagedExt
	for n := 2; exists(path); n++ {
		path = fmt.Sprint(segment, damagedExt, "-", n)
	}
	if err := writeDurably(path, cut); err != nil {
		return "", err
	}
	return path, forgetSaved(filepath.Dir(path))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// forgetSaved removes the oldest files of cut bytes beyond maxSaved.
func forgetSaved(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read folder: %w", err)
	}
	type saved struct {
		name string
		time time.Time
	}
	var all []saved
	for _, e := range entries {
		if !strings.Contains(e.Name(), segmentExt+damagedExt) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("saved bytes: %w", err)
		}
		all = append(all, saved{e.Name(), info.ModTime()})
	}
	slices.SortFunc(all, func(a, b saved) int { return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.name, b.name)) })
	for _, s := range all[:max(0, len(all)-maxSaved)] {
		if err := os.Remove(filepath.Join(dir, s.name)); err != nil {
			return fmt.Errorf("remove saved bytes: %w", err)
		}
	}
	return nil
}

// report tells the operator what the opening found.
func (l *Log) report() {
	r := &l.recovery
	l.metrics.cutBytes.Add(float64(r.Cut))
	damage := r.damaged || r.Missing > 0
	found := []any{
		"folder", l.cfg.Dir, "file", r.File, "offset", r.Next, "bytes", r.Cut, "reason", r.Reason, "header_repaired", r.HeaderRepaired,
	}
	switch {
	case r.Missing > 0:
		l.log.Error("events at the log's end are lost to damage", append(found, "events_missing", r.Missing, "saved", r.Saved)...)
	case damage:
		l.log.Error("events at the log's end are lost to damage", append(found, "events_missing", "unknown", "saved", r.Saved)...)
	case r.Cut > 0 || r.HeaderRepaired:
		l.log.Warn("cut the log's end", found...)
	}
	if r.NewEpoch {
		l.log.Warn("events that were handed on may be gone: the log begins a new epoch",
			"folder", l.cfg.Dir, "offset", r.Next, "damage", damage)
	}
	l.log.Info("log is open", "folder", l.cfg.Dir, "first", l.first(), "next", l.next, "segments", len(l.segments))
}

// withAdvice adds to the error of a disk that is full what to do about it.
func withAdvice(err error, dir string) error {
	if noRoom(err) {
		return fmt.Errorf("%w: free some space in the file system of %s and start again", err, dir)
	}
	return err
}
