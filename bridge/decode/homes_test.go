package decode_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pulso/bridge/decode"
	"pulso/bridge/event"
)

// A heard message is one of a conversation, and what shall be understood of it; see describe.
type heard struct{ topic, payload, want string }

// listen decodes messages in their order, a second before noon by the clocks that say noon.
func listen(t *testing.T, messages []heard) {
	t.Helper()
	d := newDecoder(t)
	var out decode.Result
	for _, m := range messages {
		d.Decode(decode.Input{Topic: m.topic, Client: "c1", Payload: []byte(m.payload), Time: noon.UnixNano()}, &out)
		if got := describe(&out); got != m.want {
			t.Errorf("%s %s\n got %s\nwant %s", m.topic, m.payload, got, m.want)
		}
	}
}

// describe writes a result in one line: the device and what is said of it, in brackets; readings and texts as show does;
// units that are announced.
func describe(r *decode.Result) string {
	said := []string{r.Device}
	for _, word := range []string{r.Name, r.Kind} {
		if word != "" {
			said = append(said, word)
		}
	}
	switch {
	case r.Command:
		said = append(said, "command")
	case r.Status == event.StatusOnline:
		said = append(said, "online")
	case r.Status == event.StatusOffline:
		said = append(said, "offline")
	}
	if r.DeviceTime != 0 {
		said = append(said, time.Unix(0, r.DeviceTime).UTC().Format("15:04:05"))
	}
	text := "[" + strings.Join(said, ", ") + "] " + show(r)
	for _, u := range r.Units {
		text += " unit " + u.Name + ":" + u.Value
	}
	return text + r.Problem
}

// homeTopics are topics whose payloads are taken apart.
var homeTopics = []string{
	"tele/a/SENSOR", "tele/a/ZbReceived", "stat/a/STATUS0", "tasmota/discovery/A1/config", "tasmota/discovery/A1/sensors",
	"shellies/announce", "a/events/rpc", "a/rpc", "zigbee2mqtt/bridge/devices", "zigbee2mqtt/a/b", "a/select/b/state",
	"homeassistant/device/a/config", "homeassistant/sensor/n/a/config", "homie/5/a/$description", "homie/a/n/p/$unit", "homie/a/n/p",
	"homie/a/$name", "owntracks/a/b", "home/g/BTtoMQTT/A1", "home/g/RTL_433toMQTT", "ruuvi/g/a", "rtl_433/h/events", "wled/a/v",
	"valetudo/a/MapData/map", "frigate/events", "frigate/stats", "zwave/a/meter/endpoint_0/value/66049", "zwave/a/status",
	"zwave/a/nodeinfo", "zwave/a/lastActive", "t/x",
}

// FuzzHomes has a message come on each of these topics, and then one on all of which it may have told something.
func FuzzHomes(f *testing.F) {
	for _, payload := range []string{
		`{"ZbReceived":{"a":{"b":1}}}`, `{"params":{"a":1,"events":[{"data":{"address":"x"}}]},"src":"s"}`,
		`[{"friendly_name":"t/x","definition":{"exposes":[{"features":[{"property":"p","unit":"W"}]}]}}]`,
		`{"~":"t","stat_t":"~/x","cmps":{"a":{"p":"sensor","val_tpl":"{{ value_json['a'].b | int }}","unit_of_meas":"W"}},"dev":{"ids":["d"]}}`,
		`{"stat_t":"#","avty":[{"t":"t/+","pl_avail":"x"}]}`, `{"nodes":{"n":{"properties":{"p":{"unit":"W","datatype":"enum"}}}}}`,
		`{"data":"0201061BFF99040512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F"}`, `<vs><ac>1</ac></vs>`, `{"after":{"camera":"a"}}`,
		`{"value":1,"unit":"W","time":1714564800000}`, "\x00", `{"a":"\u0000\"}{"}`, `{"dev`,
	} {
		f.Add([]byte(payload), []byte(`{"a":{"b":1}}`))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		d := newDecoder(t)
		var out decode.Result
		hear := func(topic string, payload []byte) {
			d.Decode(decode.Input{Topic: topic, Client: "c1", Payload: payload, Retain: true, Time: noon.UnixNano()}, &out)
			if (out.Format == "") != (out.Problem != "") || len(out.Readings) > decode.MaxReadings || len(out.Texts) > decode.MaxTexts {
				t.Fatalf("%s %q: format %q, problem %q", topic, payload, out.Format, out.Problem)
			}
			if valid := json.Valid(payload) && utf8.Valid(payload); out.JSON && !valid {
				t.Fatalf("%s %q is not valid JSON", topic, payload)
			} else if !out.JSON && valid && bytes.Count(payload, []byte("["))+bytes.Count(payload, []byte("{")) <= decode.MaxDepth {
				t.Fatalf("%s %q is valid JSON: %s", topic, payload, out.Problem)
			}
			for _, text := range []string{out.Device, out.Kind, out.Name} {
				if !utf8.ValidString(text) || len(text) > decode.MaxNameBytes {
					t.Fatalf("%s %q: %q", topic, payload, text)
				}
			}
		}
		for _, topic := range homeTopics {
			hear(topic, first)
		}
		for _, topic := range homeTopics {
			hear(topic, second)
		}
	})
}

