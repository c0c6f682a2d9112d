package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"pulso/bridge/event"
)

// busy is a log of 200 devices that said three numbers each, perSecond messages a second for a while.
func busy(begin time.Time, lasts time.Duration, perSecond int) []event.Event {
	out := make([]event.Event, int(lasts.Seconds())*perSecond)
	for i := range out {
		id := fmt.Sprintf("d%d", i%200)
		out[i] = event.Event{
			Time:  begin.Add(time.Duration(i) * time.Second / time.Duration(perSecond)).UnixNano(),
			Topic: "devices/" + id + "/telemetry", Client: id,
			Payload: fmt.Appendf(nil, `{"temperature":%d.5,"humidity":%d,"voltage":3.%03d}`, i%40, i%100, i%1000),
		}
	}
	return out
}

// askNow asks for a screen's now, passing over what else it is told.
func askNow(b *testing.B, c *websocket.Conn) (now int64, took time.Duration) {
	b.Helper()
	asked := time.Now()
	sayPast(b, c, `{"id":9,"ping":{}}`)
	for {
		_, data, err := c.ReadMessage()
		if err != nil {
			b.Fatal(err)
		}
		var m pastMessage
		if err := json.Unmarshal(data, &m); err == nil && m.Pong != nil {
			return m.Pong.Now, time.Since(asked)
		}
	}
}

// processor is how long this process has had a processor so far.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPast replays ten minutes at 60×, as the Overview shows them, to one screen and to all that there may be: how fast it really
// goes, what of a processor that costs, and how long a live screen's question waits meanwhile. An operation is a second.
func BenchmarkPast(b *testing.B) {
	for _, perSecond := range []int{100, 1000, 4000} {
		for _, screens := range []int{1, maxPasts} {
			b.Run(fmt.Sprintf("%d-a-second/%d-screens", perSecond, screens), func(b *testing.B) { benchmarkPast(b, perSecond, screens) })
		}
	}
}

func benchmarkPast(b *testing.B, perSecond, screens int) {
	b.Helper()
	cfg := inMemory(b)
	cfg.Data = b.TempDir()
	h := runHub(b, cfg)
	begin := time.Now().Add(-15 * time.Minute)
	for batch := range slices.Chunk(busy(begin, 12*time.Minute, perSecond), 10_000) {
		keep(b, h, batch...)
	}
	pasts := make([]*websocket.Conn, screens)
	from := begin.Add(time.Minute)
	for i := range pasts {
		pasts[i] = dialPast(b, h, from, "&speed=60")
		sayPast(b, pasts[i], `{"id":1,"hello":{}}`)
		sayPast(b, pasts[i], `{"id":2,"subscribe":{"filters":["#"],"form":"hub"}}`)
		sayPast(b, pasts[i], `{"id":3,"subscribe":{"filters":["#"],"form":"devices"}}`)
		sayPast(b, pasts[i], `{"id":4,"subscribe":{"filters":["#"],"form":"events","delivery":"latest","rate":10}}`)
	}
	live, resp, err := websocket.DefaultDialer.DialContext(b.Context(), fmt.Sprintf("ws://%s/ws", h.HTTPAddr()), nil)
	if err != nil {
		b.Fatal(err)
	}
	_ = resp.Body.Close() // of a handshake: it is empty
	defer live.Close()
	sayPast(b, live, `{"id":1,"hello":{}}`)
	was := make([]int64, screens)
	for i, c := range pasts {
		was[i], _ = askNow(b, c)
	}
	used, began := processor(b), time.Now()
	var waits []time.Duration
	for b.Loop() {
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			_, took := askNow(b, live)
			waits = append(waits, took)
			for _, c := range pasts {
				askNow(b, c)
			}
		}
	}
	slowest := 1e9
	for i, c := range pasts {
		now, _ := askNow(b, c)
		slowest = min(slowest, float64(now-was[i])/float64(time.Since(began).Milliseconds()))
	}
	slices.Sort(waits)
	b.ReportMetric(slowest, "x-speed")
	b.ReportMetric(100*float64(processor(b)-used)/float64(time.Since(began)), "%cpu")
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "µs-p99")
}
