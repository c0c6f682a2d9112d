package packet_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"pulso/broker/packet"
)

// hostile are packets that cost more than they should in careless hands.
var hostile = []struct {
	name    string
	first   byte
	body    []byte
	version byte
}{
	{"2^14 filters", 0x82, pack(u16(1), filters(1<<14, 0)), 4},
	{"2^14 filters, MQTT 5", 0x82, pack(u16(1), 0, filters(1<<14, 0)), 5},
	{"2^14 filters to leave", 0xa2, pack(u16(1), filters(1<<14)), 4},
	{"2^14 empty filters", 0x82, pack(u16(1), make([]byte, 3<<14)), 4},
	{"topic of 64 KB of slashes", 0x30, pack(strings.Repeat("/", 65535)), 4},
	{"filter of 64 KB of slashes", 0x82, pack(u16(1), strings.Repeat("/", 65535), 0), 4},
	{"filter of 64 KB of +/", 0x82, pack(u16(1), strings.Repeat("+/", 32767), 0), 4},
	{"16 KB of user properties", 0x30, pack("t", props(bytes.Repeat([]byte{0x26, 0, 0, 0, 0}, 3276))), 5},
	{"1 MB of user properties", 0x30, pack("t", props(bytes.Repeat([]byte{0x26, 0, 0, 0, 0}, 200_000))), 5},
	{"16 KB of the same property", 0x30, pack("t", props(bytes.Repeat([]byte{1, 1}, 8192))), 5},
	{"16 KB of properties, CONNECT", 0x10, pack("MQTT", 5, 2, u16(1), props(bytes.Repeat([]byte{0x26, 0, 0, 0, 0}, 3276)), "p"), 0},
	{"16 KB of subscription identifiers", 0x82, pack(u16(1), props(bytes.Repeat([]byte{0x0b, 1}, 8192)), "t", 0), 5},
	{"property length of 256 MB", 0x30, pack("t", vbi(packet.MaxRemaining), 0x26), 5},
	{"64 KB of broken UTF-8", 0x30, pack(strings.Repeat("\xed\xa0\x80", 21845)), 4},
	{"64 KB of runes", 0x30, pack(strings.Repeat("é", 32767)), 4},
	{"1 MB of zeros, SUBSCRIBE", 0x82, make([]byte, 1<<20), 5},
	{"1 MB of ones, CONNECT", 0x10, bytes.Repeat([]byte{0xff}, 1<<20), 0},
	{"reason string of 64 KB", 0x40, pack(u16(1), 0x80, props(0x1f, strings.Repeat("x", 65535))), 5},
	{"1 MB of user properties, PUBACK", 0x40, pack(u16(1), 0x80, props(bytes.Repeat([]byte{0x26, 0, 0, 0, 0}, 200_000))), 5},
	{"1 MB of zeros, DISCONNECT", 0xe0, make([]byte, 1<<20), 5},
	{"1 MB of zeros, AUTH", 0xf0, append([]byte{0x18}, make([]byte, 1<<20)...), 5},
}

// memoryOf is what f allocates, in bytes.
func memoryOf(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// decodeAll decodes a packet with whatever there is for its kind.
func decodeAll(first byte, body []byte, version byte) error {
	switch kind := packet.KindOf(first); kind {
	case packet.Connect:
		_, err := packet.DecodeConnect(body)
		return err
	case packet.Publish:
		var p packet.Published
		err := p.Decode(first, body, version)
		if err == nil {
			p.Properties()
		}
		return err
	case packet.Subscribe, packet.Unsubscribe:
		_, err := decodeFilters(kind, body, version)
		return err
	default:
		return packet.Check(first, body, version)
	}
}

// memoryBound is what decoding size bytes may take: the copies of what was sent, a bounded number of filters (at most 64
// bytes each, in a slice that has grown) and of user properties (32), and an error's words.
func memoryBound(size int) int {
	return 4*size + 3*packet.MaxFilters*64 + 3*packet.MaxUserProperties*32 + 4096
}

func TestHostile(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			_ = decodeAll(c.first, c.body, c.version)
			got := memoryOf(func() { _ = decodeAll(c.first, c.body, c.version) })
			if bound := min(memoryBound(len(c.body)), 1<<20); got > bound {
				t.Errorf("%d bytes of memory for a packet of %d, at most %d", got, len(c.body), bound)
			}
		})
	}
}

// TestCheckOfHostileTakesLittleMemory: what is only judged is not copied.
func TestCheckOfHostileTakesLittleMemory(t *testing.T) {
	for _, c := range hostile {
		if packet.KindOf(c.first) == packet.Connect {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			_ = packet.Check(c.first, c.body, c.version)
			if got := memoryOf(func() { _ = packet.Check(c.first, c.body, c.version) }); got > 4096 {
				t.Errorf("%d bytes of memory for a packet of %d", got, len(c.body))
			}
		})
	}
}

// BenchmarkHostile shows that the time is linear: none of these may take more than a few nanoseconds a byte.
func BenchmarkHostile(b *testing.B) {
	for _, c := range hostile {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			for b.Loop() {
				_ = decodeAll(c.first, c.body, c.version)
			}
		})
	}
}
