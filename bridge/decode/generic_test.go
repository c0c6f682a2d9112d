package decode_test

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pulso/bridge/decode"
	"pulso/bridge/event"
)

func TestLists(t *testing.T) {
	for _, test := range []struct{ payload, want string }{
		{`[{"name":"temp","value":21.5},{"value":48,"name":"hum"}]`, "temp=21.5 hum=48;"},
		{`{"m":[{"tag":"temp","v":21.5,"unit":"C","ok":true},{"tag":"hum","v":48}]}`, "m.temp=21.5 °C m.temp.ok=1 m.hum=48;"},
		{`{"s":[{"name":"hall","t":20},{"name":"attic","t":21}]}`, "s.hall.t=20 s.attic.t=21;"},
		// The same name twice, numbers for names, none at all: by place.
		{`{"s":[{"name":"in","v":1},{"name":"in","v":2}]}`, "s.0.v=1 s.1.v=2;s.0.name:in s.1.name:in"},
		{`{"s":[{"id":"1","x":1},{"id":"2","x":2}]}`, "s.0.x=1 s.1.x=2;s.0.id:1 s.1.id:2"},
		{`{"s":[{"name":"in","v":1},7]}`, "s.0.v=1 s.1=7;s.0.name:in"},
		// What is wanted is not what is.
		{`{"reported":{"speed":5},"desired":{"speed":7},"cmd":{"a":1},"command":3}`, "reported.speed=5;command:3"},
		{`{"a":nan,"b":-inf,"c":Inf,"d":-NaN,"ok":1}`, "ok=1;"},
		{`{"a":"21.5 °C","b":"45%","c":"5 W","d":"5W","e":"12 apples"}`, "a=21.5 °C b=45 % c=5 W;d:5W e:12 apples"},
		{
			`{"powerW":1,"windSpeedKmh":2,"flow (l/min)":3,"temp[°C]":4,"uptime_s":5}`,
			"powerW=1 W windSpeedKmh=2 km/h flow (l/min)=3 l/min temp[°C]=4 °C uptime_s=5 s;",
		},
		{`{"token":123,"checksum":4,"swVer":1.2,"seq_no":5,"speed":6}`, "speed=6;token:123 checksum:4 swVer:1.2 seq_no:5"},
		{"21.5\x00", "v=21.5;"},
		{"{\"a\":1}\x00", "a=1;"},
		{`"a" "b"`, `;v:"a" "b"`},
	} {
		r := decodeOne(t, "devices/d1/telemetry", test.payload)
		if got := strings.ReplaceAll(strings.ReplaceAll(show(&r), "telemetry:", "v:"), "telemetry=", "v="); got != test.want || r.Problem != "" {
			t.Errorf("%s:\n got %s %s\nwant %s", test.payload, got, r.Problem, test.want)
		}
	}
}

func TestBatches(t *testing.T) {
	at := noon.Unix()
	for name, payload := range map[string]string{
		"a list":       fmt.Sprintf(`[{"ts":%d,"t":1},{"ts":%d,"t":2}]`, at-60, at),
		"newest first": fmt.Sprintf(`[{"ts":%d,"t":2},{"ts":%d,"t":1}]`, at, at-60),
		"lines":        fmt.Sprintf("{\"ts\":%d,\"t\":2}\n{\"ts\":%d,\"t\":1}\n", at, at-60),
		"named":        fmt.Sprintf(`[{"name":"t","ts":%d,"value":1},{"name":"t","ts":%d,"value":2}]`, at-60, at),
	} {
		r := decodeOne(t, "devices/d1/telemetry", payload)
		if show(&r) != "t=2;" || r.DeviceTime != noon.UnixNano() {
			t.Errorf("%s: %s at %d", name, show(&r), r.DeviceTime)
		}
		if len(r.Earlier) != 1 || r.Earlier[0].Value != 1 || r.Earlier[0].Time != noon.Add(-time.Minute).UnixNano() {
			t.Errorf("%s: earlier %+v", name, r.Earlier)
		}
	}
	r := decodeOne(t, "devices/d1/telemetry", fmt.Sprintf(`{"gw":7,"data":[{"ts":%d,"t":1},{"ts":%d,"t":2}]}`, at-60, at))
	if show(&r) != "gw=7 data.t=2;" || len(r.Earlier) != 1 {
		t.Errorf("%s, earlier %+v", show(&r), r.Earlier)
	}
}

