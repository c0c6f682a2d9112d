package decode_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"pulso/bridge/decode"
	"pulso/bridge/event"
)

// A topicTest is a message and what it must be understood as; see show.
type topicTest struct {
	topic, payload, device, want string
	status                       event.Status
	command                      bool
}

func checkTopics(t *testing.T, tests []topicTest) {
	t.Helper()
	for _, test := range tests {
		out := decodeOne(t, test.topic, test.payload)
		if out.Device != test.device || show(&out) != test.want || out.Status != test.status || out.Command != test.command {
			t.Errorf("%s %.80s:\n got %s %q status %d command %t %s\nwant %s %q status %d command %t", test.topic, test.payload,
				out.Device, show(&out), out.Status, out.Command, out.Problem, test.device, test.want, test.status, test.command)
		}
	}
}

const none = ";"

func TestVictron(t *testing.T) {
	checkTopics(t, []topicTest{
		{topic: "N/d41243b4f71d/battery/256/Soc", payload: `{"value":87.5}`, device: "d41243b4f71d/battery/256", want: "Soc=87.5 %;"},
		{
			topic: "N/d41243b4f71d/vebus/276/Ac/Out/L1/P", payload: `{"max":null,"min":null,"value":312}`,
			device: "d41243b4f71d/vebus/276", want: "Ac.Out.L1.P=312 W;",
		},
		{topic: "N/d41243b4f71d/system/0/Dc/Battery/Power", payload: `{"value":-40}`, device: "d41243b4f71d/system/0", want: "Dc.Battery.Power=-40 W;"},
		{topic: "N/d41243b4f71d/battery/256/Alarms/LowSoc", payload: `{"value":[]}`, device: "d41243b4f71d/battery/256", want: none},
		{topic: "N/d41243b4f71d/battery/256/TimeToGo", payload: `{"value":null}`, device: "d41243b4f71d/battery/256", want: none},
		{topic: "N/d41243b4f71d/tank/3/CustomName", payload: `{"value":"1200"}`, device: "d41243b4f71d/tank/3", want: ";CustomName:1200"},
		{topic: "N/d41243b4f71d/system/0/Serial", payload: `{"value":"d41243b4f71d"}`, device: "d41243b4f71d/system/0", want: ";Serial:d41243b4f71d"},
		{topic: "N/d41243b4f71d/heartbeat", payload: `{"value":1714564790}`, device: "d41243b4f71d", want: none},
		{topic: "N/d41243b4f71d/keepalive", payload: `{"value":1}`, device: "d41243b4f71d", want: none},
		{topic: "R/d41243b4f71d/keepalive", payload: `["solarcharger/+/+"]`, device: "d41243b4f71d", want: none, command: true},
		{topic: "R/d41243b4f71d/system/0/Serial", device: "d41243b4f71d/system/0", want: none, command: true},
		{topic: "W/d41243b4f71d/settings/0/Settings/X", payload: `{"value":3}`, device: "d41243b4f71d/settings/0", want: none, command: true},
	})
	if out := decodeOne(t, "N/p1/tank/3/CustomName", `{"value":"Fresh water"}`); out.Name != "Fresh water" {
		t.Errorf("the name is %q", out.Name)
	}
}

