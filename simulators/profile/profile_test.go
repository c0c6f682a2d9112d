package profile

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func mustNew(t *testing.T, kind, id string, seed uint64) Model {
	t.Helper()

	m, err := New(kind, id, seed, time.Time{})
	if err != nil {
		t.Fatal(err)
	}

	return m
}

// script returns what a device says in n strides.
func script(m Model, n int, stride time.Duration) string {
	var b strings.Builder

	for range n {
		m.Advance(stride)

		for _, message := range m.Report() {
			b.WriteString(message.Topic + " " + string(message.Payload) + "\n")
		}
	}

	return b.String()
}

func TestSameSeedSameValues(t *testing.T) {
	t.Parallel()

	for _, kind := range Kinds() {
		first := script(mustNew(t, kind, kind+"-0001", 7), 500, 700*time.Millisecond)
		if again := script(mustNew(t, kind, kind+"-0001", 7), 500, 700*time.Millisecond); again != first {
			t.Errorf("%s: the same seed gave other values", kind)
		}

		if other := script(mustNew(t, kind, kind+"-0001", 8), 500, 700*time.Millisecond); other == first {
			t.Errorf("%s: another seed gave the same values", kind)
		}

		if other := script(mustNew(t, kind, kind+"-0002", 7), 500, 700*time.Millisecond); other == first {
			t.Errorf("%s: another device gave the same values", kind)
		}
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()

	for _, kind := range Kinds() {
		m := mustNew(t, kind, kind+"-0012", 1)

		info := m.Info()
		if info.Kind != kind || info.Model == "" || !strings.HasSuffix(info.Name, "12") {
			t.Errorf("%s: info %+v", kind, info)
		}

		reported := names(t, m)
		for name := range info.Units {
			if !slices.Contains(reported, name) {
				t.Errorf("%s: a unit for %q, which it does not report", kind, name)
			}
		}
	}
}

// names returns the paths of the numbers that a first report holds, and the topics of plain ones.
func names(t *testing.T, m Model) []string {
	t.Helper()
	m.Advance(time.Second)

	var list []string

	for _, message := range m.Report() {
		if message.Topic == "telemetry" {
			for name := range flatten(t, message.Payload) {
				list = append(list, name)
			}
		} else {
			list = append(list, message.Topic)
		}
	}

	return list
}

func flatten(t *testing.T, payload []byte) map[string]float64 {
	t.Helper()

	var tree map[string]any
	if err := json.Unmarshal(payload, &tree); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}

	flat := make(map[string]float64)
	flattenInto(flat, "", tree)

	return flat
}

func flattenInto(flat map[string]float64, prefix string, tree map[string]any) {
	for key, value := range tree {
		switch v := value.(type) {
		case float64:
			flat[prefix+key] = v
		case map[string]any:
			flattenInto(flat, prefix+key+".", v)
		}
	}
}

// series runs the model and returns its numbers by name, one for each stride. Plain topics count as names.
func series(t *testing.T, m Model, n int, stride time.Duration) map[string][]float64 {
	t.Helper()

	all := make(map[string][]float64)

	for range n {
		m.Advance(stride)

		for _, message := range m.Report() {
			if message.Topic == "telemetry" {
				for name, v := range flatten(t, message.Payload) {
					all[name] = append(all[name], v)
				}
			} else if v, err := strconv.ParseFloat(string(message.Payload), 64); err == nil {
				all[message.Topic] = append(all[message.Topic], v)
			}
		}
	}

	return all
}

// TestBounds lets each kind live for days, in short and in long strides, and checks that no value leaves what such a
// device can measure.
func TestBounds(t *testing.T) {
	t.Parallel()

	bounds := map[string][2]float64{
		"thermostat temperature": {5, 27}, "thermostat setpoint": {19, 23}, "thermostat humidity": {20, 80},
		"powermeter power.active_w": {20, 12000}, "powermeter power.voltage_v": {207, 253},
		"powermeter power.current_a": {0, 60}, "powermeter power.power_factor": {0.8, 1},
		"powermeter energy.total_kwh": {800, 45000},
		"tracker position.lat":        {39.4, 53.9}, "tracker position.lon": {-1.6, 13.5}, "tracker speed_kmh": {0, 100},
		"tracker heading_deg": {0, 360}, "tracker odometer_km": {4000, 190000}, "tracker satellites": {5, 16},
		"vibration rms_mm_s": {0.01, 11}, "vibration peak_mm_s": {0.02, 70}, "vibration kurtosis": {1.8, 12},
		"vibration bearing_temperature_c": {18, 100}, "vibration speed_rpm": {0, 3300},
		"coldchain temperature": {-1, 20}, "coldchain battery": {5, 100},
		"weather temperature.value": {-8, 30}, "weather humidity.value": {12, 100}, "weather pressure.value": {940, 1060},
		"weather wind.speed.value": {0, 40}, "weather wind.gust.value": {0, 90}, "weather wind.direction.value": {0, 360},
		"weather rain.rate.value": {0, 60}, "weather rain.total.value": {0, 1000},
	}

	for _, kind := range Kinds() {
		for _, stride := range []time.Duration{10 * time.Second, 20 * time.Minute} {
			for seed := range uint64(3) {
				n := int(72 * time.Hour / stride / 4)
				for name, values := range series(t, mustNew(t, kind, kind+"-0001", seed), n, stride) {
					limit, ok := bounds[kind+" "+name]
					if !ok {
						t.Fatalf("%s reports %s, for which this test has no bounds", kind, name)
					}

					if low, high := slices.Min(values), slices.Max(values); low < limit[0] || high > limit[1] {
						t.Errorf("%s %s in strides of %s: from %g to %g, want %v", kind, name, stride, low, high, limit)
					}
				}
			}
		}
	}
}

