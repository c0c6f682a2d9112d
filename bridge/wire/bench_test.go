package wire_test

import (
	"fmt"
	"math"
	"testing"

	"google.golang.org/protobuf/proto"

	"pulso/bridge/event"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

const telemetry = `{"ts":1714564800123,"temperature":21.53,"humidity":48.2,"pressure":1013.25,"battery":87,"rssi":-67,"mode":"eco","on":true,"n":42}`

// benchEvents are 20 messages of a typical device, of 128 bytes.
func benchEvents() []event.Decoded {
	events := make([]event.Decoded, 20)
	for i := range events {
		events[i] = event.Decoded{
			Event: event.Event{
				Topic: fmt.Sprintf("devices/d%d/telemetry", i), Time: vectorNow*1e6 + int64(i)*1e6,
				Payload: []byte(telemetry),
			},
			Device: fmt.Sprintf("d%d", i), JSON: true,
		}
	}
	return events
}

// benchValues are what 100 devices with four numbers each give in a frame of 100 ms at 10 frames a second: numbers as
// sensors have them; with several, each stands for ten. rough ones are not decimal: the results of a computation.
func benchValues(several, rough bool) []wire.Value {
	values := make([]wire.Value, 400)
	for i := range values {
		s := &event.Series{ID: uint32(i), Device: fmt.Sprint("d", i/4), Name: [...]string{"temperature", "humidity", "pressure", "battery"}[i%4]}
		v := math.Round(2153+100*math.Sin(float64(i))) / 100
		if rough {
			v = math.Sin(float64(i))
		}
		a := wire.Aggregate{Time: (vectorNow + int64(i/4)) * 1e6, Last: v, Min: v, Max: v, Count: 1}
		if several {
			a.Min, a.Max, a.Count = math.Round(100*v-25)/100, math.Round(100*v+40)/100, 10
		}
		values[i] = wire.Value{Series: s, Aggregate: a}
	}
	return values
}

// BenchmarkEvents writes a frame of 20 events; an operation is one event.
func BenchmarkEvents(b *testing.B) {
	events := benchEvents()
	for e := range wire.Encoding(wire.Encodings) {
		b.Run(e.String(), func(b *testing.B) {
			b.ReportAllocs()
			var rows, fields []byte
			size := 0
			for i := 0; b.Loop(); i++ {
				rows = e.AppendEvent(rows, &events[i%len(events)], 1)
				if i%len(events) == len(events)-1 {
					fields = e.AppendEvents(fields[:0], rows)
					size, rows = len(e.Frame(7, vectorPos, fields).Bytes()), rows[:0]
				}
			}
			b.ReportMetric(float64(size)/float64(len(events)), "bytes/event")
		})
	}
}

// BenchmarkValues writes a frame of 400 numbers; an operation is one frame.
func BenchmarkValues(b *testing.B) {
	for name, values := range map[string][]wire.Value{
		"single": benchValues(false, false), "several": benchValues(true, false), "rough": benchValues(false, true),
	} {
		b.Run(name, func(b *testing.B) {
			for e := range wire.Encoding(wire.Encodings) {
				b.Run(e.String(), func(b *testing.B) {
					b.ReportAllocs()
					var fields []byte
					size := 0
					for b.Loop() {
						fields = e.AppendValues(fields[:0], values)
						size = len(e.Frame(7, vectorPos, fields).Bytes())
					}
					b.ReportMetric(float64(size)/float64(len(values)), "bytes/value")
				})
			}
		})
	}
}

// BenchmarkView writes a frame of 100 devices' status.
func BenchmarkView(b *testing.B) {
	f := new(pulsov1.Frame)
	for i := range uint32(100) {
		f.Status = append(f.Status, &pulsov1.DeviceStatus{
			Device: i, Status: "online", Time: vectorNow, Rate: 1.5, Events: 4711, Interval: 1000, Value: new(21.5),
		})
	}
	for e := range wire.Encoding(wire.Encodings) {
		b.Run(e.String(), func(b *testing.B) {
			b.ReportAllocs()
			var fields []byte
			for b.Loop() {
				fields = e.AppendView(fields[:0], f)
				e.Frame(7, vectorPos, fields)
			}
			b.ReportMetric(float64(len(fields))/100, "bytes/device")
		})
	}
}

// BenchmarkDeflate compresses a frame of 20 events, as is done once for all who take it compressed.
func BenchmarkDeflate(b *testing.B) {
	events := benchEvents()
	for e := range wire.Encoding(wire.Encodings) {
		b.Run(e.String(), func(b *testing.B) {
			b.ReportAllocs()
			var rows []byte
			for i := range events {
				rows = e.AppendEvent(rows, &events[i], 1)
			}
			fields := e.AppendEvents(nil, rows)
			var plain, compressed int
			for b.Loop() {
				m := e.Frame(7, vectorPos, fields)
				plain, compressed = len(m.WebSocket()), len(m.WebSocketDeflated())
			}
			b.SetBytes(int64(plain))
			b.ReportMetric(float64(compressed)/float64(plain), "size/plain")
		})
	}
}

// BenchmarkParseCommand reads a publish and a subscribe.
func BenchmarkParseCommand(b *testing.B) {
	for _, c := range commandCases() {
		if c.name != "publish" && c.name != "subscribe" {
			continue
		}
		inProto, err := proto.Marshal(c.proto)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			for e := range wire.Encoding(wire.Encodings) {
				b.Run(e.String(), func(b *testing.B) {
					b.ReportAllocs()
					command := [wire.Encodings][]byte{wire.JSON: []byte(c.json), wire.Proto: inProto}[e]
					for b.Loop() {
						if _, err := e.ParseCommand(command); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// BenchmarkDecodeValues reads a frame of 400 numbers; an operation is one frame.
func BenchmarkDecodeValues(b *testing.B) {
	var m pulsov1.Message
	if err := proto.Unmarshal(wire.Proto.Frame(7, vectorPos, wire.Proto.AppendValues(nil, benchValues(true, false))).Bytes(), &m); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeValues(m.GetFrame().GetValues()); err != nil {
			b.Fatal(err)
		}
	}
}
