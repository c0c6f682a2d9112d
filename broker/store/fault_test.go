package store

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func faultyStore(t *testing.T, c Config) (*Store, *disk) {
	t.Helper()
	c.Path = newPath(t)
	c.vfs = faultyVFS
	d := newDisk(t, filepath.Dir(c.Path))
	s := mustOpen(t, c)
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return s, d
}

// copied opens what a store has left on the disk under another name, as another process would.
func copied(t *testing.T, s *Store) *Store {
	t.Helper()
	c := mustOpen(t, Config{Path: writeFiles(t, readFiles(t, s.path))})
	t.Cleanup(func() { mustClose(t, c) })
	return c
}

// TestFull: without room nothing of a batch is stored, and the store goes on by itself when there is room again.
func TestFull(t *testing.T) {
	for name, keep := range map[string]int{"nothing written": 0, "short write": 100, "all but a byte": 4095} {
		for _, after := range []int{0, 2, 20} {
			s, d := faultyStore(t, Config{Sync: true, maxUnwritten: 20})
			for n := 1; n <= 10; n++ {
				mustCommit(t, s, numbered(n))
			}
			left := after
			d.set(func(d *disk) {
				d.fault = func(call, _ string) (int, int) {
					if left--; call == "write" && left < 0 {
						return codeFull, keep
					}
					return 0, 0
				}
			})
			stored, failed := 10, 0
			for failed < 3 {
				switch err := s.Commit(t.Context(), numbered(stored+1)); {
				case err == nil:
					stored++
				case errors.Is(err, ErrFull) && !errors.Is(err, ErrFailed):
					failed++
				default:
					t.Fatalf("%s: %v", name, err)
				}
				mustHold(t, s, numberedState(stored))
			}
			mustHold(t, copied(t, s), numberedState(stored))
			if s.Err() != nil {
				t.Fatalf("%s: %v", name, s.Err())
			}
			d.set(func(d *disk) { d.fault = nil })
			for range 50 {
				stored++
				mustCommit(t, s, numbered(stored))
			}
			mustHold(t, copied(t, s), numberedState(stored))
			mustClose(t, s)
		}
	}
}

// TestFailure: after an error whose outcome is unknown the store takes nothing more, writes nothing more, and what it
// leaves has all that was committed before.
func TestFailure(t *testing.T) {
	for name, test := range map[string]struct {
		call, file string
		code       int
		sync       bool
	}{
		"write":                       {"write", "wal", ioWrite, false},
		"fsync":                       {"sync", "wal", ioFsync, true},
		"fsync before writing back":   {"sync", "wal", ioFsync, false},
		"writing back":                {"write", "db", ioWrite, true},
		"fsync after writing back":    {"sync", "db", ioFsync, true},
		"fsync after writing back, 2": {"sync", "db", ioFsync, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := prometheus.NewRegistry()
			s, d := faultyStore(t, Config{Sync: test.sync, maxUnwritten: 30, Metrics: r})
			stored := 0
			for stored < 3 {
				stored++
				mustCommit(t, s, numbered(stored))
			}
			d.set(func(d *disk) {
				failed := false
				d.fault = func(call, file string) (int, int) {
					if !failed && call == test.call && file == test.file {
						failed = true // the system tells it once
						return test.code, 10
					}
					return 0, 0
				}
			})
			var err error
			for err == nil && stored < 1000 {
				if err = s.Commit(t.Context(), numbered(stored+1)); err == nil {
					stored++
				}
			}
			if !errors.Is(err, ErrFailed) || !errors.Is(s.Err(), ErrFailed) {
				t.Fatalf("commit: %v, the store says %v", err, s.Err())
			}
			d.set(func(d *disk) { d.fault, d.record = nil, true })
			if err := s.Commit(t.Context(), numbered(stored+1)); !errors.Is(err, ErrFailed) {
				t.Fatalf("commit after the failure: %v", err)
			}
			if n := testutil.ToFloat64(s.metrics.errors.WithLabelValues(reasonFailed)); n < 1 {
				t.Errorf("%v failures counted", n)
			}
			mustClose(t, s)
			if n := d.happened(); n > 0 {
				t.Errorf("%d writes and syncs after the failure", n)
			}
			c := copied(t, s)
			at, err := c.Load(t.Context(), Loader{})
			if n := int(at.Offset); err != nil || n != stored && n != stored+1 {
				t.Fatalf("%d were stored, %d are there, %v", stored, n, err)
			}
			mustHold(t, c, numberedState(int(at.Offset)))
			mustCommit(t, c, numbered(int(at.Offset)+1))
		})
	}
}

// TestPowerLoss commits with a disk that remembers all it is told to do, and looks at what it may hold if the power fails
// at any time: what was synced, and any of the sectors that were written after.
func TestPowerLoss(t *testing.T) {
	for name, sync := range map[string]bool{"fsync": true, "os": false} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			mustClose(t, mustOpen(t, Config{Path: path}))
			base := readFiles(t, path)
			d := newDisk(t, filepath.Dir(path))
			d.set(func(d *disk) { d.record = true })
			s := mustOpen(t, Config{Path: path, Sync: sync, maxUnwritten: 25, vfs: faultyVFS})
			// done are the ops that had happened when a batch had been committed.
			done := []int{0}
			for n := 1; n <= 25; n++ {
				mustCommit(t, s, numbered(n))
				done = append(done, d.happened())
			}
			mustClose(t, s)

			rounds := 50
			if testing.Short() {
				rounds = 25
			}
			lost := 0
			for range rounds {
				cut := rand.IntN(len(d.ops) + 1)
				odds := []float64{0, 0.1, 0.5, 0.9, 1}[rand.IntN(5)]
				files := image(base, d.ops[:cut], func() bool { return rand.Float64() < odds })
				c := mustOpen(t, Config{Path: writeFiles(t, files)})
				at, err := c.Load(t.Context(), Loader{})
				n := int(at.Offset)
				if err != nil {
					t.Fatalf("after %d of %d ops: %v", cut, len(d.ops), err)
				}
				committed := 0
				for committed+1 < len(done) && done[committed+1] <= cut {
					committed++
				}
				if n > committed+1 || sync && n < committed {
					t.Fatalf("after %d of %d ops %d batches were committed, and %d are there", cut, len(d.ops), committed, n)
				}
				lost += max(0, committed-n)
				mustHold(t, c, numberedState(n))
				mustCommit(t, c, numbered(n+1))
				mustHold(t, c, numberedState(n+1))
				mustClose(t, c)
			}
			t.Logf("%d ops, %d times power lost, %.1f batches lost at a time", len(d.ops), rounds, float64(lost)/float64(rounds))
			if !sync && lost == 0 {
				t.Error("nothing was ever lost without fsync: the disk loses nothing")
			}
		})
	}
}
