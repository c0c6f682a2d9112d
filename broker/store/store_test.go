package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
)

func TestCleanStartInOneBatch(t *testing.T) {
	s := mustOpen(t, Config{})
	want := newState()
	for _, b := range []*Batch{
		{
			Sessions:   []Session{{Client: "a", Passed: 1}, {Client: "b"}},
			Subscribed: []Subscription{{Client: "a", Filter: "old"}, {Client: "a", Filter: "older"}, {Client: "b", Filter: "old"}},
			Wills:      []Will{{Due: 1, Event: event.Event{Client: "a"}}, {Due: 1, Event: event.Event{Client: "b"}}},
		},
		{
			Ended: []string{"a"}, Sessions: []Session{{Client: "a", Passed: 2}},
			Subscribed: []Subscription{{Client: "a", Filter: "new"}},
		},
		{},
		{Sessions: []Session{{Client: "b", Passed: 3}}},
	} {
		mustCommit(t, s, b)
		want.apply(b)
	}
	if len(want.Subscriptions) != 2 || len(want.Wills) != 1 || want.Sessions["a"].Passed != 2 {
		t.Fatalf("%+v", want)
	}
	mustHold(t, s, want)
	mustClose(t, s)
}

func TestEnds(t *testing.T) {
	r := prometheus.NewRegistry()
	s := mustOpen(t, Config{Path: newPath(t), Metrics: r})
	if _, err := Open(t.Context(), Config{Path: newPath(t), Metrics: r}); err == nil {
		t.Error("two stores with one set of metrics")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, numbered(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: %v", err)
	}
	if _, err := Open(ctx, Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v", err)
	}
	mustCommit(t, s, numbered(1))
	problem := errors.New("enough")
	if _, err := s.Load(t.Context(), Loader{Session: func(*Session) error { return problem }}); !errors.Is(err, problem) {
		t.Errorf("load: %v", err)
	}
	if s.Size() < 10_000 {
		t.Errorf("%d bytes", s.Size())
	}
	mustClose(t, s)
	if err := s.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("close: %v", err)
	}
	if err := s.Commit(t.Context(), numbered(2)); !errors.Is(err, ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	if _, err := s.Load(t.Context(), Loader{}); !errors.Is(err, ErrClosed) {
		t.Errorf("load: %v", err)
	}
	s = mustOpen(t, Config{Path: s.path, Metrics: r})
	mustHold(t, s, numberedState(1))
	mustClose(t, s)
}

// TestNames opens files whose names mean something to SQLite.
func TestNames(t *testing.T) {
	for _, name := range []string{"a?mode=memory", "a#b", "a%20b", ":memory:", "a b 'ü'", "file:x"} {
		path := t.TempDir() + "/" + name
		s := mustOpen(t, Config{Path: path})
		mustCommit(t, s, numbered(1))
		mustClose(t, s)
		s = mustOpen(t, Config{Path: path})
		mustHold(t, s, numberedState(1))
		mustClose(t, s)
		if fileSize(path) == 0 || fileSize(walPath(path)) != 0 {
			t.Errorf("%s: %d bytes, write-ahead log %d", path, fileSize(path), fileSize(walPath(path)))
		}
	}
}

// TestAlone: nobody else opens the file, nor does the store while somebody else has it open.
func TestAlone(t *testing.T) {
	path := newPath(t)
	s := mustOpen(t, Config{Path: path})
	if _, err := Open(t.Context(), Config{Path: path}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("a second store: %v", err)
	}
	db, err := connect(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.number("SELECT count(*) FROM sessions"); code(err) != codeBusy {
		t.Errorf("another reader: %v", err)
	}
	mustCommit(t, s, numbered(1))
	mustClose(t, s)
	if n, err := db.number("SELECT count(*) FROM sessions"); n != 5 || err != nil {
		t.Errorf("a reader afterwards: %d, %v", n, err)
	}
	if _, err := Open(t.Context(), Config{Path: path}); !errors.Is(err, ErrLocked) {
		t.Errorf("while another reads: %v", err)
	}
	if err := db.close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, Config{Path: path})
	mustHold(t, s, numberedState(1))
	mustClose(t, s)
}

// TestWALStaysShort: neither many small batches nor a large one leave a long write-ahead log.
func TestWALStaysShort(t *testing.T) {
	s := mustOpen(t, Config{Path: newPath(t), maxUnwritten: 100})
	for n := 1; n <= 500; n++ {
		mustCommit(t, s, numbered(n))
		if size := fileSize(walPath(s.path)); size > 200*pageBytes {
			t.Fatalf("%d bytes after %d batches", size, n)
		}
	}
	large := &Batch{}
	for i := range 4000 {
		large.Retained = append(large.Retained, Retained{event.Event{Topic: fmt.Sprint(i), Payload: make([]byte, 16<<10)}})
	}
	mustCommit(t, s, large)
	mustCommit(t, s, numbered(501))
	if size := fileSize(walPath(s.path)); size > 33<<20 {
		t.Errorf("%d bytes after a large batch", size)
	}
	mustClose(t, s)
}

// TestFullWithin: the room ends in the midst of a transaction, before its end writes anything.
func TestFullWithin(t *testing.T) {
	s := mustOpen(t, Config{})
	mustCommit(t, s, numbered(1))
	pages, err := s.db.number("PRAGMA page_count")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages+1)); err != nil {
		t.Fatal(err)
	}
	b := numbered(2)
	b.Retained = append(b.Retained, Retained{event.Event{Topic: "large", Payload: make([]byte, 1<<20)}})
	for range 2 {
		if err := s.Commit(t.Context(), b); !errors.Is(err, ErrFull) || errors.Is(err, ErrFailed) {
			t.Fatalf("commit: %v", err)
		}
		mustHold(t, s, numberedState(1))
	}
	mustCommit(t, s, &Batch{Ended: []string{"only 1"}, Checkpoint: event.Position{Epoch: 1, Offset: 2}})
	mustClose(t, s)
}

