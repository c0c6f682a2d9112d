package disklog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// TestFullDiskIsNoFailure lets the disk be full for a while: what is refused leaves nothing, and then the log goes on.
func TestFullDiskIsNoFailure(t *testing.T) {
	for name, fault := range map[string]func(*faulty){
		"nothing written": func(d *faulty) { d.write = syscall.ENOSPC },
		"some written":    func(d *faulty) { d.write, d.keep = fmt.Errorf("write: %w", syscall.ENOSPC), 150 },
		"quota":           func(d *faulty) { d.write, d.keep = syscall.EDQUOT, 1 },
		"no new file":     func(d *faulty) { d.open = syscall.ENOSPC },
		"half a header":   func(d *faulty) { d.write, d.keep = syscall.ENOSPC, 10 },
	} {
		for _, durable := range []bool{true, false} {
			t.Run(fmt.Sprint(name, durable), func(t *testing.T) {
				disk := &faulty{}
				metrics := prometheus.NewRegistry()
				c := Config{Dir: filepath.Join(t.TempDir(), "log"), open: disk.openFile, Metrics: metrics, SegmentBytes: 8 << 10}
				l := mustOpen(t, c)
				appendN(t, l, 10)
				first, next := l.Bounds()
				batch := make([]event.Event, 20)
				for i := range batch {
					batch[i] = crashEvent(10 + uint64(i))
				}
				if name == "no new file" || name == "half a header" {
					appendN(t, l, 107) // the next batch is of a new segment
					_, next = l.Bounds()
					for i := range batch {
						batch[i] = crashEvent(next.Offset + uint64(i))
					}
				}
				files := segmentFiles(t, c.Dir)
				disk.set(fault)
				for range 3 {
					err := l.Append(batch, durable)
					if !errors.Is(err, eventlog.ErrFull) || errors.Is(err, eventlog.ErrFailed) {
						t.Fatalf("append: %v", err)
					}
					if err := l.Err(); !errors.Is(err, eventlog.ErrFull) {
						t.Fatalf("the log says: %v", err)
					}
					if f, n := l.Bounds(); f != first || n != next {
						t.Fatalf("bounds: %s and %s instead of %s and %s", f, n, first, next)
					}
					if n, gaps := readThrough(t, l); n != int(next.Offset) || gaps != 0 {
						t.Fatalf("%d events, %d gaps", n, gaps)
					}
					if now := segmentFiles(t, c.Dir); !bytes.Equal(now, files) {
						t.Fatalf("the files have changed: %d bytes, %d before", len(now), len(files))
					}
				}
				if full, ok := gathered(t, metrics, "pulso_disklog_no_room_total"), gathered(t, metrics, "pulso_disklog_writable"); full != 3 || ok != 0 {
					t.Errorf("%v times no room, writable %v", full, ok)
				}
				disk.set(func(d *faulty) { d.write, d.open = nil, nil })
				if err := l.Append(batch, durable); err != nil || l.Err() != nil {
					t.Fatalf("append with room: %v, the log says %v", err, l.Err())
				}
				held := int(next.Offset) + len(batch)
				if n, gaps := readThrough(t, l); n != held || gaps != 0 || gathered(t, metrics, "pulso_disklog_writable") != 1 {
					t.Fatalf("%d events instead of %d, %d gaps", n, held, gaps)
				}
				mustClose(t, l)
				c.Metrics = nil
				l = mustOpen(t, c)
				if n, gaps := readThrough(t, l); n != held || gaps != 0 || l.Recovery().Cut != 0 {
					t.Fatalf("another opening: %d events, %d gaps, %+v", n, gaps, l.Recovery())
				}
			})
		}
	}
}

// segmentFiles returns the names and contents of all segments.
func segmentFiles(t *testing.T, dir string) (all []byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentExt))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		all = append(append(all, p...), readFile(t, p)...)
	}
	return all
}