func TestCountersNeverFall(t *testing.T) {
	t.Parallel()

	for kind, name := range map[string]string{
		"powermeter": "energy.total_kwh", "tracker": "odometer_km", "weather": "rain.total.value",
	} {
		values := series(t, mustNew(t, kind, kind+"-0003", 5), 5000, 30*time.Second)[name]
		if !slices.IsSorted(values) {
			t.Errorf("%s: %s falls", kind, name)
		}

		if values[0] == values[len(values)-1] {
			t.Errorf("%s: %s stands still for two days", kind, name)
		}
	}
}

// TestEnergyIsPowerOverTime holds the meter's register against its readings.
func TestEnergyIsPowerOverTime(t *testing.T) {
	t.Parallel()

	const stride = 10 * time.Second

	all := series(t, mustNew(t, "powermeter", "powermeter-0001", 2), 8640, stride)
	watts, energy := all["power.active_w"], all["energy.total_kwh"]

	sum := 0.0
	for _, w := range watts[1:] {
		sum += w * stride.Hours() / 1000
	}

	counted := energy[len(energy)-1] - energy[0]
	if math.Abs(counted-sum) > 0.01*sum {
		t.Errorf("the register counted %.3f kWh, the power readings add up to %.3f", counted, sum)
	}

	if counted < 2 || counted > 40 {
		t.Errorf("%.1f kWh in a day is no household", counted)
	}
}

func TestThermostatKeepsItsSetpoint(t *testing.T) {
	t.Parallel()

	m := mustNew(t, "thermostat", "thermostat-0001", 3)

	commander, ok := m.(Commander)
	if !ok {
		t.Fatal("a thermostat takes no commands")
	}

	for _, setpoint := range []float64{0, 24, 18} {
		if setpoint > 0 {
			if err := commander.Command([]byte(`{"setpoint":` + strconv.FormatFloat(setpoint, 'f', -1, 64) + `}`)); err != nil {
				t.Fatal(err)
			}
		}

		m.Advance(6 * time.Hour)

		all := series(t, m, 24*60, time.Minute)
		if setpoint > 0 && all["setpoint"][0] != setpoint {
			t.Fatalf("set-point %g, want %g", all["setpoint"][0], setpoint)
		}

		near := 0

		for i, v := range all["temperature"] {
			if math.Abs(v-all["setpoint"][i]) < 1 {
				near++
			}
		}

		if part := float64(near) / 24 / 60; part < 0.8 {
			t.Errorf("within 1 K of %g °C for %.0f %% of a day; want most of it", all["setpoint"][0], 100*part)
		}
	}
}

func TestThermostatRefuses(t *testing.T) {
	t.Parallel()

	m := mustNew(t, "thermostat", "thermostat-0001", 3)
	before := m.Report()

	for _, command := range []string{``, `null`, `[]`, `21`, `{}`, `{"setpoint":"warm"}`, `{"setpoint":4.9}`, `{"setpoint":1e300}`} {
		commander, _ := m.(Commander)
		if err := commander.Command([]byte(command)); !errors.Is(err, ErrCommand) {
			t.Errorf("%q: %v, want ErrCommand", command, err)
		}

		report := m.Report()
		if len(report) != len(before)+1 || report[1].Topic != "event" || !json.Valid(report[1].Payload) {
			t.Errorf("%q: reported %v, want the reason of the refusal", command, report)
		}
	}
}

// TestTrackerDrives checks that the places are as far apart as the speed says, and that the vehicle stops and drives.
func TestTrackerDrives(t *testing.T) {
	t.Parallel()

	all := series(t, mustNew(t, "tracker", "tracker-0002", 1), 7200, time.Second)
	lat, lon, speed := all["position.lat"], all["position.lon"], all["speed_kmh"]
	standing := 0

	for i := 1; i < len(lat); i++ {
		north, east := metres(corner{lat: lat[i-1], lon: lon[i-1]}, corner{lat: lat[i], lon: lon[i]})
		way := math.Hypot(north, east)

		if most := max(speed[i], speed[i-1])/3.6 + 14; way > most {
			t.Fatalf("second %d: %.1f m at %.1f km/h", i, way, speed[i])
		}

		if speed[i] == 0 {
			standing++
		}
	}

	if part := float64(standing) / 7200; part < 0.05 || part > 0.7 {
		t.Errorf("standing for %.0f %% of the time", 100*part)
	}

	if slices.Max(speed) < 40 {
		t.Errorf("never faster than %.1f km/h", slices.Max(speed))
	}

	if round := all["odometer_km"]; round[len(round)-1]-round[0] < 20 {
		t.Errorf("%.1f km in two hours", round[len(round)-1]-round[0])
	}
}

