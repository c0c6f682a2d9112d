package series

import (
	"slices"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"BME280.Temperature": "temperature", "temperature": "temperature", "ENERGY.TotalStartTime": "total_start_time",
		"RSSIValue": "rssi_value", "CO2": "co2", "CO2Level": "co2_level", "PM10": "pm10", "tempC": "temp_c", "pm2_5": "pm2_5",
		"values.3": "values", "0.1": "value", "": "value", "4d": "_4d", "a-b c": "a_b_c", "°": "value", "nan": "nan_", "Inf": "inf_",
		"__proto__": "proto", "HTTPServer": "http_server",
	} {
		if got := Name(path); got != want {
			t.Errorf("%q is %q, not %q", path, got, want)
		}
	}
}

// FuzzMetricName holds names to what PromQL takes.
func FuzzMetricName(f *testing.F) {
	for _, path := range slices.Concat(reserved, []string{
		"a.b.c", "BME280.Temperature", "sum", "by", "without", "count_values", "fill_left", "start", "offset", "on.1.2", "\xff", "Ünit",
	}) {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name := Name(path)
		e, err := parser.NewParser(parser.Options{}).ParseExpr(name)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if s, ok := e.(*parser.VectorSelector); !ok || s.Name != name {
			t.Fatalf("%q is %T", name, e)
		}
	})
}
