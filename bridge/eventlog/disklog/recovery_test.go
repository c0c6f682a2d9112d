package disklog

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// rewriteIdentity changes the identity of a closed log.
func rewriteIdentity(t *testing.T, dir string, change func(*identity)) {
	t.Helper()
	path := filepath.Join(dir, identityName)
	var id identity
	if err := json.Unmarshal(readFile(t, path), &id); err != nil {
		t.Fatal(err)
	}
	change(&id)
	data, err := id.encode()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, data)
}

func appendN(t *testing.T, l *Log, n int) {
	t.Helper()
	_, next := l.Bounds()
	for i := range uint64(n) {
		if err := l.Append([]event.Event{crashEvent(next.Offset + i)}, false); err != nil {
			t.Fatalf("append: %v", err)
		}
	}
}

func mustClose(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func TestPowerLossBeginsAnEpoch(t *testing.T) {
	c := Config{Dir: t.TempDir(), Sync: SyncOS}
	l := mustOpen(t, c)
	first, _ := l.Bounds()
	appendN(t, l, 10)
	mustClose(t, l)
	crash := func(boot string) func(*identity) {
		return func(id *identity) { id.Clean, id.Boot, id.Next = false, boot, 0 }
	}

	rewriteIdentity(t, c.Dir, crash(bootID()))
	l = mustOpen(t, c)
	if _, next := l.Bounds(); next.Epoch != first.Epoch && bootID() != "" {
		t.Fatal("the end of a process began a new epoch")
	}
	mustClose(t, l)

	rewriteIdentity(t, c.Dir, crash("another"))
	l = mustOpen(t, c)
	_, second := l.Bounds()
	if second.Epoch == first.Epoch || second.Offset != 10 || !l.Recovery().NewEpoch {
		t.Fatalf("after loss of power the log goes on at %s, it began at %s", second, first)
	}
	appendN(t, l, 5)
	mustClose(t, l)
	rewriteIdentity(t, c.Dir, crash(""))
	l = mustOpen(t, c)
	appendN(t, l, 5)
	_, end := l.Bounds()

	at := func(epoch, offset uint64) event.Position { return event.Position{Epoch: epoch, Offset: offset} }
	for _, good := range []event.Position{first, at(first.Epoch, 10), second, at(second.Epoch, 15), at(end.Epoch, 15), end} {
		events, err := l.Read(good, 100)
		if err != nil || uint64(len(events)) != 20-good.Offset {
			t.Errorf("read from %s: %d events, %v", good, len(events), err)
		}
	}
	for _, bad := range []event.Position{at(first.Epoch, 11), at(second.Epoch, 9), at(second.Epoch, 16), at(end.Epoch, 14), at(end.Epoch, 21)} {
		if _, err := l.Read(bad, 100); !errors.Is(err, eventlog.ErrEpoch) {
			t.Errorf("read from %s: %v", bad, err)
		}
	}
	events, err := l.Read(first, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]uint64{0: first.Epoch, 9: first.Epoch, 10: second.Epoch, 14: second.Epoch, 15: end.Epoch} {
		if events[i].Position.Epoch != want {
			t.Errorf("event %d is at %s", i, events[i].Position)
		}
	}
}

// TestCutEnd opens a log after its process was killed in the midst of a write, and after bytes of its end have changed.
func TestCutEnd(t *testing.T) {
	if bootID() == "" {
		t.Skip("this system has no boot id")
	}
	for name, test := range map[string]struct {
		damage func(t *testing.T, segment string)
		fresh  bool // a new epoch begins
	}{
		"torn":    {func(t *testing.T, s string) { writeFile(t, s, readFile(t, s)[:len(readFile(t, s))-1]) }, false},
		"changed": {func(t *testing.T, s string) { flip(t, s, len(readFile(t, s))-1) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, segment, events := writeLog(t, 5)
			rewriteIdentity(t, dir, func(id *identity) { id.Clean, id.Next = false, 0 })
			test.damage(t, segment)
			held, r := reopened(t, dir, events)
			if held != 4 || r.Cut == 0 || r.NewEpoch != test.fresh {
				t.Errorf("%d events, %+v", held, r)
			}
		})
	}
}

func TestRestoredCopyBeginsAnEpoch(t *testing.T) {
	dir, _, _ := writeLog(t, 3)
	c := Config{Dir: filepath.Join(t.TempDir(), "copy")}
	if err := os.CopyFS(c.Dir, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, Config{Dir: dir})
	appendN(t, l, 5)
	_, gone := l.Bounds()
	if err := MarkRestored(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("an open log: %v", err)
	}
	if err := MarkRestored(t.TempDir()); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	if err := MarkRestored(c.Dir); err != nil {
		t.Fatal(err)
	}
	restored := mustOpen(t, c)
	appendN(t, restored, 10)
	if _, err := restored.Read(gone, 1); !errors.Is(err, eventlog.ErrEpoch) {
		t.Errorf("a position after the copy was made: %v", err)
	}
	if n, gaps := readThrough(t, restored); n != 13 || gaps != 0 {
		t.Errorf("%d events, %d gaps", n, gaps)
	}
}

// sealedLog returns a closed log with several sealed segments, its events, and the segments' paths.
func sealedLog(t *testing.T) (c Config, count int, segments []string) {
	t.Helper()
	c = Config{Dir: t.TempDir(), Sync: SyncOS, SegmentBytes: 32 << 10, RetainBytes: -1}
	l := mustOpen(t, c)
	const n = 2000
	appendN(t, l, n)
	mustClose(t, l)
	segments, err := filepath.Glob(filepath.Join(c.Dir, "*"+segmentExt))
	if err != nil || len(segments) < 4 {
		t.Fatalf("%d segments, %v", len(segments), err)
	}
	return c, n, segments
}

// readThrough reads a whole log, over gaps, and returns how many events there are and how many gaps.
func readThrough(t *testing.T, l *Log) (events, gaps int) {
	t.Helper()
	at, end := l.Bounds()
	for at.Offset < end.Offset {
		got, err := l.Read(at, 100)
		if trimmed, ok := errors.AsType[*eventlog.TrimmedError](err); ok {
			if trimmed.First.Offset <= at.Offset {
				t.Fatalf("%v leads nowhere", err)
			}
			if !trimmed.Damaged || !strings.Contains(err.Error(), "damage") {
				t.Errorf("a gap within the log: %v", err)
			}
			at, gaps = trimmed.First, gaps+1
			continue
		}
		if err != nil || len(got) == 0 {
			t.Fatalf("read at %s: %d events, %v", at, len(got), err)
		}
		for i := range got {
			if got[i].Position.Offset != at.Offset || !bytes.Equal(got[i].Payload, crashEvent(at.Offset).Payload) {
				t.Fatalf("at %s: %+v", at, got[i])
			}
			at = got[i].Next()
		}
		events += len(got)
	}
	return events, gaps
}

func TestIndexesAreBuiltAnew(t *testing.T) {
	c, count, segments := sealedLog(t)
	index := func(i int, ext string) string { return strings.TrimSuffix(segments[i], segmentExt) + ext }
	for name, damage := range map[string]func(){
		"offsets missing": func() { _ = os.Remove(index(0, offsetsExt)) },
		"topics missing":  func() { _ = os.Remove(index(1, topicsExt)) },
		"offsets flipped": func() { flip(t, index(0, offsetsExt), offsetsHeader+3) },
		"offsets cut":     func() { writeFile(t, index(2, offsetsExt), readFile(t, index(2, offsetsExt))[:70]) },
		"topics' header":  func() { flip(t, index(1, topicsExt), topicsFixed+100) },
		"topics empty":    func() { writeFile(t, index(1, topicsExt), nil) },
		"topics older":    func() { olderIndex(t, index(0, topicsExt)) },
		"topics' bucket":  func() { flipTable(t, index(1, topicsExt)) },
		"topics' places":  func() { flip(t, index(1, topicsExt), len(readFile(t, index(1, topicsExt)))-3) },
	} {
		t.Run(name, func(t *testing.T) {
			damage()
			l := mustOpen(t, c)
			defer mustClose(t, l)
			if n, gaps := readThrough(t, l); n != count || gaps != 0 {
				t.Errorf("%d events, %d gaps", n, gaps)
			}
			for i := range 7 {
				topic := fmt.Sprint("t", i)
				last, err := l.Last(topic, event.Position{}, count)
				if want := (count - i + 6) / 7; err != nil || len(last) != want {
					t.Errorf("%s: %d events instead of %d, %v", topic, len(last), want, err)
				}
			}
		})
	}
}

// flip changes one byte of a file.
func flip(t *testing.T, path string, at int) {
	t.Helper()
	data := readFile(t, path)
	data[at] ^= 0x10
	writeFile(t, path, data)
}

// olderIndex gives a topic index the version before this one.
func olderIndex(t *testing.T, path string) {
	t.Helper()
	data := readFile(t, path)
	data[atVersion]--
	binary.LittleEndian.PutUint32(data[atTopicsCRC:], crc32.Checksum(data[:atTopicsCRC], castagnoli))
	writeFile(t, path, data)
}

// flipTable changes each hash in a topic index.
func flipTable(t *testing.T, path string) {
	t.Helper()
	data := readFile(t, path)
	for i := range 7 {
		data[topicsHeader+i*topicEntry] ^= 1
	}
	writeFile(t, path, data)
}

func TestDamageWithinTheLogIsPassedOver(t *testing.T) {
	for name, test := range map[string]struct {
		damage  func(t *testing.T, segment string)
		atLeast int // events that stay, of 2000
	}{
		"a flipped byte":     {func(t *testing.T, s string) { flip(t, s, 20_000) }, 1880},
		"the header":         {func(t *testing.T, s string) { flip(t, s, 3) }, 2000},
		"the first record":   {func(t *testing.T, s string) { flip(t, s, segmentHeader+40) }, 1880},
		"the end cut off":    {func(t *testing.T, s string) { writeFile(t, s, readFile(t, s)[:20_000]) }, 1500},
		"nothing left":       {func(t *testing.T, s string) { writeFile(t, s, nil) }, 1300},
		"the file is gone":   {func(_ *testing.T, s string) { _ = os.Remove(s) }, 1300},
		"a length, no index": {func(t *testing.T, s string) { flipLength(t, s) }, 1300},
	} {
		t.Run(name, func(t *testing.T) {
			c, count, segments := sealedLog(t)
			test.damage(t, segments[1])
			var said bytes.Buffer
			c.Logger = slog.New(slog.NewTextHandler(&said, nil))
			l := mustOpen(t, c)
			n, gaps := readThrough(t, l)
			if n < test.atLeast || n < count && gaps == 0 {
				t.Errorf("%d events, %d gaps", n, gaps)
			}
			if said := said.String(); !strings.Contains(said, "WARN") && !strings.Contains(said, "ERROR") {
				t.Errorf("not said: %s", said)
			}
			last, err := l.Last("t1", event.Position{}, count)
			if err != nil || len(last) < test.atLeast/7 {
				t.Errorf("last: %d events, %v", len(last), err)
			}
			appendN(t, l, 3)
			mustClose(t, l)
			l = mustOpen(t, c)
			if again, _ := readThrough(t, l); again != n+3 {
				t.Errorf("%d events after another opening instead of %d", again, n+3)
			}
		})
	}
}

// flipLength makes a record in the middle of a segment very long and takes its index away.
func flipLength(t *testing.T, segment string) {
	t.Helper()
	at := places(t, readFile(t, segment))
	flip(t, segment, at[len(at)/2]+2)
	if err := os.Remove(strings.TrimSuffix(segment, segmentExt) + offsetsExt); err != nil {
		t.Fatal(err)
	}
}

func TestFoldersThatAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, nil)
	closed := func(t *testing.T) string {
		t.Helper()
		dir, _, _ := writeLog(t, 3)
		return dir
	}
	for name, test := range map[string]struct {
		want error
		dir  func(t *testing.T) string
	}{
		"a file": {ErrNotWritable, func(*testing.T) string { return filepath.Join(file, "log") }},
		"someone else's": {ErrNotOurs, func(t *testing.T) string {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "thesis.tex"), nil)
			return dir
		}},
		"identity lost": {ErrDamaged, func(t *testing.T) string {
			dir := closed(t)
			if err := os.Remove(filepath.Join(dir, identityName)); err != nil {
				t.Fatal(err)
			}
			return dir
		}},
		"identity of another": {ErrNotOurs, func(t *testing.T) string {
			dir := closed(t)
			writeFile(t, filepath.Join(dir, identityName), []byte(`{"format":"diary"}`))
			return dir
		}},
		"newer identity": {ErrNewerVersion, func(t *testing.T) string {
			dir := closed(t)
			rewriteIdentity(t, dir, func(id *identity) { id.Version++ })
			return dir
		}},
		"newer segment": {ErrNewerVersion, func(t *testing.T) string {
			dir, segment, _ := writeLog(t, 3)
			data := readFile(t, segment)
			header := newerHeader(data[:segmentHeader])
			writeFile(t, segment, append(header, data[segmentHeader:]...))
			return dir
		}},
		"no epoch": {ErrDamaged, func(t *testing.T) string {
			dir := closed(t)
			rewriteIdentity(t, dir, func(id *identity) { id.Epochs = nil })
			return dir
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := test.dir(t)
			_, err := Open(Config{Dir: dir})
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("open: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, lockName)); name == "someone else's" && err == nil {
				t.Error("a file was left in a folder that is not ours")
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]Config{
		"no folder": {}, "sync": {Dir: "x", Sync: "never"}, "segment": {Dir: "x", SegmentBytes: 1},
		"event": {Dir: "x", MaxEventBytes: 1 << 40}, "interval": {Dir: "x", SyncInterval: -1},
	} {
		if _, err := Open(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLeftovers opens a folder in which a crash came between the files of one step.
func TestLeftovers(t *testing.T) {
	c, count, segments := sealedLog(t)
	last := strings.TrimSuffix(segments[len(segments)-1], segmentExt)
	first := strings.TrimSuffix(segments[0], segmentExt)
	orphan := filepath.Join(c.Dir, fmt.Sprintf(segmentName, 1)+offsetsExt)
	for _, path := range []string{orphan, last + offsetsExt, last + topicsExt, first + topicsExt + tmpSuffix} {
		writeFile(t, path, []byte("left"))
	}
	l := mustOpen(t, c)
	if n, _ := readThrough(t, l); n != count {
		t.Errorf("%d events", n)
	}
	for _, path := range []string{orphan, last + offsetsExt, first + topicsExt + tmpSuffix} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
}

// newerHeader returns a segment's header as the next version might write it.
func newerHeader(header []byte) []byte {
	b := bytes.Clone(header)
	b[atVersion]++
	binary.LittleEndian.PutUint32(b[atHeaderCRC:], crc32.Checksum(b[:atHeaderCRC], castagnoli))
	return b
}
