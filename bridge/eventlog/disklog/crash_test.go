package disklog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// Environment of the test binary when it runs as the process that is killed.
const (
	crashDir  = "DISKLOG_CRASH_DIR"
	crashMode = "DISKLOG_CRASH_SYNC"
)

// crashChild appends until it is killed, if the environment asks for it, and writes the number of events that have been
// acknowledged to its output after each commit.
func crashChild() bool {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return false
	}
	l, err := Open(Config{Dir: dir, Sync: Sync(os.Getenv(crashMode)), SegmentBytes: 32 << 10, RetainBytes: -1})
	if err != nil {
		fmt.Println("error:", err)
		return true
	}
	_, next := l.Bounds()
	for n := next.Offset; ; {
		batch := make([]event.Event, 1+rand.IntN(40))
		for i := range batch {
			batch[i] = crashEvent(n + uint64(i))
		}
		if err := l.Append(batch, rand.IntN(2) == 0); err != nil {
			fmt.Println("error:", err)
			return true
		}
		n += uint64(len(batch))
		fmt.Println(n)
	}
}

// crashEvent is the event at an offset.
func crashEvent(offset uint64) event.Event {
	payload := binary.LittleEndian.AppendUint64(nil, offset)
	for range offset % 50 {
		payload = append(payload, byte(offset))
	}
	return event.Event{Topic: fmt.Sprint("t", offset%7), Time: time.Now().UnixNano(), Payload: payload}
}

