package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestGapOf(t *testing.T) {
	var gap, message []byte

	gap = protowire.AppendTag(gap, gapEvents, protowire.VarintType)
	gap = protowire.AppendVarint(gap, 321)
	message = protowire.AppendTag(message, 2, protowire.VarintType)
	message = protowire.AppendVarint(message, 7)
	message = protowire.AppendTag(message, messageGap, protowire.BytesType)
	message = protowire.AppendBytes(message, gap)

	for _, c := range []struct {
		message string
		proto   bool
		events  int64
		ok      bool
	}{
		{`{"room":7,"gap":{"from":"k3f.900","to":"k3f.1000","events":100,"reason":"retention"}}`, false, 100, true},
		{`{"room":7,"position":"k3f.1","events":[{"payload":{"a":1,"gap":{"events":5}}}]}`, false, 0, false},
		{`{"room":7,"position":"k3f.1"}`, false, 0, false},
		{string(message), true, 321, true},
		{string(message[:2]), true, 0, false},
	} {
		if events, ok := gapOf([]byte(c.message), c.proto); events != c.events || ok != c.ok {
			t.Errorf("%q: %d, %v", c.message, events, ok)
		}
	}
}

func TestValuesIn(t *testing.T) {
	packed := func(b []byte, number protowire.Number, elements ...uint64) []byte {
		var p []byte
		for _, e := range elements {
			p = protowire.AppendVarint(p, e)
		}

		return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), p)
	}

	var frame, message []byte

	// Two columns: three values, of which one stands for 300; and one more.
	first := packed(packed(nil, valuesSeries, 1, 300, 2), valuesCounts, 300)
	frame = protowire.AppendBytes(protowire.AppendTag(frame, frameValues, protowire.BytesType), first)
	frame = protowire.AppendBytes(protowire.AppendTag(frame, frameValues, protowire.BytesType), packed(nil, valuesSeries, 7))
	message = protowire.AppendBytes(protowire.AppendTag(message, messageFrame, protowire.BytesType), frame)

	for _, c := range []struct {
		message          string
		proto            bool
		values, standFor int64
	}{
		{`{"room":8,"series":[[12,"d1","values","°C","a"]],"values":[[12,1,21.5],[12,2,21.9,21.4,-23.0,6],[13,2,1e5]]}`, false, 3, 8},
		{`{"room":8,"position":"k3f.1"}`, false, 0, 0},
		{`{"room":8,"values":[]}`, false, 0, 0},
		{`{"room":8,"values":[[1,2,3],[1,`, false, 1, 1},
		{string(message), true, 4, 303},
		{string(message[:len(message)-1]), true, 0, 0},
	} {
		if values, standFor := valuesIn([]byte(c.message), c.proto); values != c.values || standFor != c.standFor {
			t.Errorf("%q: %d values for %d, want %d for %d", c.message, values, standFor, c.values, c.standFor)
		}
	}
}

func TestReplyOf(t *testing.T) {
	if refusal, _ := replyOf([]byte(`{"id":1,"error":{"code":"forbidden","message":"no"}}`), false); !strings.Contains(refusal, "forbidden") {
		t.Errorf("refusal %q", refusal)
	}

	if _, ok := replyOf([]byte(`{"id":1,"subscribed":{"room":7}}`), false); !ok {
		t.Error("subscribed was not seen")
	}

	if refusal, ok := replyOf([]byte(`{"id":0,"welcome":{}}`), false); refusal != "" || ok {
		t.Error("a welcome is no reply to subscribe")
	}
}

func TestParseMetrics(t *testing.T) {
	u, err := parseMetrics(strings.NewReader("# HELP x\nprocess_cpu_seconds_total 12.5\nother{a=\"process_cpu_seconds_total 1\"} 3\n" +
		"process_resident_memory_bytes 4.194304e+07 1763830000000\n"))
	if err != nil || u.cpu != 12500*time.Millisecond || u.rss != 40<<20 {
		t.Errorf("%+v, %v", u, err)
	}

	for _, bad := range []string{"", "process_cpu_seconds_total 1\n", "process_cpu_seconds_total x\nprocess_resident_memory_bytes 1\n"} {
		if _, err := parseMetrics(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzServerSays(f *testing.F) {
	f.Add([]byte(`{"room":7,"gap":{"from":"k3f.900","to":"k3f.1000","events":100,"reason":"retention"}}`))
	f.Add([]byte("process_cpu_seconds_total 12.5\nprocess_resident_memory_bytes 1\n"))
	f.Add([]byte{0x30, 5, 0, 1, 'a', 1, 2, 0x40, 2, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, proto := range []bool{false, true} {
			if events, _ := gapOf(data, proto); events < 0 && !proto {
				t.Errorf("a gap of %d events", events)
			}

			if values, standFor := valuesIn(data, proto); values < 0 || standFor < values || values > int64(len(data)) {
				t.Errorf("%d values for %d", values, standFor)
			}

			_, _ = replyOf(data, proto)
		}

		_, _ = parseMetrics(bytes.NewReader(data))

		r := &packetReader{conn: bytes.NewReader(data), buf: make([]byte, 8)}
		taken := 0

		for r.fill() == nil {
			for {
				first, body, ok, err := r.next()
				if err != nil {
					return
				}

				if !ok {
					break
				}

				taken += 2 + len(body)
				if first&typeMask == typePublish {
					_, _, _ = publishPayload(first, body)
				}
			}

			if r.end == len(r.buf) && r.begin == 0 && len(r.buf) > 2*len(data)+8 {
				t.Fatalf("the buffer grew to %d for %d bytes", len(r.buf), len(data))
			}
		}

		if taken > len(data) {
			t.Errorf("%d bytes were taken of %d", taken, len(data))
		}
	})
}

// A packet that announces more than it may is refused before it is waited for.
func TestPacketTooLarge(t *testing.T) {
	r := &packetReader{conn: bytes.NewReader([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}), buf: make([]byte, 64)}
	if err := r.fill(); err != nil {
		t.Fatal(err)
	}

	if _, _, _, err := r.next(); err == nil {
		t.Error("256 MiB were taken")
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"4": 4 * time.Second, "1.5": 1500 * time.Millisecond, "2m": 2 * time.Minute, "20ms": 20 * time.Millisecond,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %v, %v", text, time.Duration(d), err)
		}
	}

	for _, text := range []string{"", "x", "-1", "1e300", "NaN"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, time.Duration(d))
		}
	}
}
