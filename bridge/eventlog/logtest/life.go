package logtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// wait calls Wait in a goroutine of its own.
func wait(ctx context.Context, l eventlog.Log, from event.Position) <-chan error {
	done := make(chan error, 1)
	go func() { done <- l.Wait(ctx, from) }()
	return done
}

func outcome(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("Wait did not return")
		return nil
	}
}

func testWait(t *testing.T, e Engine) {
	l := open(t, e.New)
	end := next(l)
	waiters := make([]<-chan error, 0, 10)
	for range 10 {
		waiters = append(waiters, wait(soon(t), l, end))
	}
	appendTo(t, l, []event.Event{message("a", 0)}, false)
	for _, w := range waiters {
		if err := outcome(t, w); err != nil {
			t.Fatalf("wait: %v", err)
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	blocked := wait(canceled, l, next(l))
	select {
	case err := <-blocked:
		t.Fatalf("wait at the end returned: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	wantError(t, "wait", outcome(t, blocked), context.Canceled)
	if err := l.Wait(canceled, end); err != nil {
		t.Fatalf("wait for what is there: %v", err)
	}
	wantError(t, "wait at another log's position", l.Wait(soon(t), event.Position{Epoch: end.Epoch + 1}), eventlog.ErrEpoch)

	blocked = wait(soon(t), l, next(l))
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	wantError(t, "wait in a log that closes", outcome(t, blocked), eventlog.ErrClosed)
}

func testClose(t *testing.T, e Engine) {
	l := open(t, e.New)
	appendTo(t, l, []event.Event{message("a", 0)}, false)
	from := first(l)
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	_, readErr := l.Read(from, 1)
	_, _, scanErr := l.Scan(from, func(string) bool { return true }, 1)
	_, lastErr := l.Last("a", event.Position{}, 1)
	for what, err := range map[string]error{
		"append": l.Append([]event.Event{message("a", 1)}, true),
		"read":   readErr,
		"last":   lastErr,
		"scan":   scanErr,
		"wait":   l.Wait(t.Context(), from),
		"trim":   l.Trim(),
		"close":  l.Close(),
	} {
		wantError(t, what, err, eventlog.ErrClosed)
	}
}

func testPositions(t *testing.T, e Engine) {
	l := open(t, e.New)
	fill(t, l, 20)
	end := next(l)
	for what, p := range map[string]event.Position{
		"the zero position":      {},
		"another log's position": {Epoch: end.Epoch + 1, Offset: 5},
		"a future position":      {Epoch: end.Epoch, Offset: end.Offset + 1},
	} {
		_, err := l.Read(p, 10)
		wantError(t, what, err, eventlog.ErrEpoch)
	}
	if other := open(t, e.New); next(other).Epoch == end.Epoch {
		t.Error("two logs have the same epoch")
	}
}

// testRetention appends more than the log holds.
func testRetention(t *testing.T, e Engine) {
	l := open(t, e.Small)
	start := first(l)
	batch := make([]event.Event, 50)
	end := time.Now().Add(patience)
	n := 0
	for ; first(l).Offset < start.Offset+200; n++ {
		if time.Now().After(end) {
			t.Fatalf("nothing dropped after %d batches", n)
		}
		for i := range batch {
			batch[i] = message("t", n*len(batch)+i)
		}
		appendTo(t, l, batch, false)
		if err := l.Trim(); err != nil {
			t.Fatalf("trim: %v", err)
		}
	}
	held := first(l)
	var trimmed *eventlog.TrimmedError
	if _, err := l.Read(start, 10); !errors.As(err, &trimmed) {
		t.Fatalf("read before the oldest held: %v", err)
	}
	if trimmed.Damaged || trimmed.From != start || trimmed.First.Offset < held.Offset || trimmed.First.Offset >= next(l).Offset {
		t.Fatalf("read before the oldest held: from %s, first %s", trimmed.From, trimmed.First)
	}
	if err := l.Wait(soon(t), start); err != nil {
		t.Fatalf("wait before the oldest held: %v", err)
	}
	all := readAll(t, l, trimmed.First, 1000)
	if want := next(l).Offset - trimmed.First.Offset; uint64(len(all)) != want {
		t.Fatalf("%d events held, read %d", want, len(all))
	}
	for i := range all {
		if all[i].Position.Offset != trimmed.First.Offset+uint64(i) {
			t.Fatalf("event %d is at %s", i, all[i].Position)
		}
	}
	last, err := l.Last("t", event.Position{}, n*len(batch))
	if err != nil {
		t.Fatalf("last: %v", err)
	}
	same(t, "all of one topic", last, all[len(all)-len(last):])
	if len(last) < len(all) {
		t.Fatalf("%d of the topic's %d events", len(last), len(all))
	}
	if got, err := l.Last("t", start, 10); err != nil || len(got) != 0 {
		t.Fatalf("last before what is held: %d events, %v", len(got), err)
	}
}

// testReaders follows the log with several readers while it grows and retention drops its start.
func testReaders(t *testing.T, e Engine) {
	for name, create := range map[string]func(*testing.T) eventlog.Log{"large": e.New, "small": e.Small} {
		t.Run(name, func(t *testing.T) {
			l := open(t, create)
			const batches, size, readers = 200, 37, 4
			from := first(l)
			end := from.Offset + batches*size
			errs := readersOf(t, l, from, end, readers)
			for n := range batches {
				batch := []event.Event{}
				for i := range size {
					batch = append(batch, message(fmt.Sprintf("t%d", i), n*size+i))
				}
				appendTo(t, l, batch, n%10 == 0)
			}
			for range readers {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// readersOf starts readers that follow l to an offset; each sends one outcome.
func readersOf(t *testing.T, l eventlog.Log, from event.Position, end uint64, n int) <-chan error {
	t.Helper()
	errs := make(chan error, n)
	var wg sync.WaitGroup
	ctx := soon(t)
	for range n {
		wg.Go(func() { errs <- follow(ctx, l, from, end) })
	}
	t.Cleanup(wg.Wait)
	return errs
}

// follow reads to an offset and checks the order. Retention may pass it by.
func follow(ctx context.Context, l eventlog.Log, at event.Position, end uint64) error {
	for at.Offset < end {
		if err := l.Wait(ctx, at); err != nil {
			return fmt.Errorf("wait at %s: %w", at, err)
		}
		events, err := l.Read(at, 100)
		if trimmed, ok := errors.AsType[*eventlog.TrimmedError](err); ok {
			at = trimmed.First
			continue
		}
		if err != nil {
			return fmt.Errorf("read at %s: %w", at, err)
		}
		if len(events) == 0 {
			return fmt.Errorf("%w at %s after Wait", errNothing, at)
		}
		for i := range events {
			if events[i].Position != at {
				return fmt.Errorf("%w: %s instead of %s", errOrder, events[i].Position, at)
			}
			at = events[i].Next()
		}
		topic := events[len(events)-1].Topic
		if _, err := l.Last(topic, at, 3); err != nil {
			return fmt.Errorf("last: %w", err)
		}
	}
	return nil
}

var (
	errNothing = errors.New("nothing to read")
	errOrder   = errors.New("event out of order")
)

func testReopen(t *testing.T, e Engine) {
	l := e.New(t)
	var all []event.Event
	for round := range 4 {
		all = append(all, fill(t, l, 100*round)...)
		from, to := l.Bounds()
		if err := l.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		l = e.Reopen(t, l)
		if f, n := l.Bounds(); f != from || n != to {
			t.Fatalf("bounds: %s and %s instead of %s and %s", f, n, from, to)
		}
		same(t, "read", readAll(t, l, from, 64), all)
		last, err := l.Last("t1", event.Position{}, len(all))
		if err != nil || len(last) != len(all)/10 {
			t.Fatalf("last: %d events, %v", len(last), err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}
