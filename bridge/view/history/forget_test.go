package history

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pulso/bridge/event"
)

// TestForgetCountsWhereItStands forgets a device amid others, and reads the log again as after a crash: what the device said before
// is gone, what it said later stays, and nobody else loses anything.
func TestForgetCountsWhereItStands(t *testing.T) {
	v := newView(t, Config{Dir: t.TempDir()})
	f := newFeed()
	var all []event.Decoded
	say := func(device string, ms int64) {
		all = append(all, f.event(ms, f.metric(device, "t/"+device, "x", "", float64(ms))))
	}
	for ms := range int64(10) {
		say("d1", ms)
		say("d2", ms)
	}
	forget := f.event(10)
	forget.Kind, forget.Payload = event.KindForget, []byte("d1")
	all = append(all, forget)
	for ms := range int64(5) {
		say("d1", 20+ms)
		say("d2", 20+ms)
	}
	check := func(when string) {
		t.Helper()
		for device, want := range map[string]int{"d1": 5, "d2": 15} {
			n := 0
			for _, s := range draw(t, v, Request{Selection: Selection{Device: device}}) {
				n += len(s.Times)
			}
			if n != want {
				t.Errorf("%s: %s has %d samples, want %d", when, device, n, want)
			}
		}
	}
	for batch := range slices.Chunk(all, 3) {
		v.Apply(batch)
	}
	check("at first")
	for round := range 3 { // a crash loses what was applied since the state was saved, here all of it
		if err := v.Restore(bytes.NewReader(nil)); err != nil {
			t.Fatal(err)
		}
		v.Apply(all)
		check(fmt.Sprint("read again, round ", round))
	}
}
