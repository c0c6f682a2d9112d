package history

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/promql"
	"go.uber.org/goleak"

	"pulso/bridge/event"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		fmt.Fprintln(os.Stderr, victim(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// start is a time in nanoseconds that tests begin at.
const start = int64(1_770_000_000_000_000_000)

// A feed makes decoded events as the bridge would.
type feed struct {
	series map[string]*event.Series
	offset uint64
}

func newFeed() *feed { return &feed{series: make(map[string]*event.Series)} }

func (f *feed) metric(device, topic, name, unit string, value float64) event.Metric {
	key := device + "\x00" + topic + "\x00" + name
	s := f.series[key]
	switch {
	case s == nil:
		s = &event.Series{ID: uint32(len(f.series) + 1), Device: device, Topic: topic, Name: name, Unit: unit}
	case unit != "" && unit != s.Unit:
		renewed := *s
		renewed.Unit = unit
		s = &renewed
	}
	f.series[key] = s
	return event.Metric{Series: s, Value: value}
}

// event makes an event at a time in milliseconds after start.
func (f *feed) event(ms int64, metrics ...event.Metric) event.Decoded {
	d := event.Decoded{Metrics: metrics}
	d.Position = event.Position{Epoch: 7, Offset: f.offset}
	d.Time = start + ms*int64(time.Millisecond)
	if len(metrics) > 0 {
		d.Device, d.Topic = metrics[0].Series.Device, metrics[0].Series.Topic
	}
	f.offset++
	return d
}

// forget makes an event that has a device forgotten.
func (f *feed) forget(ms int64, device string) event.Decoded {
	d := f.event(ms)
	d.Kind, d.Payload = event.KindForget, []byte(device)
	return d
}

func newView(t testing.TB, c Config) *View {
	t.Helper()
	v, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := v.Restore(bytes.NewReader(nil)); err != nil {
		t.Fatal(err)
	}
	return v
}

func draw(t testing.TB, v *View, r Request) []Series {
	t.Helper()
	out, err := v.Range(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// one draws a device that has one series.
func one(t testing.TB, v *View, device string) Series {
	t.Helper()
	all := draw(t, v, Request{Selection: Selection{Device: device}})
	if len(all) != 1 {
		t.Fatalf("%d series of %q: %+v", len(all), device, all)
	}
	return all[0]
}

// query is the value of a PromQL expression whose result is one sample, or a scalar.
func query(t testing.TB, v *View, expression string, at time.Time) float64 {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 50_000_000, Timeout: time.Minute})
	q, err := engine.NewInstantQuery(t.Context(), v.Queryable(), nil, expression, at)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	result := q.Exec(t.Context())
	if result.Err != nil {
		t.Fatal(result.Err)
	}
	vector, err := result.Vector()
	if err != nil || len(vector) != 1 {
		t.Fatalf("%s: %v, %v", expression, result, err)
	}
	return vector[0].F
}

func ms(after int64) int64 { return start/1e6 + after }

func TestSeriesAndLabels(t *testing.T) {
	v, f := newView(t, Config{}), newFeed()
	d := f.event(0, f.metric("lamp", "tele/lamp/SENSOR", "BME280.Temperature", "°C", 21.5), f.metric("lamp", "tele/lamp/SENSOR", "values.0", "", 4))
	d.DeviceKind = "sensor"
	v.Apply([]event.Decoded{d})
	all := draw(t, v, Request{Selection: Selection{Device: "lamp"}})
	want := []Info{
		{Device: "lamp", Topic: "tele/lamp/SENSOR", Field: "BME280.Temperature", Name: "temperature", Unit: "°C", Kind: "sensor"},
		{Device: "lamp", Topic: "tele/lamp/SENSOR", Field: "values.0", Name: "values", Kind: "sensor"},
	}
	for i, s := range all {
		if i >= len(want) || s.Info != want[i] || !slices.Equal(s.Times, []int64{ms(0)}) || s.Step != 0 {
			t.Errorf("series %d: %+v", i, s)
		}
	}
	if len(all) != len(want) {
		t.Errorf("%d series", len(all))
	}
	at := time.Unix(0, start)
	if got := query(t, v, `temperature{device="lamp",unit="°C",kind="sensor",field="BME280.Temperature",topic="tele/lamp/SENSOR"}`, at); got != 21.5 {
		t.Errorf("got %v", got)
	}
}

func TestTimes(t *testing.T) {
	v, f := newView(t, Config{}), newFeed()
	value := 0.0
	add := func(arrival, device int64) {
		value++
		d := f.event(arrival, f.metric("a", "t", "x", "", value))
		if device != 0 {
			d.DeviceTime = start + device*int64(time.Millisecond)
		}
		v.Apply([]event.Decoded{d})
	}
	add(1000, 0)
	add(1000, 0)            // moved on to 1001
	add(1000, 0)            // and 1002
	add(1001, 0)            // its time is taken: 1003
	add(5000, 0)            // at its time
	add(6000, 3000)         // late
	add(6000, 3000)         // late and moved on
	add(7000, 24*3_600_000) // a clock of tomorrow is not believed
	s := one(t, v, "a")
	if want := []int64{ms(1000), ms(1001), ms(1002), ms(1003), ms(3000), ms(3001), ms(5000), ms(7000)}; !slices.Equal(s.Times, want) {
		t.Errorf("times %v, want %v", s.Times, want)
	}
	if want := []float64{1, 2, 3, 4, 6, 7, 5, 8}; !slices.Equal(s.Last, want) {
		t.Errorf("values %v, want %v", s.Last, want)
	}
	if got := v.figures.moved.Load(); got != 4 {
		t.Errorf("%d moved", got)
	}
}

// TestRetainedAgain gives a retained message a second time, as a broker does when a connection begins anew.
func TestRetainedAgain(t *testing.T) {
	v, f := newView(t, Config{}), newFeed()
	for range 3 {
		d := f.event(1000, f.metric("a", "t", "x", "", 5))
		d.Retain, d.DeviceTime = true, start
		v.Apply([]event.Decoded{d})
	}
	if s := one(t, v, "a"); len(s.Times) != 1 {
		t.Errorf("%v", s.Times)
	}
}

func TestEarlier(t *testing.T) {
	v, f := newView(t, Config{}), newFeed()
	m := f.metric("a", "t", "x", "", 3)
	d := f.event(0, m)
	for _, before := range []int64{1000, 3000, 2000} {
		d.Earlier = append(d.Earlier, event.Sample{Metric: event.Metric{Series: m.Series, Value: float64(-before)}, Time: d.Time - before*1e6})
	}
	v.Apply([]event.Decoded{d})
	s := one(t, v, "a")
	if want := []int64{ms(-3000), ms(-2000), ms(-1000), ms(0)}; !slices.Equal(s.Times, want) {
		t.Errorf("times %v", s.Times)
	}
	if want := []float64{-3000, -2000, -1000, 3}; !slices.Equal(s.Last, want) {
		t.Errorf("values %v", s.Last)
	}
	if d.Earlier[0].Value != -1000 {
		t.Error("the batch was written to")
	}
}

// TestUnitComesLate has a device say its unit and kind when it has been heard of for a while.
func TestUnitComesLate(t *testing.T) {
	v, f := newView(t, Config{}), newFeed()
	for i := range int64(300) {
		unit := ""
		if i >= 100 {
			unit = "W"
		}
		d := f.event(i*1000, f.metric("a", "t", "power", unit, float64(i)))
		if i == 200 {
			d.DeviceKind = "plug"
		}
		v.Apply([]event.Decoded{d})
	}
	s := one(t, v, "a")
	if s.Unit != "W" || s.Kind != "plug" || len(s.Times) != 300 || !slices.IsSorted(s.Times) || !slices.IsSorted(s.Last) {
		t.Errorf("%+v", s)
	}
	if got := query(t, v, `count(power{device="a"})`, time.Unix(0, start).Add(200*time.Second)); got != 3 {
		t.Errorf("%v series in the storage", got)
	}
}

// TestUnitsChange has a device that says another unit each time.
func TestUnitsChange(t *testing.T) {
	v, f := newView(t, Config{}), newFeed()
	for i := range int64(1000) {
		v.Apply([]event.Decoded{f.event(i*1000, f.metric("a", "t", "power", fmt.Sprint("u", i), float64(i)))})
	}
	if s := one(t, v, "a"); len(s.Times) != 1000 || s.Unit != "" {
		t.Errorf("%d samples in %q", len(s.Times), s.Unit)
	}
	if got := v.db.Head().NumSeries(); got != maxVariants+1 {
		t.Errorf("%d series in the storage", got)
	}
}

func TestStepsAreTrue(t *testing.T) {
	v, f := newView(t, Config{}), newFeed()
	const n = 10_000
	for i := range int64(n) {
		value := math.Sin(float64(i) / 100)
		if i == 4321 {
			value = 1000 // a spike of one sample
		}
		v.Apply([]event.Decoded{f.event(i*1000, f.metric("a", "t", "x", "", value))})
	}
	all := draw(t, v, Request{Selection: Selection{Device: "a", From: ms(0), To: ms(n*1000 - 1)}, Points: 100})
	s := all[0]
	if s.Step == 0 || len(s.Times) > 101 || len(s.Times) < 95 {
		t.Fatalf("step %d, %d points", s.Step, len(s.Times))
	}
	count, most := uint32(0), 0.0
	for i := range s.Times {
		count += s.Count[i]
		most = max(most, s.Max[i])
		if s.Min[i] > s.Last[i] || s.Last[i] > s.Max[i] {
			t.Errorf("point %d: %v %v %v", i, s.Min[i], s.Last[i], s.Max[i])
		}
	}
	if count != n || most != 1000 {
		t.Errorf("%d samples, maximum %v", count, most)
	}
	if raw := draw(t, v, Request{Selection: Selection{Device: "a", From: ms(0), To: ms(50_000)}, Points: 100})[0]; raw.Step != 0 || len(raw.Times) != 51 {
		t.Errorf("step %d, %d points", raw.Step, len(raw.Times))
	}
}

func TestCaps(t *testing.T) {
	registry := prometheus.NewRegistry()
	v, f := newView(t, Config{MaxDeviceSeries: 10, MaxSeries: 25, Metrics: registry}), newFeed()
	for round := range int64(2) {
		for i := range 1000 {
			v.Apply([]event.Decoded{f.event(round, f.metric("greedy", "t", fmt.Sprint("m", i), "", 1))})
		}
	}
	for i := range 20 {
		v.Apply([]event.Decoded{f.event(0, f.metric(fmt.Sprint("d", i), "t", "x", "", 1))})
	}
	r := v.Refused()
	if r.Samples[ReasonDevice] != 2*990 || r.Samples[ReasonSeries] != 5 || len(r.Series) != maxRefusedSeries {
		t.Errorf("refused %v, %d examples", r.Samples, len(r.Series))
	}
	if got := len(draw(t, v, Request{})); got != 25 {
		t.Errorf("%d series", got)
	}
	v.Apply([]event.Decoded{f.forget(500, "greedy")})
	for i := range 20 {
		v.Apply([]event.Decoded{f.event(1000, f.metric(fmt.Sprint("d", i), "t", "x", "", 1))})
	}
	if got := len(draw(t, v, Request{})); got != 20 {
		t.Errorf("%d series after there was room again", got)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}

func TestTooFastAndTooOld(t *testing.T) {
	v, f := newView(t, Config{OutOfOrder: time.Hour}), newFeed()
	m := f.metric("a", "t", "x", "", 1)
	v.Apply([]event.Decoded{f.event(0, m)})
	v.find(m.Series, 0).series.Newest.Last = ms(maxAhead - 10) // as if all of that time were taken
	for range 20 {
		v.Apply([]event.Decoded{f.event(0, m)})
	}
	late := f.event(maxAhead, f.metric("b", "t", "x", "", 1))
	late.DeviceTime = start - int64(2*time.Hour)
	v.Apply([]event.Decoded{late})
	v.Tick(time.Now())
	if r := v.Refused(); r.Samples[ReasonRate] != 10 || r.Samples[ReasonAge] != 1 {
		t.Errorf("%v", r.Samples)
	}
	if got := query(t, v, `count_over_time(x{device="a"}[1h])`, time.UnixMilli(ms(3_600_000-1))); got != 11 {
		t.Errorf("%v samples", got)
	}
}

func TestForget(t *testing.T) {
	dir := t.TempDir()
	v, f := newView(t, Config{Dir: dir}), newFeed()
	var events []event.Decoded
	for i := range int64(100) {
		events = append(events, f.event(i*1000, f.metric("a", "t", "x", "", 1)), f.event(i*1000, f.metric("b", "t", "x", "", 2)))
	}
	v.Apply(events)
	events = append(events, f.event(99_500, f.metric("a", "t", "x", "", 1)))
	events[len(events)-1].DeviceTime = start - int64(time.Hour) // late
	events = append(events, f.forget(100_000, "a"))
	v.Apply(events[200:])
	if all := draw(t, v, Request{}); len(all) != 1 || all[0].Device != "b" || len(all[0].Times) != 100 {
		t.Errorf("%+v", all)
	}
	events = append(events, f.event(200_000, f.metric("a", "t", "x", "", 3)))
	v.Apply(events[len(events)-1:])
	if s := one(t, v, "a"); !slices.Equal(s.Last, []float64{3}) {
		t.Errorf("%+v", s)
	}
	v.Tick(time.Now()) // rewrites what is in blocks
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	// Reading the log from its start does not bring it back.
	v = newView(t, Config{Dir: dir})
	v.Apply(events)
	if s := one(t, v, "a"); !slices.Equal(s.Last, []float64{3}) {
		t.Errorf("after reading again: %+v", s)
	}
	if s := one(t, v, "b"); len(s.Times) != 100 {
		t.Errorf("after reading again: %d of the other", len(s.Times))
	}
}

func TestWalk(t *testing.T) {
	v, f := newView(t, Config{}), newFeed()
	const n = 500
	for i := range int64(n) {
		at := i * 100_000 // half a day and more: several windows
		v.Apply([]event.Decoded{f.event(at, f.metric("b", "t", "y", "", float64(i))), f.event(at, f.metric("a", "t", "x", "", float64(i)))})
	}
	var got []Point
	collect := func(p Point) error { got = append(got, p); return nil }
	if err := v.Walk(t.Context(), Selection{}, collect); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2*n {
		t.Fatalf("%d points", len(got))
	}
	for i, p := range got {
		device := []string{"a", "b"}[i%2]
		if want := int64(i / 2); p.Series.Device != device || p.Time != ms(want*100_000) || p.Value != float64(want) {
			t.Fatalf("point %d: %+v %+v", i, p, p.Series)
		}
	}
	got = nil
	if err := v.Walk(t.Context(), Selection{Fields: []string{"x", "z"}, From: ms(100_000), To: ms(300_000)}, collect); err != nil || len(got) != 3 {
		t.Errorf("%d points, %v", len(got), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.Walk(ctx, Selection{}, collect); err == nil {
		t.Error("goes on after its context ended")
	}
}

func TestCloseEndsQueries(t *testing.T) {
	v := newView(t, Config{})
	dir := v.dir
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Range(t.Context(), Request{}); err == nil {
		t.Error("a range after Close")
	}
	if _, err := v.Queryable().Querier(0, 1); err == nil {
		t.Error("a querier after Close")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the temporary folder is left")
	}
}

func TestOtherFolderIsAnother(t *testing.T) {
	dir := t.TempDir()
	v, f := newView(t, Config{Dir: dir}), newFeed()
	events := []event.Decoded{f.event(0, f.metric("a", "t", "x", "", 1)), f.event(1000, f.metric("a", "t", "x", "", 1))}
	v.Apply(events)
	var saved bytes.Buffer
	if err := v.Save(&saved); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := New(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Restore(bytes.NewReader(saved.Bytes())); err != nil {
		t.Error(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if err := newView(t, Config{Dir: t.TempDir()}).Restore(bytes.NewReader(saved.Bytes())); err == nil {
		t.Error("the state of another folder was taken")
	}
	// A write-ahead log that has lost what the state says is there.
	if err := os.Truncate(filepath.Join(dir, "wal", "00000000"), v.marks[0].size-5); err != nil {
		t.Fatal(err)
	}
	v = newView(t, Config{Dir: dir})
	if err := v.Restore(bytes.NewReader(saved.Bytes())); err == nil {
		t.Error("lost samples were not noticed")
	}
	if err := v.Restore(bytes.NewReader(nil)); err != nil {
		t.Fatal(err)
	}
	v.Apply(events)
	if s := one(t, v, "a"); len(s.Times) != 2 {
		t.Errorf("%v", s.Times)
	}
}

// FuzzState feeds states that may be anything.
func FuzzState(f *testing.F) {
	v, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = v.Close() })
	feed := newFeed()
	for i := range int64(10) {
		v.Apply([]event.Decoded{feed.event(i, feed.metric("d", fmt.Sprint("t", i%2), fmt.Sprint("m", i), "W", 1))})
	}
	var saved bytes.Buffer
	if err := v.Save(&saved); err != nil {
		f.Fatal(err)
	}
	if err := v.Restore(bytes.NewReader(saved.Bytes())); err != nil || v.series != 10 {
		f.Fatalf("%d series, %v", v.series, err)
	}
	f.Add(saved.Bytes())
	f.Add([]byte{stateVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.forgetAll()
		if err := v.readState(data); err != nil {
			return
		}
		// What was read is saved as something that reads the same, in whatever order.
		series := v.series
		again := v.appendState(nil)
		v.forgetAll()
		if err := v.readState(again); err != nil || v.series != series {
			t.Fatalf("%d series, not %d: %v", v.series, series, err)
		}
	})
}