func TestClocks(t *testing.T) {
	stamp, none := noon.UnixNano(), int64(0)
	for _, test := range []struct {
		member string
		time   int64
		shown  string
	}{
		{`"t":1714564800`, stamp, ";"},
		{`"t":21.5`, none, "t=21.5;"},
		{`"eventTime":1714564800000`, stamp, ";"},
		{`"runTime":300`, none, "runTime=300;"},
		{`"measuredAt":"2024-05-01T12:00:00Z"`, stamp, ";"},
		{`"@timestamp":"2024-05-01T12:00Z"`, stamp, ";"},
		{`"time":"2024-05-01 14:00:00+02:00"`, stamp, ";"},
		{`"time":"2024-05-01T14:00:00+02"`, stamp, ";"},
		{`"time":"20240501T120000Z"`, stamp, ";"},
		{`"time":"Wed, 01 May 2024 12:00:00 GMT"`, stamp, ";"},
		{`"time":"2024-05-01 12:00:00 UTC"`, stamp, ";"},
		{`"time":"1714564800000"`, stamp, ";"},
		{`"time":"Wed, 01 May 2024 12:00:00 EST"`, none, ";"},
		{`"time":"2024-05-01 12:00:00"`, none, ";"},
		// These tell of something else than the message, or nothing says that they are clocks but their value.
		{`"boot_time":1714564800`, none, ";"},
		{`"nextStart":1714564800,"x":1`, none, "x=1;"},
		{`"zzz":1714564800`, none, ";"},
		{`"zzz":1614564800`, none, "zzz=1.6145648e+09;"},
	} {
		r := decodeOne(t, "devices/d1/telemetry", "{"+test.member+"}")
		if r.DeviceTime != test.time || show(&r) != test.shown {
			t.Errorf("%s: %d %s, want %d %s", test.member, r.DeviceTime, show(&r), test.time, test.shown)
		}
	}
	r := decodeOne(t, "plant/meter/line", "2024-05-01T12:00:00Z,21.5")
	if show(&r) != "line.1=21.5;" || r.DeviceTime != stamp {
		t.Errorf("%s at %d", show(&r), r.DeviceTime)
	}
}

func TestCommandsAreNoReadings(t *testing.T) {
	for topic, command := range map[string]bool{
		"plant/pump/set": true, "plant/pump/speed/set": true, "plant/pump/set/ack": true, "plant/pump/command/speed": true,
		"plant/pump/desired": true, "plant/pump/desired/speed": true, "cmd/plant/pump": true, "plant/pump/downlink": true,
		"plant/pump/speed": false, "plant/pump/setpoint": false, "plant/pump/state": false, "devices/set-7/speed": false,
	} {
		r := decodeOne(t, topic, "42")
		if r.Command != command || command == (len(r.Readings) > 0) {
			t.Errorf("%s: command %t, %s", topic, r.Command, show(&r))
		}
	}
}