// TestVibrationWearsAndIsRepaired follows a bearing over days.
func TestVibrationWearsAndIsRepaired(t *testing.T) {
	t.Parallel()

	all := series(t, mustNew(t, "vibration", "vibration-0001", 1), 4*24*60, time.Minute)
	rms, heat := all["rms_mm_s"], all["bearing_temperature_c"]

	if slices.Max(rms) < 6 || slices.Max(heat) < 70 {
		t.Errorf("never worse than %.1f mm/s and %.0f °C", slices.Max(rms), slices.Max(heat))
	}

	if slices.Min(rms) > 0.1 || slices.Min(all["speed_rpm"]) > 0 {
		t.Error("never stopped for a repair")
	}

	if slices.Max(all["kurtosis"]) < 6 {
		t.Errorf("kurtosis never above %.1f", slices.Max(all["kurtosis"]))
	}
}

func TestColdChainExcursions(t *testing.T) {
	t.Parallel()

	inside, total, excursions := 0, 0, 0

	for seed := range uint64(8) {
		for _, v := range series(t, mustNew(t, "coldchain", "coldchain-0001", seed), 2*24*60, time.Minute)["temperature"] {
			total++

			switch {
			case v > 8:
				excursions++
			case v >= 2:
				inside++
			}
		}
	}

	if part := float64(inside) / float64(total); part < 0.85 {
		t.Errorf("in its range for only %.0f %% of the time", 100*part)
	}

	if excursions == 0 {
		t.Error("no excursion in sixteen days of eight boxes")
	}
}

func TestColdChainDoor(t *testing.T) {
	t.Parallel()

	text := script(mustNew(t, "coldchain", "coldchain-0001", 1), 24*360, 10*time.Second)
	if opened, closed := strings.Count(text, "door open\n"), strings.Count(text, "door closed\n"); opened < 3 || closed-opened > 1 || closed < opened {
		t.Errorf("in a day the door opened %d times and closed %d times", opened, closed)
	}
}

// TestWeatherHumidity checks that air is drier when it is warmer.
func TestWeatherHumidity(t *testing.T) {
	t.Parallel()

	all := series(t, mustNew(t, "weather", "weather-0001", 1), 5*24*12, 5*time.Minute)
	if r := correlation(all["temperature.value"], all["humidity.value"]); r > -0.5 {
		t.Errorf("the correlation of temperature and humidity is %.2f", r)
	}

	warm := all["temperature.value"]
	if swing := slices.Max(warm) - slices.Min(warm); swing < 5 {
		t.Errorf("the temperature moves by %.1f K only", swing)
	}

	for i, gust := range all["wind.gust.value"] {
		if gust < all["wind.speed.value"][i] {
			t.Fatal("a gust below the wind")
		}
	}
}

func correlation(a, b []float64) float64 {
	mean := func(v []float64) float64 {
		sum := 0.0
		for _, x := range v {
			sum += x
		}

		return sum / float64(len(v))
	}

	ma, mb := mean(a), mean(b)

	var ab, aa, bb float64
	for i := range a {
		ab += (a[i] - ma) * (b[i] - mb)
		aa += (a[i] - ma) * (a[i] - ma)
		bb += (b[i] - mb) * (b[i] - mb)
	}

	return ab / math.Sqrt(aa*bb)
}

func TestUnknownKind(t *testing.T) {
	t.Parallel()

	if _, err := New("toaster", "toaster-1", 1, time.Time{}); err == nil || !strings.Contains(err.Error(), "thermostat") {
		t.Errorf("error %v does not list the kinds", err)
	}
}

func FuzzThermostatCommand(f *testing.F) {
	f.Add([]byte(`{"setpoint":21.5}`))
	f.Add([]byte(`{"setpoint":null}`))

	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := New("thermostat", "thermostat-0001", 1, time.Time{})
		if err != nil {
			t.Fatal(err)
		}

		commander, _ := m.(Commander)
		err = commander.Command(payload)
		refused := err != nil

		if reports := m.Report(); refused != (len(reports) == 2) {
			t.Fatalf("%q: error %v, but %d messages", payload, err, len(reports))
		}

		if setpoint := flatten(t, m.Report()[0].Payload)["setpoint"]; setpoint < minSetpoint || setpoint > maxSetpoint {
			t.Fatalf("%q: set-point %g", payload, setpoint)
		}
	})
}

func BenchmarkReport(b *testing.B) {
	for _, kind := range Kinds() {
		b.Run(kind, func(b *testing.B) {
			m, err := New(kind, kind+"-0001", 1, time.Time{})
			if err != nil {
				b.Fatal(err)
			}

			for b.Loop() {
				m.Advance(time.Second)
				m.Report()
			}
		})
	}
}
