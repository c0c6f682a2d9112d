package wire_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"strings"
	"sync"
	"testing"

	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// unframe takes the header off a server's WebSocket frame (RFC 6455, 5.2).
func unframe(t *testing.T, b []byte) (first byte, payload []byte) {
	t.Helper()
	first, n, rest := b[0], int(b[1]), b[2:]
	switch n {
	case 126:
		n, rest = int(binary.BigEndian.Uint16(rest)), rest[2:]
	case 127:
		n, rest = int(binary.BigEndian.Uint64(rest)), rest[8:]
	}
	if n != len(rest) {
		t.Fatalf("the header says %d bytes, %d follow", n, len(rest))
	}
	return first, rest
}

func TestMessageFrames(t *testing.T) {
	t.Parallel()
	pos := event.Position{Epoch: 7, Offset: 9}
	for e := range wire.Encoding(wire.Encodings) {
		for _, size := range []int{0, 60, 90, 125, 126, 400, 600, 65_000, 66_000, 1 << 20} {
			d := event.Decoded{Event: event.Event{Topic: "a", Payload: []byte(`"` + strings.Repeat("x", size) + `"`)}, JSON: true}
			m := e.Frame(1, pos, e.AppendEvents(nil, e.AppendEvent(nil, &d, 1)))
			if m.Position() != pos || m.Encoding() != e {
				t.Errorf("%v at %v", m.Encoding(), m.Position())
			}
			first, payload := unframe(t, m.WebSocket())
			if want := []byte{0x81, 0x82}[e]; first != want || !bytes.Equal(payload, m.Bytes()) {
				t.Errorf("%v, %d bytes: first byte %#x, want %#x", e, size, first, want)
			}
			var all [4][]byte
			var wg sync.WaitGroup
			for i := range all {
				wg.Go(func() { all[i] = m.WebSocketDeflated() })
			}
			wg.Wait()
			if &all[0][0] != &all[3][0] {
				t.Error("compressed for each")
			}
			first, payload = unframe(t, all[0])
			if first&0x40 == 0 {
				if size >= 600 {
					t.Errorf("%d bytes are not compressed", size)
				}
				continue
			}
			inflated, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
			if err != nil || !bytes.Equal(inflated, m.Bytes()) || len(payload) >= len(m.Bytes()) {
				t.Errorf("%v, %d bytes: %d compressed, %d inflated, %v", e, size, len(payload), len(inflated), err)
			}
		}
	}
}
