package meter_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"pulso/access/meter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixed are limits that stay.
func fixed(l meter.Limits) func() meter.Limits { return func() meter.Limits { return l } }

// A second's worth comes at once, the rest at the rate, over all connections together; who has no limit does not wait.
func TestTakeIsSharedAndFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := meter.NewTable(nil, nil)
		began := time.Now()
		var passed atomic.Int64
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				c := table.Open(meter.Key{Name: "a", Limits: fixed(meter.Limits{meter.Messages: 10})})
				defer c.Close()
				for range 20 {
					c.Take(nil, 100)
					passed.Add(1)
				}
			})
		}
		other := table.Open(meter.Key{Name: "b", Limits: fixed(meter.Limits{})})
		defer other.Close()
		for range 1000 {
			if other.Take(nil, 1<<20) {
				t.Fatal("who has no limit waited")
			}
		}
		time.Sleep(4500 * time.Millisecond)
		if n := passed.Load(); n < 45 || n > 60 {
			t.Errorf("%d messages in 4.5 s at 10 a second with a second's worth at once", n)
		}
		wg.Wait()
		if took := time.Since(began); took < 8900*time.Millisecond || took > 9100*time.Millisecond {
			t.Errorf("100 messages took %v", took)
		}
	})
}

// A limit that is changed holds at once: who waits by the old one goes on.
func TestChangeEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := meter.NewTable(nil, nil)
		var bytes atomic.Int64
		bytes.Store(1)
		c := table.Open(meter.Key{Name: "a", Limits: func() meter.Limits { return meter.Limits{meter.Bytes: bytes.Load()} }})
		defer c.Close()
		done := make(chan struct{})
		go func() { c.Take(nil, 300); close(done) }()
		time.Sleep(time.Minute)
		select {
		case <-done:
			t.Fatal("300 bytes at one a second took less than a minute")
		default:
		}
		bytes.Store(1000)
		table.Refresh()
		synctest.Wait()
		select {
		case <-done:
		default:
			t.Fatal("the old limit goes on")
		}
	})
}

// Who cannot wait is told when to come, and may then.
func TestAllowSaysWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := meter.NewTable(nil, nil)
		c := table.Open(meter.Key{Name: "a", Limits: fixed(meter.Limits{meter.Messages: 2, meter.Bytes: 1000})})
		defer c.Close()
		for i, bytes := range []int{1, 5000, 1, 1, 1} { // the second is larger than there is room for, and made up for
			limit, wait := c.Allow(bytes)
			if wait > 0 {
				if limit != meter.Messages && limit != meter.Bytes {
					t.Errorf("%d: %v", i, limit)
				}
				if _, again := c.Allow(bytes); again != wait {
					t.Errorf("%d: refusing took something: %v after %v", i, again, wait)
				}
				time.Sleep(wait)
				if limit, wait := c.Allow(bytes); wait > 0 {
					t.Errorf("%d: %v wants another %v", i, limit, wait)
				}
			}
		}
	})
}

func TestQuestionsArePaidFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := meter.NewTable(nil, nil)
		c := table.Open(meter.Key{Name: "a", Limits: fixed(meter.Limits{meter.Samples: 600})})
		meter.Of(meter.With(context.Background(), c)).Read(900)
		c.Close()
		c = table.Open(meter.Key{Name: "a", Limits: fixed(meter.Limits{meter.Samples: 600})})
		defer c.Close()
		if wait := c.Ask(); wait < 30*time.Second || wait > 31*time.Second {
			t.Errorf("900 of 600 a minute: %v", wait)
		}
		time.Sleep(31 * time.Second)
		if wait := c.Ask(); wait != 0 {
			t.Errorf("after 31 s: %v", wait)
		}
	})
}

// Whatever is opened, held and given back, no more is held than may be, a chain takes of all its meters or of none, and in the end
// there is no meter left.
func TestHeldIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := meter.NewTable(nil, nil)
		limit, group := rapid.Int64Range(1, 5).Draw(t, "limit"), rapid.Int64Range(1, 8).Draw(t, "group")
		type opened struct {
			*meter.Chain

			name string
			subs int64
		}
		var all []*opened
		sum := func(name string) (n int64) {
			for _, o := range all {
				if name == "" || o.name == name {
					n += o.subs
				}
			}
			return n
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(all) == 0 || rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
				all = append(all, &opened{table.Open(
					meter.Key{Name: name, Limits: fixed(meter.Limits{meter.Subscriptions: limit})},
					meter.Key{Name: "/group", Limits: fixed(meter.Limits{meter.Subscriptions: group})},
				), name, 0})
				continue
			}
			i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
			o := all[i]
			switch rapid.IntRange(0, 3).Draw(t, "do") {
			case 0, 1:
				want := sum(o.name) < limit && sum("") < group
				if got := o.Subscribe(false); got != want {
					t.Fatalf("%d of %s, %d in all: %v", sum(o.name), o.name, sum(""), got)
				} else if got {
					o.subs++
				}
			case 2:
				o.Unsubscribe()
				o.subs = max(0, o.subs-1)
			case 3:
				o.Close()
				o.Close() // once counts
				all = append(all[:i], all[i+1:]...)
			}
		}
		for _, o := range all {
			o.Close()
		}
		if n := table.Len(); n != 0 {
			t.Fatalf("%d meters are left", n)
		}
	})
}