func TestTheThingsStack(t *testing.T) {
	checkTopics(t, []topicTest{
		{
			topic: "v3/farm@t1/devices/probe-7/up", device: "probe-7",
			payload: `{"received_at":"2024-05-01T11:59:00Z","uplink_message":{"f_port":2,"frm_payload":"12345678",
				"decoded_payload":{"t":{"in":4.5},"mode":"eco"},"normalized_payload":[{"air":{"temperature":4.5}}],
				"rx_metadata":[{"rssi":-90,"snr":7,"location":{"latitude":1,"altitude":2},"timestamp":99}],
				"locations":{"user":{"latitude":52.1}},"received_at":"2024-05-01T11:58:00Z"}}`,
			want: "uplink_message.decoded_payload.t.in=4.5 uplink_message.normalized_payload.0.air.temperature=4.5 °C " +
				"uplink_message.rx_metadata.0.rssi=-90 dBm uplink_message.rx_metadata.0.snr=7 dB uplink_message.locations.user.latitude=52.1;" +
				"uplink_message.f_port:2 uplink_message.frm_payload:12345678 uplink_message.decoded_payload.mode:eco",
		},
		{
			topic: "v3/farm@t1/devices/probe-7/join", device: "probe-7",
			payload: `{"end_device_ids":{"dev_addr":"26012345"},"join_accept":{"session_key_id":"x","received_at":"2024-05-01T11:58:00Z"}}`,
			want:    ";end_device_ids.dev_addr:26012345 join_accept.session_key_id:x",
		},
		{
			topic: "v3/farm@t1/devices/probe-7/location/solved", device: "probe-7",
			payload: `{"location_solved":{"location":{"latitude":10.5,"longitude":20}}}`,
			want:    "location.solved.location_solved.location.latitude=10.5 location.solved.location_solved.location.longitude=20;",
		},
		{topic: "v3/farm@t1/devices/probe-7/down/push", payload: `{"downlinks":[{"f_port":15}]}`, device: "probe-7", want: none, command: true},
		{
			topic: "v3/farm@t1/devices/probe-7/down/ack", payload: `{"downlink_ack":{"f_cnt":3,"priority":"HIGH"}}`, device: "probe-7",
			want: ";downlink_ack.priority:HIGH",
		},
	})
	out := decodeOne(t, "v3/a@b/devices/d/up", `{"uplink_message":{"received_at":"2024-05-01T11:58:00Z"},"received_at":"2024-05-01T11:59:00Z"}`)
	if want := noon.Add(-time.Minute); out.DeviceTime != want.UnixNano() {
		t.Errorf("the time is %s", time.Unix(0, out.DeviceTime).UTC())
	}
}

func TestChirpStack(t *testing.T) {
	const base = "application/4/device/00000000000000a1/"
	checkTopics(t, []topicTest{
		{
			topic: base + "event/up", device: "00000000000000a1",
			payload: `{"deviceInfo":{"deviceName":"Cellar","tags":{"floor":"3"}},"fPort":5,"data":"12345678","object":{"co2":800},
				"rxInfo":[{"gatewayId":"0102030405060708","rssi":-57,"snr":9.5,"location":{"latitude":3,"altitude":1}}],"txInfo":{"frequency":868100000}}`,
			want: "object.co2=800 rxInfo.0.rssi=-57 dBm rxInfo.0.snr=9.5 dB txInfo.frequency=8.681e+08 Hz;" +
				"deviceInfo.deviceName:Cellar fPort:5 data:12345678 rxInfo.0.gatewayId:0102030405060708",
		},
		{
			topic: base + "rx", device: "00000000000000a1", payload: `{"deviceName":"old","objectJSON":"{\"t\":21.5}","rxInfo":[{"loRaSNR":8}]}`,
			want: "rxInfo.0.loRaSNR=8 dB object.t=21.5;deviceName:old",
		},
		{
			topic: base + "event/status", device: "00000000000000a1", payload: `{"margin":10,"batteryLevelUnavailable":true,"batteryLevel":0}`,
			want: "margin=10 dB batteryLevelUnavailable=1;",
		},
		{topic: base + "event/txack", device: "00000000000000a1", payload: `{"fCntDown":7,"gatewayId":"0016c001"}`, want: "fCntDown=7;gatewayId:0016c001"},
		{topic: base + "event/location", device: "00000000000000a1", payload: `{"location":{"latitude":3.5}}`, want: "location.latitude=3.5 °;"},
		{topic: base + "command/down", device: "00000000000000a1", payload: `{"fPort":10}`, want: none, command: true},
		{
			topic: "us915_0/gateway/0102030405060708/state/conn", device: "0102030405060708", payload: `{"state":"OFFLINE"}`,
			want: ";state:OFFLINE", status: event.StatusOffline,
		},
		{topic: "gateway/0102030405060708/event/stats", device: "0102030405060708", payload: `{"rxPacketsReceived":4}`, want: "rxPacketsReceived=4;"},
		{topic: "eu868/gateway/0102030405060708/command/config", device: "0102030405060708", payload: `{"version":"1"}`, want: none, command: true},
	})
	if out := decodeOne(t, base+"event/up", `{"deviceInfo":{"deviceName":"Cellar","deviceProfileName":"CO2"}}`); out.Name != "Cellar" || out.Kind != "CO2" {
		t.Errorf("it is called %q and is a %q", out.Name, out.Kind)
	}
}

