package disklog

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/logtest"
)

func TestMain(m *testing.M) {
	if crashChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// quickDir returns a folder in memory where there is one, for tests that open a log a thousand times.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "disklog") //nolint:usetesting // t.TempDir is on the disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func mustOpen(t testing.TB, c Config) *Log {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	l, err := Open(c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestConformance(t *testing.T) {
	for name, c := range map[string]Config{
		"defaults":    {},
		"small files": {Sync: SyncOS, SegmentBytes: 4 << 10, RetainBytes: -1, walkFirst: 1},
	} {
		t.Run(name, func(t *testing.T) {
			small := c
			small.SegmentBytes, small.RetainBytes = 8<<10, logtest.SmallBytes
			logtest.Run(t, logtest.Engine{
				New: func(t *testing.T) eventlog.Log {
					fresh := c
					if c.Sync == SyncOS {
						fresh.Dir = quickDir(t)
					}
					return mustOpen(t, fresh)
				},
				Small: func(t *testing.T) eventlog.Log { return mustOpen(t, small) },
				Reopen: func(t *testing.T, closed eventlog.Log) eventlog.Log {
					again := c
					if l, ok := closed.(*Log); ok {
						again.Dir = l.cfg.Dir
					}
					return mustOpen(t, again)
				},
			})
		})
	}
}