// A lowered limit refuses the newest and leaves the others; one that takes over comes in anyway.
func TestLoweredLimit(t *testing.T) {
	table := meter.NewTable(nil, nil)
	limit := int64(3)
	open := func() *meter.Chain {
		return table.Open(meter.Key{Name: "a", Limits: func() meter.Limits { return meter.Limits{meter.Connections: limit} }})
	}
	var all []*meter.Chain
	for range 3 {
		c := open()
		t.Cleanup(c.Close)
		if !c.Connect(false) {
			t.Fatal("refused below the limit")
		}
		all = append(all, c)
	}
	limit = 1
	table.Refresh()
	next := open()
	defer next.Close()
	if next.Connect(false) || !next.Connect(true) {
		t.Error("over a lowered limit")
	}
	for _, c := range all {
		c.Close()
	}
	if late := open(); late.Connect(false) {
		t.Error("the one that took over does not count")
	}
}

// What is owed outlives the connection, and is forgotten when it is paid.
func TestMetersVanish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		table := meter.NewTable(nil, registry)
		for i := range 70_000 {
			c := table.Open(meter.Key{Name: fmt.Sprint(i), Limits: fixed(meter.Limits{meter.Messages: 1})})
			c.Allow(1)
			c.Close()
		}
		if n := table.Len(); n > 65_536 {
			t.Errorf("%d meters of who is not there", n)
		}
		if n, err := testutil.GatherAndCount(registry, "pulso_access_meters_forgotten_total"); err != nil || n != 1 {
			t.Errorf("%d, %v", n, err)
		}
		time.Sleep(2 * time.Second)
		table.Sweep()
		if n := table.Len(); n != 0 {
			t.Errorf("%d meters are left", n)
		}
	})
}

// Being held back is counted, and told at most once a second, with the account.
func TestToldOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		registry := prometheus.NewRegistry()
		table := meter.NewTable(slog.New(slog.NewTextHandler(&out, nil)), registry)
		c := table.Open(meter.Key{Name: "anna", Limits: fixed(meter.Limits{meter.Connections: 1})})
		defer c.Close()
		c.Connect(false)
		for range 50 {
			c.Connect(false)
		}
		if lines := strings.Count(out.String(), "\n"); lines != 1 || !strings.Contains(out.String(), "account=anna limit=connections") {
			t.Errorf("%s", out.String())
		}
		want := `
# HELP pulso_access_limited_total What accounts did beyond a limit of theirs, and were refused or made to wait for, by the limit.
# TYPE pulso_access_limited_total counter
pulso_access_limited_total{limit="bytes"} 0
pulso_access_limited_total{limit="connections"} 50
pulso_access_limited_total{limit="messages"} 0
pulso_access_limited_total{limit="samples"} 0
pulso_access_limited_total{limit="subscriptions"} 0
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "pulso_access_limited_total"); err != nil {
			t.Error(err)
		}
	})
}

func TestNilBoundsNothing(t *testing.T) {
	var c *meter.Chain
	if !c.Connect(false) || !c.Subscribe(false) || c.Take(nil, 1) || c.Ask() != 0 || meter.Of(context.Background()) != nil {
		t.Error("nobody is bounded")
	}
	if _, wait := c.Allow(1); wait != 0 {
		t.Error(wait)
	}
	c.Unsubscribe()
	c.Read(1)
	c.Close()
}

// What a message costs: without accounts, for an account without limits, and for one that has some.
func BenchmarkTake(b *testing.B) {
	table := meter.NewTable(nil, nil)
	for name, c := range map[string]*meter.Chain{
		"nobody":    nil,
		"unlimited": table.Open(meter.Key{Name: "a", Limits: fixed(meter.Limits{meter.Connections: 10})}),
		"limited":   table.Open(meter.Key{Name: "b", Limits: fixed(meter.Limits{meter.Messages: 1e9, meter.Bytes: 1 << 40})}),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c.Take(nil, 100)
			}
		})
	}
}
