package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// A judgement is what a reader makes of some bytes: the packets, and why it ended.
type judgement struct {
	packets []string
	end     string
}

func (j judgement) String() string { return fmt.Sprintf("%.200q, then %s", j.packets, j.end) }

// judge reads all packets; an MQTT version other than 0 is that of a CONNECT that came before.
func judge(src io.Reader, version byte, maxPacket int) (j judgement, largest int) {
	r := reader{src: src, maxPacket: maxPacket, version: version}
	for {
		p, err := r.next()
		largest = max(largest, len(r.buf))
		if err != nil {
			j.end = err.Error()
			if v := (*violation)(nil); errors.As(err, &v) {
				j.end = fmt.Sprintf("%s %#x", j.end, v.code)
			}
			return j, largest
		}
		j.packets = append(j.packets, string(append([]byte{p.first}, p.body...)))
		if r.version == 0 {
			r.version = 4
		}
	}
}

// pieces gives its bytes in pieces of any length.
type pieces struct {
	rest []byte
	rnd  *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := min(1+p.rnd.IntN(1+p.rnd.IntN(50_000)), len(b), len(p.rest))
	copy(b, p.rest[:n])
	p.rest = p.rest[n:]
	return n, nil
}

func publishOf(size int) []byte {
	return rawPacketOf(0x30, append(appendString(nil, "t"), make([]byte, size-3)...))
}

