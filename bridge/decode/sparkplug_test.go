package decode_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"pulso/bridge/decode"
)

// A wire is a protobuf message in the making.
type wire []byte

func (w wire) varint(field protowire.Number, v uint64) wire {
	return protowire.AppendVarint(protowire.AppendTag(w, field, protowire.VarintType), v)
}

func (w wire) text(field protowire.Number, v string) wire {
	return protowire.AppendString(protowire.AppendTag(w, field, protowire.BytesType), v)
}

func (w wire) message(field protowire.Number, v wire) wire { return w.text(field, string(v)) }

func (w wire) float32(field protowire.Number, v float32) wire {
	return protowire.AppendFixed32(protowire.AppendTag(w, field, protowire.Fixed32Type), math.Float32bits(v))
}

func (w wire) float64(field protowire.Number, v float64) wire {
	return protowire.AppendFixed64(protowire.AppendTag(w, field, protowire.Fixed64Type), math.Float64bits(v))
}

func (w wire) fixed32(field protowire.Number, v uint32) wire {
	return protowire.AppendFixed32(protowire.AppendTag(w, field, protowire.Fixed32Type), v)
}

func noonMs() uint64 { return uint64(noon.UnixMilli()) }

// metric is a metric of a name, an alias (0: none) and a data type, to which the value is added.
func metric(name string, alias, kind uint64) wire {
	var w wire
	if name != "" {
		w = w.text(1, name)
	}
	if alias != 0 {
		w = w.varint(2, alias)
	}
	return w.varint(4, kind)
}

func payloadOf(metrics ...wire) string {
	w := wire{}.varint(1, noonMs())
	for _, m := range metrics {
		w = w.message(2, m)
	}
	return string(w.varint(3, 7))
}

func TestSparkplug(t *testing.T) {
	unit := wire{}.text(1, "engUnit").message(2, wire{}.varint(1, 12).text(8, "C"))
	birth := payloadOf(
		metric("bdSeq", 0, 4).varint(11, 3), metric("Node Control/Rebirth", 0, 11).varint(14, 0),
		metric("T", 1, 9).message(9, unit).float32(12, 21.1), metric("N", 2, 3).varint(10, 1), metric("Model", 0, 12).text(15, "X1"),
		metric("Gone", 4, 3).varint(7, 1), metric("Built", 0, 13).varint(11, noonMs()),
	)
	table := wire{}.varint(1, 2).text(2, "axis").text(2, "rms").varint(3, 12).varint(3, 10).
		message(4, wire{}.message(1, wire{}.text(6, "x")).message(1, wire{}.float64(4, 0.5)))
	template := wire{}.message(2, metric("inner", 0, 3).varint(10, 4))
	listen(t, []heard{
		{
			"spBv1.0/G/NBIRTH/E", birth,
			"[G/E, online, 12:00:00] T=21.1 °C N=1;Model:X1 Built:2024-05-01T12:00:00Z unit T:°C",
		},
		{"spBv1.0/G/NDATA/E", payloadOf(metric("", 1, 9).float32(12, 22), metric("", 2, 0).varint(10, 0xfffffff9)), "[G/E, 12:00:00] T=22 °C N=-7;"},
		{"spBv1.0/G/NDATA/E", payloadOf(metric("u8", 0, 5).varint(10, 200), metric("i8", 0, 1).varint(10, 200)), "[G/E, 12:00:00] u8=200 i8=-56;"},
		{"spBv1.0/G/NDATA/E", payloadOf(metric("U", 0, 8).varint(11, math.MaxUint64)), "[G/E, 12:00:00] U=1.8446744073709552e+19;"},
		{"spBv1.0/G/NDATA/E", payloadOf(metric("tab", 0, 16).message(17, table)), "[G/E, 12:00:00] tab.x.rms=0.5;"},
		{"spBv1.0/G/NDATA/E", payloadOf(metric("tpl", 0, 19).message(18, template)), "[G/E, 12:00:00] tpl.inner=4;"},
		{"spBv1.0/G/NDATA/E", payloadOf(metric("arr", 0, 22).text(16, "\x01\xff")), "[G/E, 12:00:00] arr.0=1 arr.1=-1;"},
		{"spBv1.0/G/NDATA/E", payloadOf(metric("f", 0, 9).float32(12, float32(math.NaN()))), "[G/E, 12:00:00] ;"},
		{"spBv1.0/G/NCMD/E", payloadOf(metric("N", 0, 3).varint(10, 9)), "[G/E, command] ;"},
		{"spBv1.0/G/NDEATH/E", string(wire{}.message(2, metric("bdSeq", 0, 4).varint(11, 2))), "[G/E] ;"},
		{"spBv1.0/G/NDEATH/E", string(wire{}.message(2, metric("bdSeq", 0, 4).varint(11, 3))), "[G/E, offline] ;"},
		{"spBv1.0/G/DDEATH/E/D", payloadOf(), "[G/E/D, offline, 12:00:00] ;"},
		{"spBv1.0/STATE/host", `{"online":false,"timestamp":1}`, "[host, offline] ;"},
		{"STATE/host", "ONLINE", "[host, online] ;"},
		{"spBv1.0/G/NDATA/E", "\x08", "[G/E] ;not valid protobuf: bad field 1 at offset 1"},
	})
}

