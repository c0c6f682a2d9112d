package ws_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pulso/bridge/gateway"
	"pulso/bridge/gateway/ws"
	"pulso/bridge/room"
)

// BenchmarkStream sends events of 128 bytes to 50 clients that only read; an operation is one event delivered to all.
func BenchmarkStream(b *testing.B) {
	const clients, ahead = 50, 4096
	h := newHub(b, ws.Config{}, gateway.Config{}, room.Config{})
	var received [clients]atomic.Int64
	for i := range received {
		c := h.dial()
		_ = c.ask(`{"id":1,"subscribe":{"filters":["#"]}}`)
		_ = c.SetReadDeadline(time.Time{})
		go func() { // ends when the hub does
			marker := []byte(`"ts":`)
			buffer := make([]byte, 64<<10)
			for held := 0; ; {
				n, err := c.NetConn().Read(buffer[held:])
				if err != nil {
					return
				}
				read := buffer[:held+n]
				received[i].Add(int64(bytes.Count(read, marker)))
				held = copy(buffer, read[max(0, len(read)-len(marker)+1):])
			}
		}()
	}
	await := func(count int64) {
		for i := range received {
			for received[i].Load() < count {
				time.Sleep(time.Millisecond)
			}
		}
	}
	payload := fmt.Appendf(nil, `{"ts":1763830000123,"x":%q}`, strings.Repeat("x", 100))
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		if n++; n%ahead == 0 {
			await(n - ahead)
		}
		h.publish("devices/d1/telemetry", payload)
	}
	await(n)
	b.StopTimer()
	h.stop()
}
