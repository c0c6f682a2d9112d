package wire_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"pulso/bridge/event"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

var update = flag.Bool("update", false, "rewrite the files of test vectors")

// vectorsFile holds messages in both encodings, for the tests of other decoders: those of the dashboard read it.
const vectorsFile = "testdata/vectors.json"

// A vector is a message. Proto is in base64 there.
type vector struct {
	Name  string `json:"name"`
	JSON  string `json:"json"`
	Proto []byte `json:"proto"`
}

// A vectorCase makes a message in either encoding.
type vectorCase struct {
	name string
	make func(e wire.Encoding) *wire.Message
}

const vectorNow = 1763830000123

var vectorPos = event.Position{Epoch: 26331, Offset: 1050}

func replyVectors() []vectorCase {
	return []vectorCase{
		{"welcome", func(e wire.Encoding) *wire.Message { return e.Welcome(1, "s1f", "n\"ö", "0.4.0", vectorNow) }},
		{"subscribed", func(e wire.Encoding) *wire.Message { return e.Subscribed(2, 7, vectorPos, true, "") }},
		{"subscribed afresh", func(e wire.Encoding) *wire.Message {
			return e.Subscribed(3, 1<<40, vectorPos, false, wire.ReasonInsufficientState)
		}},
		{"changed", func(e wire.Encoding) *wire.Message { return e.Changed(4, 7, 300, vectorPos, true, "") }},
		{"changed afresh", func(e wire.Encoding) *wire.Message {
			return e.Changed(4, 7, 8, vectorPos, false, wire.ReasonInsufficientState)
		}},
		{"unsubscribed", func(e wire.Encoding) *wire.Message { return e.Unsubscribed(5, 7) }},
		{"published", func(e wire.Encoding) *wire.Message {
			return e.Published(6, event.Position{Epoch: math.MaxUint64, Offset: math.MaxUint64})
		}},
		{"pong", func(e wire.Encoding) *wire.Message { return e.Pong(1<<53-1, vectorNow) }},
		{"error", func(e wire.Encoding) *wire.Message {
			return e.Error(8, wire.Errorf(wire.CodeInvalidFilter, "invalid filter %q\n", "a/#/b"))
		}},
		{"error without id, to retry", func(e wire.Encoding) *wire.Message {
			return e.Error(0, &wire.Error{Code: wire.CodeUnavailable, Retry: true})
		}},
		{"gap", func(e wire.Encoding) *wire.Message {
			return e.Gap(7, event.Position{Epoch: 26331, Offset: 50}, vectorPos, vectorPos.Offset-50, wire.ReasonRetention)
		}},
		{"viewers", func(e wire.Encoding) *wire.Message {
			return e.Viewers(7, &pulsov1.Viewers{Count: 2, Present: []*pulsov1.Viewer{
				{Session: "s1", Name: "Ana 🌍", Transport: "ws", Since: vectorNow}, {Session: "s2", Transport: "sse", Since: 1},
			}})
		}},
		{"viewers who come and go", func(e wire.Encoding) *wire.Message {
			return e.Viewers(7, &pulsov1.Viewers{
				Count: 70000, Sampled: true, Joined: []*pulsov1.Viewer{{Session: "s3", Transport: "rpc", Since: 2}}, Left: []string{"s1", "s2"},
			})
		}},
		{"nobody views", func(e wire.Encoding) *wire.Message { return e.Viewers(7, &pulsov1.Viewers{}) }},
	}
}

func eventVectors() []vectorCase {
	events := []event.Decoded{
		{Event: event.Event{
			Topic: "devices/d1/telemetry", Payload: []byte(`{"ts":1, "temperature":21.50,"n":12345678901234567890}`), Time: vectorNow * 1e6,
		}, Device: "d1", JSON: true},
		{Event: event.Event{Topic: "a", Payload: []byte(`"\u00e9 € 😀 a text that is too long for the short way"`), Time: vectorNow*1e6 + 999_999}, JSON: true},
		{Event: event.Event{Topic: "t/ö", Payload: []byte("warm\n\"é\" \ufeff\x00"), Time: 1}, Problem: "no decoder: \"text\""},
		{Event: event.Event{Topic: "bom", Payload: []byte("\ufeffbom"), Time: vectorNow * 1e6}},
		{Event: event.Event{Topic: "b", Payload: []byte{0xff, 0, 0x80, 1}, Time: vectorNow * 1e6}, Problem: "binary"},
		{Event: event.Event{Topic: "will", Payload: []byte("offline"), Time: vectorNow * 1e6, Kind: event.KindWill}},
		{Event: event.Event{Topic: "empty", Time: vectorNow * 1e6}},
		{Event: event.Event{Topic: "long", Payload: bytes.Repeat([]byte{0xfe, 1, 2}, 7000), Time: vectorNow * 1e6}},
	}
	rows := func(e wire.Encoding, count uint32) []byte {
		var rows []byte
		for i := range events {
			rows = e.AppendEvent(rows, &events[i], count)
		}
		return e.AppendEvents(nil, rows)
	}
	return []vectorCase{
		{"a position alone", func(e wire.Encoding) *wire.Message { return e.Frame(7, vectorPos, nil) }},
		{"a position alone in a snapshot", func(e wire.Encoding) *wire.Message { return e.Snapshot(1<<32, vectorPos, nil, true) }},
		{"events", func(e wire.Encoding) *wire.Message { return e.Frame(7, vectorPos, rows(e, 1)) }},
		{"events that stand for several", func(e wire.Encoding) *wire.Message { return e.Frame(7, vectorPos, rows(e, 300)) }},
		{"events in a snapshot", func(e wire.Encoding) *wire.Message { return e.Snapshot(7, vectorPos, rows(e, 1), true) }},
	}
}