func TestSparkplugRebirth(t *testing.T) {
	d := newDecoder(t)
	var out decode.Result
	in := decode.Input{Topic: "spBv1.0/G/DDATA/E/D", Time: noon.UnixNano()}
	in.Payload = []byte(payloadOf(metric("", 9, 3).varint(10, 1), metric("named", 0, 3).varint(10, 2)))
	d.Decode(in, &out)
	if got := show(&out); got != "named=2;" || out.Problem != "" {
		t.Errorf("got %s %s", got, out.Problem)
	}
	if out.Request == nil || out.Request.Topic != "spBv1.0/G/NCMD/E" || !strings.Contains(string(out.Request.Payload), "Node Control/Rebirth") {
		t.Fatalf("request %+v", out.Request)
	}
	d.Decode(decode.Input{Topic: out.Request.Topic, Payload: out.Request.Payload, Time: in.Time}, &out)
	if !out.Command || out.Request != nil {
		t.Errorf("command %v, request %v", out.Command, out.Request)
	}
}

func TestSparkplugHistory(t *testing.T) {
	old := metric("a", 0, 3).varint(3, noonMs()-5000).varint(5, 1).varint(10, 1)
	now := metric("a", 0, 3).varint(3, noonMs()).varint(10, 2)
	later := metric("b", 0, 3).varint(3, noonMs()+20).varint(10, 3)
	out := decodeOne(t, "spBv1.0/G/NDATA/E", payloadOf(old, now, later))
	if got := show(&out); got != "a=2 b=3;" || out.DeviceTime != noon.UnixNano() {
		t.Errorf("got %s at %d", got, out.DeviceTime)
	}
	if len(out.Earlier) != 1 || out.Earlier[0].Value != 1 || out.Earlier[0].Time != noon.UnixNano()-5e9 {
		t.Errorf("earlier %+v", out.Earlier)
	}
	if out.Readings[0].Time != 0 || out.Readings[1].Time != noon.UnixNano()+20e6 {
		t.Errorf("times %+v", out.Readings)
	}
}

func TestSparkplugCompressed(t *testing.T) {
	inner := payloadOf(metric("a", 0, 3).varint(10, 5))
	pack := func(w io.WriteCloser, plain string) {
		if _, err := io.WriteString(w, plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var gz, deflated, bomb bytes.Buffer
	pack(gzip.NewWriter(&gz), inner)
	pack(zlib.NewWriter(&deflated), inner)
	pack(gzip.NewWriter(&bomb), strings.Repeat("\x00", 5<<20))
	outer := func(body []byte) string {
		return string(wire{}.varint(1, noonMs()).message(2, metric("algorithm", 0, 12).text(15, "GZIP")).text(4, "SPBV1.0_COMPRESSED").text(5, string(body)))
	}
	listen(t, []heard{
		{"spBv1.0/G/NDATA/E", outer(gz.Bytes()), "[G/E, 12:00:00] a=5;"},
		{"spBv1.0/G/NDATA/E", outer(deflated.Bytes()), "[G/E, 12:00:00] a=5;"},
		{"spBv1.0/G/NDATA/E", outer(bomb.Bytes()), "[G/E] ;the compressed payload holds more than 4194304 bytes"},
	})
}
