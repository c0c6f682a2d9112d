package gateway_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pulso/bridge/event"
	"pulso/bridge/gateway"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// report is a command that tells of n paints of element i.
func report(t *testing.T, i int, n uint32) []byte {
	t.Helper()
	counts := make([]uint32, i+1)
	counts[i] = n
	b, err := json.Marshal(map[string]any{"id": 1, "painted": map[string]any{"counts": counts}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The reports of all screens are one picture: of those that reported of late, and of each no more than a screen can paint.
func TestPainted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		g := gateway.New(gateway.Config{Publisher: sink{}, Rooms: room.New(room.Config{}, event.Position{Epoch: 1}), Metrics: reg})
		var sessions []*gateway.Session
		for range 3 {
			v := newValve()
			close(v.gate)
			s, err := g.Open(v, gateway.Client{Transport: "test"})
			if err != nil {
				t.Fatal(err)
			}
			sessions = append(sessions, s)
		}
		if p50, p99, screens := g.Painted(); p50 != 0 || p99 != 0 || screens != 0 {
			t.Errorf("before any report: %v, %v of %d screens", p50, p99, screens)
		}
		time.Sleep(5 * time.Second)
		sessions[0].Handle(report(t, 16, 90)) // 16 to 19 ms
		sessions[1].Handle(report(t, 28, 10)) // 128 to 152 ms
		sessions[2].Handle(report(t, 63, 2_000_000_000))
		sessions[2].Handle(report(t, 63, 1)) // at once again
		sessions[2].Handle([]byte(`{"id":1,"painted":{"counts":[]}}`))
		p50, p99, screens := g.Painted()
		if p50 < 16*time.Millisecond || p50 > 19*time.Millisecond || p99 < 128*time.Millisecond || p99 > 153*time.Millisecond || screens != 2 {
			t.Errorf("%v, %v of %d screens", p50, p99, screens)
		}
		if n := testutil.CollectAndCount(reg, "pulso_gateway_painted_ignored_total"); n != 1 {
			t.Errorf("%d metrics of what was not believed", n)
		}
		time.Sleep(16 * time.Second)
		if _, _, screens := g.Painted(); screens != 0 {
			t.Errorf("%d screens after a silence", screens)
		}
		for _, s := range sessions {
			s.Close(wire.CloseShutdown)
			s.End()
		}
		if err := g.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestPaintedHasSoManyCounts(t *testing.T) {
	for n, good := range map[int]bool{0: true, wire.MaxPaintedCounts: true, wire.MaxPaintedCounts + 1: false} {
		counts, err := json.Marshal(make([]uint32, n))
		if err != nil {
			t.Fatal(err)
		}
		if _, bad := wire.JSON.ParseCommand(fmt.Appendf(nil, `{"id":1,"painted":{"counts":%s}}`, counts)); (bad == nil) != good {
			t.Errorf("%d counts: %v", n, bad)
		}
	}
}