// TestOther: an error that is neither leaves nothing behind, and the store goes on.
func TestOther(t *testing.T) {
	s := mustOpen(t, Config{})
	if err := s.db.exec("CREATE TRIGGER no BEFORE INSERT ON wills BEGIN SELECT raise(ABORT, 'no'); END"); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), numbered(1)); err == nil || errors.Is(err, ErrFull) || errors.Is(err, ErrFailed) {
		t.Fatalf("commit: %v", err)
	}
	mustHold(t, s, newState())
	b := numbered(1)
	b.Wills = nil
	mustCommit(t, s, b)
	mustClose(t, s)
}

func TestRow(t *testing.T) {
	for _, read := range []func(*row){
		func(r *row) { r.text(0) }, func(r *row) { r.bytes(0) }, func(r *row) { r.within(0, 255) }, func(r *row) { r.within(1, 255) },
		func(r *row) { r.decode(2, new(event.Position).UnmarshalText) }, func(r *row) { r.int64(2) },
	} {
		r := &row{values: []driver.Value{int64(-1), int64(256), "x"}}
		if read(r); !errors.Is(r.err, ErrCorrupt) {
			t.Errorf("%v", r.err)
		}
	}
}

func TestBackup(t *testing.T) {
	for _, from := range []string{"", newPath(t)} {
		s := mustOpen(t, Config{Path: from})
		mustCommit(t, s, numbered(1))
		path := newPath(t)
		if err := s.Backup(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if err := s.Backup(t.Context(), path); err == nil {
			t.Error("a backup over another")
		}
		mustCommit(t, s, numbered(2))
		c := mustOpen(t, Config{Path: path})
		mustHold(t, c, numberedState(1))
		mustClose(t, c)
		mustHold(t, s, numberedState(2))
		mustClose(t, s)
		if err := s.Backup(t.Context(), newPath(t)); !errors.Is(err, ErrClosed) {
			t.Errorf("of a closed store: %v", err)
		}
	}
}