// checkResult holds a result against what is promised of all.
func checkResult(t *testing.T, out *decode.Result) {
	t.Helper()
	if (out.Format == "") != (out.Problem != "") {
		t.Fatalf("format %q, problem %q", out.Format, out.Problem)
	}
	if len(out.Readings) > decode.MaxReadings || len(out.Texts) > decode.MaxTexts || len(out.Earlier) > 4*decode.MaxReadings {
		t.Fatalf("%d readings, %d texts, %d earlier", len(out.Readings), len(out.Texts), len(out.Earlier))
	}
	if (out.Command || out.Device == "") && len(out.Readings) > 0 {
		t.Fatalf("readings of a command or of no device: %+v", out)
	}
	check := func(r *decode.Reading) {
		if math.IsNaN(r.Value) || math.IsInf(r.Value, 0) || !utf8.ValidString(r.Name) || !utf8.ValidString(r.Unit) {
			t.Fatalf("reading %+v", r)
		}
	}
	for i := range out.Readings {
		check(&out.Readings[i])
	}
	for i := range out.Earlier {
		check(&out.Earlier[i].Reading)
	}
	for _, text := range out.Texts {
		if !utf8.ValidString(text.Name) || !utf8.ValidString(text.Value) || len(text.Value) > 3*decode.MaxTextBytes {
			t.Fatalf("text %+v", text)
		}
	}
	if !utf8.ValidString(out.Device) || !utf8.ValidString(out.Name) || !utf8.ValidString(out.Kind) {
		t.Fatalf("%q %q %q", out.Device, out.Name, out.Kind)
	}
}

// FuzzSequence decodes sequences of messages, each by a topic of some family, with all schemes: what is promised holds of
// each, and the same sequence gives the same.
func FuzzSequence(f *testing.F) {
	topics := []string{
		"devices/d1/telemetry", "devices/d1/info", "devices/d1/status", "spBv1.0/g/NBIRTH/n", "spBv1.0/g/NDATA/n", "homie/d/$state",
		"homeassistant/sensor/a/config", "zigbee2mqtt/bridge/devices", "zigbee2mqtt/a", "tele/a/SENSOR", "shellies/a/status", "a/status/switch:0",
		"a/events/rpc", "application/1/device/2/event/up", "v3/a/devices/b/up", "domoticz/in", "emonhub/rx/1/values", "ie/m/j/simatic/v1/a/dp",
		"ie/d/j/simatic/v1/a/dp", "$aws/things/a/shadow/update/documents", "v1/devices/me/telemetry", "owntracks/a/b", "msh/EU/2/json/a/b", "rtl_433/a/events",
	}
	for i := range topics {
		f.Add(byte(i), []byte(`{"ts":1714564800,"temp":21.5,"units":{"a":"b"}}`), byte(0), []byte(`[{"name":"a","value":1}]`), byte(i), []byte("21,5;7"))
	}
	f.Fuzz(func(t *testing.T, a byte, first []byte, b byte, second []byte, c byte, third []byte) {
		var before string
		for range 2 {
			d := newDecoder(t)
			var out decode.Result
			said := ""
			for i, payload := range [][]byte{first, second, third} {
				topic := topics[int([]byte{a, b, c}[i])%len(topics)]
				if event.CheckTopic(topic) != nil {
					t.Fatal(topic)
				}
				d.Decode(decode.Input{Topic: topic, Client: "c1", Payload: payload, Retain: i == 0, Time: noon.UnixNano()}, &out)
				checkResult(t, &out)
				said += fmt.Sprintf("%+v\n", out)
				out.Request = nil
			}
			said = pointers.ReplaceAllString(said, "")
			if before != "" && said != before {
				t.Fatalf("the same messages gave\n%s\nthen\n%s", before, said)
			}
			before = said
		}
	})
}

// typical is a message of 200 bytes.
const typical = `{"ts":1714564800123,"name":"boiler","temperature":21.53,"humidity":48.2,"pressure":1013.25,"battery":87,"rssi":-67,` +
	`"mode":"eco","on":true,"pump":{"speed":1480,"power":71.4},"energy_kwh":18234.7,"n":4}`

func BenchmarkTypical(b *testing.B) {
	if !json.Valid([]byte(typical)) || len(typical) < 195 || len(typical) > 205 {
		b.Fatal(len(typical))
	}
	d := newDecoder(b)
	var out decode.Result
	in := decode.Input{Topic: "devices/d1/telemetry", Client: "d1", Payload: []byte(typical), Time: noon.UnixNano()}
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(in, &out)
	}
}

// pointers are addresses as fmt prints them.
var pointers = regexp.MustCompile(`0x[0-9a-f]{6,}`)
