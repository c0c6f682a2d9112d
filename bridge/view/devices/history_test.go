package devices_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pulso/bridge/event"
	"pulso/bridge/view/devices"
)

// events draws a history of several devices and clients; times grow.
func events(t *rapid.T, series interner) []event.Decoded {
	at := start
	all := make([]event.Decoded, rapid.IntRange(0, 60).Draw(t, "events"))
	for i := range all {
		at = at.Add(time.Duration(rapid.Int64Range(0, 20e9).Draw(t, "gap")))
		e := &all[i]
		e.Time = at.UnixNano()
		e.Position = event.Position{Epoch: 1, Offset: uint64(i)}
		e.Client = fmt.Sprintf("c%d", rapid.IntRange(1, 3).Draw(t, "client"))
		switch e.Kind = event.Kind(rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, 3, 4}).Draw(t, "kind")); e.Kind {
		case event.KindDisconnected:
			e.Payload = []byte(rapid.SampledFrom([]string{"clean", "taken over", "shutdown", "broken"}).Draw(t, "reason"))
		case event.KindPublish, event.KindWill:
			e.Device = fmt.Sprintf("d%d", rapid.IntRange(1, 4).Draw(t, "device"))
			e.Topic = "devices/" + e.Device + "/" + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "topic")
			e.Status = event.Status(rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "status"))
			e.Command = rapid.SampledFrom([]bool{false, false, true}).Draw(t, "command")
			for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y", "z"}), 0, 3).Draw(t, "names") {
				e.Metrics = append(e.Metrics, event.Metric{Series: series.intern(e.Device, name, "", e.Topic), Value: float64(i)})
			}
			if rapid.Bool().Draw(t, "text") {
				e.Texts = []event.Text{{Name: "mode", Value: rapid.SampledFrom([]string{"eco", "off"}).Draw(t, "mode")}}
			}
		case event.KindForget:
			e.Payload = fmt.Appendf(nil, "d%d", rapid.IntRange(1, 4).Draw(t, "device"))
		case event.KindConnected, event.KindCommand, event.KindAudit:
		}
	}
	return all
}

func fresh(t *rapid.T, series interner) *devices.View {
	v, err := devices.New(devices.Config{Intern: series.intern})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func state(t *rapid.T, v *devices.View) string {
	var b bytes.Buffer
	if err := v.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSnapshotAndTailEqualReplay restarts a view anywhere in a history.
func TestSnapshotAndTailEqualReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		series := make(interner)
		all := events(t, series)
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		whole, before, after := fresh(t, series), fresh(t, series), fresh(t, series)
		whole.Apply(all)
		before.Apply(all[:cut])
		if err := after.Restore(strings.NewReader(state(t, before))); err != nil {
			t.Fatal(err)
		}
		after.Apply(all[cut:])
		if got, want := state(t, after), state(t, whole); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// A screen keeps what frames say, like a client does.
type screen struct {
	records, status map[string]string
	version         uint64
}

func newScreen() *screen {
	return &screen{records: make(map[string]string), status: make(map[string]string)}
}

func (s *screen) update(t *rapid.T, v *devices.View, filters []string) {
	members, version := since(t, v, filters, s.version)
	s.version = version
	var frame struct {
		Removed []json.Number       `json:"removed"`
		Devices []json.RawMessage   `json:"devices"`
		Status  [][]json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal([]byte("{"+string(members)+"}"), &frame); err != nil {
		t.Fatalf("%v: %s", err, members)
	}
	for _, number := range frame.Removed {
		delete(s.records, number.String())
		delete(s.status, number.String())
	}
	for _, record := range frame.Devices {
		var r struct {
			Device json.Number `json:"device"`
		}
		if err := json.Unmarshal(record, &r); err != nil {
			t.Fatal(err)
		}
		s.records[r.Device.String()] = string(record)
	}
	for _, row := range frame.Status {
		number := string(row[0])
		if s.records[number] == "" {
			t.Fatalf("status before the record of device %s", number)
		}
		s.status[number] = fmt.Sprintf("%s", row)
	}
}

// TestChangesAddUpToSnapshot holds a screen that gets changes against one that gets a snapshot at the end.
func TestChangesAddUpToSnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		series := make(interner)
		v := fresh(t, series)
		filters := rapid.SampledFrom([][]string{{"#"}, {"devices/+/a"}, {"devices/d1/#", "devices/d2/b"}}).Draw(t, "filters")
		follower := newScreen()
		all := events(t, series)
		for len(all) > 0 {
			n := rapid.IntRange(1, len(all)).Draw(t, "batch")
			v.Apply(all[:n])
			if rapid.Bool().Draw(t, "tick") {
				v.Tick(all[n-1].Arrival().Add(time.Duration(rapid.Int64Range(0, 400e9).Draw(t, "later"))))
			}
			all = all[n:]
			if rapid.Bool().Draw(t, "update") {
				follower.update(t, v, filters)
			}
		}
		follower.update(t, v, filters)
		late := newScreen()
		late.update(t, v, filters)
		if got, want := fmt.Sprint(follower.records, follower.status), fmt.Sprint(late.records, late.status); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// FuzzRestore restores states that no View wrote: an error or a registry that can be shown, never a panic.
func FuzzRestore(f *testing.F) {
	w := newWorld(f, devices.Config{})
	w.saysEvery(time.Second, 5)
	var state bytes.Buffer
	if err := w.v.Save(&state); err != nil {
		f.Fatal(err)
	}
	f.Add(state.Bytes())
	f.Fuzz(func(t *testing.T, state []byte) {
		w := newWorld(t, devices.Config{})
		err := w.v.Restore(bytes.NewReader(state))
		if total, _, _, _ := w.v.Counts(); err != nil && total > 0 {
			t.Fatalf("%d devices after %v", total, err)
		}
		w.saysEvery(time.Second, 3)
		members, _ := since(t, w.v, []string{"#"}, 0)
		if !json.Valid([]byte("{" + string(members) + "}")) {
			t.Fatalf("%s", members)
		}
	})
}
