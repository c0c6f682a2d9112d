package decode_test

import (
	"strings"
	"testing"

	"pulso/bridge/decode"
)

// BenchmarkHostileLists sends a megabyte of lists that are looked at before they are read: large, deep, without end.
func BenchmarkHostileLists(b *testing.B) {
	const size = 1 << 20
	keys := strings.Repeat(`"k":1,`, size/6)
	for name, payload := range map[string]string{
		"elements": "[" + strings.Repeat(`{"ts":1},`, size/9) + "{}]",
		"keys":     `[{` + keys + `"z":1}]`,
		"deep":     strings.Repeat(`[{`+keys[:size/20/6*6]+`"a":`, 15) + "1" + strings.Repeat("}]", 15),
		"endless":  strings.Repeat(`[{"a":`, size/6),
		"lists":    `{"a":` + strings.Repeat(`[{"b":1}],"a":`, size/14) + `1}`,
		"batches":  `{"a":` + strings.Repeat(`[{"ts":1714564800},{"ts":1714564801}],"a":`, size/42) + `1}`,
	} {
		b.Run(name, func(b *testing.B) {
			d := newDecoder(b)
			var out decode.Result
			in := decode.Input{Topic: "devices/d1/telemetry", Client: "d1", Payload: []byte(payload), Time: noon.UnixNano()}
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(in, &out)
			}
		})
	}
}
