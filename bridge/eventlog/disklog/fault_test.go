package disklog

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// A faulty disk fails the next operation of a kind.
type faulty struct {
	mu    sync.Mutex
	write error
	keep  int // bytes that a failing write still writes
	sync  error
	open  error
	syncs int
	reads int

	truncate error
}

type faultyFile struct {
	*diskFile

	disk *faulty
}

func (d *faulty) openFile(path string, flag int) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != nil {
		return nil, d.open
	}
	f, err := openFile(path, flag)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, d}, nil
}

func (d *faulty) set(change func(*faulty)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.write; err != nil {
		n, _ := f.diskFile.WriteAt(b[:min(len(b), f.disk.keep)], at)
		return n, err
	}
	return f.diskFile.WriteAt(b, at)
}

func (f *faultyFile) ReadAt(b []byte, at int64) (int, error) {
	f.disk.set(func(d *faulty) { d.reads++ })
	return f.diskFile.ReadAt(b, at)
}

func (f *faultyFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.truncate; err != nil {
		return err
	}
	return f.diskFile.Truncate(size)
}

func (f *faultyFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.syncs++
	if err := f.disk.sync; err != nil {
		f.disk.sync = nil // the system tells it once
		return err
	}
	return f.diskFile.Sync()
}

func TestFailureStopsTheLog(t *testing.T) {
	for name, test := range map[string]struct {
		fault   func(*faulty)
		want    error
		durable bool
	}{
		"write":          {func(d *faulty) { d.write = syscall.EIO }, syscall.EIO, false},
		"short write":    {func(d *faulty) { d.write, d.keep = syscall.EIO, 150 }, syscall.EIO, true},
		"fsync":          {func(d *faulty) { d.sync = syscall.EIO }, syscall.EIO, true},
		"fsync, full":    {func(d *faulty) { d.sync = syscall.ENOSPC }, syscall.ENOSPC, true},
		"cut of a batch": {func(d *faulty) { d.write, d.keep, d.truncate = syscall.ENOSPC, 150, syscall.ENOSPC }, syscall.ENOSPC, true},
		"sync of a cut":  {func(d *faulty) { d.write, d.keep, d.sync = syscall.ENOSPC, 150, syscall.ENOSPC }, syscall.ENOSPC, true},
		"a new segment":  {func(d *faulty) { d.open = syscall.EMFILE }, syscall.EMFILE, false},
		"segment header": {func(d *faulty) { d.write, d.keep = syscall.EIO, 10 }, syscall.EIO, false},
	} {
		t.Run(name, func(t *testing.T) {
			disk := &faulty{}
			metrics := prometheus.NewRegistry()
			c := Config{Dir: filepath.Join(t.TempDir(), "log"), open: disk.openFile, Metrics: metrics, SegmentBytes: 8 << 10}
			l := mustOpen(t, c)
			appendN(t, l, 10)
			first, next := l.Bounds()

			disk.set(test.fault)
			batch := make([]event.Event, 20)
			for i := range batch {
				batch[i] = crashEvent(10 + uint64(i))
			}
			if name == "a new segment" || name == "segment header" {
				batch[0].Payload = make([]byte, 8<<10)
			}
			err := l.Append(batch, test.durable)
			if !errors.Is(err, eventlog.ErrFailed) || !errors.Is(err, test.want) {
				t.Fatalf("append: %v", err)
			}
			disk.set(func(d *faulty) { d.write, d.sync, d.open, d.truncate = nil, nil, nil, nil })
			if err := l.Append(batch, true); !errors.Is(err, eventlog.ErrFailed) {
				t.Fatalf("append after a failure: %v", err)
			}
			if err := l.Err(); !errors.Is(err, eventlog.ErrFailed) {
				t.Fatalf("the log says: %v", err)
			}
			if n := gathered(t, metrics, "pulso_disklog_failures_total"); n != 1 {
				t.Errorf("%v failures counted", n)
			}
			still(t, l, first, next)
			mustClose(t, l)

			c.Metrics = nil
			l = mustOpen(t, c)
			if name == "cut of a batch" {
				return // what could not be cut may come back
			}
			still(t, l, first, next)
			appendN(t, l, 5)
		})
	}
}

// still checks that a log has the events that were appended before a failure and nothing else.
func still(t *testing.T, l *Log, first, next event.Position) {
	t.Helper()
	if f, n := l.Bounds(); f != first || n != next {
		t.Fatalf("bounds: %s and %s instead of %s and %s", f, n, first, next)
	}
	if n, gaps := readThrough(t, l); n != int(next.Offset) || gaps != 0 {
		t.Fatalf("%d events, %d gaps", n, gaps)
	}
	last, err := l.Last("t3", event.Position{}, 10)
	if err != nil || len(last) != 1 {
		t.Fatalf("last: %d events, %v", len(last), err)
	}
}