// TestOpeningWithoutRoom opens a log on a file system that is really full.
func TestOpeningWithoutRoom(t *testing.T) {
	mount := smallDisk(t, 4<<20)
	c := Config{Dir: filepath.Join(mount, "log"), SegmentBytes: 256 << 10, RetainBytes: -1, SyncInterval: 10 * time.Millisecond}
	l := mustOpen(t, c)
	appendN(t, l, 12_000)
	eventually(t, "sealing", func() bool { return l.segments[1].live.Load() == nil })
	mustClose(t, l)
	// A crash before an index was written, and a disk that is full since.
	if err := os.Remove(l.segments[0].topicsPath()); err != nil {
		t.Fatal(err)
	}
	rewriteIdentity(t, c.Dir, func(id *identity) { id.Clean, id.Next = false, 0 })
	free := fillDisk(t, mount)

	l = mustOpen(t, c)
	if n, gaps := readThrough(t, l); n != 12_000 || gaps != 0 {
		t.Fatalf("%d events, %d gaps", n, gaps)
	}
	if last, err := l.Last("t3", event.Position{}, 20_000); err != nil || len(last) != 1714 {
		t.Errorf("last: %d events, %v", len(last), err)
	}
	if err := l.Err(); !errors.Is(err, eventlog.ErrFull) {
		t.Errorf("the log says: %v", err)
	}
	batch := []event.Event{crashEvent(12_000)}
	for range 3 {
		if err := l.Append(batch, true); !errors.Is(err, eventlog.ErrFull) {
			t.Fatalf("append: %v", err)
		}
	}
	mustClose(t, l)
	l = mustOpen(t, c)
	free()
	eventually(t, "finding room", func() bool { return l.Err() == nil })
	if err := l.Append(batch, true); err != nil {
		t.Fatalf("append: %v", err)
	}
	mustClose(t, l)
	l = mustOpen(t, c)
	if n, gaps := readThrough(t, l); n != 12_001 || gaps != 0 || !l.recovery.empty() {
		t.Errorf("%d events, %d gaps, %+v", n, gaps, l.Recovery())
	}
}

func (r *Recovery) empty() bool { return r.Cut == 0 && r.Gaps == 0 && !r.NewEpoch && r.Missing == 0 }

// TestIndexesAreWrittenLater has no way to write the index of a segment that ends, and then has one.
func TestIndexesAreWrittenLater(t *testing.T) {
	l := mustOpen(t, Config{Sync: SyncOS, SegmentBytes: 8 << 10, RetainBytes: -1})
	s := l.segments[0]
	obstacle := filepath.Join(s.topicsPath()+tmpSuffix, "x")
	if err := os.MkdirAll(obstacle, 0o750); err != nil {
		t.Fatal(err)
	}
	appendN(t, l, 500)
	eventually(t, "sealing the second", func() bool { return l.segments[1].live.Load() == nil })
	if s.live.Load() == nil {
		t.Fatal("the first is sealed")
	}
	if err := os.RemoveAll(filepath.Dir(obstacle)); err != nil {
		t.Fatal(err)
	}
	l.sealLeft()
	if _, err := os.Stat(s.topicsPath()); err != nil || s.live.Load() != nil {
		t.Errorf("not sealed: %v", err)
	}
	if n, gaps := readThrough(t, l); n != 500 || gaps != 0 {
		t.Errorf("%d events, %d gaps", n, gaps)
	}
}

// TestRealFullDisk appends to a small disk until it is full, makes room, and goes on.
func TestRealFullDisk(t *testing.T) {
	mount := smallDisk(t, 2<<20)
	c := Config{Dir: filepath.Join(mount, "log"), SegmentBytes: 128 << 10, RetainBytes: -1}
	l := mustOpen(t, c)
	ballast := filepath.Join(mount, "ballast")
	writeFile(t, ballast, make([]byte, 512<<10))
	next, full := uint64(0), 0
	for full < 100 {
		batch := make([]event.Event, 1+next%37)
		for i := range batch {
			batch[i] = crashEvent(next + uint64(i))
		}
		err := l.Append(batch, next%3 > 0)
		switch {
		case err == nil:
			next += uint64(len(batch))
		case !errors.Is(err, eventlog.ErrFull) || errors.Is(err, eventlog.ErrFailed):
			t.Fatalf("append: %v", err)
		default:
			if full++; full == 50 {
				if err := os.Remove(ballast); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if n, gaps := readThrough(t, l); uint64(n) != next || gaps != 0 || n < 15_000 {
		t.Fatalf("%d events of %d, %d gaps", n, next, gaps)
	}
	mustClose(t, l)
	l = mustOpen(t, c)
	if n, gaps := readThrough(t, l); uint64(n) != next || gaps != 0 || !l.recovery.empty() {
		t.Fatalf("another opening: %d events of %d, %d gaps, %+v", n, next, gaps, l.Recovery())
	}
}

// smallDisk mounts a file system in memory of a size in bytes. The test is skipped where that is not permitted, but not
// in continuous integration.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := mountMemory(dir, size); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no small disk can be mounted: %v", err)
		}
		t.Skipf("no small disk can be mounted, which needs root on Linux: %v", err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fillDisk takes all room of a file system and returns what gives it back.
func fillDisk(t *testing.T, mount string) (free func()) {
	t.Helper()
	path := filepath.Join(mount, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
