package limit

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe" //nolint:depguard // to measure, not to convert

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func newRates(tb testing.TB, cfg RatesConfig) *Rates {
	tb.Helper()
	r, err := NewRates(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestRateOff(t *testing.T) {
	for _, rates := range []*Rates{nil, newRates(t, RatesConfig{}), newRates(t, RatesConfig{Messages: -1, Bytes: -1})} {
		r := rates.Client()
		if r.On() || r.Take(1<<28) != 0 {
			t.Error("limits although it is off")
		}
	}
}

func TestRateOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rates := newRates(t, RatesConfig{Messages: 100})
		r, other := rates.Client(), rates.Client()
		for i := range 100 {
			if wait := r.Take(1 << 20); wait != 0 {
				t.Fatalf("message %d waits %v", i, wait)
			}
		}
		if wait := r.Take(0); wait != 10*time.Millisecond {
			t.Errorf("beyond the burst: %v", wait)
		}
		if wait := other.Take(0); wait != 0 {
			t.Errorf("another client waits %v", wait)
		}
		began := time.Now()
		for range 1000 {
			time.Sleep(r.Take(0))
		}
		if took := time.Since(began).Round(100 * time.Millisecond); took != 10*time.Second {
			t.Errorf("1000 messages took %v", took)
		}
		if n := testutil.ToFloat64(rates.metrics.messages); n < 1000 {
			t.Errorf("%v waits were counted", n)
		}
		time.Sleep(time.Hour)
		if wait := r.Take(0); wait != 0 {
			t.Errorf("after an hour: %v", wait)
		}
	})
}

func TestRateOfBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rates := newRates(t, RatesConfig{Bytes: 1000})
		r := rates.Client()
		if wait := r.Take(1000); wait != 0 {
			t.Errorf("a second's worth waits %v", wait)
		}
		// What is larger than that is taken, and waited for.
		if wait := r.Take(5000); wait != 5*time.Second {
			t.Errorf("five seconds' worth waits %v", wait)
		}
		time.Sleep(5 * time.Second)
		if wait := r.Take(1); wait != time.Millisecond {
			t.Errorf("then a byte waits %v", wait)
		}
		if n := testutil.ToFloat64(rates.metrics.bytes); n != 2 {
			t.Errorf("%v waits were counted", n)
		}
	})
}

func TestLargestPacketDoesNotOverflow(t *testing.T) {
	r := newRates(t, RatesConfig{Bytes: 1}).Client()
	if wait := r.Take(1 << 28); wait < (1<<28-2)*time.Second {
		t.Errorf("waits %v", wait)
	}
	if size := unsafe.Sizeof(r); size > 24 {
		t.Errorf("a Rate takes %d bytes", size)
	}
}

func BenchmarkTakeOff(b *testing.B) {
	r := newRates(b, RatesConfig{}).Client()
	for b.Loop() {
		if r.Take(100) != 0 {
			b.Fatal("waits")
		}
	}
}

func BenchmarkTakeOn(b *testing.B) {
	r := newRates(b, RatesConfig{Messages: 1e8, Bytes: 1e12}).Client()
	for b.Loop() {
		r.Take(100)
	}
}
