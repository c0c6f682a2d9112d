package decode_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"pulso/bridge/decode"
)

func cborOf(t testing.TB, value any) string {
	t.Helper()
	b, err := cbor.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSenML(t *testing.T) {
	base := noon.Unix()
	packed := cborOf(t, []map[int]any{
		{-2: "urn:dev:ow:10e2073a0108006:", -3: base, 0: "temp", 1: "Cel", 2: 21.5}, {0: "open", 4: true}, {0: "label", 3: "Room"},
	})
	listen(t, []heard{
		{"a/b", `[{"n":"urn:dev:mac:0024befffe804ff1_temp","u":"Cel","v":2}]`, "[urn:dev:mac:0024befffe804ff1] temp=2 Cel;"},
		{"a/b", `[{"bn":"urn:dev:ow:1:","bu":"W","bv":10,"n":"p","v":1},{"n":"q","s":3}]`, "[urn:dev:ow:1] p=11 W q=3 J;"},
		{"a/b", `[{"n":"t","v":1,"t":-5},{"n":"t","v":2}]`, "[b] t=2;"},
		{"a/b", `[{"n":"t","v":1,"must_":1}]`, "[b] 0.v=1 0.must_=1;0.n:t"},
		{"a/b", packed, "[urn:dev:ow:10e2073a0108006, 12:00:00] temp=21.5 Cel open=1;label:Room"},
		{"a/b", `[{"n":"d","vd":"aGkgCg"},{"n":"b","vb":false}]`, "[b] b=0;d:aGkgCg"},
	})
	out := decodeOne(t, "a/b", fmt.Sprintf(`[{"bt":%d,"n":"t","v":1,"t":-5},{"n":"t","v":2}]`, base))
	if len(out.Earlier) != 1 || out.Earlier[0].Value != 1 || out.Earlier[0].Time != noon.UnixNano()-5e9 {
		t.Errorf("earlier %+v", out.Earlier)
	}
}

func TestBinaryMaps(t *testing.T) {
	listen(t, []heard{
		{"a/b", cborOf(t, map[string]any{"temp": 21.5, "n": map[string]any{"x": -3}, "on": true, "at": nil}), "[b] n.x=-3 on=1 temp=21.5;"},
		{"a/b", "\xbf\x61t\xf9\x4d\x60\xff", "[b] t=21.5;"}, // of indefinite length, a half
		{"a/b", cborOf(t, map[string]any{"time": cbor.Tag{Number: 1, Content: noon.Unix()}, "v": 1}), "[b, 12:00:00] v=1;"},
		{"a/b", "\x82\xa4temp\xcb\x40\x51\xa0\x00\x00\x00\x00\x00\xa3rpm\xcd\x05\xc8", "[b] rpm=1480 temp=70.5;"},
		{"a/b", "\x81\xa1t\xd0\xf9", "[b] t=-7;"},
		{"a/b", "\xfa\x41\xb4\x00\x00", "[b] ;payload is neither text in UTF-8 nor of a known binary format: byte 0xfa at offset 0"},
		{"a/b", "\x81\xa1t\xdd\xff\xff\xff\xff", "[b] ;payload is neither text in UTF-8 nor of a known binary format: byte 0x81 at offset 0"},
	})
}

func TestForcedBinary(t *testing.T) {
	for format, payload := range map[string]string{"cbor": "\xfa\x41\xb4\x00\x00", "msgpack": "\xca\x41\xb4\x00\x00"} {
		d, err := decode.New(decode.Config{Overrides: []decode.Override{{Filter: "#", Format: format}}})
		if err != nil {
			t.Fatal(err)
		}
		var out decode.Result
		d.Decode(decode.Input{Topic: "a/b", Payload: []byte(payload), Time: noon.UnixNano()}, &out)
		if len(out.Readings) != 1 || out.Readings[0].Value != 22.5 {
			t.Errorf("%s: %+v %s", format, out.Readings, out.Problem)
		}
		d.Decode(decode.Input{Topic: "a/b", Payload: []byte("\xc1\xff"), Time: noon.UnixNano()}, &out)
		if out.Problem == "" {
			t.Errorf("%s: nonsense is understood: %+v", format, out)
		}
	}
}

func TestInflux(t *testing.T) {
	nanoseconds := fmt.Sprint(noon.UnixNano())
	listen(t, []heard{
		{"a/b", `m,device=d\ 1,site=x t=21.5,n=3i,u=4u,on=T,s="a \"b\", c" ` + nanoseconds, `[d 1, 12:00:00] m.t=21.5 m.n=3 m.u=4 m.on=1;m.s:a "b", c`},
		{"a/b", "m t=1 " + nanoseconds[:10], "[b, 12:00:00] m.t=1;"},
		{"a/b", "m t=1 " + nanoseconds[:13] + "\n# note\n\nm h=2\n", "[b, 12:00:00] m.t=1 m.h=2;"},
		{"a/b", "cpu,cpu=cpu0 idle=9\ncpu,cpu=cpu1 idle=8", "[b] cpu.cpu0.idle=9 cpu.cpu1.idle=8;"},
		{"a/b", "m,unit=C t=4", "[b] m.t=4 °C;"},
		{"a/b", "error code = 5", "[b] ;b:error code = 5"},
		{"a/b", "wifi rssi=weak", "[b] ;b:wifi rssi=weak"},
	})
	out := decodeOne(t, "a/b", "m,device=x t=1\nm,device=y t=2 "+nanoseconds)
	if out.Device != "y" || len(out.Earlier) != 1 || out.Earlier[0].Device != "x" || out.Earlier[0].Time != 0 {
		t.Errorf("%s: %+v", out.Device, out.Earlier)
	}
}

func TestKura(t *testing.T) {
	payload := string(wire{}.varint(1, noonMs()).message(2, wire{}.float64(1, 45.5).varint(8, 7)).
		message(5000, wire{}.text(1, "t").varint(2, 1).float32(4, 20.1)).
		message(5000, wire{}.text(1, "n").varint(2, 2).varint(5, 1<<63)).
		message(5000, wire{}.text(1, "mode").varint(2, 5).text(8, "eco")))
	listen(t, []heard{
		{
			"acct/client-1/app/data",
			payload,
			"[client-1, 12:00:00] app.position.latitude=45.5 ° app.position.satellites=7 app.t=20.1 app.n=-9.223372036854776e+18;app.mode:eco",
		},
		{
			"$EDC/acct/client-1/MQTT/BIRTH",
			string(wire{}.varint(1, 1).message(5000, wire{}.text(1, "display_name").varint(2, 5).text(8, "Edge"))),
			"[client-1, Edge, online] ;display_name:Edge",
		},
		{"$EDC/acct/client-1/MQTT/LWT", string(wire{}.varint(1, noonMs())), "[client-1, Edge, offline] ;"},
		{"acct/c/app/x", `{"SENTON":` + fmt.Sprint(noonMs()) + `,"METRICS":{"t":1,"ok":true,"m":"eco"}}`, "[c, 12:00:00] x.t=1 x.ok=1;x.m:eco"},
	})
}

func TestOPCUA(t *testing.T) {
	const header = `{"MessageId":"1","MessageType":"ua-data","PublisherId":"pub","Messages":`
	at := noon.Format("2006-01-02T15:04:05.000Z")
	listen(t, []heard{
		{
			"opcua/json/metadata/pub/g/w",
			`{"MessageId":"1","MessageType":"ua-metadata","PublisherId":"pub","DataSetWriterId":1,"MetaData":{"Name":"n","Fields":[{"Name":"P",` +
				`"Properties":[{"Key":{"Name":"EngineeringUnits"},"Value":{"Type":22,"Body":{"Body":{"UnitId":1,"DisplayName":{"Text":"bar"}}}}}]}]}}`,
			"[pub] ;MetaData.Name:n unit P:bar",
		},
		{
			"opcua/json/data/pub/g/w",
			header + `[{"DataSetWriterId":1,"MessageType":"ua-deltaframe","Timestamp":"` + at + `","Payload":{"P":{"Value":{"Type":10,` +
				`"Body":2.5}},"S":{"Type":12,"Body":"42"},"B":{"Value":1,"StatusCode":{"Code":2147483648}}}}]}`,
			"[pub, 12:00:00] P=2.5 bar;S:42",
		},
		{"x/y", header + `[{"DataSetWriterId":1,"Payload":{"a":1}},{"DataSetWriterId":2,"Payload":{"a":2}}]}`, "[pub] 1.a=1 2.a=2;"},
		{"x/y", header + `[{"DataSetWriterId":1,"MessageType":"ua-keepalive"}]}`, "[pub] ;"},
		{"opcua/json/status/pub", `{"MessageId":"1","MessageType":"ua-status","PublisherId":"pub","Status":2}`, "[pub, online] ;"},
		{
			"devices/e/messages/events/a=b",
			`[{"NodeId":"ns=2;s=Pump","Value":{"Value":3,"SourceTimestamp":"` + at + `"}},{"NodeId":"i=1","DisplayName":"N","Value":7}]`,
			"[e, 12:00:00] Pump=3 N=7;",
		},
	})
}

func TestFactories(t *testing.T) {
	at := noon.Format("2006-01-02T15:04:05Z")
	listen(t, []heard{
		{
			"x/y",
			`{"content-spec":"urn:spec://eclipse.org/unide/measurement-message#v3","device":{"id":"m1"},"measurements":[{"ts":"` + at + `",` +
				`"context":{"t":{"unit":"C","upperLimit":9}},"series":{"time":[0,500],"t":[1,2]}}]}`,
			"[m1, 12:00:00] t=2 °C;",
		},
		{
			"x/y",
			`{"content-spec":"urn:spec://eclipse.org/unide/machine-message#v2","device":{"deviceID":"m1"},"messages":[{"ts":"` + at + `",` +
				`"code":"33","title":"hot"}]}`,
			"[m1, 12:00:00] ;code:33 title:hot",
		},
		{
			"x/y",
			`{"content-spec":"urn:spec://eclipse.org/unide/process-message#v2","device":{"deviceID":"m1"},"process":{"ts":"` + at + `",` +
				`"result":"OK","shutoffValues":{"force":{"value":24,"upperError":30}}}}`,
			"[m1, 12:00:00] shutoffValues.force=24;result:OK",
		},
		{
			"ie/m/j/simatic/v1/c/dp",
			`{"seq":1,"connections":[{"name":"P","dataPoints":[{"topic":"ie/d/j/simatic/v1/c/dp/r/P/default","dataPointDefinitions":[{"id":"7",` +
				`"name":"level"}]}]}]}`,
			"[c/P] ;",
		},
		{
			"ie/d/j/simatic/v1/c/dp/r/P/default",
			`{"seq":2,"vals":[{"id":"7","qc":3,"ts":"` + at + `","val":1.5},{"id":"8","qc":0,"val":9},{"id":"9","qc":3,"val":true}]}`,
			"[c/P, 12:00:00] level=1.5 9=1;",
		},
		{"ie/d/j/simatic/v1/c/dp/w/P", `{"vals":[{"id":"7","val":2}]}`, "[c/P, command] ;"},
		{
			"ie/s/j/simatic/v1/c/status",
			`{"connector":{"status":"good"},"connections":[{"name":"P","status":"bad"}]}`,
			"[c, online] ;connector.status:good P.status:bad",
		},
		{"mdsp/a/timeseries", `{"timestamp":"` + at + `","values":[{"dataPointId":"p1","value":"6.5","qualityCode":"0"}]}`, "[a, 12:00:00] p1=6.5;"},
	})
}

func TestClouds(t *testing.T) {
	at := noon.Format("2006-01-02T15:04:05Z")
	ms := fmt.Sprint(noonMs())
	listen(t, []heard{
		{"s/us", "200,c8y_T,T,25,mm," + at + "\n211,20\n501,c8y_Restart", "[c1, 12:00:00] c8y_T.T=25 mm c8y_TemperatureMeasurement.T=20 °C;"},
		{"s/us/child", `201,KamstrupA,` + at + `,c8y_M,in,"1,5",l,c8y_M,out,3,l`, "[child, 12:00:00] c8y_M.out=3 l;"},
		{"s/us", "100,My device,c8y_Linux", "[c1, My device, c8y_Linux] ;"},
		{"s/us", "302,c8y_Hot,too hot", "[c1] ;alarm.severity:MAJOR alarm:c8y_Hot alarm.text:too hot"},
		{"s/ds", "510,serial", "[c1, command] ;"},
		{
			"measurement/measurements/create",
			`{"c8y_S":{"p":{"value":2,"unit":"W"}},"time":"` + at + `","source":{"id":"9"},"type":"x"}`,
			"[9, 12:00:00] c8y_S.p.value=2 W;type:x",
		},
		{"alarm/alarms/create", `{"severity":"MAJOR","text":"hot","time":"` + at + `","source":{"id":"9"}}`, "[9] ;severity:MAJOR text:hot"},
		{"v1/devices/me/telemetry", `[{"ts":` + ms + `,"values":{"t":2,"s":"eco"}}]`, "[c1, 12:00:00] t=2;s:eco"},
		{"v1/gateway/connect", `{"device":"A","type":"meter"}`, "[A, meter, online] ;"},
		{"v1/devices/me/rpc/request/1", `{"method":"setValue","params":3}`, "[c1, command] ;"},
		{"$aws/things/b/shadow/update", `{"state":{"desired":{"v":1}}}`, "[b, command] ;"},
		{
			"$aws/things/b/shadow/update/accepted",
			`{"state":{"reported":{"v":{"w":1}}},"metadata":{"reported":{"v":{"timestamp":5}}},"version":3,"timestamp":` + ms[:10] + `}`,
			"[b, 12:00:00] state.reported.v.w=1;",
		},
		{
			"$aws/things/b/shadow/name/n/update/documents",
			`{"previous":{"state":{"reported":{"v":1}}},"current":{"state":{"reported":{"v":2},"desired":{"v":3}},"version":2}}`,
			"[b] n.state.reported.v=2;",
		},
		{"$aws/things/b/shadow/update/delta", `{"state":{"v":1}}`, "[b, command] ;"},
		{"devices/e/messages/events/%24.ct=application%2Fjson", `{"t":1}`, "[e] t=1;"},
		{"$iothub/twin/PATCH/properties/reported/?$rid=1", `{"t":1,"$version":4}`, "[c1] t=1;"},
		{"$iothub/twin/PATCH/properties/desired/?$version=1", `{"t":1}`, "[c1, command] ;"},
		{
			"x/y",
			`{"topic":"ns/d/things/twin/events/modified","path":"/features/f/properties/a","value":{"value":1,"unit":"km"},"timestamp":"` + at + `"}`,
			"[ns:d, 12:00:00] f.a.value=1 km;",
		},
		{"x/y", `{"topic":"ns/d/things/twin/commands/modify","path":"/features/f/desiredProperties/a","value":1}`, "[ns:d] ;"},
		{"x/y", `{"topic":"ns/d/things/live/commands/modify","path":"/features/f/properties/a","value":1}`, "[ns:d, command] ;"},
		{
			"x/y",
			`{"topic":"ns/d/things/twin/events/created","path":"/","value":{"attributes":{"m":"X"},"features":{"f":{"properties":{"a":2}}}}}`,
			"[ns:d] f.a=2;m:X",
		},
		{
			"123456789012345/data",
			`{"state":{"reported":{"66":12000,"latlng":"54.5,25.5","ts":` + ms + `}}}`,
			"[123456789012345, 12:00:00] 66=12000 mV latitude=54.5 ° longitude=25.5 °;latlng:54.5,25.5",
		},
	})
}

func TestThingsBoardGateway(t *testing.T) {
	out := decodeOne(t, "v1/gateway/telemetry", fmt.Sprintf(
		`{"A":[{"ts":%d,"values":{"t":1}},{"ts":%d,"values":{"t":2}}],"B":[{"ts":%[2]d,"values":{"t":3}}]}`, noonMs()-1000, noonMs(),
	))
	if out.Device != "B" || show(&out) != "t=3;" || len(out.Earlier) != 2 {
		t.Fatalf("%s %s %+v", out.Device, show(&out), out.Earlier)
	}
	for i, e := range out.Earlier {
		if e.Device != "A" || e.Value != float64(i+1) || e.Time != noon.UnixNano()-int64(1-i)*1e9 {
			t.Errorf("%+v", e)
		}
	}
}

func TestMeshtastic(t *testing.T) {
	telemetry := wire{}.message(2, wire{}.varint(1, 90).float32(2, 4.1))
	packet := wire{}.fixed32(1, 0xabcd).message(4, wire{}.varint(1, 67).message(2, telemetry)).varint(12, ^uint64(0)-89)
	listen(t, []heard{
		{
			"msh/US/2/json/LongFast/!gw",
			`{"from":43981,"id":5,"to":-1,"rssi":-80,"type":"position","payload":{"latitude_i":545000000,"time":1}}`,
			"[!0000abcd] rssi=-80 dBm payload.latitude_i=5.45e+08 payload.latitude=54.5 °;type:position",
		},
		{"msh/2/json/mqtt/!gw", `{"from":1,"type":"sendtext","payload":"hi"}`, "[!gw, command] ;"},
		{"msh/2/stat/!gw", "online", "[!gw, online] ;"},
		{"msh/2/e/LongFast/!gw", string(wire{}.message(1, packet)), "[!0000abcd] rssi=-90 dBm payload.battery_level=90 % payload.voltage=4.1 V;"},
		{"msh/2/e/LongFast/!gw", string(wire{}.message(1, wire{}.fixed32(1, 7).text(5, "\xff\x00"))), "[!00000007] ;"},
	})
}

// structuredTopics are topics whose payloads are taken apart.
var structuredTopics = []string{
	"x/y", "a/b/c/d", "spBv1.0/G/NBIRTH/E", "spBv1.0/G/DDATA/E/D", "spBv1.0/G/NDEATH/E", "spBv1.0/STATE/h", "$EDC/a/b/MQTT/BIRTH",
	"opcua/json/metadata/p/g/w", "opcua/json/data/p/g/w", "ie/m/j/simatic/v1/c/dp", "ie/d/j/simatic/v1/c/dp/r/P/default",
	"ie/s/j/simatic/v1/c/status", "s/us", "measurement/measurements/create", "alarm/alarms/create", "v1/devices/me/telemetry",
	"v1/gateway/telemetry", "v1/gateway/connect", "$aws/things/b/shadow/update", "$iothub/twin/res/200/?$rid=1", "msh/2/json/c/!g",
	"msh/2/e/c/!g", "123456789012345/data",
}

// FuzzStructured has a payload come on each of these topics: whatever it is, its result is bounded and finite, and the same a
// second time.
func FuzzStructured(f *testing.F) {
	for _, seed := range []string{
		payloadOf(metric("a", 1, 3).varint(10, 5)), `[{"bn":"urn:dev:ow:1:","n":"p","v":1}]`, "m,a=b t=1i,s=\"x\" 1714564800",
		"\x82\xa4temp\xcb\x40\x51\xa0\x00\x00\x00\x00\x00\xa3rpm\xcd\x05\xc8", "\xbf\x61t\xf9\x4d\x60\xff", "200,a,b,1",
		`{"MessageType":"ua-data","Messages":[{"Payload":{"a":{"Value":{"Type":6,"Body":2}}}}]}`, `[{"NodeId":"i=1","Value":7}]`,
		`{"topic":"ns/d/things/twin/events/created","path":"/","value":{"features":{"f":{"properties":{"a":2}}}}}`,
		`{"content-spec":"urn:spec://x","measurements":[{"ts":"2024-05-01T12:00:00Z","series":{"$_time":[0],"a":[1]}}]}`,
		`{"A":[{"ts":1714564800000,"values":{"t":1}}]}`, `{"state":{"reported":{"latlng":"1,2"}}}`, `{"METRICS":{"a":1}}`,
		strings.Repeat("\x81", 100), strings.Repeat("[", 100), "\x9f", "\xdf\xff\xff\xff\xff", "\x12\x80\x80\x80\x80\x80",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		d := newDecoder(t)
		var out, again decode.Result
		for _, topic := range structuredTopics {
			in := decode.Input{Topic: topic, Client: "c", Payload: bytes.Clone(payload), Time: noon.UnixNano()}
			d.Decode(in, &out)
			if !bytes.Equal(in.Payload, payload) {
				t.Fatalf("%s: the payload was written to", topic)
			}
			if len(out.Readings) > decode.MaxReadings || len(out.Texts) > decode.MaxTexts || len(out.Earlier) > 4*decode.MaxReadings {
				t.Fatalf("%s: %d readings, %d texts, %d earlier", topic, len(out.Readings), len(out.Texts), len(out.Earlier))
			}
			for _, r := range out.Readings {
				if r.Value-r.Value != 0 || len(r.Name) > 3*decode.MaxNameBytes {
					t.Fatalf("%s: %q %v", topic, r.Name, r.Value)
				}
			}
			d.Decode(in, &again)
			if out.Request == nil && describe(&out) != describe(&again) && !strings.Contains(topic, "/m/") {
				t.Fatalf("%s: %s, then %s", topic, describe(&out), describe(&again))
			}
		}
	})
}
