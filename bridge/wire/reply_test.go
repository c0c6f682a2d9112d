package wire_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"pulso/bridge/event"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// keys are the names of an object's members.
func keys(t *testing.T, raw json.RawMessage) []string {
	t.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	var names []string
	for k := range object {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

func TestRepliesHaveTheFieldsOfTheProto(t *testing.T) {
	t.Parallel()
	p := event.Position{Epoch: 9, Offset: 4}
	for _, test := range []struct {
		name  string
		reply *wire.Message
		proto protoreflect.ProtoMessage
	}{
		{"welcome", wire.JSON.Welcome(7, "s1", "n\"1", "v", 5), &pulsov1.Welcome{}},
		{"subscribed", wire.JSON.Subscribed(7, 1, p, false, wire.ReasonInsufficientState), &pulsov1.Subscribed{}},
		{"changed", wire.JSON.Changed(7, 1, 2, p, false, wire.ReasonInsufficientState), &pulsov1.Changed{}},
		{"unsubscribed", wire.JSON.Unsubscribed(7, 1), &pulsov1.Unsubscribed{}},
		{"published", wire.JSON.Published(7, p), &pulsov1.Published{}},
		{"pong", wire.JSON.Pong(7, 5), &pulsov1.Pong{}},
		{"error", wire.JSON.Error(7, wire.Errorf(wire.CodeBadJSON, "no \"%s\"", "\n")), &pulsov1.Error{}},
		{"gap", wire.JSON.Gap(3, p, event.Position{Epoch: 9, Offset: 8}, 8-p.Offset, wire.ReasonRetention), &pulsov1.Gap{}},
	} {
		var message map[string]json.RawMessage
		if err := json.Unmarshal(test.reply.Bytes(), &message); err != nil {
			t.Fatalf("%s: %v in %s", test.name, err, test.reply.Bytes())
		}
		if string(message["id"]) != "7" && string(message["room"]) != "3" {
			t.Errorf("neither id nor room: %s", test.reply.Bytes())
		}
		if got, want := keys(t, message[test.name]), fields(test.proto); !slices.Equal(got, want) {
			t.Errorf("%s has %q, the proto %q", test.name, got, want)
		}
		if !slices.Contains(fields(&pulsov1.Message{}), test.name) {
			t.Errorf("the proto's Message has no %s", test.name)
		}
	}
	if got := string(wire.JSON.Gap(3, p, event.Position{Epoch: 9, Offset: 8}, 8-p.Offset, "retention").Bytes()); got !=
		`{"room":3,"gap":{"from":"9.4","to":"9.8","events":4,"reason":"retention"}}` {
		t.Errorf("gap: %s", got)
	}
}

func TestEventHasTheFieldsOfTheProto(t *testing.T) {
	t.Parallel()
	var all []string
	for _, d := range []event.Decoded{
		{Event: event.Event{Topic: "a", Payload: []byte(`{"x": 1}`), Time: 1763830000123456789, Kind: event.KindWill}, Device: "d", JSON: true},
		{Event: event.Event{Topic: "a", Payload: []byte("warm\n\"é")}, Problem: "why"},
		{Event: event.Event{Topic: "a", Payload: []byte{0xff, 0}}},
	} {
		b := wire.JSON.AppendEvent(nil, &d, 3)
		var got struct {
			Time    int64           `json:"time"`
			Payload json.RawMessage `json:"payload"`
			Text    string          `json:"payload_text"`
			Base64  []byte          `json:"payload_base64"`
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if string(got.Payload)+got.Text+string(got.Base64) != string(d.Payload) || got.Time != d.Time/1e6 {
			t.Errorf("%s for %q", b, d.Payload)
		}
		all = append(all, keys(t, b)...)
	}
	slices.Sort(all)
	if got, want := slices.Compact(all), fields(&pulsov1.Event{}); !slices.Equal(got, want) {
		t.Errorf("events have %q, the proto %q", got, want)
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	var a wire.Aggregate
	a.Add(2e6, 5)
	s := &event.Series{ID: 12, Device: "d\"", Name: "n", Unit: "°C", Topic: "t"}
	if got := string(wire.JSON.AppendValues(nil, []wire.Value{{Aggregate: a, Series: s}})); got != `"values":[[12,2,5]]` {
		t.Error(got)
	}
	a.Add(3e6, -1.5)
	a.Add(4e6, 2)
	if got := string(wire.JSON.AppendValues(nil, []wire.Value{{Aggregate: a, Series: s}})); got != `"values":[[12,4,2,-1.5,5,3]]` {
		t.Error(got)
	}
	if got := string(wire.JSON.AppendSeries(nil, []*event.Series{s})); got != `"series":[[12,"d\"","n","°C","t"]]` {
		t.Error(got)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\\n\t\x00\x1f", "é\xff\u2028", "\xc3", "😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := wire.AppendString([]byte("x"), s)[1:]
		var got string
		if err := json.Unmarshal(b, &got); err != nil || !utf8.Valid(b) {
			t.Fatalf("%q: %v", b, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); !utf8.ValidString(s) {
			// ToValidUTF8 makes one character of a run of invalid bytes, JSON one of each.
			if strings.ReplaceAll(got, "\ufffd", "") != strings.ReplaceAll(want, "\ufffd", "") {
				t.Fatalf("%q became %q", s, got)
			}
		} else if got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

func FuzzAppendFloat(f *testing.F) {
	for _, v := range []float64{0, 1, -1.5, 1e-7, 1e21, 1e22, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(-1)} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v float64) {
		b := wire.AppendFloat(nil, v)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			if string(b) != "null" {
				t.Fatalf("%v became %s", v, b)
			}
			return
		}
		var got float64
		if err := json.Unmarshal(b, &got); err != nil || got != v {
			t.Fatalf("%v became %s: %v", v, b, err)
		}
	})
}
