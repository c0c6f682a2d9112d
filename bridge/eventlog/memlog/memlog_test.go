package memlog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/logtest"
	"pulso/bridge/eventlog/memlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func create(t testing.TB, c memlog.Config) *memlog.Log {
	t.Helper()
	l, err := memlog.New(c)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	return l
}

func TestConformance(t *testing.T) {
	logtest.Run(t, logtest.Engine{
		New:   func(t *testing.T) eventlog.Log { return create(t, memlog.Config{}) },
		Small: func(t *testing.T) eventlog.Log { return create(t, memlog.Config{MaxBytes: logtest.SmallBytes}) },
	})
}

func TestBounds(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		config memlog.Config
		held   uint64
	}{
		"number": {memlog.Config{MaxEvents: 7}, 7},
		"age":    {memlog.Config{MaxAge: time.Hour}, 60},
		"bytes":  {memlog.Config{MaxBytes: 1000}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			l := create(t, test.config)
			for i := range 100 {
				e := event.Event{Topic: fmt.Sprint("t", i%3), Time: now.Add(time.Duration(i-99) * time.Minute).UnixNano(), Payload: []byte("12345678")}
				if err := l.Append([]event.Event{e}, false); err != nil {
					t.Fatal(err)
				}
			}
			first, next := l.Bounds()
			if held := next.Offset - first.Offset; held != test.held {
				t.Errorf("%d events held instead of %d", held, test.held)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	if _, err := memlog.New(memlog.Config{MaxEvents: -1}); err == nil {
		t.Error("a negative bound was taken")
	}
}

func TestMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	l := create(t, memlog.Config{MaxEvents: 2, Metrics: r})
	if err := l.Append(make([]event.Event, 3), false); err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(r); err != nil || n != 5 {
		t.Errorf("%d metrics, %v", n, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(r); err != nil || n != 0 {
		t.Errorf("%d metrics after Close, %v", n, err)
	}
}

func BenchmarkAppend(b *testing.B) {
	l := create(b, memlog.Config{})
	batch := make([]event.Event, 64)
	for i := range batch {
		batch[i] = event.Event{Topic: fmt.Sprint("devices/", i), Client: "c", Payload: make([]byte, 128)}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Append(batch, false); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "events/s")
}
