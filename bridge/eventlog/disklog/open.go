package disklog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pulso/bridge/eventlog"
)

// A Recovery is what an opening found and did.
type Recovery struct {
	// File is the segment that was cut; empty if none was.
	File string
	// Cut is the number of bytes cut from its end, Next the offset that the log goes on with.
	Cut  int64
	Next uint64
	// Saved is the file that those bytes were saved to, as they may hold events; empty after a mere torn write.
	Saved string
	// Missing is how many events the log is known to have had after those that were left; 0 also where damage was cut and
	// it is not known how many events that was.
	Missing uint64
	// Reason says why those bytes were no records.
	Reason string
	// HeaderRepaired says that the segment's header was torn or damaged and has been written again.
	HeaderRepaired bool
	// NewEpoch says that events which had been handed on may be gone; see the package comment.
	NewEpoch bool
	// Gaps is the number of places within the log where events are missing.
	Gaps int

	damaged bool
}

// Open opens the log in c.Dir, or begins one there. Errors name the folder and wrap [ErrConfig], [ErrLocked],
// [ErrNotOurs], [ErrNewerVersion], [ErrNotWritable], [ErrDamaged] or what the system said.
//
// It needs room on the disk to begin a log, and to save what damage cuts from the log's end. Otherwise a full disk is no
// hindrance: then [Log.Err] says so.
func Open(c Config) (*Log, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Log{cfg: c, log: c.Logger, stop: make(chan struct{}), sealing: make(chan sealJob, 1)}
	l.handles = handles{table: make(map[*segment]*handle), load: l.load}
	l.readers.New = func() any { return newReader() }
	l.metrics = newMetrics(l)
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open log in %s: %w", c.Dir, withAdvice(err, c.Dir))
	}
	return l, nil
}