// TestToldSurvivesRestart holds that what discovery has told counts for another decoder that has its facts.
func TestToldSurvivesRestart(t *testing.T) {
	var saved bytes.Buffer
	var out decode.Result
	d := newDecoder(t)
	for topic, payload := range map[string]string{
		"homeassistant/sensor/a/config": `{"stat_t":"t/a","unit_of_meas":"W","dev":{"ids":"d","name":"Dryer"}}`,
		"homeassistant/sensor/b/config": `{"stat_t":"t/+/b","unit_of_meas":"V","dev":{"ids":"d","name":"Dryer"}}`,
		"homie/h/n/p/$datatype":         "percent",
	} {
		d.Decode(decode.Input{Topic: topic, Payload: []byte(payload), Retain: true, Time: noon.UnixNano()}, &out)
	}
	if err := d.SaveFacts(&saved); err != nil {
		t.Fatal(err)
	}
	d = newDecoder(t)
	if err := d.RestoreFacts(&saved); err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]string{"t/a": "[d, Dryer] a=21 W;", "t/x/b": "[d, Dryer] b=21 V;", "homie/h/n/p": "[h] n.p=21 %;"} {
		d.Decode(decode.Input{Topic: topic, Payload: []byte("21"), Time: noon.UnixNano()}, &out)
		if got := describe(&out); got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
}

func BenchmarkHomes(b *testing.B) {
	for _, m := range []struct{ name, topic, payload string }{
		{
			"tasmota", "tele/plug/SENSOR",
			`{"Time":"2024-05-01T12:00:00",` +
				`"ENERGY":{"TotalStartTime":"2018-11-14T18:39:40","Total":6.404,"Yesterday":5.34,"Today":1.064,` +
				`"Power":2629,"ApparentPower":2645,"Factor":0.99,"Voltage":226,"Current":11.677}}`,
		},
		{
			"shelly", "shellyplus1pm-a/events/rpc",
			`{"src":"shellyplus1pm-a","dst":"shellyplus1pm-a/events",` +
				`"method":"NotifyStatus","params":{"ts":1714564800.5,"switch:0":{"id":0,"apower":8.9,"current":0.04,` +
				`"aenergy":{"total":6.532,"by_minute":[45.199,47.141],"minute_ts":1714564740}}}}`,
		},
		{
			"rtl_433", "rtl_433/hub/events",
			`{"time":"1714564800","protocol":40,"model":"Acurite-Tower","id":10327,` +
				`"channel":"A","battery_ok":1,"temperature_C":26.5,"humidity":72,"mic":"CHECKSUM",` +
				`"mod":"ASK","freq":433.932,"rssi":-0.101,"snr":21.039,"noise":-21.14}`,
		},
		{"homie", "homie/5/car/engine/temperature", "21.5"},
	} {
		b.Run(m.name, func(b *testing.B) {
			d := newDecoder(b)
			var out decode.Result
			in := decode.Input{Topic: m.topic, Client: "c1", Payload: []byte(m.payload), Time: noon.UnixNano()}
			b.SetBytes(int64(len(m.payload)))
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(in, &out)
			}
		})
	}
}