func TestLoRaWANHistory(t *testing.T) {
	out := decodeOne(t, "v3/a@b/devices/d/up", `{"received_at":"2024-05-01T11:59:00Z","uplink_message":{"decoded_payload":{"t":3,
		"history":[{"timestamp":1714557600,"t":1},{"timestamp":1714561200,"t":2}]}}}`)
	if len(out.Readings) != 1 || out.Readings[0].Value != 3 || len(out.Earlier) != 2 {
		t.Fatalf("%s, and before: %v", show(&out), out.Earlier)
	}
	for i, at := range []int64{1714557600, 1714561200} {
		if e := out.Earlier[i]; e.Time != at*1e9 || e.Value != float64(i+1) || e.Name != out.Readings[0].Name {
			t.Errorf("before: %v", e)
		}
	}
}

func TestTeslaMate(t *testing.T) {
	const car = "teslamate/cars/3"
	checkTopics(t, []topicTest{
		{topic: car + "/odometer", payload: "1234.5", device: car, want: "odometer=1234.5 km;"},
		{topic: car + "/state", payload: "online", device: car, want: ";state:online"},
		{topic: car + "/model", payload: "3", device: car, want: ";model:3"},
		{topic: car + "/trim_badging", payload: "75", device: car, want: ";trim_badging:75"},
		{topic: car + "/since", payload: "2024-05-01T11:00:00Z", device: car, want: ";since:2024-05-01T11:00:00Z"},
		{
			topic: car + "/scheduled_charging_start_time", payload: "2024-05-01T11:00:00Z", device: car,
			want: ";scheduled_charging_start_time:2024-05-01T11:00:00Z",
		},
		{topic: car + "/sentry_mode", payload: "true", device: car, want: "sentry_mode=1;"},
		{topic: car + "/location", payload: `{"latitude":1.5,"longitude":2}`, device: car, want: "location.latitude=1.5 ° location.longitude=2 °;"},
		{
			topic: car + "/active_route", payload: `{"destination":"Work","miles_to_arrival":3.2,"location":{"latitude":1,"longitude":2},"error":null}`,
			device: car, want: "active_route.miles_to_arrival=3.2 mi;active_route.destination:Work",
		},
		{topic: "teslamate/home/cars/3/tpms_pressure_fl", payload: "2.9", device: "teslamate/home/cars/3", want: "tpms_pressure_fl=2.9 bar;"},
	})
	for _, topic := range []string{car + "/since", car + "/scheduled_charging_start_time"} {
		if out := decodeOne(t, topic, "2024-05-01T11:00:00Z"); out.DeviceTime != 0 {
			t.Errorf("%s is taken for the message's time", topic)
		}
	}
	if out := decodeOne(t, car+"/display_name", "1000"); out.Name != "1000" || show(&out) != ";display_name:1000" {
		t.Errorf("the name is %q: %s", out.Name, show(&out))
	}
}

