package logtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// scanAll scans from a position to the log's end, limit events at a time.
func scanAll(t fataler, l eventlog.Log, from event.Position, want func(string) bool, limit int) []event.Event {
	t.Helper()
	var all []event.Event
	for _, end := l.Bounds(); from != end; {
		found, next, err := l.Scan(from, want, limit)
		if err != nil {
			t.Fatalf("scan from %s: %v", from, err)
		}
		if len(found) > limit || next.Offset <= from.Offset && next.Epoch == from.Epoch || next.Offset > end.Offset {
			t.Fatalf("scan from %s: %d events, limit %d, next %s, end %s", from, len(found), limit, next, end)
		}
		if n := len(found); n > 0 && (found[0].Position.Offset < from.Offset || found[n-1].Position.Offset >= next.Offset) {
			t.Fatalf("scan from %s to %s found %s and %s", from, next, found[0].Position, found[n-1].Position)
		}
		all, from = append(all, found...), next
	}
	return all
}

// ofTopics returns the events whose topic is wanted.
func ofTopics(all []event.Event, want func(string) bool) []event.Event {
	return slices.DeleteFunc(slices.Clone(all), func(e event.Event) bool { return !want(e.Topic) })
}

func testScan(t *testing.T, e Engine) {
	l := open(t, e.New)
	const n, topics = 12_000, 700
	all := make([]event.Event, 0, n)
	for i := range n {
		m := message(fmt.Sprintf("t/%d", i*i%topics), i)
		switch {
		case i%50 == 0:
			m.Topic, m.Kind = "", event.KindConnected
		case i >= n/2 && i < n/2+1000:
			m.Topic = "burst"
		}
		all = append(all, m)
	}
	all[n-1].Topic = "the last"
	for batch := range slices.Chunk(all, 100) {
		appendTo(t, l, batch, false)
	}
	for name, want := range map[string]func(string) bool{
		"everything":  func(string) bool { return true },
		"nothing":     func(string) bool { return false },
		"one":         func(topic string) bool { return topic == "t/44" },
		"a few":       func(topic string) bool { return strings.HasSuffix(topic, "44") },
		"many":        func(topic string) bool { return strings.HasPrefix(topic, "t/1") },
		"all but few": func(topic string) bool { return !strings.HasSuffix(topic, "4") },
		"a burst":     func(topic string) bool { return topic == "burst" },
		"the last":    func(topic string) bool { return topic == "the last" },
		"connections": func(topic string) bool { return topic == "" },
	} {
		for _, limit := range []int{1000, 30, 100_000} {
			same(t, fmt.Sprintf("%s, limit %d", name, limit), scanAll(t, l, first(l), want, limit), ofTopics(all, want))
		}
		for i := 0; i < n; i += n / 17 {
			got := scanAll(t, l, all[i].Position, want, 300)
			same(t, fmt.Sprintf("%s from %d", name, i), got, ofTopics(all[i:], want))
		}
	}
	if found, next, err := l.Scan(first(l), func(string) bool { return true }, 0); err != nil || len(found) != 0 || next != first(l) {
		t.Errorf("limit 0: %d events, next %s, %v", len(found), next, err)
	}
	for what, p := range map[string]event.Position{
		"the zero position": {}, "another log's": {Epoch: next(l).Epoch + 1},
		"a future position": {Epoch: next(l).Epoch, Offset: next(l).Offset + 1},
	} {
		_, _, err := l.Scan(p, func(string) bool { return true }, 1)
		wantError(t, what, err, eventlog.ErrEpoch)
	}
}

// testScanBesideTheAppender follows one topic in ten with scans while the log grows and retention drops its start.
func testScanBesideTheAppender(t *testing.T, e Engine) {
	for name, create := range map[string]func(*testing.T) eventlog.Log{"large": e.New, "small": e.Small} {
		t.Run(name, func(t *testing.T) {
			l := open(t, create)
			const batches, size = 200, 50
			at := first(l)
			end := at.Offset + batches*size
			errs := make(chan error, 1)
			go func() {
				seen, passed := 0, uint64(0)
				for deadline := time.Now().Add(patience); at.Offset < end && time.Now().Before(deadline); {
					found, next, err := l.Scan(at, func(topic string) bool { return topic == "t7" }, 100)
					if trimmed, ok := errors.AsType[*eventlog.TrimmedError](err); ok {
						passed += trimmed.First.Offset - at.Offset
						at = trimmed.First
						continue
					}
					if err != nil {
						errs <- fmt.Errorf("scan at %s: %w", at, err)
						return
					}
					for i := range found {
						if o := found[i].Position.Offset; found[i].Topic != "t7" || o%10 != 7 || o < at.Offset || o >= next.Offset {
							errs <- fmt.Errorf("%w: %s of %q from %s to %s", errOrder, found[i].Position, found[i].Topic, at, next)
							return
						}
					}
					seen, at = seen+len(found), next
				}
				if at.Offset != end || seen*10 > batches*size || uint64(seen+1)*10+passed < batches*size {
					errs <- fmt.Errorf("%w: %d events, %d passed over, at %s", errNothing, seen, passed, at)
					return
				}
				errs <- nil
			}()
			for n := range batches {
				batch := []event.Event{}
				for i := range size {
					batch = append(batch, message(fmt.Sprintf("t%d", i%10), n*size+i))
				}
				appendTo(t, l, batch, n%10 == 0)
			}
			if err := <-errs; err != nil {
				t.Error(err)
			}
		})
	}
}

// scan draws what is wanted and compares.
func (m *model) scan(r *rapid.T) {
	from, index := m.place(r)
	wanted := rapid.SliceOfDistinct(topics, rapid.ID).Draw(r, "wanted")
	want := func(topic string) bool { return slices.Contains(wanted, topic) }
	limit := rapid.IntRange(1, 50).Draw(r, "limit")
	if index > len(m.all) {
		if _, _, err := m.log.Scan(from, want, limit); !errors.Is(err, eventlog.ErrEpoch) {
			r.Fatalf("scan beyond the end: %v", err)
		}
		return
	}
	same(r, "scan", scanAll(r, m.log, from, want, limit), ofTopics(m.all[index:], want))
}
