package disklog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// benchBatch returns n telemetry messages of 128 bytes from 1,000 devices.
func benchBatch(n, round int) []event.Event {
	batch := make([]event.Event, n)
	payload := make([]byte, 128)
	for i := range batch {
		id := (round*n + i) % 1000
		batch[i] = event.Event{
			Time: time.Now().UnixNano(), Topic: benchTopics[id], Client: benchTopics[id], Payload: payload, QoS: 1,
		}
	}
	return batch
}

var benchTopics = func() (topics [1000]string) {
	for i := range topics {
		topics[i] = fmt.Sprintf("devices/%d/telemetry", i)
	}
	return topics
}()

func BenchmarkAppend(b *testing.B) {
	for _, mode := range []Sync{SyncOS, SyncFsync} {
		for _, n := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("%s/%d", mode, n), func(b *testing.B) {
				l := mustOpen(b, Config{Sync: mode, RetainBytes: 512 << 20})
				batches := make([][]event.Event, 16)
				for i := range batches {
					batches[i] = benchBatch(n, i)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := l.Append(batches[i%len(batches)], true); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// BenchmarkAppendManyTopics has 100,000 topics, more than fit a processor's cache.
func BenchmarkAppendManyTopics(b *testing.B) {
	const topics, n = 100_000, 64
	l := mustOpen(b, Config{Sync: SyncOS, RetainBytes: 512 << 20})
	names := make([]string, topics)
	for i := range names {
		names[i] = fmt.Sprintf("fleet/%d/devices/%d/telemetry", i%100, i)
	}
	batch := benchBatch(n, 0)
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch {
			batch[i].Topic = names[rand.IntN(topics)]
		}
		if err := l.Append(batch, false); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
}

// benchLog returns a log of about 200 MiB in sealed segments and an active one.
func benchLog(b *testing.B) (l *Log, first, next event.Position) {
	b.Helper()
	l = mustOpen(b, Config{Sync: SyncOS})
	for i := range 1000 {
		if err := l.Append(benchBatch(1000, i), false); err != nil {
			b.Fatal(err)
		}
	}
	first, next = l.Bounds()
	return l, first, next
}

func BenchmarkRead(b *testing.B) {
	l, first, next := benchLog(b)
	for _, limit := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("random/%d", limit), func(b *testing.B) {
			b.ReportAllocs()
			events := 0
			for b.Loop() {
				from := event.Position{Epoch: first.Epoch, Offset: rand.Uint64N(next.Offset - uint64(limit))}
				got, err := l.Read(from, limit)
				if err != nil {
					b.Fatal(err)
				}
				events += len(got)
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
		b.Run(fmt.Sprintf("tail/%d", limit), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Read(event.Position{Epoch: next.Epoch, Offset: next.Offset - uint64(limit)}, limit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLast(b *testing.B) {
	l, first, next := benchLog(b)
	for _, limit := range []int{1, 100, 5000} {
		b.Run(fmt.Sprintf("end/%d", limit), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Last(benchTopics[rand.IntN(1000)], event.Position{}, limit); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("random/%d", limit), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				before := event.Position{Epoch: first.Epoch, Offset: rand.Uint64N(next.Offset)}
				if _, err := l.Last(benchTopics[rand.IntN(1000)], before, limit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("absent", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.Last("nobody", event.Position{}, 10); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen opens a log whose last segment is full and has to be scanned.
func BenchmarkOpen(b *testing.B) {
	l, _, _ := benchLog(b)
	dir := l.cfg.Dir
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, err := Open(Config{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil && !errors.Is(err, eventlog.ErrClosed) {
			b.Fatal(err)
		}
	}
}
