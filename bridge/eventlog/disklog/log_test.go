package disklog

import (
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
				New:   func(t *testing.T) eventlog.Log { return mustOpen(t, c) },
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
