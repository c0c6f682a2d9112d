package disklog

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// A specimen is a closed log of several small segments, as bytes, to be damaged again and again.
type specimen struct {
	config Config
	files  map[string][]byte
	events []event.Event
	// first is how many events are in the segments before the last.
	first int
	last  string // the last segment's path
}

// newSpecimen makes a log whose events have all that events can have.
func newSpecimen(t *testing.T, inLast int) *specimen {
	t.Helper()
	s := &specimen{config: Config{Dir: filepath.Join(quickDir(t), "log"), Sync: SyncOS, SegmentBytes: 4 << 10, RetainBytes: -1, walkFirst: 1}}
	l := mustOpen(t, s.config)
	for i := 0; len(l.segments) < 4 || i-int(l.active.base) < inLast; i++ {
		e := crashEvent(uint64(i))
		switch i % 9 {
		case 1:
			e.QoS, e.PacketID, e.Properties = 2, uint16(i)+1, &event.Properties{HasContentType: true, ContentType: "text", HasExpiry: true, Expiry: 3}
		case 2:
			e.QoS, e.PacketID, e.Retain = 2, 65535, true
		case 3:
			e.Topic, e.Kind, e.Payload, e.Client = "", event.KindConnected, nil, "client"
		}
		batch := []event.Event{e}
		if err := l.Append(batch, false); err != nil {
			t.Fatal(err)
		}
		if batch[0].Properties != nil {
			batch[0].Properties = &event.Properties{HasContentType: true, ContentType: "text", HasExpiry: true, Expiry: 3}
		}
		s.events = append(s.events, batch...)
	}
	s.first, s.last = int(l.active.base), l.active.segPath()
	mustClose(t, l)
	s.files = make(map[string][]byte)
	paths, err := filepath.Glob(filepath.Join(s.config.Dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		s.files[p] = readFile(t, p)
	}
	return s
}

// restore brings the files back to what they were, and one of them to data.
func (s *specimen) restore(t *testing.T, path string, data []byte) {
	t.Helper()
	now, err := filepath.Glob(filepath.Join(s.config.Dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range now {
		if _, ours := s.files[p]; !ours {
			if err := os.Remove(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	for p, want := range s.files {
		if p == path {
			want = data
		}
		if got, err := os.ReadFile(p); err != nil || !bytes.Equal(got, want) {
			writeFile(t, p, want)
		}
	}
}

// open opens the log and returns what it has said.
func (s *specimen) open(t *testing.T) (*Log, string) {
	t.Helper()
	var said bytes.Buffer
	c := s.config
	c.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return mustOpen(t, c), said.String()
}

// check compares what Read, Scan and Last give with the events, of which each may be missing only in a gap that is told.
// It returns how many Read gives.
func (s *specimen) check(t *testing.T, l *Log) int {
	t.Helper()
	read := s.through(t, l, func(string) bool { return true }, func(at event.Position) ([]event.Event, event.Position, error) {
		events, err := l.Read(at, 17)
		if len(events) > 0 {
			at = events[len(events)-1].Next()
		}
		return events, at, err
	})
	for _, topic := range []string{"t1", "t4", "", "every"} {
		want := func(t string) bool { return t == topic || topic == "every" }
		scanned := s.through(t, l, want, func(at event.Position) ([]event.Event, event.Position, error) { return l.Scan(at, want, 23) })
		if n := len(slices.DeleteFunc(slices.Clone(read), func(i int) bool { return !want(s.events[i].Topic) })); len(scanned) < n {
			t.Fatalf("topic %q: Scan gives %d events, Read %d", topic, len(scanned), n)
		}
	}
	last, err := l.Last("t2", event.Position{}, len(s.events))
	if err != nil {
		t.Fatalf("last: %v", err)
	}
	n := 0
	for _, i := range read {
		if s.events[i].Topic == "t2" {
			n++
		}
	}
	for i := range last {
		s.same(t, &last[i])
	}
	if len(last) < n {
		t.Fatalf("Last gives %d events, Read %d", len(last), n)
	}
	return len(read)
}

// same fails unless an event is the one that was appended at its offset.
func (s *specimen) same(t *testing.T, e *event.Event) {
	t.Helper()
	if o := e.Position.Offset; o >= uint64(len(s.events)) || !reflect.DeepEqual(*e, s.events[o]) {
		t.Fatalf("at %s:\n%+v", e.Position, *e)
	}
}

// through reads to the log's end and returns the offsets of the events.
func (s *specimen) through(
	t *testing.T, l *Log, want func(string) bool, read func(event.Position) ([]event.Event, event.Position, error),
) (found []int) {
	t.Helper()
	at := event.Position{Epoch: l.identity.Epochs[0].Epoch}
	_, end := l.Bounds()
	for at.Offset < end.Offset {
		events, next, err := read(at)
		trimmed, gap := errors.AsType[*eventlog.TrimmedError](err)
		if gap {
			next = trimmed.First
		} else if err != nil {
			t.Fatalf("at %s: %v", at, err)
		}
		if next.Offset <= at.Offset {
			t.Fatalf("no way on from %s: %v", at, err)
		}
		offset := at.Offset
		for i := range events {
			s.same(t, &events[i])
			s.none(t, offset, events[i].Position.Offset, want)
			found, offset = append(found, int(events[i].Position.Offset)), events[i].Position.Offset+1
		}
		if !gap {
			s.none(t, offset, next.Offset, want)
		}
		at = next
	}
	return found
}

// none fails if an event that is wanted lies between two offsets.
func (s *specimen) none(t *testing.T, from, to uint64, want func(string) bool) {
	t.Helper()
	for o := from; o < min(to, uint64(len(s.events))); o++ {
		if want(s.events[o].Topic) {
			t.Fatalf("the event at %d is missing and nothing says so", o)
		}
	}
}

// TestLastSegmentAtEachByte cuts the last segment at each byte and changes a bit of each byte, after a clean close and after a
// crash: everything before is there and right, nothing after it is, and what was cut is said.
func TestLastSegmentAtEachByte(t *testing.T) {
	s := newSpecimen(t, 5)
	data := s.files[s.last]
	at := places(t, data)
	clean := s.files[filepath.Join(s.config.Dir, identityName)]
	for _, crashed := range []bool{false, true} {
		s.files[filepath.Join(s.config.Dir, identityName)] = clean
		if crashed {
			s.restore(t, "", nil)
			rewriteIdentity(t, s.config.Dir, func(id *identity) { id.Clean, id.Next = false, 0 })
			s.files[filepath.Join(s.config.Dir, identityName)] = readFile(t, filepath.Join(s.config.Dir, identityName))
		}
		for i := range data {
			s.restore(t, s.last, data[:i])
			l, said := s.open(t)
			held := s.first + wholeBefore(at, i)
			if n := s.check(t, l); n != held {
				t.Fatalf("cut to %d bytes: %d events instead of %d", i, n, held)
			}
			r := l.Recovery()
			if cut := int64(max(0, i-at[wholeBefore(at, i)])); r.Cut != cut || r.HeaderRepaired != (i < segmentHeader) {
				t.Fatalf("cut to %d bytes: %+v instead of %d cut", i, r, cut)
			}
			if !crashed && (r.Missing != uint64(len(s.events)-held) || !r.NewEpoch || !strings.Contains(said, fmt.Sprint("events_missing=", r.Missing))) {
				t.Fatalf("cut to %d bytes: %+v, said: %s", i, r, said)
			}
			if crashed && r.Cut > 0 && !strings.Contains(said, fmt.Sprint("bytes=", r.Cut)) {
				t.Fatalf("cut to %d bytes: %+v, said: %s", i, r, said)
			}
			mustClose(t, l)

			flipped := bytes.Clone(data)
			flipped[i] ^= 1 << (i % 8)
			s.restore(t, s.last, flipped)
			l, said = s.open(t)
			held = s.first + wholeBefore(at, i)
			if i < segmentHeader {
				held = len(s.events)
			}
			if n := s.check(t, l); n != held {
				t.Fatalf("byte %d changed: %d events instead of %d", i, n, held)
			}
			r = l.Recovery()
			if i < segmentHeader {
				if !r.HeaderRepaired || r.Cut != 0 || !strings.Contains(said, "header_repaired=true") {
					t.Fatalf("byte %d changed: %+v, said: %s", i, r, said)
				}
			} else if cut := len(data) - at[wholeBefore(at, i)]; r.Cut != int64(cut) || !strings.Contains(said, fmt.Sprint("bytes=", cut)) {
				t.Fatalf("byte %d changed: %+v instead of %d cut, said: %s", i, r, cut, said)
			}
			mustClose(t, l)
		}
	}
}

// TestIndexesAtEachByte damages the indexes of a segment at each byte: nothing is lost, nothing is wrong.
func TestIndexesAtEachByte(t *testing.T) {
	s := newSpecimen(t, 3)
	stem := filepath.Join(s.config.Dir, fmt.Sprintf(segmentName, 0))
	for _, path := range []string{stem + offsetsExt, stem + topicsExt} {
		data := s.files[path]
		for i := range data {
			if strings.HasSuffix(path, topicsExt) && i > topicsFixed+64 && i < atTopicsCRC && i%16 > 0 {
				continue // the buckets are many and alike
			}
			damaged := bytes.Clone(data)
			damaged[i] ^= 1 << (i % 8)
			if i%4 == 3 && i%8 < 6 {
				damaged = data[:i]
			}
			s.restore(t, path, damaged)
			l, _ := s.open(t)
			if n := s.check(t, l); n != len(s.events) {
				t.Fatalf("%s, byte %d: %d events of %d", path, i, n, len(s.events))
			}
			mustClose(t, l)
		}
	}
}

// TestSealedSegmentAtEachByte changes a bit of each byte of a segment within the log: what is lost is said by Read, and by
// Scan as far as it was wanted.
func TestSealedSegmentAtEachByte(t *testing.T) {
	s := newSpecimen(t, 3)
	segment := filepath.Join(s.config.Dir, fmt.Sprintf(segmentName, 0)+segmentExt)
	data := s.files[segment]
	for i := 0; i < len(data); i += 9 {
		damaged := bytes.Clone(data)
		damaged[i] ^= 1 << (i % 8)
		s.restore(t, segment, damaged)
		l, _ := s.open(t)
		n := s.check(t, l)
		if lost := len(s.events) - n; (lost == 0) != (i < segmentHeader) {
			t.Fatalf("byte %d: %d events of %d", i, n, len(s.events))
		}
		mustClose(t, l)
		l, _ = s.open(t)
		if again := s.check(t, l); again != n {
			t.Fatalf("byte %d, another opening: %d events instead of %d", i, again, n)
		}
		mustClose(t, l)
	}
}
