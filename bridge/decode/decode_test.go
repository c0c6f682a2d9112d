package decode_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pulso/bridge/decode"
	"pulso/bridge/event"
)

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func newDecoder(t testing.TB) *decode.Decoder {
	t.Helper()
	d, err := decode.New(decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func decodeOne(t testing.TB, topic, payload string) decode.Result {
	t.Helper()
	var out decode.Result
	newDecoder(t).Decode(decode.Input{Topic: topic, Client: "c1", Payload: []byte(payload), Time: noon.UnixNano()}, &out)
	return out
}

// show writes a result's readings and texts in short: "a=1 °C b=2; mode:eco".
func show(r *decode.Result) string {
	var readings, texts []string
	for _, m := range r.Readings {
		readings = append(readings, strings.TrimSpace(fmt.Sprintf("%s=%v %s", m.Name, m.Value, m.Unit)))
	}
	for _, t := range r.Texts {
		texts = append(texts, t.Name+":"+t.Value)
	}
	return strings.Join(readings, " ") + ";" + strings.Join(texts, " ")
}

func TestPayloads(t *testing.T) {
	tests := []struct{ payload, want, format string }{
		{`21.5`, "v=21.5;", "number"},
		{
			`{"rms_mm_s":1,"heading_deg":2,"x_deg":3,"TempUnit":"C","in":{"Temperature":4,"Other":5}}`,
			"v.rms_mm_s=1 mm/s v.heading_deg=2 ° v.x_deg=3 v.in.Temperature=4 °C v.in.Other=5;", "json",
		},
		{`{"t":{"value":1,"unit":"C"},"h":{"value":2,"unit":"%"}}`, "v.t.value=1 °C v.h.value=2 %;", "json"},
		{` -3 `, "v=-3;", "number"},
		{`1e3`, "v=1000;", "number"},
		{`21.5 °C`, "v=21.5 °C;", "number"},
		{`45%`, "v=45 %;", "number"},
		{`12.3kWh`, "v=12.3 kWh;", "number"},
		{`12 apples`, ";v:12 apples", "text"},
		{`007`, ";v:007", "text"},
		{`21,5`, "v=21.5;", "number"},
		{`1,234`, ";v:1,234", "text"},
		{`1,234,567.8`, "v=1.2345678e+06;", "number"},
		{`1,23,4`, ";v:1,23,4", "text"},
		{`1e999`, ";v:1e999", "text"},
		{`nan`, ";", "number"},
		{`ON`, "v=1;", "boolean"},
		{`false`, "v=0;", "boolean"},
		{`eco`, ";v:eco", "text"},
		{`"eco"`, ";v:eco", "json"},
		{`null`, ";", "json"},
		{``, ";", "empty"},
		{`{"a":1,"b":{"c":-2.5e1,"d":[1,true]},"e":"eco","f":null}`, "v.a=1 v.b.c=-25 v.b.d.0=1 v.b.d.1=1;v.e:eco", "json"},
		{
			`{"a":"21.5","b":"007","c":"022EDB070007","d":"+4912345","e":"1.2.3","f":"2024-05-01","g":"OFF","h":"12345678901"}`,
			"v.a=21.5 v.g=0;v.b:007 v.c:022EDB070007 v.d:+4912345 v.e:1.2.3 v.f:2024-05-01 v.h:12345678901", "json",
		},
		{`{"a":1,"a":2}`, "v.a=2;", "json"},
		{`{"id":5,"seq":6,"ts":7,"version":"1.10","deviceId":8,"v1":9}`, "v.v1=9;v.id:5 v.seq:6 v.version:1.10 v.deviceId:8", "json"},
		{`{"value":71.3,"unit":"C"}`, "v=71.3 °C;", "json"},
		{`{"pressure":1,"pressure_unit":"hPa","x":2}`, "v.pressure=1 hPa v.x=2;", "json"},
		{
			`{"temp_c":1,"P_W":2,"phase_a":3,"rh_pct":4,"E_kWh":5,"wind_ms":6,"I_mA":7}`,
			"v.temp_c=1 °C v.P_W=2 W v.phase_a=3 v.rh_pct=4 % v.E_kWh=5 kWh v.wind_ms=6 v.I_mA=7 mA;", "json",
		},
		{
			`{"count":18446744073709551615,"serial":123456789012345678901234567890}`,
			"v.count=1.8446744073709552e+19;v.serial:123456789012345678901234567890", "json",
		},
		{`{"flow":NaN,"level":Infinity,"t":-Infinity,"ok":1}`, "v.ok=1;", "json"},
		{`{"big":1e999,"ok":1}`, "v.ok=1;", "json"},
		{`{"k\u0041\n":1,"\ud83d\ude00":"\ud800x"}`, "v.kA\n=1;v.😀:\uFFFDx", "json"},
		{"{\"t\":1}\n{\"t\":2}\n", "v.t=2;", "json"},
		{"\uFEFF{\"t\":1}", "v.t=1;", "json"},
		{`[INFO] ready`, ";v:[INFO] ready", "text"},
	}
	for _, test := range tests {
		r := decodeOne(t, "devices/d1/v", test.payload)
		if got := show(&r); got != test.want || r.Format != test.format || r.Problem != "" {
			t.Errorf("%s:\n got %s (%s) %s\nwant %s (%s)", test.payload, got, r.Format, r.Problem, test.want, test.format)
		}
		if want := json.Valid([]byte(test.payload)); r.JSON != want {
			t.Errorf("%s: JSON is %t", test.payload, r.JSON)
		}
	}
}

func TestProblemsSayWhere(t *testing.T) {
	tests := []struct{ payload, want string }{
		{`{"a":1,}`, "a key is missing at offset 7"},
		{`{a:1}`, "a key is missing at offset 1"},
		{`{"a":01}`, "bad number at offset 5"},
		{`{"a":"x`, "a string has no end"},
		{"{\"a\":\"\xff\"}", "invalid UTF-8 at offset 6"},
		{`{"a":1} x`, "more after the value at offset 8"},
		{`{"a":`, "a value is missing at offset 5"},
		{strings.Repeat("[", 40) + strings.Repeat("]", 40), "nested deeper than 32 levels, at offset 32"},
		{"\x00\x01", "byte 0x00 at offset 0"},
		{"ok\xff", "byte 0xff at offset 2"},
	}
	for _, test := range tests {
		r := decodeOne(t, "devices/d1/v", test.payload)
		if !strings.Contains(r.Problem, test.want) || r.Format != "" || len(r.Readings)+len(r.Texts) > 0 || r.JSON {
			t.Errorf("%q: problem %q, want %q; %+v", test.payload, r.Problem, test.want, r)
		}
		if r.Device != "d1" {
			t.Errorf("%q: device %q", test.payload, r.Device)
		}
	}
}

func TestBounds(t *testing.T) {
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, `"k%d":%d,"t%d":"x y",`, i, i, i)
	}
	r := decodeOne(t, "devices/d1/telemetry", "{"+b.String()+`"`+strings.Repeat("n", 300)+`":1}`)
	if len(r.Readings) != decode.MaxReadings || len(r.Texts) != decode.MaxTexts || !r.JSON {
		t.Errorf("%d readings, %d texts, JSON %t", len(r.Readings), len(r.Texts), r.JSON)
	}
	r = decodeOne(t, "devices/d1/telemetry", `{"text":"`+strings.Repeat("ü", 300)+`"}`)
	if len(r.Texts) != 1 || len(r.Texts[0].Value) > decode.MaxTextBytes || !utf8.ValidString(r.Texts[0].Value) {
		t.Errorf("%+v", r.Texts)
	}
}

