package packet_test

import (
	"bytes"
	"errors"
	"runtime/metrics"
	"strings"
	"testing"
	"unicode/utf8"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// soundError fails unless err is an error that a client can be told.
func soundError(t *testing.T, err error) {
	t.Helper()
	var e *packet.Error
	if !errors.As(err, &e) || e.Detail == "" || len(e.Error()) > 1024 || e.Code != packet.ReasonNotMQTT && e.Code < 0x80 ||
		!utf8.ValidString(e.Error()) || strings.ContainsAny(e.Error(), "\x00\n") {
		t.Fatalf("error %#v", err)
	}
}

// level turns any byte into a protocol level.
func level(b byte) byte { return 3 + b%3 }

// bounded fails if decoding a packet takes memory that its size does not explain. It has to be quick, so it is rough:
// only what is large counts at once.
func bounded(t *testing.T, first byte, body []byte, version byte) {
	t.Helper()
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	_ = decodeAll(first, body, version)
	metrics.Read(sample)
	if n := sample[0].Value.Uint64() - before; n > uint64(memoryBound(len(body)))+256<<10 {
		t.Fatalf("%d bytes of memory for a packet of %d", n, len(body))
	}
}

func FuzzFixedHeader(f *testing.F) {
	for _, b := range [][]byte{{}, {0x30}, {0x30, 0}, {0x30, 0x80}, {0x30, 0x80, 1}, {0x30, 0xff, 0xff, 0xff, 0x7f}, {0x30, 0xff, 0xff, 0xff, 0xff, 1}} {
		f.Add(b, byte(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, v byte) {
		size, remaining, err := packet.FixedHeader(b, level(v))
		if err != nil {
			soundError(t, err)
			return
		}
		if size == 0 {
			if len(b) >= 5 {
				t.Fatalf("% x is no whole header", b[:5])
			}
			return
		}
		if size < 2 || size > 5 || remaining < 0 || remaining > packet.MaxRemaining {
			t.Fatalf("header of %d bytes, %d remaining", size, remaining)
		}
		if want := pack(b[0], vbi(remaining)); level(v) == 5 && !bytes.Equal(want, b[:size]) {
			t.Fatalf("% x is read as % x", b[:size], want)
		}
	})
}

func FuzzConnect(f *testing.F) {
	for _, c := range connectCases {
		f.Add(c.body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := packet.DecodeConnect(body)
		bounded(t, 0x10, body, 0)
		if err != nil {
			soundError(t, err)
			return
		}
		if got.Version < 3 || got.Version > 5 || got.ReceiveMaximum == 0 || got.Will != nil && event.CheckTopic(got.Will.Topic) != nil {
			t.Fatalf("%+v", got)
		}
		sameConnect(t, body, got)
	})
}

func FuzzPublish(f *testing.F) {
	for _, c := range publishCases {
		f.Add(c.first, c.body, c.version)
	}
	f.Fuzz(func(t *testing.T, first byte, body []byte, v byte) {
		first, v = 0x30|first&0x0f, level(v)
		var p packet.Published
		err := p.Decode(first, body, v)
		bounded(t, first, body, v)
		if err != nil {
			soundError(t, err)
			return
		}
		if len(p.Topic) > 0 && event.CheckTopic(string(p.Topic)) != nil || len(p.Topic) == 0 && p.Alias == 0 || (p.QoS > 0) != (p.ID > 0) {
			t.Fatalf("%+v", p)
		}
		samePublish(t, first, body, v, &p)
		if len(p.Topic) == 0 {
			return
		}
		m := packet.Message{
			Event: &event.Event{Topic: string(p.Topic), Payload: p.Payload, Properties: p.Properties()},
			ID:    p.ID, QoS: p.QoS, Retain: p.Retain, Dup: p.Dup,
		}
		if m.Event.Properties == nil {
			roundTrip(t, v, &m)
			return
		}
		m.Expiry = m.Event.Properties.Expiry
		again := packet.AppendPublish(nil, v, &m)
		size, _, _ := packet.FixedHeader(again, v)
		var q packet.Published
		if err := q.Decode(again[0], again[size:], v); err != nil {
			t.Fatalf("what was decoded is encoded as % x: %v", again, err)
		}
		if len(again) > len(body)+5 {
			t.Fatalf("%d bytes grew to %d", len(body), len(again))
		}
	})
}

func FuzzSubscribe(f *testing.F) {
	for _, c := range filterCases {
		f.Add(c.body, c.version)
	}
	f.Fuzz(func(t *testing.T, body []byte, v byte) {
		got, err := packet.DecodeSubscribe(body, level(v))
		bounded(t, 0x82, body, level(v))
		if err != nil {
			soundError(t, err)
			return
		}
		if got.ID == 0 || len(got.Subscriptions) == 0 || len(got.Subscriptions) > packet.MaxFilters {
			t.Fatalf("%+v", got)
		}
		for _, s := range got.Subscriptions {
			if s.QoS > 2 || s.RetainHandling > 2 || s.Filter == "" || v < 5 && level(v) < 5 && (s.NoLocal || s.RetainAsPublished) {
				t.Fatalf("%+v", s)
			}
		}
		sameSubscribe(t, body, level(v), got)
	})
}

func FuzzUnsubscribe(f *testing.F) {
	for _, c := range filterCases {
		f.Add(c.body, c.version)
	}
	f.Fuzz(func(t *testing.T, body []byte, v byte) {
		got, err := packet.DecodeUnsubscribe(body, level(v))
		bounded(t, 0xa2, body, level(v))
		if err != nil {
			soundError(t, err)
			return
		}
		if got.ID == 0 || len(got.Filters) == 0 || len(got.Filters) > packet.MaxFilters {
			t.Fatalf("%+v", got)
		}
		sameUnsubscribe(t, body, level(v), got)
	})
}

func FuzzAck(f *testing.F) {
	for _, body := range [][]byte{pack(u16(1)), pack(u16(1), 0), pack(u16(1), 0x10, 0), pack(u16(1), 0x92, props(0x1f, "reason", 0x26, "k", "v"))} {
		f.Add(byte(0), body, byte(1))
		f.Add(byte(2), body, byte(2))
	}
	f.Fuzz(func(t *testing.T, k byte, body []byte, v byte) {
		kind := acks[int(k)%len(acks)]
		id, code, err := packet.Ack(kind, body, level(v))
		bounded(t, byte(kind)<<4, body, level(v))
		if err != nil {
			soundError(t, err)
			return
		}
		sameAck(t, kind, body, level(v), id, code)
		again := packet.AppendAck(nil, kind, id, code, level(v))
		id2, code2, err := packet.Ack(kind, again[2:], level(v))
		if err != nil || id2 != id || code2 != code {
			t.Fatalf("id %d, code 0x%02x is written and read as id %d, code 0x%02x: %v", id, code, id2, code2, err)
		}
	})
}

func FuzzDisconnect(f *testing.F) {
	for _, body := range [][]byte{nil, {0}, {4, 0}, pack(0, props(0x11, u32(5))), pack(0x18, props(0x15, "m", 0x16, "d"))} {
		f.Add(body, byte(2), false)
		f.Add(body, byte(2), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, v byte, auth bool) {
		version, first := level(v), byte(0xe0)
		if auth {
			first = 0xf0
		}
		bounded(t, first, body, version)
		if auth {
			a, err := packet.DecodeAuth(body, version)
			if err != nil {
				soundError(t, err)
			} else if a.Code != 0x18 && a.Code != 0x19 || version < 5 {
				t.Fatalf("%+v", a)
			}
			return
		}
		d, err := packet.DecodeDisconnect(body, version)
		if err != nil {
			soundError(t, err)
		} else if version < 5 && d != (packet.Disconnecting{}) || !d.HasSessionExpiry && d.SessionExpiry != 0 {
			t.Fatalf("%+v", d)
		}
	})
}

// FuzzCheck is for any packet of any kind: nothing panics, and what Check accepts its decoder accepts.
func FuzzCheck(f *testing.F) {
	for _, c := range publishCases {
		f.Add(c.first, c.body, c.version)
	}
	for _, c := range filterCases {
		f.Add(byte(c.kind)<<4|2, c.body, c.version)
	}
	f.Fuzz(func(t *testing.T, first byte, body []byte, v byte) {
		checked, decoded := packet.Check(first, body, level(v)), decodeAll(first, body, level(v))
		if (checked == nil) != (decoded == nil) {
			t.Fatalf("Check gives %v, the decoder %v", checked, decoded)
		}
		if checked != nil {
			soundError(t, checked)
		}
	})
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"", "#", "+", "/", "a/+/#", "a#", "#/a", "$share/g/a", "$share//a", "$share/g/", "$share/+/a", "$SYS/#", "\xff", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		group, rest, shared := packet.SplitShare(s)
		if !shared && (group != "" || rest != s) {
			t.Fatalf("%q is split into %q and %q", s, group, rest)
		}
		err := packet.CheckFilter(s)
		if err != nil {
			soundError(t, err)
			return
		}
		if event.CheckFilter(rest) != nil || shared && (s != "$share/"+group+"/"+rest || group == "" || strings.ContainsAny(group, "/+#")) {
			t.Fatalf("%q is taken for a filter: group %q, filter %q", s, group, rest)
		}
	})
}
