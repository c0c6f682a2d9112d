package devices_test

import (
	"bytes"
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/view/devices"
)

func (w *world) forgets(device string) {
	var e event.Decoded
	e.Kind, e.Payload, e.Source = event.KindForget, []byte(device), event.SourceHub
	w.apply(e)
}

func (w *world) saysAs(device string) {
	e := event.Decoded{Device: device, Metrics: []event.Metric{{Series: w.series.intern(device, "x", "", "devices/"+device), Value: 1}}}
	e.Topic, e.Client = "devices/"+device, "c1"
	w.apply(e)
}

// TestForget deletes one of three devices: whoever knew it is told, who comes later never hears of it, and it comes back as a
// new one.
func TestForget(t *testing.T) {
	w := newWorld(t, devices.Config{})
	for _, id := range []string{"d1", "d2", "d3"} {
		w.saysAs(id)
	}
	_, version := since(t, w.v, []string{"#"}, 0)
	w.forgets("d1")
	w.forgets("nobody")
	if got, _ := since(t, w.v, []string{"other/#"}, version); string(got) != `"removed":[1]` {
		t.Errorf("told: %s", got)
	}
	if total, online, _, _ := w.v.Counts(); total != 2 || online != 2 {
		t.Errorf("%d devices, %d online", total, online)
	}
	if _, found := w.v.Device("d1"); found {
		t.Error("d1 is known")
	}
	if f, _ := w.v.Since([]string{"#"}, nil, 0); len(f.GetRemoved()) != 0 || len(f.GetDevices()) != 2 {
		t.Errorf("a snapshot: %v", f)
	}
	w.after(time.Minute).saysAs("d1")
	f, _ := w.v.Since([]string{"#"}, nil, version)
	if len(f.GetRemoved()) != 1 || len(f.GetDevices()) != 1 || f.GetDevices()[0].GetDevice() != 4 {
		t.Errorf("it came back: %v", f)
	}
	if d, _ := w.v.Device("d1"); d.Events != 1 || !d.First.Equal(w.now) {
		t.Errorf("%+v", d)
	}
	w.disconnects("c1", "connection reset")
	if _, _, _, offline := w.v.Counts(); offline != 3 {
		t.Errorf("%d offline", offline)
	}
}

func TestForgottenStaysForgottenOverRestart(t *testing.T) {
	w := newWorld(t, devices.Config{})
	w.saysAs("d1")
	w.saysAs("d2")
	w.forgets("d1")
	var state bytes.Buffer
	if err := w.v.Save(&state); err != nil {
		t.Fatal(err)
	}
	again := newWorld(t, devices.Config{})
	if err := again.v.Restore(&state); err != nil {
		t.Fatal(err)
	}
	if _, found := again.v.Device("d1"); found {
		t.Error("d1 is known")
	}
	if _, found := again.v.Device("d2"); !found {
		t.Error("d2 is not known")
	}
}

func TestManyRemovalsAreBounded(t *testing.T) {
	w := newWorld(t, devices.Config{})
	w.saysAs("stays")
	_, version := since(t, w.v, []string{"#"}, 0)
	for range 10_000 {
		w.saysAs("d")
		w.forgets("d")
	}
	f, _ := w.v.Since([]string{"#"}, nil, version)
	if n := len(f.GetRemoved()); n < 4096 || n > 8192 {
		t.Errorf("%d removals are told", n)
	}
}

// TestRegistriesMakeNoDevice: a registry lists what may never speak. What it says of a device that does is taken.
func TestRegistriesMakeNoDevice(t *testing.T) {
	w := newWorld(t, devices.Config{})
	registry := event.Decoded{Device: "d1", DeviceName: "Pump", Registry: true}
	registry.Topic, registry.Client = "bridge/devices", "bridge"
	w.apply(registry)
	if _, found := w.v.Device("d1"); found {
		t.Error("a registry has made a device")
	}
	w.saysAs("d1")
	w.apply(registry)
	if d, found := w.v.Device("d1"); !found || d.Name != "Pump" || d.Client != "c1" || d.Events != 1 {
		t.Errorf("%+v", d)
	}
}

// TestForgottenThoughRemembered: a topic remembers its device, and must not bring back one that was forgotten.
func TestForgottenThoughRemembered(t *testing.T) {
	w := newWorld(t, devices.Config{})
	e := event.Decoded{Device: "d1"}
	e.Topic, e.Client, e.Ref = "devices/d1", "c1", &event.Ref{Topic: "devices/d1"}
	w.apply(e)
	w.apply(e)
	w.forgets("d1")
	w.apply(e)
	if d, found := w.v.Device("d1"); !found || d.Events != 1 {
		t.Errorf("%t, %+v", found, d)
	}
}
