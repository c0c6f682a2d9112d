package wire_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"pulso/bridge/event"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// anyFloat is any float64, and often one as devices send them.
func anyFloat() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.Map(rapid.Uint64(), math.Float64frombits),
		rapid.Custom(func(t *rapid.T) float64 {
			n, scale := rapid.Int64Range(-1<<54, 1<<54).Draw(t, "n"), rapid.IntRange(0, 16).Draw(t, "scale")
			return float64(n) / math.Pow10(scale)
		}),
		rapid.Custom(func(t *rapid.T) float64 {
			n, scale := rapid.IntRange(-100_000, 100_000).Draw(t, "n"), rapid.IntRange(0, 6).Draw(t, "scale")
			return float64(n) / math.Pow10(scale)
		}),
	)
}

func anyValue(t *rapid.T) wire.Value {
	at := rapid.Int64().Draw(t, "time")
	a := wire.Aggregate{Time: at, Last: anyFloat().Draw(t, "last"), Count: rapid.OneOf(rapid.Just(uint32(1)), rapid.Uint32Min(1)).Draw(t, "count")}
	a.Min, a.Max = a.Last, a.Last
	if a.Count > 1 { // in no order: what is said must arrive, true or not
		a.Min, a.Max = anyFloat().Draw(t, "min"), anyFloat().Draw(t, "max")
	}
	return wire.Value{Aggregate: a, Series: &event.Series{ID: rapid.Uint32().Draw(t, "series")}}
}

// unmarshalValues reads the values of a frame that has nothing else.
func unmarshalValues(t interface{ Fatal(args ...any) }, fields []byte) *pulsov1.Values {
	var f pulsov1.Frame
	if err := proto.Unmarshal(fields, &f); err != nil {
		t.Fatal(err)
	}
	return f.GetValues()
}

func TestAnyNumberSurvivesTheColumns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Custom(anyValue), 0, 20).Draw(t, "values")
		numbers, err := wire.DecodeValues(unmarshalValues(t, wire.Proto.AppendValues(nil, values)))
		if err != nil {
			t.Fatal(err)
		}
		if len(numbers) != len(values) {
			t.Fatalf("%d values became %d", len(values), len(numbers))
		}
		for i, n := range numbers {
			v := values[i]
			if n.Series != v.Series.ID || n.Time != wire.Millis(v.Time)*1e6 || n.Count != v.Count {
				t.Fatalf("%+v of series %d became %+v", v.Aggregate, v.Series.ID, n)
			}
			for _, pair := range [...][2]float64{{v.Last, n.Last}, {v.Min, n.Min}, {v.Max, n.Max}} {
				if math.Float64bits(pair[0]) != math.Float64bits(pair[1]) {
					t.Fatalf("%+v became %+v", v.Aggregate, n.Aggregate)
				}
			}
		}
	})
}

func TestDecodeValuesRefuses(t *testing.T) {
	t.Parallel()
	one := func(kind uint32) *pulsov1.Values {
		return &pulsov1.Values{Series: []int32{1}, Times: []int64{0}, Kinds: []uint32{kind}}
	}
	for name, v := range map[string]*pulsov1.Values{
		"no series":         {Times: []int64{0}, Kinds: []uint32{0}, Decimals: []int64{0}},
		"two times":         {Series: []int32{1}, Times: []int64{0, 0}, Kinds: []uint32{0}, Decimals: []int64{0}},
		"no decimal":        one(3),
		"no double":         one(15),
		"no count":          one(16),
		"an unknown kind":   one(32),
		"a late time":       {Time: math.MaxInt64},
		"a step too far":    {Time: -5, Series: []int32{1}, Times: []int64{math.MinInt64}, Kinds: []uint32{0}, Decimals: []int64{0}},
		"one too many":      {Decimals: []int64{0}},
		"a large decimal":   {Series: []int32{1}, Times: []int64{0}, Kinds: []uint32{0}, Decimals: []int64{1<<53 + 1}},
		"a large distance":  {Series: []int32{1}, Times: []int64{0}, Kinds: []uint32{16}, Decimals: []int64{0, math.MinInt64, 0}, Counts: []uint32{2}},
		"a smallest beyond": {Series: []int32{1}, Times: []int64{0}, Kinds: []uint32{16}, Decimals: []int64{-1, 1 << 53, 0}, Counts: []uint32{2}},
	} {
		if got, err := wire.DecodeValues(v); !errors.Is(err, wire.ErrValues) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, err := wire.DecodeValues(nil); err != nil || len(got) != 0 {
		t.Errorf("nothing: %v, %v", got, err)
	}
}

// FuzzDecodeValues decodes what is no Values of the hub's, and again what the hub makes of the result.
func FuzzDecodeValues(f *testing.F) {
	for _, c := range valueVectors() {
		var m pulsov1.Message
		if err := proto.Unmarshal(c.make(wire.Proto).Bytes(), &m); err != nil {
			f.Fatal(err)
		}
		if b, err := proto.Marshal(m.GetFrame().GetValues()); err == nil && len(b) < 4096 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v pulsov1.Values
		if proto.Unmarshal(b, &v) != nil {
			return
		}
		numbers, err := wire.DecodeValues(&v)
		if err != nil {
			return
		}
		var values []wire.Value
		for _, n := range numbers {
			values = append(values, wire.Value{Aggregate: n.Aggregate, Series: &event.Series{ID: n.Series}})
		}
		again, err := wire.DecodeValues(unmarshalValues(t, wire.Proto.AppendValues(nil, values)))
		if err != nil || len(again) != len(numbers) {
			t.Fatalf("%d numbers became %d: %v", len(numbers), len(again), err)
		}
		for i := range again {
			want := numbers[i]
			if want.Count <= 1 { // the hub writes no number that stands for several and does not
				want.Aggregate = wire.Aggregate{Time: want.Time, Last: want.Last, Min: want.Last, Max: want.Last, Count: 1}
			}
			if fmt.Sprintf("%b", again[i]) != fmt.Sprintf("%b", want) {
				t.Fatalf("%+v became %+v", want, again[i])
			}
		}
	})
}

