package disklog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
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

// BenchmarkScan reads a log to its end, in calls of 1,000 events: once by Read, and by Scan with filters that take from
// all events to none.
func BenchmarkScan(b *testing.B) {
	l, first, next := benchLog(b)
	events := float64(next.Offset - first.Offset)
	b.Run("read", func(b *testing.B) { benchReadThrough(b, l) })
	for _, every := range []int{1, 2, 10, 100, 1000} {
		wanted := make(map[string]bool)
		for i := 0; i < len(benchTopics); i += every {
			wanted[benchTopics[i]] = true
		}
		b.Run(fmt.Sprintf("one in %d", every), func(b *testing.B) {
			for b.Loop() {
				if n := scanThrough(b, l, func(topic string) bool { return wanted[topic] }); n != int(events)/every {
					b.Fatalf("%d events", n)
				}
			}
			b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
	b.Run("none", func(b *testing.B) {
		for b.Loop() {
			scanThrough(b, l, func(string) bool { return false })
		}
		b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}

func benchReadThrough(b *testing.B, l *Log) {
	b.Helper()
	first, next := l.Bounds()
	for b.Loop() {
		for at := first; at != next; {
			got, err := l.Read(at, 1000)
			if err != nil {
				b.Fatal(err)
			}
			at = got[len(got)-1].Next()
		}
	}
	b.ReportMetric(float64(next.Offset-first.Offset)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func scanThrough(b *testing.B, l *Log, want func(string) bool) (events int) {
	b.Helper()
	for at, next := l.Bounds(); at != next; {
		found, to, err := l.Scan(at, want, 1000)
		if err != nil {
			b.Fatal(err)
		}
		events, at = events+len(found), to
	}
	return events
}

// BenchmarkScanManyTopics has ten segments with 100,000 topics in each.
func BenchmarkScanManyTopics(b *testing.B) {
	const topics, n = 100_000, 1000
	l := mustOpen(b, Config{Sync: SyncOS, RetainBytes: -1})
	names := make([]string, topics)
	for i := range names {
		names[i] = fmt.Sprintf("fleet/%d/devices/%d/telemetry", i%100, i)
	}
	batch := benchBatch(n, 0)
	for i := 0; len(l.segments) < 11; i += n {
		for k := range batch {
			batch[k].Topic = names[(i+k)%topics]
		}
		if err := l.Append(batch, false); err != nil {
			b.Fatal(err)
		}
	}
	first, next := l.Bounds()
	events := float64(next.Offset - first.Offset)
	b.Run("read", func(b *testing.B) { benchReadThrough(b, l) })
	for name, want := range map[string]func(string) bool{
		"one topic":   func(topic string) bool { return topic == "fleet/7/devices/77707/telemetry" },
		"one percent": func(topic string) bool { return event.Match("fleet/7/devices/+/telemetry", topic) },
		"a tenth":     func(topic string) bool { return strings.HasSuffix(topic, "7/telemetry") },
		"everything":  func(topic string) bool { return event.Match("fleet/#", topic) },
		"nothing":     func(topic string) bool { return event.Match("fleets/#", topic) },
	} {
		b.Run(name, func(b *testing.B) {
			found := 0
			for b.Loop() {
				found = scanThrough(b, l, want)
			}
			b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(found), "found")
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N)/10, "ms/segment")
		})
	}
}
