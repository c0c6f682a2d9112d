// Package logtest is the suite that every engine of [eventlog.Log] passes: what the contract says, asked of the engine.
package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// SmallBytes is about what the log of [Engine.Small] holds.
const SmallBytes = 64 << 10

// patience is how long the suite waits for what must happen.
const patience = 10 * time.Second

// An Engine is what is put to the test. The suite closes the logs that it gets.
type Engine struct {
	// New returns an empty log that holds at least 16 MiB.
	New func(t *testing.T) eventlog.Log
	// Small returns an empty log that holds about SmallBytes.
	Small func(t *testing.T) eventlog.Log
	// Reopen returns a log that New has returned, and which is closed, opened again; nil if the engine is not durable.
	Reopen func(t *testing.T, closed eventlog.Log) eventlog.Log
	// MaxEventBytes is the size that New's log refuses to exceed; 0: [eventlog.DefaultEventBytes].
	MaxEventBytes int
}

// Run tests an engine.
func Run(t *testing.T, e Engine) {
	t.Helper()
	if e.MaxEventBytes == 0 {
		e.MaxEventBytes = eventlog.DefaultEventBytes
	}
	tests := []struct {
		name string
		run  func(t *testing.T, e Engine)
	}{
		{"Append", testAppend},
		{"Fields", testFields},
		{"Buffers", testBuffers},
		{"Read", testRead},
		{"ReadIsBounded", testReadIsBounded},
		{"Last", testLast},
		{"LastOfManyTopics", testLastOfManyTopics},
		{"Scan", testScan},
		{"ScanBesideTheAppender", testScanBesideTheAppender},
		{"Wait", testWait},
		{"Close", testClose},
		{"Positions", testPositions},
		{"TooLarge", testTooLarge},
		{"Retention", testRetention},
		{"ReadersBesideTheAppender", testReaders},
		{"Model", testModel},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, e) })
	}
	if e.Reopen != nil {
		t.Run("Reopen", func(t *testing.T) { testReopen(t, e) })
	}
}

// open returns a log that is closed with the test.
func open(t *testing.T, f func(t *testing.T) eventlog.Log) eventlog.Log {
	t.Helper()
	l := f(t)
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

// message returns a message whose contents tell its number.
func message(topic string, n int) event.Event {
	return event.Event{
		Time: int64(n) + time.Now().UnixNano(), Topic: topic, Client: "c", Payload: fmt.Appendf(nil, "payload %d", n), QoS: 1,
	}
}

// fill appends n messages on topics t0 to t9 in batches of seven and returns them as they must be read.
func fill(t *testing.T, l eventlog.Log, n int) []event.Event {
	t.Helper()
	all := make([]event.Event, 0, n)
	for i := range n {
		all = append(all, message(fmt.Sprintf("t%d", i%10), i))
	}
	for batch := range slices.Chunk(all, 7) {
		appendTo(t, l, batch, false)
	}
	return all
}

func appendTo(t *testing.T, l eventlog.Log, batch []event.Event, durable bool) {
	t.Helper()
	if err := l.Append(batch, durable); err != nil {
		t.Fatalf("append: %v", err)
	}
}

// readAll reads from a position to the end, limit events at a time.
func readAll(t *testing.T, l eventlog.Log, from event.Position, limit int) []event.Event {
	t.Helper()
	var all []event.Event
	for {
		events, err := l.Read(from, limit)
		if err != nil {
			t.Fatalf("read from %s: %v", from, err)
		}
		if len(events) == 0 {
			return all
		}
		if len(events) > limit {
			t.Fatalf("read from %s: %d events, limit %d", from, len(events), limit)
		}
		all = append(all, events...)
		from = events[len(events)-1].Next()
	}
}

// same fails unless both lists have the same events.
func same(t fataler, what string, got, want []event.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d events instead of %d", what, len(got), len(want))
	}
	for i := range got {
		if !equal(&got[i], &want[i]) {
			t.Fatalf("%s: event %d:\n%+v instead of\n%+v", what, i, got[i], want[i])
		}
	}
}

// A fataler is a test, or one run of a property.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// equal compares events; an empty payload may come back as nil.
func equal(a, b *event.Event) bool {
	if !bytes.Equal(a.Payload, b.Payload) {
		return false
	}
	x, y := *a, *b
	x.Payload, y.Payload = nil, nil
	return reflect.DeepEqual(x, y)
}

func first(l eventlog.Log) event.Position {
	p, _ := l.Bounds()
	return p
}

func next(l eventlog.Log) event.Position {
	_, p := l.Bounds()
	return p
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v instead of %v", what, err, want)
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
