package decode_test

import (
	"bytes"
	"strings"
	"testing"

	"pulso/bridge/decode"
)

// decodeWith decodes one message after another and returns what became of the last.
func decodeWith(d *decode.Decoder, topic string, payloads ...string) *decode.Result {
	out := &decode.Result{}
	for _, payload := range payloads {
		d.Decode(decode.Input{Topic: topic, Client: "c", Payload: []byte(payload), Retain: true, Time: noon.UnixNano()}, out)
	}
	return out
}

func TestFactsAreSavedAndRestored(t *testing.T) {
	d, err := decode.New(decode.Config{MaxFacts: 1})
	if err != nil {
		t.Fatal(err)
	}
	decodeWith(d, "devices/d1/info", `{"units":{"a":"V"}}`, `{"units":{"a":"°C","b":"%"}}`)
	decodeWith(d, "devices/d2/info", `{"units":{"a":"°C"}}`)
	var saved bytes.Buffer
	if err := d.SaveFacts(&saved); err != nil {
		t.Fatal(err)
	}
	restored := newDecoder(t)
	if err := restored.RestoreFacts(bytes.NewReader(saved.Bytes())); err != nil {
		t.Fatal(err)
	}
	for name, decoder := range map[string]*decode.Decoder{"as learned": d, "restored": restored} {
		for device, want := range map[string]string{"d1": "a=1 °C b=2 %;", "d2": "a=1 b=2;"} {
			if got := show(decodeWith(decoder, "devices/"+device+"/telemetry", `{"a":1,"b":2}`)); got != want {
				t.Errorf("%s, %s: %s, want %s", name, device, got, want)
			}
		}
	}
	if err := restored.RestoreFacts(strings.NewReader(`{"kind":`)); err == nil {
		t.Error("a broken file was restored")
	}
	if got := show(decodeWith(restored, "devices/d1/telemetry", `{"a":1}`)); got != "a=1;" {
		t.Errorf("after a broken file: %s", got)
	}
}

func TestOverrides(t *testing.T) {
	d, err := decode.New(decode.Config{Overrides: []decode.Override{
		{
			Filter: "plant/+/raw", Device: "{1}-{2}", Name: "Press", Kind: "press", Format: "json",
			Fields: map[string]decode.Field{
				"t": {Name: "temperature", Unit: "°C", Scale: 0.1}, "n": {As: "text"}, "x": {As: "hidden"}, "serial": {As: "metric"},
				"on": {As: "text"},
			},
		},
		{Filter: "plant/#", Name: "Other", Fields: map[string]decode.Field{"t": {Unit: "K"}, "p": {Unit: "bar"}}},
		{Filter: "plant/9/#", Format: "none"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := decodeWith(d, "plant/7/raw", `{"t":215,"n":5,"x":1,"serial":12,"p":3,"on":true}`)
	if got, want := show(r), "temperature=21.5 °C serial=12 p=3 bar;n:5on:true"; strings.ReplaceAll(got, " on", "on") != want {
		t.Errorf("%s, want %s", got, want)
	}
	if r.Device != "plant-7" || r.Name != "Press" || r.Kind != "press" || r.Format != "json" {
		t.Errorf("%+v", r)
	}
	if r := decodeWith(d, "plant/9/x", `{"t":1}`); r.Format != decode.FormatNone || show(r) != ";" {
		t.Errorf("%+v", r)
	}
	if r := decodeWith(d, "plant/8/raw", "21.5"); r.Problem == "" || len(r.Readings) > 0 {
		t.Errorf("a number was read as JSON: %+v", r)
	}
	if err := d.Override(nil); err != nil {
		t.Fatal(err)
	}
	if r := decodeWith(d, "plant/7/raw", `{"t":215}`); show(r) != "t=215;" {
		t.Errorf("without overrides: %s", show(r))
	}
	for _, bad := range []decode.Override{
		{Filter: "a/#/b"},
		{Filter: "a", Format: "jsn"},
		{Filter: "a", Device: "{x}"},
		{Filter: "a", Fields: map[string]decode.Field{"b": {As: "number"}}},
	} {
		if err := d.Override([]decode.Override{bad}); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestSchemesAreTables(t *testing.T) {
	d, err := decode.New(decode.Config{Schemes: []*decode.Scheme{{
		Name: "acme",
		Rules: []decode.Rule{
			{Topic: "acme/{device...}/set", Role: decode.RoleCommand},
			{Topic: "acme/{device:ac*|*x}/{subject}/state", Role: decode.RoleState, Kind: "valve"},
			{Topic: "acme/{device...}/lwt", Role: decode.RoleStatus},
			{Topic: "acme/{device}/log/#", Role: decode.RoleQuiet},
			{Topic: "acme/{device}/list", Role: decode.RoleRegistry},
		},
		Keys: map[string]decode.Key{"q": {Unit: "l/min", Scale: 2, Name: "flow"}, "a.b": {Class: decode.ClassHidden}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ topic, payload, device, want string }{
		{"acme/a/b/set", "1", "a/b", ";"},
		{"acme/ac1/out/state", `{"q":2,"a":{"b":1}}`, "ac1", "out.flow=4 l/min;"},
		{"acme/fox/out/state", "12", "fox", "out=12;"},
		{"acme/a/b/lwt", "0", "a/b", ";"},
		{"acme/a/log/x/y", `{"n":1,"s":"x"}`, "a", ";s:x"},
		{"acme/a/list", `{"n":1,"s":"x"}`, "a", ";s:x"},
	} {
		r := decodeWith(d, test.topic, test.payload)
		if r.Device != test.device || show(r) != test.want {
			t.Errorf("%s %s: %s %s, want %s %s", test.topic, test.payload, r.Device, show(r), test.device, test.want)
		}
	}
	for _, shape := range []string{"a/{x}", "a//b", "{device...}/{subject...}", "{device...}/#", "a/#/b"} {
		if _, err := decode.New(decode.Config{Schemes: []*decode.Scheme{{Name: "bad", Rules: []decode.Rule{{Topic: shape}}}}}); err == nil {
			t.Errorf("the shape %q was taken", shape)
		}
	}
}

func TestExplain(t *testing.T) {
	d := newDecoder(t)
	var out decode.Result
	why := d.Explain(decode.Input{Topic: "devices/d1/set", Payload: []byte(`{"a":1}`), Time: noon.UnixNano()}, &out)
	if len(why) < 2 || !out.Command || len(out.Readings) > 0 {
		t.Errorf("%q, %+v", why, out)
	}
}