func TestEVCC(t *testing.T) {
	checkTopics(t, []topicTest{
		{topic: "evcc/status", payload: "online", device: "evcc", want: none, status: event.StatusOnline},
		{topic: "evcc/updated", payload: "1714564800", device: "evcc", want: ";updated:1714564800"},
		{topic: "evcc/site/pv/1/power", payload: "412", device: "evcc/site", want: "pv.1.power=412 W;"},
		{topic: "evcc/site/batterySoc", payload: "55", device: "evcc/site", want: "batterySoc=55 %;"},
		{topic: "evcc/site/siteTitle", payload: "Home", device: "evcc/site", want: ";siteTitle:Home"},
		{topic: "evcc/site/prioritySoc/set", payload: "20", device: "evcc/site", want: none, command: true},
		{topic: "evcc/loadpoints/2/chargeCurrents/l2", payload: "15.9", device: "evcc/loadpoints/2", want: "chargeCurrents.l2=15.9 A;"},
		{topic: "evcc/loadpoints/2/charging", payload: "true", device: "evcc/loadpoints/2", want: "charging=1;"},
		{topic: "evcc/loadpoints/2/chargeDuration", payload: "1420", device: "evcc/loadpoints/2", want: "chargeDuration=1420 s;"},
		{topic: "evcc/loadpoints/2/effectivePlanTime", payload: "1714564800", device: "evcc/loadpoints/2", want: ";effectivePlanTime:1714564800"},
		{topic: "evcc/loadpoints/2/mode/set", payload: "pv", device: "evcc/loadpoints/2", want: none, command: true},
		{topic: "evcc/vehicles/zoe/minSoc", payload: "20", device: "zoe", want: "minSoc=20 %;"},
		{topic: "evcc/vehicles/zoe/plans/1/time", payload: "1714564800", device: "zoe", want: ";plans.1.time:1714564800"},
		{topic: "evcc/circuits/main/current", payload: "12", device: "evcc/circuits/main", want: "current=12 A;"},
		{topic: "evcc/loadpoints/2/mode", payload: "now", device: "evcc/loadpoints/2", want: ";mode:now"},
	})
}

func TestGoECharger(t *testing.T) {
	checkTopics(t, []topicTest{
		{topic: "go-eCharger/123456/alw", payload: "true", device: "123456", want: "alw=1;"},
		{topic: "go-eCharger/123456/wh", payload: "1530.5", device: "123456", want: "wh=1530.5 Wh;"},
		{topic: "go-eCharger/123456/tma", payload: "[28.5,null,30]", device: "123456", want: "tma.0=28.5 °C tma.2=30 °C;"},
		{topic: "go-eCharger/123456/fna", payload: `"Carport"`, device: "123456", want: ";fna:Carport"},
		{topic: "go-eCharger/123456/sse", payload: `"123456"`, device: "123456", want: ";sse:123456"},
		{topic: "go-eCharger/123456/amp/set", payload: "10", device: "123456", want: none, command: true},
		{topic: "go-eCharger/123456/amp/result", payload: "true", device: "123456", want: none, command: true},
		{topic: "go-eCharger/123456/mcc", payload: "true", device: "123456", want: none, status: event.StatusOnline},
		{topic: "go-eCharger/123456/cmd/req", payload: "amp=16", device: "123456", want: none, command: true},
		{topic: "go-eCharger/123456/status", payload: `{"amp":"16","tme":"0104191236"}`, device: "123456", want: "amp=16 A;tme:0104191236"},
	})
}

func TestOpenEVSE(t *testing.T) {
	const station = "openevse-1a2b"
	checkTopics(t, []topicTest{
		{topic: "emon/" + station + "/amp", payload: "15800", device: station, want: "amp=15800 mA;"},
		{topic: "openevse/temp1", payload: "282", device: "openevse", want: "temp1=282 0.1 °C;"},
		{topic: station + "/status", payload: "active", device: station, want: ";status:active"},
		{topic: station + "/override_version", payload: "7", device: station, want: ";override_version:7"},
		{topic: station + "/rapi/in/$GS", device: station, want: none, command: true},
		{topic: station + "/rapi/out", payload: "$OK 1 2", device: station, want: none, command: true},
		{topic: station + "/divertmode/set", payload: "2", device: station, want: none, command: true},
	})
	d := newDecoder(t)
	var out decode.Result
	read := func(topic, payload string) {
		d.Decode(decode.Input{Topic: topic, Payload: []byte(payload), Time: noon.UnixNano()}, &out)
	}
	read("openevse/announce/1a2b", `{"state":"connected","id":"77","name":"Garage","mqtt":"house/charger"}`)
	if out.Device != "charger" || out.Name != "Garage" || out.Status != event.StatusOnline || len(out.Readings) > 0 {
		t.Errorf("announced as %q, %q, status %d: %s", out.Device, out.Name, out.Status, show(&out))
	}
	if read("house/charger/amp", "16000"); out.Device != "charger" || show(&out) != "amp=16000;" {
		t.Errorf("read as %q: %s", out.Device, show(&out))
	}
}