func (l *Log) open() error {
	if err := os.MkdirAll(l.cfg.Dir, 0o750); err != nil {
		return fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	if _, _, err := loadIdentity(l.cfg.Dir); err != nil {
		return err // before the lock leaves a file in a folder that is not ours
	}
	lock, err := lockDir(l.cfg.Dir)
	if err != nil {
		return err
	}
	l.dirLock = lock
	if err := l.start(); err != nil {
		l.free()
		return err
	}
	return nil
}

// start recovers the log and starts its goroutine.
func (l *Log) start() error {
	id, fresh, err := loadIdentity(l.cfg.Dir)
	if err != nil {
		return err
	}
	l.identity = id
	if err := l.recover(fresh); err != nil {
		return err
	}
	if err := l.metrics.register(l.cfg.Metrics); err != nil {
		return err
	}
	l.seals.Go(l.sealAll)
	l.ticks.Go(l.tick)
	return nil
}

// recover finds the segments, repairs the last of them and decides on the epoch.
func (l *Log) recover(fresh bool) error {
	if err := l.list(); err != nil {
		return err
	}
	if err := l.openSealed(); err != nil {
		return err
	}
	if n := len(l.segments); n > 0 {
		if err := l.openActive(l.segments[n-1]); err != nil {
			return err
		}
	}
	if err := l.findGaps(); err != nil {
		return err
	}

	id := &l.identity
	boot := bootID()
	lost := l.next < id.Next
	l.recovery.NewEpoch = lost || l.recovery.damaged || !id.Clean && (boot == "" || boot != id.Boot)
	if fresh {
		l.recovery.NewEpoch = false
	}
	next := max(l.next, id.Next)
	l.recovery.Missing = next - l.next
	if l.recovery.NewEpoch {
		id.begin(next)
	}
	if l.active == nil || lost {
		if err := l.roll(next); err != nil {
			return err
		}
	}
	l.recovery.Next = l.next
	id.Next, id.Boot, id.Clean = l.next, boot, false
	if err := id.save(l.cfg.Dir); err != nil {
		if fresh || !noRoom(err) {
			return fmt.Errorf("%w: %w", ErrNotWritable, err)
		}
		l.log.Error("no room on the disk: the log can be read, and takes events as soon as there is some", "folder", l.cfg.Dir, "error", err)
		l.unsaved = true
		l.full = fmt.Errorf("%w: %w", eventlog.ErrFull, err)
	}
	l.report()
	return nil
}

// list finds the segments in the folder and removes what a crash left of files that were not whole yet.
func (l *Log) list() error {
	entries, err := os.ReadDir(l.cfg.Dir)
	if err != nil {
		return fmt.Errorf("read folder: %w", err)
	}
	var leftover []string
	for _, e := range entries { // in the order of names, which is that of offsets
		name := e.Name()
		stem, ext := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
		base, err := strconv.ParseUint(stem, 10, 64)
		switch {
		case ext == tmpSuffix, err == nil && (ext == offsetsExt || ext == topicsExt):
			leftover = append(leftover, name)
		case err == nil && ext == segmentExt && fmt.Sprintf(segmentName, base) == stem:
			l.segments = append(l.segments, newSegment(l.cfg.Dir, base))
		}
	}
	for _, name := range leftover {
		stem := strings.TrimSuffix(name, filepath.Ext(name))
		sealed := func(s *segment) bool { return filepath.Base(s.path) == stem }
		if i := slices.IndexFunc(l.segments, sealed); i >= 0 && i < len(l.segments)-1 {
			continue
		}
		if err := os.Remove(filepath.Join(l.cfg.Dir, name)); err != nil {
			return fmt.Errorf("%w: %w", ErrNotWritable, err)
		}
	}
	return nil
}

// openSealed learns from the indexes of all segments but the last what is in them.
func (l *Log) openSealed() error {
	for _, s := range l.segments[:max(0, len(l.segments)-1)] {
		h, _, err := l.handles.acquire(s)
		if err != nil {
			return err
		}
		s.end, s.size, s.first, s.last = h.offsets.end, h.offsets.size, h.offsets.first, h.offsets.last
		s.indexBytes = h.indexBytes()
		l.bytes += s.bytes()
		header := make([]byte, segmentHeader)
		_, err = h.file.ReadAt(header, 0)
		if err == nil {
			err = checkSegmentHeader(header, s.base)
		}
		l.handles.release(h)
		switch {
		case errors.Is(err, ErrNewerVersion):
			return err
		case err != nil:
			l.log.Warn("a segment's header is damaged; its records speak for themselves", "file", s.segPath(), "reason", err)
		}
	}
	return nil
}

// openActive repairs the last segment, so that it can be appended to, and fills its index.
func (l *Log) openActive(s *segment) error {
	f, err := l.cfg.open(s.segPath(), os.O_RDWR)
	if err != nil {
		return err
	}
	s.live.Store(newLiveIndex())
	l.active, l.end = s, l.handles.put(s, f)
	if err := l.repairHeader(s, f); err != nil {
		return err
	}
	end, size, why, err := scan(f, s.base, segmentHeader, s.indexer(s.live.Load()))
	if err != nil {
		return fmt.Errorf("segment %s: %w", s.segPath(), err)
	}
	s.end, s.size, l.next = end, size, end
	l.bytes += size
	if why != nil {
		if err := l.cutEnd(s, f, size, why); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	return nil
}

// repairHeader writes the header again if a crash tore it or its bytes have changed: all of it is known.
func (l *Log) repairHeader(s *segment, f file) error {
	header := make([]byte, segmentHeader)
	n, _ := f.ReadAt(header, 0)
	err := checkSegmentHeader(header[:n], s.base)
	if err == nil || errors.Is(err, ErrNewerVersion) {
		return err
	}
	l.recovery.File, l.recovery.HeaderRepaired, l.recovery.Reason = s.segPath(), true, err.Error()
	if _, err := f.WriteAt(appendSegmentHeader(nil, s.base, l.identity.last().Epoch, 0), 0); err != nil {
		return fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	return nil
}

// findGaps counts and says where events are missing between segments. Segments that overlap are an error.
func (l *Log) findGaps() error {
	for i := 1; i < len(l.segments); i++ {
		end, next := l.segments[i-1].end, l.segments[i].base
		if end == next {
			continue
		}
		if end > next {
			return fmt.Errorf("%w: %s overlaps the segment after it", ErrDamaged, l.segments[i-1].segPath())
		}
		l.recovery.Gaps++
		l.log.Warn("events are missing", "from", end, "to", next, "file", l.segments[i-1].segPath())
	}
	return nil
}
