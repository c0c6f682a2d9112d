package disklog

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// TestScanReadsWhatIsWanted counts: segments without a wanted topic are not read, and of another only the records wanted.
// want is asked once for each topic of a segment. The short last one is read.
func TestScanReadsWhatIsWanted(t *testing.T) {
	disk := &faulty{}
	l := mustOpen(t, Config{Sync: SyncOS, SegmentBytes: 1 << 20, RetainBytes: -1, open: disk.openFile})
	const topics = 3000
	for n := 0; len(l.segments) < 5; n += 1000 {
		batch := make([]event.Event, 1000)
		for i := range batch {
			batch[i] = crashEvent(uint64(n + i))
			batch[i].Topic = fmt.Sprint("t", (n+i)%topics)
		}
		if n == 10_000 {
			batch[500].Topic = "rare"
		}
		if err := l.Append(batch, false); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "sealing", func() bool { return l.segments[3].live.Load() == nil })
	for topic, want := range map[string]int{"nothing": 0, "rare": 1} {
		var before, after int
		disk.set(func(d *faulty) { before = d.reads })
		asked, found := 0, 0
		for at, next := l.Bounds(); at != next; {
			events, to, err := l.Scan(at, func(t string) bool { asked++; return t == topic }, 100)
			if err != nil {
				t.Fatal(err)
			}
			found, at = found+len(events), to
		}
		disk.set(func(d *faulty) { after = d.reads })
		if found != want || after-before > 3+want || asked > len(l.segments)*(topics+1) {
			t.Errorf("%s: %d found, %d readings, asked %d times", topic, found, after-before, asked)
		}
	}
}

// TestScanIsBounded sees that a call returns though nothing is found in many segments.
func TestScanIsBounded(t *testing.T) {
	l := mustOpen(t, Config{Sync: SyncOS, SegmentBytes: 4 << 10, RetainBytes: -1})
	for i := range 200 {
		batch := make([]event.Event, 100)
		for k := range batch {
			batch[k] = crashEvent(uint64(100*i + k))
			batch[k].Payload = append(batch[k].Payload, make([]byte, 20)...)
		}
		if err := l.Append(batch, false); err != nil {
			t.Fatal(err)
		}
	}
	first, next := l.Bounds()
	found, to, err := l.Scan(first, func(string) bool { return false }, 100)
	if err != nil || len(found) != 0 || to.Offset < 10_000 || to.Offset > next.Offset {
		t.Errorf("%d found up to %s, %v", len(found), to, err)
	}
	for _, want := range []bool{true, false} {
		events := 0
		for at := first; at != next; {
			found, to, err := l.Scan(at, func(string) bool { return want }, 1<<30)
			if err != nil || to.Offset <= at.Offset || len(found) > scanWork {
				t.Fatalf("%d found from %s to %s, %v", len(found), at, to, err)
			}
			events, at = events+len(found), to
		}
		if want && events != 20_000 || !want && events != 0 {
			t.Errorf("%d events", events)
		}
	}
}

// TestManySegments opens and reads a log of more segments than are kept open.
func TestManySegments(t *testing.T) {
	c := Config{Dir: t.TempDir(), Sync: SyncOS, SegmentBytes: 4 << 10, RetainBytes: -1}
	l := mustOpen(t, c)
	appendN(t, l, maxHandles*70)
	if n, gaps := readThrough(t, l); n != maxHandles*70 || gaps != 0 || len(l.segments) < maxHandles+10 {
		t.Fatalf("%d events, %d gaps, %d segments", n, gaps, len(l.segments))
	}
	mustClose(t, l)
	var said bytes.Buffer
	c.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
	l = mustOpen(t, c)
	if n, gaps := readThrough(t, l); n != maxHandles*70 || gaps != 0 || said.Len() > 0 {
		t.Fatalf("%d events, %d gaps, said: %s", n, gaps, said.String())
	}
}

// TestScanOfATrimmedLog says where what is held begins.
func TestScanOfATrimmedLog(t *testing.T) {
	l := mustOpen(t, Config{Sync: SyncOS, SegmentBytes: 8 << 10, RetainBytes: 32 << 10})
	start, _ := l.Bounds()
	appendN(t, l, 2000)
	eventually(t, "retention", func() bool { first, _ := l.Bounds(); return first.Offset > 0 })
	_, _, err := l.Scan(start, func(string) bool { return true }, 10)
	if trimmed, ok := errors.AsType[*eventlog.TrimmedError](err); !ok || trimmed.Damaged || trimmed.First.Offset == 0 {
		t.Errorf("scan: %v", err)
	}
}
