package decode_test

import (
	"testing"

	"pulso/bridge/decode"
)

// What is said in one namespace is of its devices, whatever it names, and of no topic elsewhere.
func TestNamespaces(t *testing.T) {
	d, err := decode.New(decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d.Namespaces([]string{"acme", "bolt"})
	var out decode.Result
	say := func(topic, client, payload string) decode.Result {
		d.Decode(decode.Input{Topic: topic, Client: client, Payload: []byte(payload), Retain: true, Time: 1e18}, &out)
		return out
	}
	for _, c := range []struct{ topic, client, payload, want string }{
		{"acme/plug/telemetry", "c", `{"temperature":1}`, "acme/plug"},
		{"bolt/plug/telemetry", "c", `{"temperature":1}`, "bolt/plug"},
		{"plug/telemetry", "c", `{"temperature":1}`, "plug"},
		{"acme2/plug/telemetry", "c", `{"temperature":1}`, "plug"},
		{"acme", "", `{"deviceId":"bolt/plug","temperature":1}`, "acme/bolt/plug"},
		{"acme", "sensor-7", `1`, "acme/sensor-7"},
		{"acme/1", "c", `1`, "acme/1"},
		{"acme/../bolt/plug/telemetry", "c", `{"temperature":1}`, "acme/bolt"},
		{"/bolt/plug/telemetry", "c", `{"temperature":1}`, "plug"},
	} {
		if got := say(c.topic, c.client, c.payload); got.Device != c.want {
			t.Errorf("%s %s: %q, want %q", c.topic, c.payload, got.Device, c.want)
		}
	}
	const config = `{"name":"hacked","stat_t":"bolt/lamp/state","unit_of_meas":"W","dev":{"ids":["lamp"],"name":"hacked"}}`
	for _, topic := range []string{"acme/homeassistant/sensor/x/config", "homeassistant/sensor/x/config"} {
		say(topic, "c", config)
		if got := say("bolt/lamp/state", "c", "7"); got.Name == "hacked" || len(got.Readings) == 0 || got.Readings[0].Unit == "W" {
			t.Errorf("%s: a device of another namespace is %+v", topic, got)
		}
	}
	say("acme/plug/info", "c", `{"name":"ours","units":{"temperature":"F"}}`)
	for _, c := range []struct{ topic, want string }{{"acme/plug/telemetry", "F"}, {"bolt/plug/telemetry", ""}, {"plug/telemetry", ""}} {
		if got := say(c.topic, "c", `{"temperature":1}`); len(got.Readings) != 1 || c.want == "F" != (got.Readings[0].Unit == "F") {
			t.Errorf("%s: %+v", c.topic, got.Readings)
		}
	}
	d.Namespaces(nil)
	if got := say("acme/plug/telemetry", "c", `{"temperature":1}`); got.Device != "plug" {
		t.Errorf("without namespaces: %q", got.Device)
	}
}