func TestDeviceOfTopic(t *testing.T) {
	tests := []struct{ topic, client, device, reading string }{
		{"devices/d1/telemetry", "c1", "d1", "x"},
		{"devices/d1/sensor/out", "c1", "d1", "out.x"},
		{"home/kitchen/temp", "c1", "kitchen", "temp.x"},
		{"/home//kitchen/temp", "c1", "kitchen", "temp.x"},
		{"kitchen/temperature", "c1", "kitchen", "temperature.x"},
		{"zigbee2mqtt/kitchen/floor_light", "c1", "kitchen/floor_light", "x"},
		{"tele/plug/SENSOR", "c1", "plug", "x"},
		{"plug/tele/SENSOR", "c1", "plug", "x"},
		{"shellies/shelly1/relay/0", "c1", "shelly1", "relay.0.x"},
		{"espnode/sensor/temperature/state", "c1", "espnode", "temperature.x"},
		{"evcc/loadpoints/1/chargePower", "c1", "evcc/loadpoints/1", "chargePower.x"},
		{"node/7/fw", "c1", "node/7", "fw.x"},
		{"go-eCharger/00000001/nrg", "c1", "00000001", "nrg.x"},
		{"temperature", "boiler-1", "boiler-1", "temperature.x"},
		{"temperature", "mosq-Ab12Cd34", "temperature", "temperature.x"},
		{"temperature", "0f8fad5b-d9cb-469f-a165-70867728950e", "temperature", "temperature.x"},
		{"temperature", "", "temperature", "temperature.x"},
		{"chat/general", "c1", "", ""},
		{"$SYS/broker/uptime", "c1", "", ""},
		{"devices/d1/cmd", "c1", "d1", ""},
		{"devices/d1/cmd/light", "c1", "d1", ""},
	}
	d := newDecoder(t)
	var out decode.Result
	for _, test := range tests {
		d.Decode(decode.Input{Topic: test.topic, Client: test.client, Payload: []byte(`{"x":1}`), Time: noon.UnixNano()}, &out)
		reading := ""
		if len(out.Readings) > 0 {
			reading = out.Readings[0].Name
		}
		if out.Device != test.device || reading != test.reading {
			t.Errorf("%s by %q: device %q, reading %q; want %q, %q", test.topic, test.client, out.Device, reading, test.device, test.reading)
		}
	}
}

