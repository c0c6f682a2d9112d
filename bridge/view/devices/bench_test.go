package devices_test

import (
	"fmt"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/view/devices"
	"pulso/bridge/wire"
)

// fleet returns a batch of messages of n devices, the first being number from.
func fleet(series interner, from, n int) []event.Decoded {
	batch := make([]event.Decoded, n)
	for i := range batch {
		e := &batch[i]
		e.Device = fmt.Sprintf("device-%05d", from+i)
		e.Topic, e.Client, e.Time = "devices/"+e.Device+"/telemetry", e.Device, start.UnixNano()
		for _, name := range []string{"temperature", "humidity", "pressure", "battery", "rssi"} {
			e.Metrics = append(e.Metrics, event.Metric{Series: series.intern(e.Device, name, "", e.Topic), Value: 21.5})
		}
		e.Texts = []event.Text{{Name: "mode", Value: "eco"}}
	}
	return batch
}

func benchmarkView(b *testing.B) (v *devices.View, batches [][]event.Decoded) {
	b.Helper()
	const fleetSize, batchSize = 10_000, 1024
	w := newWorld(b, devices.Config{})
	for i := 0; i < fleetSize; i += batchSize {
		batch := fleet(w.series, i, min(batchSize, fleetSize-i))
		w.v.Apply(batch)
		if len(batch) == batchSize {
			batches = append(batches, batch)
		}
	}
	return w.v, batches
}

func BenchmarkApply(b *testing.B) {
	v, batches := benchmarkView(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		batch := batches[i%len(batches)]
		for k := range batch {
			batch[k].Time += int64(time.Second)
		}
		v.Apply(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1024, "ns/event")
}

func BenchmarkTick(b *testing.B) {
	v, _ := benchmarkView(b)
	now := start
	for b.Loop() {
		now = now.Add(time.Second)
		v.Tick(now)
	}
}

// BenchmarkSince is a frame of a room: what changed, in an encoding.
func BenchmarkSince(b *testing.B) {
	v, batches := benchmarkView(b)
	before := v.Version()
	v.Apply(batches[0])
	for _, e := range []wire.Encoding{wire.JSON, wire.Proto} {
		for name, since := range map[string]uint64{"snapshot of 10000": 0, "1024 changed": before, "nothing changed": v.Version()} {
			b.Run(e.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				var dst []byte
				for b.Loop() {
					if f, _ := v.Since([]string{"#"}, nil, since); f != nil {
						dst = e.AppendView(dst[:0], f)
					}
				}
				b.ReportMetric(float64(len(dst)), "bytes")
			})
		}
	}
}
