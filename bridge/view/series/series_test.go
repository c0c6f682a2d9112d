package series_test

import (
	"regexp"
	"slices"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/view/series"
)

func TestName(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"temperature":          "temperature",
		"BME280.Temperature":   "temperature",
		"phases.0.voltageRMS":  "voltage_rms",
		"values.3":             "values",
		"nan":                  "nan_",
		"0":                    "value",
		"":                     "value",
		"°":                    "value",
		"Soil moisture (%)":    "soil_moisture",
		"ENERGY.TotalStartKWh": "total_start_k_wh",
		"L1Voltage":            "l1_voltage",
		"CO2":                  "co2",
		"pm2_5":                "pm2_5",
		"4k":                   "_4k",
		"__name__":             "name",
	} {
		if got := series.Name(path); got != want {
			t.Errorf("Name(%q) = %q, want %q", path, got, want)
		}
	}
}

func FuzzName(f *testing.F) {
	f.Add("BME280.Temperature")
	f.Add("a[0].b c")
	legal := regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
	f.Fuzz(func(t *testing.T, path string) {
		if name := series.Name(path); !legal.MatchString(name) {
			t.Fatalf("Name(%q) = %q", path, name)
		}
	})
}

func TestSamples(t *testing.T) {
	t.Parallel()
	s := &event.Series{ID: 1, Device: "d", Name: "a.Temp", Topic: "t/d", Unit: "°C"}
	at := func(ms int64, kind string, deviceTime int64) *event.Decoded {
		return &event.Decoded{
			Event: event.Event{Time: ms * 1e6}, Device: "d", DeviceKind: kind, DeviceTime: deviceTime * 1e6,
			Metrics: []event.Metric{{Series: s, Value: float64(ms)}},
		}
	}
	events := []*event.Decoded{
		at(1000, "", 0), at(1000, "", 0), at(1000, "", 0), at(1002, "", 0), at(1004, "", 0),
		at(1005, "", 500), at(1006, "", 500), at(1004, "meter", 0), at(2000, "", 0),
	}
	run := func() (times []int64, kinds []string) {
		m := series.NewMapper()
		for _, e := range events {
			m.Samples(e, func(s series.Sample) {
				times, kinds = append(times, s.Time), append(kinds, s.Labels.Get(series.LabelKind))
				if s.Labels.Get("__name__") != "temp" || s.Labels.Get(series.LabelField) != "a.Temp" || s.Labels.Get(series.LabelUnit) != "°C" {
					t.Error(s.Labels)
				}
			})
		}
		return times, kinds
	}
	times, kinds := run()
	if want := []int64{1000, 1001, 1002, 1003, 1004, 500, 501, 1005, 2000}; !slices.Equal(times, want) {
		t.Errorf("times are %v, want %v", times, want)
	}
	if want := []string{"", "", "", "", "", "", "", "meter", "meter"}; !slices.Equal(kinds, want) {
		t.Errorf("kinds are %q", kinds)
	}
	if again, _ := run(); !slices.Equal(times, again) {
		t.Errorf("the same events give %v and %v", times, again)
	}
}

func TestSamplesAreBounded(t *testing.T) {
	t.Parallel()
	s := &event.Series{ID: 1, Device: "d", Name: "a"}
	d := &event.Decoded{Event: event.Event{Time: 1e9}, Device: "d"}
	for range 700_000 {
		d.Metrics = append(d.Metrics, event.Metric{Series: s})
	}
	m, seen := series.NewMapper(), map[int64]bool{}
	m.Samples(d, func(s series.Sample) { seen[s.Time] = true })
	if len(seen) != 600_001 || m.Lost != 99_999 {
		t.Errorf("%d samples, %d lost", len(seen), m.Lost)
	}
}