func gathered(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// eventually waits for what a log's own goroutine does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

func TestBackgroundSync(t *testing.T) {
	disk := &faulty{}
	l := mustOpen(t, Config{open: disk.openFile, Sync: SyncOS, SyncInterval: time.Millisecond})
	syncs := func() (n int) {
		disk.set(func(d *faulty) { n = d.syncs })
		return n
	}
	before := syncs()
	appendN(t, l, 1)
	eventually(t, "a sync", func() bool { return syncs() > before })

	disk.set(func(d *faulty) { d.sync = syscall.EIO })
	appendN(t, l, 1)
	eventually(t, "the failure", func() bool { return errors.Is(l.Err(), syscall.EIO) })
	if err := l.Append([]event.Event{crashEvent(2)}, false); !errors.Is(err, eventlog.ErrFailed) {
		t.Fatalf("append: %v", err)
	}
}

// TestDurableIsSynced counts: with SyncFsync a durable batch takes one sync, another none; with SyncOS none does.
func TestDurableIsSynced(t *testing.T) {
	for mode, want := range map[Sync]int{SyncFsync: 10, SyncOS: 0} {
		disk := &faulty{}
		l := mustOpen(t, Config{open: disk.openFile, Sync: mode, SyncInterval: time.Hour})
		before := disk.syncs
		for i := range 20 {
			if err := l.Append([]event.Event{crashEvent(uint64(i))}, i%2 == 0); err != nil {
				t.Fatal(err)
			}
		}
		if n := disk.syncs - before; n != want {
			t.Errorf("%s: %d syncs instead of %d", mode, n, want)
		}
	}
}

// TestEndedSegmentIsSynced sees that a segment is on the disk before its indexes say that it is whole.
func TestEndedSegmentIsSynced(t *testing.T) {
	disk := &faulty{}
	l := mustOpen(t, Config{open: disk.openFile, Sync: SyncOS, SyncInterval: time.Hour, SegmentBytes: 8 << 10})
	disk.set(func(d *faulty) { d.sync = syscall.EIO })
	for i := range uint64(300) {
		if err := l.Append([]event.Event{crashEvent(i)}, false); errors.Is(err, syscall.EIO) {
			break
		}
	}
	eventually(t, "the failure", func() bool { return errors.Is(l.Err(), syscall.EIO) })
	mustClose(t, l)
	if found, err := filepath.Glob(filepath.Join(l.cfg.Dir, "*"+offsetsExt)); err != nil || len(found) > 0 {
		t.Errorf("indexes %v, %v", found, err)
	}
}

// TestNoDurableGap sees that a segment is on the disk before a durable batch can be in the next one.
func TestNoDurableGap(t *testing.T) {
	disk := &faulty{}
	l := mustOpen(t, Config{open: disk.openFile, SyncInterval: time.Hour, SegmentBytes: 8 << 10})
	appendN(t, l, 3)
	disk.set(func(d *faulty) { d.sync = syscall.EIO })
	large := crashEvent(3)
	large.Payload = make([]byte, 8<<10)
	if err := l.Append([]event.Event{large}, false); !errors.Is(err, syscall.EIO) || len(l.segments) != 1 {
		t.Errorf("append to a new segment: %v, %d segments", err, len(l.segments))
	}
}

func TestBytesOnDisk(t *testing.T) {
	c := Config{Dir: t.TempDir(), Sync: SyncOS, SegmentBytes: 8 << 10, RetainBytes: 64 << 10}
	files := func() (total int64) {
		found, err := filepath.Glob(filepath.Join(c.Dir, "0*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if info, err := os.Stat(path); err == nil {
				total += info.Size()
			}
		}
		return total
	}
	counted := func(l *Log) int64 {
		l.mu.RLock()
		defer l.mu.RUnlock()
		return l.bytes
	}
	l := mustOpen(t, c)
	appendN(t, l, 3000)
	eventually(t, "retention", func() bool { return counted(l) <= 64<<10 && counted(l) == files() })
	mustClose(t, l)
	l = mustOpen(t, c)
	if n := counted(l); n != files() || n < 32<<10 {
		t.Errorf("%d bytes counted, %d in files", n, files())
	}
}

func TestRetentionByAge(t *testing.T) {
	c := Config{Dir: t.TempDir(), Sync: SyncOS, RetainAge: time.Hour}
	l := mustOpen(t, c)
	add := func(age time.Duration) {
		e := crashEvent(0)
		e.Time = time.Now().Add(-age).UnixNano()
		if err := l.Append([]event.Event{e}, false); err != nil {
			t.Fatal(err)
		}
	}
	held := func() uint64 {
		if err := l.Trim(); err != nil {
			t.Fatal(err)
		}
		first, next := l.Bounds()
		return next.Offset - first.Offset
	}
	add(65 * time.Minute)
	add(50 * time.Minute)
	add(0)
	eventually(t, "dropping the old event", func() bool { return held() == 2 })
	add(2 * time.Hour)
	if n := held(); n != 3 {
		t.Errorf("%d events held: an active segment with a young event must stay", n)
	}
	mustClose(t, l)

	c.RetainAge = time.Nanosecond
	l = mustOpen(t, c)
	eventually(t, "dropping everything", func() bool { return held() == 0 })
	_, next := l.Bounds()
	mustClose(t, l)
	l = mustOpen(t, c)
	if _, again := l.Bounds(); again != next {
		t.Errorf("the empty log goes on at %s instead of %s", again, next)
	}
}

// TestReaderKeepsDroppedSegment reads from a segment that retention drops meanwhile.
func TestReaderKeepsDroppedSegment(t *testing.T) {
	l := mustOpen(t, Config{Sync: SyncOS, SegmentBytes: 8 << 10, RetainBytes: 32 << 10})
	appendN(t, l, 500)
	eventually(t, "sealing", func() bool { return l.segments[0].live.Load() == nil })
	s := l.segments[0]
	h, _, err := l.handles.acquire(s)
	if err != nil {
		t.Fatal(err)
	}
	appendN(t, l, 2000)
	eventually(t, "dropping the segment", func() bool { return !l.holds(s) })
	if _, err := os.Stat(s.segPath()); err == nil {
		eventually(t, "removal", func() bool { _, err := os.Stat(s.segPath()); return err != nil })
	}
	r := l.reader(10)
	if next, _, err := r.gather(l, h.file, view{s, s.end, s.size}, segmentHeader, s.base); err != nil || next != s.base+10 {
		t.Fatalf("read to %d, %v", next, err)
	}
	l.handles.release(h)
	if err := h.file.Close(); err == nil {
		t.Error("the last reader left the file open")
	}
	files, err := filepath.Glob(filepath.Join(l.cfg.Dir, "0*"))
	if first, _ := l.Bounds(); err != nil || first.Offset == 0 || len(files) > 40 {
		t.Errorf("first %s, %d files, %v", first, len(files), err)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	l := mustOpen(t, Config{Metrics: registry, Sync: SyncOS})
	appendN(t, l, 3)
	for name, want := range map[string]float64{
		"pulso_disklog_commits_total": 3, "pulso_disklog_events_total": 3, "pulso_disklog_segments": 1,
		"pulso_disklog_first_offset": 0, "pulso_disklog_next_offset": 3, "pulso_disklog_disk_bytes": float64(l.active.size),
	} {
		if got := gathered(t, registry, name); got != want {
			t.Errorf("%s: %v instead of %v", name, got, want)
		}
	}
	if _, err := Open(Config{Dir: t.TempDir(), Metrics: registry}); err == nil {
		t.Error("a second log with the same metrics was opened")
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	mustClose(t, l)
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 0 {
		t.Errorf("%d metrics after Close, %v", n, err)
	}
}

// TestTrimBesideAppend rolls from both sides: batches that fill segments, and retention of events that are too old.
func TestTrimBesideAppend(t *testing.T) {
	l := mustOpen(t, Config{
		Sync: SyncOS, SegmentBytes: 4 << 10, RetainAge: time.Millisecond, RetainBytes: 16 << 10, SyncInterval: time.Millisecond,
	})
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := make(chan struct{})
	defer close(stop)
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := l.Trim(); err != nil {
					t.Errorf("trim: %v", err)
					return
				}
			}
		})
	}
	for i := range 300 {
		batch := make([]event.Event, 40)
		for k := range batch {
			batch[k] = crashEvent(uint64(i*len(batch) + k))
			batch[k].Time -= int64(time.Second)
		}
		if err := l.Append(batch, i%3 == 0); err != nil {
			t.Fatalf("append: %v", err)
		}
	}
	eventually(t, "dropping everything", func() bool {
		first, next := l.Bounds()
		return first == next && next.Offset == 300*40
	})
}