// FuzzParseCommandProto: whatever a client sends is a command or an error that says why.
func FuzzParseCommandProto(f *testing.F) {
	for _, c := range commandCases() {
		b, err := proto.Marshal(c.proto)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, problem := wire.Proto.ParseCommand(b)
		if problem != nil {
			if problem.Code == "" || problem.Message == "" {
				t.Fatalf("an error that says nothing: %+v", problem)
			}
			return
		}
		var m pulsov1.Command
		if err := proto.Unmarshal(b, &m); err != nil || m.GetCommand() == nil || m.GetId() != c.ID {
			t.Fatalf("%x was taken as %+v: %v", b, c, err)
		}
	})
}

// frameOf makes a frame of what `messages` messages of `devices` devices said within 100 ms, at the given one of a stream.
func frameOf(frame, messages, devices int, latest bool) []wire.Value {
	var values []wire.Value
	index := make(map[uint32]int)
	for i := range messages {
		n := frame*messages + i
		at := int64(vectorNow)*1e6 + int64(frame)*100e6 + int64(i)*100e6/int64(messages)
		device := n % devices
		for j, v := range [...]float64{
			math.Round((21+5*math.Sin(float64(n)/700)+float64(device%10))*100) / 100, float64(40 + (n/97+device)%20), float64(n),
		} {
			id := uint32(1 + device*3 + j)
			k, known := index[id]
			if !known || !latest {
				k = len(values)
				index[id] = k
				values = append(values, wire.Value{Series: &event.Series{ID: id}})
			}
			values[k].Add(at, v)
		}
	}
	return values
}

// BenchmarkProtoValues encodes frames of 100 ms as a load makes them ({"temperature":21.34,"humidity":44,"seq":123}), and reports
// their bytes on a WebSocket by number on the wire, with everything that belongs to a frame.
func BenchmarkProtoValues(b *testing.B) {
	for _, c := range []struct {
		name              string
		messages, devices int
		latest            bool
	}{
		{"every/100 messages of 100 devices", 100, 100, false},
		{"every/100 messages of 5000 devices", 100, 5000, false},
		{"every/10 messages of 1 device", 10, 1, false},
		{"every/1 message of 1 device", 1, 1, false},
		{"latest/100 messages of 100 devices", 100, 100, true},
		{"latest/100 messages of 10 devices", 100, 10, true},
		{"latest/10 messages of 1 device", 10, 1, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			values := frameOf(100, c.messages, c.devices, c.latest)
			buf := wire.Proto.AppendValues(nil, values)
			for b.Loop() {
				buf = wire.Proto.AppendValues(buf[:0], values)
			}
			pos := event.Position{Epoch: 1763830000123, Offset: 123456789}
			size := len(wire.Proto.Frame(300, pos, buf).WebSocket())
			b.ReportMetric(float64(size)/float64(len(values)), "bytes/value")
			b.ReportMetric(float64(len(wire.Proto.Frame(300, pos, buf).WebSocketDeflated()))/float64(len(values)), "deflated-bytes/value")
			text := wire.JSON.Frame(300, pos, wire.JSON.AppendValues(nil, values)).WebSocket()
			b.ReportMetric(float64(len(text))/float64(len(values)), "json-bytes/value")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(values)), "ns/value")
		})
	}
}

// TestBytesOfAValue keeps what the binary form is for: at most 16 bytes a value at frames of 100 ms.
func TestBytesOfAValue(t *testing.T) {
	t.Parallel()
	for _, latest := range []bool{false, true} {
		values := frameOf(100, 100, 100, latest)
		fields := wire.Proto.AppendValues(nil, values)
		frame := wire.Proto.Frame(300, event.Position{Epoch: 1763830000123, Offset: 123456789}, fields)
		if size := float64(len(frame.WebSocket())) / float64(len(values)); size > 16 {
			t.Errorf("latest %v: %.1f bytes a value", latest, size)
		}
	}
}