func TestKilledProcessLosesNothing(t *testing.T) {
	for _, mode := range []Sync{SyncOS, SyncFsync} {
		t.Run(string(mode), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			var start event.Position
			for range 5 {
				acknowledged := killWhileAppending(t, dir, mode)
				l := mustOpen(t, Config{Dir: dir, Sync: mode, RetainBytes: -1})
				first, next := l.Bounds()
				if start.IsZero() {
					start = first
				}
				if first != start || next.Epoch != start.Epoch || l.Recovery().NewEpoch {
					t.Fatalf("bounds %s and %s, the log began at %s", first, next, start)
				}
				if next.Offset < acknowledged {
					t.Fatalf("%d events acknowledged, %d in the log", acknowledged, next.Offset)
				}
				checkCrashEvents(t, l, first, next)
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// killWhileAppending runs the child for a random while, kills it and returns how many events it knew to be stored.
func killWhileAppending(t *testing.T, dir string, mode Sync) (acknowledged uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir, crashMode+"="+string(mode))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	kill := 20 + rand.IntN(200)
	for n := 0; lines.Scan(); n++ {
		if acknowledged, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Fatalf("child: %s", lines.Text())
		}
		if n == kill {
			time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, func() { _ = child.Process.Kill() })
		}
	}
	_ = child.Wait()
	return acknowledged
}

func checkCrashEvents(t *testing.T, l *Log, at, end event.Position) {
	t.Helper()
	for at != end {
		events, err := l.Read(at, 500)
		if err != nil || len(events) == 0 {
			t.Fatalf("read at %s: %d events, %v", at, len(events), err)
		}
		for i := range events {
			want := crashEvent(at.Offset)
			if events[i].Position != at || events[i].Topic != want.Topic || !bytes.Equal(events[i].Payload, want.Payload) {
				t.Fatalf("at %s: %+v", at, events[i])
			}
			at = events[i].Next()
		}
	}
	if end.Offset < 8 {
		return
	}
	last, err := l.Last("t3", end, 1)
	if err != nil || len(last) != 1 || end.Offset-last[0].Position.Offset > 7 {
		t.Fatalf("last: %v, %v", last, err)
	}
}

func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, Config{Dir: dir})
	if _, err := Open(Config{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Fatalf("second opening: %v", err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir, crashMode+"="+string(SyncOS))
	out, err := child.Output()
	want := fmt.Sprintf("error: open log in %s: %s\n", dir, ErrLocked)
	if err != nil || string(out) != want {
		t.Fatalf("another process: %q, %v", out, err)
	}
}

// writeLog makes a log with one event a batch and returns the folder, the events and the path of its only segment.
func writeLog(t *testing.T, n int) (dir, segment string, events []event.Event) {
	t.Helper()
	dir = quickDir(t)
	l := mustOpen(t, Config{Dir: dir, Sync: SyncOS})
	for i := range n {
		batch := []event.Event{crashEvent(uint64(i))}
		if err := l.Append(batch, false); err != nil {
			t.Fatal(err)
		}
		events = append(events, batch...)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, l.active.segPath(), events
}

// reopened checks that a log opens and holds the events up to some number of them, which it returns, and goes on.
func reopened(t *testing.T, dir string, events []event.Event) (held int, r Recovery) {
	t.Helper()
	l, err := Open(Config{Dir: dir, Sync: SyncOS})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	got, err := l.Read(event.Position{Epoch: l.identity.Epochs[0].Epoch}, len(events)+1)
	if _, trimmed := errors.AsType[*eventlog.TrimmedError](err); err != nil && !trimmed {
		t.Fatalf("read: %v", err)
	}
	if len(got) > len(events) {
		t.Fatalf("%d events instead of %d", len(got), len(events))
	}
	for i := range got {
		if got[i].Position.Offset != uint64(i) || !bytes.Equal(got[i].Payload, events[i].Payload) {
			t.Fatalf("event %d: %+v", i, got[i])
		}
	}
	batch := []event.Event{crashEvent(7)}
	if err := l.Append(batch, false); err != nil {
		t.Fatalf("append: %v", err)
	}
	if again, err := l.Read(batch[0].Position, 10); err != nil || len(again) != 1 {
		t.Fatalf("read what was appended: %d, %v", len(again), err)
	}
	return len(got), l.Recovery()
}

// places returns where the records of a segment's file begin, and its end.
func places(t *testing.T, data []byte) []int {
	t.Helper()
	var all []int
	at := segmentHeader
	for at < len(data) {
		all = append(all, at)
		n, _, err := peek(data[at:])
		if err != nil {
			t.Fatal(err)
		}
		at += n
	}
	return append(all, at)
}

// wholeBefore is the number of records that end at or before a place.
func wholeBefore(places []int, at int) int {
	n := 0
	for n+1 < len(places) && places[n+1] <= at {
		n++
	}
	return n
}

func TestTornAtEachOffset(t *testing.T) {
	const n = 4
	dir, segment, events := writeLog(t, n)
	data, identity := readFile(t, segment), readFile(t, filepath.Join(dir, identityName))
	at := places(t, data)
	for size := range data {
		clearLog(t, dir, identity)
		writeFile(t, segment, data[:size])
		held, r := reopened(t, dir, events)
		if want := wholeBefore(at, size); held != want {
			t.Fatalf("cut to %d bytes: %d events instead of %d", size, held, want)
		}
		if !r.NewEpoch {
			t.Fatalf("cut to %d bytes after a clean close: no new epoch", size)
		}
	}
}

func TestFlippedAtEachOffset(t *testing.T) {
	const n = 4
	dir, segment, events := writeLog(t, n)
	data, identity := readFile(t, segment), readFile(t, filepath.Join(dir, identityName))
	at := places(t, data)
	for i := range data {
		clearLog(t, dir, identity)
		data[i] ^= 1 << (i % 8)
		writeFile(t, segment, data)
		data[i] ^= 1 << (i % 8)
		held, r := reopened(t, dir, events)
		if i < segmentHeader {
			if held != n || !r.HeaderRepaired {
				t.Fatalf("byte %d of the header: %d events, %+v", i, held, r)
			}
			continue
		}
		if want := wholeBefore(at, i); held != want || r.Cut != int64(len(data)-at[want]) || !r.NewEpoch {
			t.Fatalf("byte %d: %d events instead of %d, %+v", i, held, want, r)
		}
	}
}

// clearLog brings a folder back to an identity and no segments.
func clearLog(t *testing.T, dir string, identity []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "0*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, identityName), identity)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
