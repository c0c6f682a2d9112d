package devices_test

import (
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/view/devices"
)

// Of many values the one that tells most stands first, wherever it comes in the message, also once a unit is told later.
func TestMostTellingValueStandsFirst(t *testing.T) {
	type reading struct {
		name, unit string
		value      float64
	}
	for name, c := range map[string]struct {
		said []reading
		want string
	}{
		"the first of equals":      {[]reading{{"a", "", 1}, {"b", "", 2}}, "a"},
		"not the device's own":     {[]reading{{"wifi.rssi", "dBm", -60}, {"uptime", "s", 5}, {"level", "", 3}}, "level"},
		"a unit before none":       {[]reading{{"raw", "", 512}, {"humidity", "%", 40}}, "humidity"},
		"speed, not a place":       {[]reading{{"lat", "°", 52}, {"lon", "°", 13}, {"speed", "km/h", 40}}, "speed"},
		"temperature":              {[]reading{{"linkquality", "", 99}, {"humidity", "%", 40}, {"temperature", "°C", 21}}, "temperature"},
		"power before all":         {[]reading{{"voltage", "V", 230}, {"temperature", "°C", 21}, {"apower", "W", 12}}, "apower"},
		"nothing but housekeeping": {[]reading{{"rssi", "dBm", -60}, {"uptime", "s", 5}}, "rssi"},
	} {
		t.Run(name, func(t *testing.T) {
			series := interner{}
			v, err := devices.New(devices.Config{Intern: series.intern})
			if err != nil {
				t.Fatal(err)
			}
			e := event.Decoded{Event: event.Event{Position: event.Position{Epoch: 1, Offset: 1}, Time: 1e18, Topic: "t"}, Device: "d"}
			for _, r := range c.said {
				e.Metrics = append(e.Metrics, event.Metric{Series: series.intern("d", r.name, r.unit, "t"), Value: r.value})
			}
			v.Apply([]event.Decoded{e})
			frame, _ := v.Since([]string{"#"}, nil, 0)
			metrics := frame.GetDevices()[0].GetMetrics()
			if len(metrics) != len(c.said) || metrics[0].GetName() != c.want {
				t.Errorf("metrics %v, want %s first of %d", metrics, c.want, len(c.said))
			}
			for _, r := range c.said {
				if got := frame.GetStatus()[0].GetValue(); r.name == c.want && got != r.value {
					t.Errorf("the value is %v, want %v", got, r.value)
				}
			}
		})
	}
}
