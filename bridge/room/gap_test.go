package room_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// A damagedPast is a past in which the events from one offset up to another are lost.
type damagedPast struct {
	*world

	from, to uint64
}

func (p *damagedPast) Read(from event.Position, limit int) ([]event.Decoded, error) {
	if from.Offset >= p.from && from.Offset < p.to {
		return nil, &eventlog.TrimmedError{From: from, First: event.Position{Epoch: from.Epoch, Offset: p.to}, Damaged: true}
	}
	if from.Offset < p.from {
		limit = min(limit, int(p.from-from.Offset))
	}
	return p.world.Read(from, limit)
}

func TestGapSaysWhatDamageCost(t *testing.T) {
	w := newWorld(t, memlog.Config{}, room.Config{})
	_, from := w.Bounds()
	metrics := prometheus.NewRegistry()
	w.reg = room.New(room.Config{Past: &damagedPast{w, 3, 7}, Metrics: metrics}, from)
	for i := range 10 {
		w.publish(fmt.Sprintf("a=%d", i))
	}
	m, _ := w.join(spec(wire.FormEvents, wire.DeliveryEvery, "#"), room.Options{From: from})
	got := m.next()
	i := slices.IndexFunc(got, func(m message) bool { return m.Gap != nil })
	if i < 0 || got[i].Gap.Reason != "damaged" || got[i].Gap.Events != 4 {
		t.Fatalf("want a gap of 4 events, got %+v", got)
	}
	if n := numbers(append(slices.Clone(got[:i]), got[i+1:]...)); !slices.Equal(n, []int{0, 1, 2, 7, 8, 9}) {
		t.Errorf("besides the gap: %v", n)
	}
	counted, err := testutil.GatherAndCount(metrics, "pulso_room_gaps_total")
	if err != nil || counted != 1 {
		t.Errorf("%d reasons counted, %v", counted, err)
	}
}