func TestReader(t *testing.T) {
	const most = 100_000
	connect := connectPacket(options{version: 4, id: "c"})
	for name, test := range map[string]struct {
		bytes   string
		version byte
		packets int
		end     string
	}{
		"nothing":                           {"", 0, 0, "EOF"},
		"a CONNECT and a PINGREQ":           {string(connect) + "\xc0\x00", 0, 2, "EOF"},
		"half a CONNECT":                    {string(connect[:5]), 0, 0, "unexpected EOF"},
		"a first byte alone":                {"\x10", 0, 0, "unexpected EOF"},
		"another packet first":              {"\xc0\x00", 0, 0, "not mqtt"},
		"another protocol":                  {"GET / HTTP/1.1\r\n", 0, 0, "not mqtt"},
		"a CONNECT of 16 KiB":               {string(rawPacketOf(0x10, make([]byte, maxConnectBytes-4))), 0, 1, "EOF"},
		"a larger CONNECT":                  {"\x10\xff\xff\x01", 0, 0, "too large"},
		"a kind that does not exist":        {"\x00\x00", 4, 0, "protocol"},
		"flags that are not allowed":        {"\xc1\x00", 4, 0, "malformed"},
		"a packet of the server":            {"\x20\x02\x00\x00", 4, 0, "protocol"},
		"five bytes of length":              {"\x30\x80\x80\x80\x80\x01", 4, 0, "malformed"},
		"more zeros than a length needs":    {"\xc0\x80\x00", 5, 0, "malformed"},
		"a PUBLISH of the longest length":   {string(publishOf(most - 4)), 4, 1, "EOF"},
		"a longer PUBLISH":                  {string(publishOf(most)), 4, 0, "too large"},
		"half of a long PUBLISH":            {string(publishOf(most - 4)[:60_000]), 4, 0, "unexpected EOF"},
		"a long SUBSCRIBE":                  {string(rawPacketOf(0x82, make([]byte, maxControlBytes-4))), 4, 1, "EOF"},
		"a longer SUBSCRIBE":                {string(rawPacketOf(0x82, make([]byte, maxControlBytes))), 4, 0, "too large"},
		"AUTH of MQTT 5":                    {"\xf0\x00", 5, 1, "EOF"},
		"AUTH of MQTT 3":                    {"\xf0\x00", 4, 0, "protocol"},
		"many small ones behind a long one": {string(publishOf(50_000)) + strings.Repeat("\xc0\x00", 1000), 4, 1001, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			got, largest := judge(strings.NewReader(test.bytes), test.version, most)
			if len(got.packets) != test.packets || !strings.HasPrefix(got.end, test.end) {
				t.Fatalf("got %d packets and %q, want %d and %q", len(got.packets), got.end, test.packets, test.end)
			}
			if largest > maxReadBuffer {
				t.Fatalf("a buffer of %d bytes", largest)
			}
			if slow, _ := judge(iotest.OneByteReader(strings.NewReader(test.bytes)), test.version, most); slow.String() != got.String() {
				t.Fatalf("byte by byte: %v", slow)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	connect := connectPacket(options{version: 5, id: "c"})
	f.Add(append(connect, 0xc0, 0), byte(0), uint64(1))
	f.Add(append(publishOf(40_000), killer...), byte(5), uint64(2))
	f.Add(append(publishOf(600), publishOf(513)...), byte(4), uint64(3))
	f.Add([]byte{0x30, 0xff, 0xff, 0x7f, 1, 2, 3}, byte(4), uint64(4))
	f.Fuzz(func(t *testing.T, b []byte, version byte, seed uint64) {
		version = []byte{0, 3, 4, 5}[version%4]
		whole, largest := judge(bytes.NewReader(b), version, 70_000)
		if largest > maxReadBuffer {
			t.Fatalf("a buffer of %d bytes", largest)
		}
		size := 0
		for _, p := range whole.packets {
			size += len(p)
		}
		if size > len(b) {
			t.Fatalf("%d bytes of packets out of %d", size, len(b))
		}
		parts, largest := judge(&pieces{rest: bytes.Clone(b), rnd: rand.New(rand.NewPCG(seed, 0))}, version, 70_000)
		if parts.String() != whole.String() || largest > maxReadBuffer {
			t.Fatalf("in pieces: %v, a buffer of %d; as a whole: %v", parts, largest, whole)
		}
	})
}

// TestAnnouncedBytesTakeNoMemory: a header costs what it is, whatever it announces.
func TestAnnouncedBytesTakeNoMemory(t *testing.T) {
	for announced, b := range map[string][]byte{
		"1 MiB":  {0x30, 0xfa, 0xff, 0x3f, 0},
		"64 KiB": {0x82, 0xfa, 0xff, 0x03, 0},
		"32 KiB": {0x30, 0xf0, 0xff, 0x01, 0},
	} {
		var before, after runtime.MemStats
		const n = 50
		runtime.ReadMemStats(&before)
		for range n {
			r := reader{src: bytes.NewReader(b), maxPacket: 1 << 20, version: 4}
			if _, err := r.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s: %v", announced, err)
			}
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / n; each > grantAtOnce+8<<10 {
			t.Errorf("%s announced: %d bytes taken", announced, each)
		}
	}
}

// Memory that a large packet needs grows with its bytes.
func TestMemoryGrowsWithWhatComes(t *testing.T) {
	for _, came := range []int{1, 60_000, 200_000, 1<<20 - 10} {
		var before, after runtime.MemStats
		b := append([]byte{0x30, 0xfa, 0xff, 0x3f}, make([]byte, came)...)
		runtime.ReadMemStats(&before)
		r := reader{src: bytes.NewReader(b), maxPacket: 1 << 20, version: 4}
		if _, err := r.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(4*came+2*grantAtOnce) {
			t.Errorf("%d bytes came, %d were taken", came, took)
		}
	}
}

// TestIdleConnectionTakesLittle: the buffer of a connection that was busy shrinks again.
func TestIdleConnectionTakesLittle(t *testing.T) {
	from, to := io.Pipe()
	defer from.Close()
	go func() {
		b := bytes.Repeat(publishOf(readBuffer/2-3), 400)
		_, _ = to.Write(b)
		for range 3 {
			_, _ = to.Write([]byte{0xc0, 0})
		}
		_ = to.Close()
	}()
	r := reader{src: from, maxPacket: 1 << 20, version: 4}
	largest := 0
	for {
		_, err := r.next()
		if err != nil {
			break
		}
		largest = max(largest, len(r.buf))
	}
	if largest <= readBuffer || len(r.buf) != readBuffer {
		t.Fatalf("the buffer was %d bytes and is %d", largest, len(r.buf))
	}
}

// TestPacketsBegunMustEnd: who has no keep-alive may be idle, but not in the middle of a packet, be it small or large.
func TestPacketsBegunMustEnd(t *testing.T) {
	for name, b := range map[string][]byte{
		"small": publishOf(400)[:100], "large": publishOf(500_000)[:100_000], "its first byte": {0x30},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.KeepAlive = 100 * time.Millisecond })
			idle := r.connect(options{version: 4, id: "idle"})
			c := r.connect(options{version: 4, id: "c"})
			c.send(b)
			c.wantEnd()
			if text := r.ended("c"); text != causeTimeout.text {
				t.Errorf("ended with %q", text)
			}
			idle.ping()
		})
	}
}

// TestReaderGivesUpOnASourceThatGivesNothing: no endless loop.
func TestReaderGivesUpOnASourceThatGivesNothing(t *testing.T) {
	r := reader{src: nothingReader{}, maxPacket: 1 << 20}
	if _, err := r.next(); !errors.Is(err, io.ErrNoProgress) {
		t.Fatal(err)
	}
	r = reader{src: io.MultiReader(bytes.NewReader(publishOf(50_000)[:40_000]), nothingReader{}), maxPacket: 1 << 20, version: 5}
	if _, err := r.next(); !errors.Is(err, io.ErrNoProgress) {
		t.Fatal(err)
	}
}

type nothingReader struct{}

func (nothingReader) Read([]byte) (int, error) { return 0, nil }