// vectorNumbers are single numbers of every kind.
func vectorNumbers() []float64 {
	numbers := []float64{
		0, math.Copysign(0, -1), 1, -1, 21.34, -21.34, 44, 0.1, 0.2, 0.30000000000000004, 1.0 / 3, 2.0 / 3, 1e-14, 1e-15, 123.45678901234,
		1 << 53, -(1 << 53), 1<<53 - 1, 1<<53 + 2, 1e15 + 0.3, 1e21, 1e22, 1e300, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 5e-324,
		math.Nextafter(21.34, 22), math.Nextafter(1, 0), math.Pi, -math.E, 9007199254740.993, 0.00001234, 100000000000000, 90071992547409.91,
	}
	for p := 1.0; p < 1e16; p *= 10 {
		numbers = append(numbers, 7/p, -123456789/p)
	}
	return numbers
}

func valueVectors() []vectorCase {
	series := []*event.Series{
		{ID: 12, Device: "d1", Name: "temperature", Unit: "°C", Topic: "devices/d1/telemetry"},
		{ID: 1, Device: "d\"", Name: "BME280.Temperature"},
		{ID: math.MaxUint32, Device: "last", Name: "n", Topic: "t"},
	}
	var singles, several []wire.Value
	for i, v := range vectorNumbers() {
		at := int64(vectorNow+i*i*i*(1-i%2*2)) * 1e6
		singles = append(singles, wire.Value{Series: series[i%3], Aggregate: wire.Aggregate{Time: at, Last: v, Min: v, Max: v, Count: 1}})
		for j, w := range vectorNumbers() {
			if (i+j)%6 != 0 {
				continue
			}
			a := wire.Aggregate{}
			a.Add(at, v)
			a.Add(at, w)
			a.Add(at, v/2)
			a.Count += uint32(i * 1000)
			several = append(several, wire.Value{Series: series[i%2], Aggregate: a})
		}
	}
	frame := func(values []wire.Value) func(e wire.Encoding) *wire.Message {
		return func(e wire.Encoding) *wire.Message {
			return e.Frame(8, vectorPos, e.AppendValues(e.AppendSeries(nil, series), values))
		}
	}
	early := []wire.Value{
		{Series: series[0], Aggregate: wire.Aggregate{Time: -5e6, Last: 1, Count: 1}},
		{Series: series[0], Aggregate: wire.Aggregate{Time: 0, Last: 2, Count: 1}},
	}
	return []vectorCase{
		{"a value", frame(singles[4:5])},
		{"values", frame(singles)},
		{"values that tell when they arrived", func(e wire.Encoding) *wire.Message {
			return e.Frame(8, vectorPos, e.AppendArrived(e.AppendValues(nil, singles[:2]), vectorNow*1e6+999_999))
		}},
		{"values that stand for several", frame(several[:20])},
		{"values that stand for several, of all kinds", frame(several)},
		{"values before 1970", frame(early)},
		{"no values", func(e wire.Encoding) *wire.Message { return e.Snapshot(8, vectorPos, e.AppendValues(nil, nil), false) }},
		{"values in a snapshot", func(e wire.Encoding) *wire.Message {
			return e.Snapshot(8, vectorPos, e.AppendValues(e.AppendSeries(nil, series), singles), true)
		}},
	}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	var made []vector
	for _, cases := range [][]vectorCase{replyVectors(), eventVectors(), valueVectors(), viewVectors()} {
		for _, c := range cases {
			made = append(made, vector{c.name, string(c.make(wire.JSON).Bytes()), c.make(wire.Proto).Bytes()})
		}
	}
	if *update {
		text, err := json.MarshalIndent(made, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorsFile, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var kept []vector
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	if len(kept) != len(made) {
		t.Fatalf("%s has %d vectors, there are %d: run the test with -update", vectorsFile, len(kept), len(made))
	}
	for i, v := range made {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			if k := kept[i]; k.Name != v.Name || k.JSON != v.JSON || !sameMessage(t, k.Proto, v.Proto) {
				t.Errorf("%s has another message: if that is meant, run the test with -update", vectorsFile)
			}
			var m pulsov1.Message
			if err := proto.Unmarshal(v.Proto, &m); err != nil {
				t.Fatal(err)
			}
			// The dashboard takes an empty list and none for the same, and so does protobuf.
			want := strings.Replace(v.JSON, `,"values":[]`, "", 1)
			if got := string(inJSON(t, &m).Bytes()); got != want {
				t.Errorf("in protobuf it says\n%.2000s\nin JSON\n%.2000s", got, want)
			}
		})
	}
}

