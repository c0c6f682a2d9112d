package bridge_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/memlog"
)

// TestPastWhileTheLogMoves has many read the past at once while the log grows at one end and is trimmed at the other: whoever
// gets events gets those that follow each other from where he asked, and whoever is too late is told so.
func TestPastWhileTheLogMoves(t *testing.T) {
	p := newBridge(t, bridge.Config{Metrics: prometheus.NewRegistry()}, memlog.Config{MaxEvents: 5000})
	past := bridge.Past{Bridge: p.Bridge}
	appendTo := func(n uint64) {
		_, next := p.log.Bounds()
		batch := make([]event.Event, 100)
		for i := range batch {
			batch[i] = event.Event{Topic: "devices/d/t", Payload: fmt.Append(nil, next.Offset+uint64(i)), Time: 1}
		}
		if err := p.log.Append(batch, false); err != nil || n == 0 {
			t.Error(err)
		}
	}
	appendTo(1)
	var done atomic.Bool
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for !done.Load() {
				first, next := past.Bounds()
				from := first
				from.Offset += random.Uint64N(next.Offset - first.Offset + 1)
				walk(t, past, from, 1+random.IntN(300), &done)
			}
		})
	}
	for i := range uint64(300) {
		appendTo(i + 1)
		if i%16 == 0 {
			time.Sleep(time.Millisecond) // so that readers get further than the log's end
		}
	}
	done.Store(true)
	readers.Wait()
	first, next := past.Bounds()
	for from := first; from != next; {
		want, err := p.log.Read(from, 10)
		if err != nil {
			t.Fatal(err)
		}
		got, err := past.Read(from, len(want))
		if err != nil || len(got) == 0 || got[0].Position != want[0].Position || !bytes.Equal(got[0].Payload, want[0].Payload) {
			t.Fatalf("at %v: %v, %v", from, got, err)
		}
		from = got[len(got)-1].Next()
	}
	if events, err := past.Read(next, 10); err != nil || len(events) != 0 {
		t.Errorf("behind the end: %v, %v", events, err)
	}
	trimmed := (*eventlog.TrimmedError)(nil)
	if _, err := past.Read(event.Position{Epoch: first.Epoch, Offset: first.Offset - 1}, 10); !errors.As(err, &trimmed) || trimmed.First != first {
		t.Errorf("before the start: %v", err)
	}
}

// walk reads from a position to the log's end, or until it is trimmed there.
func walk(t *testing.T, past bridge.Past, from event.Position, limit int, done *atomic.Bool) {
	t.Helper()
	for !done.Load() {
		events, err := past.Read(from, limit)
		if trimmed := (*eventlog.TrimmedError)(nil); errors.As(err, &trimmed) {
			if trimmed.First.Offset <= from.Offset {
				t.Errorf("%v, but %v is held", err, trimmed.First)
			}
			return
		}
		if err != nil || len(events) > limit {
			t.Errorf("%d events of %d, %v", len(events), limit, err)
			return
		}
		if len(events) == 0 {
			return
		}
		for i := range events {
			e := &events[i]
			if e.Position != from || string(e.Payload) != fmt.Sprint(from.Offset) || len(e.Metrics) != 1 || e.Metrics[0].Value != float64(from.Offset) {
				t.Errorf("at %v: %s at %v", from, e.Payload, e.Position)
				return
			}
			from = e.Next()
		}
	}
}

// BenchmarkPast reads 100,000 events of the past from the first on, by one reader and by a hundred at once.
func BenchmarkPast(b *testing.B) {
	const events, limit = 100_000, 256
	p := newBridge(b, bridge.Config{}, memlog.Config{})
	for i := range events / 1000 {
		batch := make([]event.Event, 1000)
		for k := range batch {
			device := fmt.Sprintf("device-%03d", k)
			payload := fmt.Appendf(nil, `{"temperature":%d.5,"humidity":40,"pressure":1013.2,"battery":%d,"mode":"eco"}`, i%30, k%100)
			batch[k] = event.Event{Topic: "devices/" + device + "/telemetry", Client: device, Payload: payload, Time: time.Now().UnixNano()}
		}
		if err := p.log.Append(batch, false); err != nil {
			b.Fatal(err)
		}
	}
	past := bridge.Past{Bridge: p.Bridge}
	first, next := past.Bounds()
	alone := func(from event.Position, limit int) ([]event.Decoded, error) {
		events, err := p.log.Read(from, limit)
		return p.Decode(events), err
	}
	for _, read := range []struct {
		name string
		read func(event.Position, int) ([]event.Decoded, error)
	}{{"each by himself", alone}, {"shared", past.Read}} {
		for _, readers := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/%d readers", read.name, readers), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					var wg sync.WaitGroup
					for range readers {
						wg.Go(func() {
							for from := first; from != next; {
								events, err := read.read(from, limit)
								if err != nil || len(events) == 0 {
									b.Errorf("%d events, %v", len(events), err)
									return
								}
								from = events[len(events)-1].Next()
							}
						})
					}
					wg.Wait()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*readers*events), "ns/event")
			})
		}
	}
}
