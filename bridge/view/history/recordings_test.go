package history

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"pulso/bridge"
	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/view"
	"pulso/simulators/recording"
)

// The recordings stand beside the project, see docs/TESTING.md.
var recordings = []string{"room_occupancy", "machine_temperature", "gps_delivery_traces", "house_appliances_energy"}

// A summary is what is known of the values of one metric of one device.
type summary struct {
	count, sum, least, most float64
	// lost is what adding up has rounded off, total the sum of what was added without its sign (both only of the file).
	lost, total float64
}

type metricKey struct{ device, field string }

// TestRecordings sends the recordings through the bridge, as fast as it goes and at their own pace, and compares what PromQL says of
// them with what the files say. It also reports how many bytes a sample takes in blocks.
func TestRecordings(t *testing.T) {
	if testing.Short() {
		t.Skip("replays four recordings twice")
	}
	shared := cmp.Or(os.Getenv("PULSO_SHARED"), "../../../../shared")
	var size, samples [2]float64
	for _, name := range recordings {
		path := filepath.Join(shared, "datasets", name+".csv")
		if _, err := os.Stat(path); err != nil {
			t.Skipf("no recordings: %v; PULSO_SHARED names their folder", err)
		}
		for i, pace := range []string{"fast", "own pace"} {
			t.Run(name+" "+pace, func(t *testing.T) {
				bytes, count := replayed(t, path, pace == "fast")
				t.Logf("%.0f samples, %.2f bytes a sample", count, bytes/count)
				size[i] += bytes
				samples[i] += count
			})
		}
	}
	for i, pace := range []string{"fast", "own pace"} {
		mean := size[i] / samples[i]
		t.Logf("%s: %.2f bytes a sample in the mean", pace, mean)
		// The grid of ten minutes with gaps is what the encoding of times is worst at: a gap costs eight bytes.
		if mean > []float64{4, 8}[i] {
			t.Errorf("%s: more than it was", pace)
		}
	}
}

// replayed replays one recording and returns the size of its blocks and its samples.
func replayed(t *testing.T, path string, fast bool) (size, count float64) {
	t.Helper()
	v := newView(t, Config{Dir: t.TempDir()})
	v.db.DisableCompactions() // else there would be thousands of small blocks on the way
	want, end := send(t, v, path, fast)
	got := summaries(t, v, end)
	if len(got) != len(want) {
		t.Errorf("%d metrics, want %d", len(got), len(want))
	}
	for key, w := range want {
		g := got[key]
		if g.count != w.count || g.least != w.least || g.most != w.most || math.Abs(g.sum-w.sum-w.lost) > 1e-15*w.total {
			t.Errorf("%v: %+v, want %+v", key, g, w)
		}
		count += w.count
	}
	return blockBytes(t, v), count
}