// sameMessage compares what is said: protobuf's encoder gives no promise of its bytes.
func sameMessage(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y pulsov1.Message
	if err := proto.Unmarshal(a, &x); err != nil {
		t.Error(err)
	}
	if err := proto.Unmarshal(b, &y); err != nil {
		t.Error(err)
	}
	return proto.Equal(&x, &y)
}

// inJSON writes in JSON what a message of the proto says.
func inJSON(t *testing.T, m *pulsov1.Message) *wire.Message {
	t.Helper()
	switch body := m.GetMessage().(type) {
	case *pulsov1.Message_Welcome:
		w := body.Welcome
		return wire.JSON.Welcome(m.GetId(), w.GetSession(), w.GetNode(), w.GetVersion(), w.GetNow())
	case *pulsov1.Message_Subscribed:
		s := body.Subscribed
		return wire.JSON.Subscribed(m.GetId(), s.GetRoom(), position(t, s.GetPosition()), s.GetRecovered(), s.GetReason())
	case *pulsov1.Message_Changed:
		c := body.Changed
		return wire.JSON.Changed(m.GetId(), c.GetFrom(), c.GetRoom(), position(t, c.GetPosition()), c.GetRecovered(), c.GetReason())
	case *pulsov1.Message_Unsubscribed:
		return wire.JSON.Unsubscribed(m.GetId(), body.Unsubscribed.GetRoom())
	case *pulsov1.Message_Published:
		return wire.JSON.Published(m.GetId(), position(t, body.Published.GetPosition()))
	case *pulsov1.Message_Pong:
		return wire.JSON.Pong(m.GetId(), body.Pong.GetNow())
	case *pulsov1.Message_Error:
		e := body.Error
		return wire.JSON.Error(m.GetId(), &wire.Error{Code: e.GetCode(), Message: e.GetMessage(), Retry: e.GetRetry()})
	case *pulsov1.Message_Gap:
		return wire.JSON.Gap(m.GetRoom(), position(t, body.Gap.GetFrom()), position(t, body.Gap.GetTo()), body.Gap.GetEvents(), body.Gap.GetReason())
	case *pulsov1.Message_Viewers:
		return wire.JSON.Viewers(m.GetRoom(), body.Viewers)
	case *pulsov1.Message_Frame:
		return wire.JSON.Frame(m.GetRoom(), position(t, body.Frame.GetPosition()), fieldsJSON(t, body.Frame))
	case *pulsov1.Message_Snapshot:
		s := body.Snapshot
		return wire.JSON.Snapshot(m.GetRoom(), position(t, s.GetPosition()), fieldsJSON(t, s), s.GetTruncated())
	default:
		t.Fatalf("a message with nothing in it: %v", m)
		return nil
	}
}

func position(t *testing.T, text string) event.Position {
	t.Helper()
	p, err := event.ParsePosition(text)
	if err != nil {
		t.Error(err)
	}
	return p
}

// fieldsJSON writes the fields of a frame in JSON.
func fieldsJSON(t *testing.T, f *pulsov1.Frame) []byte {
	t.Helper()
	var fields, rows []byte
	for _, m := range f.GetEvents() {
		d := event.Decoded{Event: event.Event{Topic: m.GetTopic(), Time: m.GetTime() * 1e6}, Device: m.GetDevice(), Problem: m.GetError()}
		switch body := m.GetBody().(type) {
		case *pulsov1.Event_Payload:
			d.Payload, d.JSON = []byte(body.Payload), true
		case *pulsov1.Event_PayloadText:
			d.Payload = []byte(body.PayloadText)
		case *pulsov1.Event_PayloadBase64:
			d.Payload = body.PayloadBase64
		}
		if m.GetWill() {
			d.Kind = event.KindWill
		}
		rows = wire.JSON.AppendEvent(rows, &d, m.GetCount())
	}
	if len(rows) > 0 {
		fields = wire.JSON.AppendEvents(fields, rows)
	}
	var series []*event.Series
	for _, s := range f.GetSeries() {
		series = append(series, &event.Series{ID: s.GetSeries(), Device: s.GetDevice(), Name: s.GetName(), Unit: s.GetUnit(), Topic: s.GetTopic()})
	}
	fields = wire.JSON.AppendSeries(fields, series)
	numbers, err := wire.DecodeValues(f.GetValues())
	if err != nil {
		t.Error(err)
	}
	var values []wire.Value
	for _, n := range numbers {
		values = append(values, wire.Value{Aggregate: n.Aggregate, Series: &event.Series{ID: n.Series}})
	}
	if len(values) > 0 {
		fields = wire.JSON.AppendArrived(wire.JSON.AppendValues(fields, values), f.GetArrived()*1e6)
	}
	return wire.JSON.AppendView(fields, f)
}
