package history

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pulso/bridge/event"
)

// TestAnyOrder appends samples in any order within the window, in batches of any size, and with units that
// change, and reads them in the order of time.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v, err := New(Config{})
		if err != nil {
			r.Fatal(err)
		}
		defer func() {
			if err := v.Close(); err != nil {
				r.Error(err)
			}
		}()
		f := newFeed()
		const hours = 20
		times := rapid.SliceOfNDistinct(rapid.Int64Range(0, hours*3_600_000), 1, 300, rapid.ID).Draw(r, "times")
		var batch []event.Decoded
		for i, at := range times {
			unit := rapid.SampledFrom([]string{"", "", "", "W", "kW"}).Draw(r, "unit")
			d := f.event(hours*3_600_000, f.metric("a", "t", "x", unit, float64(at)))
			d.DeviceTime = start + at*1e6
			batch = append(batch, d)
			if i%rapid.IntRange(1, 50).Draw(r, "batch") == 0 {
				v.Apply(batch)
				batch = nil
			}
		}
		v.Apply(batch)
		all, err := v.Range(t.Context(), Request{Selection: Selection{Device: "a"}})
		if err != nil || len(all) != 1 {
			r.Fatalf("%d series, %v", len(all), err)
		}
		slices.Sort(times)
		want := make([]float64, len(times))
		for i, at := range times {
			want[i] = float64(at)
			times[i] = ms(at)
		}
		if !slices.Equal(all[0].Times, times) || !slices.Equal(all[0].Last, want) {
			r.Fatalf("got %v %v, want %v", all[0].Times, all[0].Last, times)
		}
	})
}
