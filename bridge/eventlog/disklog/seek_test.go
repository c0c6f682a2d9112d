package disklog_test

import (
	"fmt"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/disklog"
	"pulso/bridge/eventlog/memlog"
)

// Where a time is in the log is found over segments, in both engines.
func TestSeek(t *testing.T) {
	onDisk, err := disklog.Open(disklog.Config{Dir: t.TempDir(), SegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	inMemory, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, log := range map[string]eventlog.Log{"disk": onDisk, "memory": inMemory} {
		begin := time.Now().Add(-time.Hour).Truncate(time.Second)
		at := func(n int) time.Time { return begin.Add(time.Duration(n) * 100 * time.Millisecond) }
		const count = 2000
		for n := range count {
			e := event.Event{Time: at(n).UnixNano(), Topic: "t", Payload: fmt.Appendf(nil, "%0200d", n)}
			if err := log.Append([]event.Event{e}, false); err != nil {
				t.Fatal(err)
			}
		}
		first, next := log.Bounds()
		for _, n := range []int{0, 1, 2, 777, 1234, count - 2, count - 1} {
			for _, early := range []time.Duration{0, time.Millisecond} {
				got, err := eventlog.Seek(log, at(n).Add(-early))
				if err != nil || got.Offset != first.Offset+uint64(n) {
					t.Errorf("%s: event %d, %v earlier: %s: %v", name, n, early, got, err)
				}
			}
		}
		if got, err := eventlog.Seek(log, time.Unix(1, 0)); err != nil || got != first {
			t.Errorf("%s: before the first: %s: %v", name, got, err)
		}
		if got, err := eventlog.Seek(log, time.Now()); err != nil || got != next {
			t.Errorf("%s: after the last: %s, want %s: %v", name, got, next, err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}
}
