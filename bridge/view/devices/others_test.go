package devices_test

import (
	"testing"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/view/devices"
)

// TestOneMessageOfSeveralDevices: a gateway's message has readings of devices besides the one that it belongs to.
func TestOneMessageOfSeveralDevices(t *testing.T) {
	w := newWorld(t, devices.Config{})
	const topic = "v1/gateway/telemetry"
	x := func(device string) event.Metric {
		return event.Metric{Series: w.series.intern(device, "x", "", topic), Value: 2}
	}
	e := event.Decoded{Device: "a", Metrics: []event.Metric{x("a")}, Earlier: []event.Sample{{Metric: x("b")}, {Metric: x("c")}, {Metric: x("a"), Time: 1}}}
	e.Topic, e.Client = topic, "gateway"
	w.apply(e)
	w.after(time.Minute).apply(e)
	for _, id := range []string{"a", "b", "c"} {
		d, found := w.v.Device(id)
		if !found || d.Events != 2 || len(d.Values) != 1 || d.Values[0].Value != 2 || d.Status != devices.Online {
			t.Errorf("%s: %t, %+v", id, found, d)
		}
	}
}

// TestWhatEndsWithANode: when a node dies, so do the devices behind it, and they come back one by one.
func TestWhatEndsWithANode(t *testing.T) {
	w := newWorld(t, devices.Config{})
	say := func(device string, status event.Status, below bool) {
		e := event.Decoded{Device: device, Status: status, Below: below}
		e.Topic, e.Client = "spBv1.0/"+device, "node"
		w.apply(e)
	}
	for _, id := range []string{"g/node", "g/node/d1", "g/node/d2", "g/other/d1", "g/node/d1/deeper"} {
		say(id, event.StatusOnline, false)
	}
	say("g/node", event.StatusOffline, true)
	say("g/node/d2", event.StatusOnline, false)
	for id, want := range map[string]devices.Status{
		"g/node": devices.Offline, "g/node/d1": devices.Offline, "g/node/d2": devices.Online, "g/other/d1": devices.Online,
	} {
		if d, _ := w.v.Device(id); d.Status != want {
			t.Errorf("%s is %v", id, d.Status)
		}
	}
}