func TestStatus(t *testing.T) {
	tests := []struct {
		topic, payload string
		want           event.Status
	}{
		{"tele/plug/LWT", "Online", event.StatusOnline},
		{"tele/plug/LWT", "Offline", event.StatusOffline},
		{"shellies/s1/online", "true", event.StatusOnline},
		{"shellies/s1/online", "0", event.StatusOffline},
		{"devices/d1/status", `{"state":"offline"}`, event.StatusOffline},
		{"devices/d1/status", `{"online":true}`, event.StatusOnline},
		{"devices/d1/status", "online", event.StatusOnline},
		{"devices/d1/status", "1", event.StatusUnknown},
		{"devices/d1/state", "ON", event.StatusUnknown},
		{"devices/d1/telemetry", "offline", event.StatusUnknown},
		{"chat/status", "offline", event.StatusUnknown},
	}
	for _, test := range tests {
		r := decodeOne(t, test.topic, test.payload)
		if r.Status != test.want {
			t.Errorf("%s %s: %d, want %d", test.topic, test.payload, r.Status, test.want)
		}
	}
}

func TestDeviceTime(t *testing.T) {
	at := noon.UnixNano()
	tests := []struct {
		payload string
		want    int64
	}{
		{`{"ts":1714564800}`, at},
		{`{"ts":1714564800.25}`, at + 25e7},
		{`{"ts":1714564800000}`, at},
		{`{"ts":1714564800000000}`, at},
		{`{"time":"1714564800"}`, at},
		{`{"time":"2024-05-01T14:00:00+02:00"}`, at},
		{`{"time":"2024-05-01T14:00:00+0200"}`, at},
		{`{"time":"2024-05-01T12:00:00"}`, 0},
		{`{"ts":86400}`, 0},
		{`{"ts":4102444800}`, 0},
		{`{"ts":1714300000}`, 0},
		{`{"ts":1e300}`, 0},
	}
	for _, test := range tests {
		r := decodeOne(t, "devices/d1/telemetry", test.payload)
		if r.DeviceTime != test.want || len(r.Readings) > 0 {
			t.Errorf("%s: %d, want %d; readings %v", test.payload, r.DeviceTime, test.want, r.Readings)
		}
	}
}

func TestAnnouncementGivesUnits(t *testing.T) {
	d := newDecoder(t)
	var out decode.Result
	d.Decode(decode.Input{
		Topic: "devices/d1/info", Retain: true, Time: noon.UnixNano(),
		Payload: []byte(`{"kind":"thermostat","name":"Living room","model":"T1","units":{"temperature":"°C","n":5}}`),
	}, &out)
	if out.Kind != "thermostat" || out.Name != "Living room" || show(&out) != ";model:T1" {
		t.Errorf("%+v", out)
	}
	d.Decode(decode.Input{Topic: "devices/d1/telemetry", Payload: []byte(`{"temperature":21.5}`), Time: noon.UnixNano()}, &out)
	if show(&out) != "temperature=21.5 °C;" {
		t.Error(show(&out))
	}
	d.Decode(decode.Input{Topic: "devices/d2/telemetry", Payload: []byte(`{"temperature":21.5}`), Time: noon.UnixNano()}, &out)
	if show(&out) != "temperature=21.5;" {
		t.Error(show(&out))
	}
}

