package packet_test

import (
	"testing"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

func BenchmarkDecodePublish(b *testing.B) {
	for _, c := range []struct {
		name    string
		first   byte
		body    []byte
		version byte
	}{
		{"QoS 0", 0x30, pack("site/line/4/temperature", raw(`{"t":21.5}`)), 4},
		{"QoS 1", 0x32, pack("site/line/4/temperature", u16(9), raw(`{"t":21.5}`)), 4},
		{"QoS 1, MQTT 5", 0x32, pack("site/line/4/temperature", u16(9), 0, raw(`{"t":21.5}`)), 5},
		{"alias, MQTT 5", 0x32, pack("", u16(9), props(0x23, u16(4)), raw(`{"t":21.5}`)), 5},
		{
			"five properties, MQTT 5", 0x32,
			pack("site/line/4/temperature", u16(9), props(1, 1, 2, u32(60), 3, "text", 0x26, "k", "v", 0x26, "k", "v"), raw(`{"t":21.5}`)), 5,
		},
		{"not ASCII", 0x30, pack("ort/straße/4/wärme", raw(`{"t":21.5}`)), 4},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var p packet.Published
			for b.Loop() {
				if err := p.Decode(c.first, c.body, c.version); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkProperties(b *testing.B) {
	var p packet.Published
	if err := p.Decode(0x30, pack("t", props(1, 1, 2, u32(60), 3, "text", 0x26, "k", "v", 0x26, "k", "v")), 5); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Properties()
	}
}

func BenchmarkFixedHeader(b *testing.B) {
	p := []byte{0x32, 0x90, 1}
	for b.Loop() {
		if _, _, err := packet.FixedHeader(p, 5); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAck(b *testing.B) {
	body := pack(u16(9))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := packet.Ack(packet.Puback, body, 5); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeConnect(b *testing.B) {
	body := pack("MQTT", 5, 0xc6, u16(60), props(0x11, u32(300), 0x21, u16(20)), "device-17", 0, "devices/17/gone", "1", "user", "password")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := packet.DecodeConnect(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeSubscribe(b *testing.B) {
	body := pack(u16(1), 0, "site/+/temperature", 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := packet.DecodeSubscribe(body, 5); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendPublish(b *testing.B) {
	m := packet.Message{Event: &event.Event{Topic: "site/line/4/temperature", Payload: []byte(`{"t":21.5}`)}, QoS: 1, ID: 9}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = packet.AppendPublish(buf[:0], 5, &m)
	}
}