// send sends a recording through a bridge into a history. It returns what the file says of each metric, and when the last
// sample may be at the latest.
func send(t *testing.T, v *View, path string, fast bool) (map[metricKey]summary, time.Time) {
	t.Helper()
	log, err := memlog.New(memlog.Config{MaxEvents: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := decode.New(decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bridge.New(bridge.Config{Log: log, Decoder: decoder})
	if err != nil {
		t.Fatal(err)
	}
	runner, err := view.New(view.Config{View: v, Log: log, Decode: b.Decode})
	if err != nil {
		t.Fatal(err)
	}
	b.Follow(runner)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- b.Run(ctx) }()
	go func() { ended <- runner.Run(ctx) }()

	want := make(map[metricKey]summary)
	now := start
	rows(t, path, func(row *recording.Row, pause time.Duration) {
		if fast {
			pause = 50 * time.Microsecond
		}
		now += int64(pause)
		for _, m := range row.Messages {
			for _, r := range m.Readings {
				if r.JSON == "null" {
					continue // nothing was read
				}
				note(t, want, metricKey{m.Device, r.Metric}, r.JSON)
			}
			err := b.Ingest(ctx, event.Event{
				Time: now, Topic: "devices/" + m.Device + "/telemetry", Client: m.Device, Payload: payload(t, m.Readings), QoS: 1,
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if err := b.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := errors.Join(<-ended, <-ended); err != nil {
		t.Fatal(err)
	}
	// What the runner was not offered in time is in the log.
	if _, next := log.Bounds(); runner.Position() != next {
		rest, err := log.Read(runner.Position(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		v.Apply(b.Decode(rest))
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return want, time.Unix(0, now).Add(maxAhead * time.Millisecond)
}

// rows calls f for each row of a recording, with the time since the row before. Where the recording's time goes back, as at
// the beginning of the next trace, no time passes.
func rows(t *testing.T, path string, f func(row *recording.Row, pause time.Duration)) {
	t.Helper()
	r, err := recording.Open(path, recording.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	var before time.Time
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		pause := time.Duration(0)
		if !before.IsZero() {
			pause = max(row.Time.Sub(before), 0)
		}
		before = row.Time
		f(row, pause)
	}
}

func note(t *testing.T, all map[metricKey]summary, key metricKey, number string) {
	t.Helper()
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		t.Fatal(err)
	}
	s, known := all[key]
	if !known {
		s = summary{least: value, most: value}
	}
	s.count, s.total = s.count+1, s.total+math.Abs(value)
	s.least, s.most = min(s.least, value), max(s.most, value)
	// Neumaier's sum, as exact as one that PromQL makes.
	sum := s.sum + value
	if math.Abs(s.sum) >= math.Abs(value) {
		s.lost += s.sum - sum + value
	} else {
		s.lost += value - sum + s.sum
	}
	s.sum = sum
	all[key] = s
}

// payload is a row's readings as the replay sends them.
func payload(t *testing.T, readings []recording.Reading) []byte {
	t.Helper()
	object := make(map[string]json.RawMessage, len(readings))
	for _, r := range readings {
		object[r.Metric] = json.RawMessage(r.JSON)
	}
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// summaries asks PromQL for what there is until end.
func summaries(t *testing.T, v *View, end time.Time) map[metricKey]summary {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 50_000_000, Timeout: time.Minute})
	window := int(end.Sub(time.Unix(0, start)).Seconds()) + 3600
	out := make(map[metricKey]summary)
	for function, set := range map[string]func(s *summary, value float64){
		"count": func(s *summary, value float64) { s.count = value },
		"sum":   func(s *summary, value float64) { s.sum = value },
		"min":   func(s *summary, value float64) { s.least = value },
		"max":   func(s *summary, value float64) { s.most = value },
	} {
		// Names are left out of the result, and fields tell series apart as well.
		q, err := engine.NewInstantQuery(t.Context(), v.Queryable(), nil, fmt.Sprintf(`%s_over_time({field!=""}[%ds])`, function, window), end)
		if err != nil {
			t.Fatal(err)
		}
		vector, err := q.Exec(t.Context()).Vector()
		if err != nil {
			t.Fatal(err)
		}
		for _, sample := range vector {
			key := metricKey{sample.Metric.Get(labelDevice), sample.Metric.Get(labelField)}
			s := out[key]
			set(&s, sample.F)
			out[key] = s
		}
		q.Close()
	}
	return out
}

// blockBytes makes blocks of all there is, and one of those, as the storage does in the course of weeks, and returns its size
// on disk.
func blockBytes(t *testing.T, v *View) float64 {
	t.Helper()
	head := v.db.Head()
	least, most := head.MinTime(), head.MaxTime()
	middle := least + (most-least)/2
	for _, part := range [][2]int64{{least, middle}, {middle + 1, most}} {
		if err := v.db.CompactHead(tsdb.NewRangeHead(head, part[0], part[1])); err != nil {
			t.Fatal(err)
		}
	}
	o := v.options()
	compactor, err := newCompactor(t.Context(), nil, slog.New(slog.DiscardHandler), []int64{o.MinBlockDuration, o.MaxBlockDuration}, chunkenc.NewPool(), o)
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, b := range v.db.Blocks() {
		parts = append(parts, b.Dir())
	}
	into := t.TempDir()
	if _, err := compactor.Compact(into, parts, v.db.Blocks()); err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	err = filepath.WalkDir(into, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return float64(size)
}