// TestTelemetryAllocatesNothing guards the hot path.
func TestTelemetryAllocatesNothing(t *testing.T) {
	d := newDecoder(t)
	var out decode.Result
	in := decode.Input{Topic: "devices/d1/telemetry", Client: "d1", Payload: []byte(telemetry), Time: noon.UnixNano()}
	if n := testing.AllocsPerRun(100, func() { d.Decode(in, &out) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestHostileNamesCostLittle sends a megabyte of different names.
func TestHostileNamesCostLittle(t *testing.T) {
	var b strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&b, `"k%d":"x y z",`, i)
	}
	r := decodeOne(t, "devices/d1/telemetry", "{"+b.String()+`"a":1}`)
	if !r.JSON || len(r.Texts) != decode.MaxTexts || len(r.Readings) > 0 {
		t.Errorf("JSON %t, %d texts, %d readings", r.JSON, len(r.Texts), len(r.Readings))
	}
}

// TestCachesAreBounded sends more names than are remembered.
func TestCachesAreBounded(t *testing.T) {
	d, err := decode.New(decode.Config{MaxTopics: 10, MaxNames: 10, MaxFacts: 1})
	if err != nil {
		t.Fatal(err)
	}
	var out decode.Result
	for i := range 100 {
		topic := fmt.Sprintf("devices/d%d/telemetry", i)
		d.Decode(decode.Input{Topic: topic, Payload: fmt.Appendf(nil, `{"k%d":1,"k":2}`, i), Time: noon.UnixNano()}, &out)
		if want := fmt.Sprintf("k%d=1 k=2;", i); show(&out) != want || out.Device != fmt.Sprintf("d%d", i) {
			t.Fatalf("%s, want %s; %+v", show(&out), want, out)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, payload := range []string{telemetry, `21.5 °C`, `ON`, `[1,[2,{"a":"\u00e9"}]]`, "\xff", `{"a":NaN}`, "{}\n{}", `"x"`, `-0.0e-1`} {
		f.Add("devices/d1/telemetry", "c1", []byte(payload))
	}
	f.Add("/home//x/status", "mosq-1", []byte(`{"online":true}`))
	f.Add("a/b/7/info", "", []byte(`{"units":{"a":"b"},"kind":1}`))
	f.Fuzz(func(t *testing.T, topic, client string, payload []byte) {
		if event.CheckTopic(topic) != nil {
			return
		}
		d := newDecoder(t) // a new one each time, so that an input does the same each time
		var out decode.Result
		d.Decode(decode.Input{Topic: topic, Client: client, Payload: payload, Retain: true, Time: noon.UnixNano()}, &out)
		valid := json.Valid(payload) && utf8.Valid(payload)
		if out.JSON && !valid {
			t.Fatalf("%q is not valid JSON", payload)
		}
		if !out.JSON && valid && strings.Count(string(payload), "[")+strings.Count(string(payload), "{") <= decode.MaxDepth {
			t.Fatalf("%q is valid JSON: %s", payload, out.Problem)
		}
		if (out.Format == "") != (out.Problem != "") {
			t.Fatalf("format %q, problem %q", out.Format, out.Problem)
		}
		if len(out.Readings) > decode.MaxReadings || len(out.Texts) > decode.MaxTexts {
			t.Fatalf("%d readings, %d texts", len(out.Readings), len(out.Texts))
		}
		for _, r := range out.Readings {
			if math.IsNaN(r.Value) || math.IsInf(r.Value, 0) || !utf8.ValidString(r.Name) || !utf8.ValidString(r.Unit) {
				t.Fatalf("reading %+v", r)
			}
		}
		for _, text := range out.Texts {
			if !utf8.ValidString(text.Name) || !utf8.ValidString(text.Value) || len(text.Value) > 3*decode.MaxTextBytes {
				t.Fatalf("text %+v", text)
			}
		}
	})
}

// FuzzNumber holds the numbers read from JSON against encoding/json.
func FuzzNumber(f *testing.F) {
	for _, n := range []string{"0", "-0", "1.5", "123456789012345", "0.000000000000001", "1234567890.12345", "9007199254740993", "1e-7"} {
		f.Add(n)
	}
	d := newDecoder(f)
	var out decode.Result
	f.Fuzz(func(t *testing.T, number string) {
		var want float64
		if len(number) > 20 || json.Unmarshal([]byte(number), &want) != nil || strings.TrimSpace(number) != number || number == "null" {
			return
		}
		d.Decode(decode.Input{Topic: "devices/d1/telemetry", Payload: []byte(`{"x":` + number + `}`), Time: noon.UnixNano()}, &out)
		if len(out.Readings) == 1 && out.Readings[0].Value != want {
			t.Fatalf("%s is %v, not %v", number, out.Readings[0].Value, want)
		}
		if len(out.Readings) == 0 && (want < 1e12 || want > 1e14) {
			t.Fatalf("%s is no reading: %+v", number, out)
		}
	})
}

// telemetry is a typical message of 128 bytes.
const telemetry = `{"ts":1714564800123,"temperature":21.53,"humidity":48.2,"pressure":1013.25,"battery":87,"rssi":-67,"mode":"eco","on":true,"n":42}`

func BenchmarkDecode(b *testing.B) {
	for name, payload := range map[string]string{"json": telemetry, "number": "21.5", "text": "Solar/Battery mode"} {
		b.Run(name, func(b *testing.B) {
			d := newDecoder(b)
			var out decode.Result
			in := decode.Input{Topic: "devices/d1/telemetry", Client: "d1", Payload: []byte(payload), Time: noon.UnixNano()}
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(in, &out)
			}
		})
	}
}