func TestSolarAssistant(t *testing.T) {
	checkTopics(t, []topicTest{
		{topic: "solar_assistant/inverter_2/load_power/state", payload: "640", device: "solar_assistant/inverter_2", want: "load_power=640 W;"},
		{topic: "solar_assistant/battery_1/state_of_charge/state", payload: "80", device: "solar_assistant/battery_1", want: "state_of_charge=80 %;"},
		{topic: "solar_assistant/inverter_2/time_point_1/state", payload: "8", device: "solar_assistant/inverter_2", want: ";time_point_1:8"},
		{topic: "solar_assistant/inverter_2/time_point_1/set", payload: "09:00", device: "solar_assistant/inverter_2", want: none, command: true},
		{topic: "solar_assistant/set/response_message/state", payload: "Saved", device: "solar_assistant", want: none, command: true},
	})
}

func TestSmallSchemes(t *testing.T) {
	checkTopics(t, []topicTest{
		{topic: "emonhub/rx/7/values", payload: "39,5", device: "emonhub/rx/7", want: "values.0=39 values.1=5;"},
		{topic: "emonhub/rx/7/rssi", payload: "-60", device: "emonhub/rx/7", want: "rssi=-60 dBm;"},
		{topic: "emonhub/tx/7/values", payload: "1", device: "emonhub/tx/7", want: none, command: true},
		{topic: "airgradient/readings/a1", payload: `{"atmp":21.5,"model":"I-9PSL"}`, device: "a1", want: "atmp=21.5 °C;model:I-9PSL"},
		{
			topic: "domoticz/in", payload: `{"idx":4,"nvalue":0,"svalue":"20.5;60;1","Battery":255,"RSSI":12}`, device: "domoticz/4",
			want: "nvalue=0 svalue.0=20.5 svalue.1=60 svalue.2=1;svalue:20.5;60;1",
		},
		{topic: "domoticz/in", payload: `{"idx":4,"command":"switchlight","switchcmd":"On"}`, device: "domoticz/4", want: none, command: true},
	})
	if out := decodeOne(t, "domoticz/out", `{"idx":4,"name":"Hall","nvalue":1,"unit":1}`); out.Name != "Hall" || show(&out) != "nvalue=1;name:Hall" {
		t.Errorf("%q: %s", out.Name, show(&out))
	}
}

// energyTopics are a topic of each kind that is read in its own way.
var energyTopics = []string{
	"N/p1/battery/1/Dc/0/Voltage", "N/p1/battery/1/CustomName", "N/p1/heartbeat", "v3/a@t/devices/d/up", "v3/a@t/devices/d/join",
	"application/1/device/a/event/up", "application/1/device/a/event/log", "r/gateway/g/event/up", "teslamate/cars/1/display_name",
	"evcc/site/forecast/grid", "evcc/loadpoints/1/title", "go-eCharger/1/nrg", "go-eCharger/1/fna", "openevse/announce/1", "base/amp",
	"emonhub/rx/1/values", "domoticz/in", "airgradient/readings/a",
}

// FuzzEnergy has a message come on each of these topics.
func FuzzEnergy(f *testing.F) {
	for _, payload := range []string{
		`{"value":[1,2]}`, `{"max":1,"value":"x"}`, `{"received_at":"2024-05-01T11:58:00Z","uplink_message":{"decoded_payload":{"a":1}}}`,
		`{"deviceInfo":{"deviceName":"a"},"objectJSON":"{\"a\":[1","batteryLevelUnavailable":true}`, `"name"`, `name`, `12`, `12,3`,
		`[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]`, `{"state":"connected","name":"n","mqtt":"base","id":1}`, `{"mqtt":"#"}`,
		`{"idx":1,"svalue":"1;2;x"}`, `{"idx":[1],"command":"a"}`, "\x00", `{"value`, `"\ud800"`,
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		d := newDecoder(t)
		var out decode.Result
		for _, topic := range energyTopics {
			d.Decode(decode.Input{Topic: topic, Client: "c1", Payload: payload, Time: noon.UnixNano()}, &out)
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
	})
}
