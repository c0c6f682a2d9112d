package history

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"pulso/bridge/event"
)

// BenchmarkApply stores messages of three metrics each, from 500 devices, in batches of forty as the bridge makes them of
// 20,000 messages a second.
func BenchmarkApply(b *testing.B) {
	v, f := newView(b, Config{Dir: b.TempDir()}), newFeed()
	const devices, batch = 500, 40
	events := make([]event.Decoded, devices)
	for i := range events {
		id := fmt.Sprint("device", i)
		events[i] = f.event(0, f.metric(id, id, "a", "", 0), f.metric(id, id, "b", "", 0), f.metric(id, id, "c", "", 0))
	}
	v.Apply(events)
	now, n := start, 0
	b.ReportAllocs()
	for b.Loop() {
		from := n * batch % (devices - devices%batch)
		for i := range batch {
			e := &events[from+i]
			now += int64(50 * time.Microsecond)
			e.Time = now
			for m := range e.Metrics {
				e.Metrics[m].Value = float64(n + m)
			}
		}
		v.Apply(events[from : from+batch])
		n++
	}
	v.Tick(time.Now())
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*batch*3), "ns/sample")
}

// aWeek is a history of a week at ten seconds, of a thousand series.
var aWeek = struct {
	sync.Once

	view *View
}{}

const (
	weekSeries  = 1000
	weekSamples = 7 * 24 * 3600 / 10
)

func week(b *testing.B) *View {
	b.Helper()
	if testing.Short() {
		b.Skip("stores sixty million samples")
	}
	aWeek.Do(func() {
		v, err := New(Config{})
		if err != nil {
			b.Fatal(err)
		}
		f := newFeed()
		events := make([]event.Decoded, weekSeries)
		for i := range events {
			id := fmt.Sprint("device", i/10)
			events[i] = f.event(0, f.metric(id, id, fmt.Sprint("m", i%10), "", 0))
		}
		for n := range weekSamples {
			for i := range events {
				events[i].Time = start + int64(n)*int64(10*time.Second) + int64(i)*int64(time.Millisecond)
				events[i].Metrics[0].Value = math.Round(100*(20+5*math.Sin(float64(n+i)/500))) / 100
			}
			v.Apply(events)
		}
		v.Tick(time.Now())
		aWeek.view = v
	})
	return aWeek.view
}

// BenchmarkWeek draws one series, and twenty, of a week at ten seconds by a thousand points.
func BenchmarkWeek(b *testing.B) {
	v := week(b)
	for _, series := range []int{1, 20} {
		b.Run(fmt.Sprint("series=", series), func(b *testing.B) {
			for b.Loop() {
				for i := range series {
					out := draw(b, v, Request{Selection: Selection{
						Device: fmt.Sprint("device", i), Fields: []string{"m3"}, From: ms(0), To: ms(weekSamples * 10_000),
					}})
					if len(out) != 1 || len(out[0].Times) < 990 {
						b.Fatalf("%d series", len(out))
					}
				}
			}
		})
	}
	b.Cleanup(func() {
		if err := v.Close(); err != nil {
			b.Error(err)
		}
	})
}
