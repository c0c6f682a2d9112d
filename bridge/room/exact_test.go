package room_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// TestEveryIsExact lets members come, lag, go and come back at random while messages flow through rooms with hardly any
// ring: each must see every event of its filters and its scope since its first position, once, in order.
func TestEveryIsExact(t *testing.T) {
	t.Parallel()
	const members, batches, devices = 24, 1500, 5
	metrics := prometheus.NewRegistry()
	w := newWorld(t, memlog.Config{}, room.Config{RingBytes: 700, Metrics: metrics})
	var wg, runs sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	runs.Go(func() { _ = w.reg.Run(ctx) })
	defer runs.Wait()
	defer stop()

	var resumed, changed atomic.Int32
	watchers := make([]*watcher, members)
	for i := range watchers {
		watchers[i] = newWatcher(w, uint64(i), &resumed, &changed)
		wg.Go(func() { watchers[i].watch(devices) })
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := 0; n < batches; {
		batch := make([]string, 1+random.IntN(12))
		for i := range batch {
			batch[i] = fmt.Sprintf("devices/d%d/t=%d", random.IntN(devices), n*16+i)
		}
		w.publish(batch...)
		if n++; random.IntN(4) == 0 {
			time.Sleep(time.Duration(random.IntN(800)) * time.Microsecond)
		}
	}
	last := make([]string, devices)
	for i := range last {
		last[i] = fmt.Sprintf("devices/d%d/t=%d", i, final+i)
	}
	w.publish(last...)
	wg.Wait()

	first, next := w.log.Bounds()
	all, err := w.log.Read(first, 1<<20)
	for err == nil && uint64(len(all)) < next.Offset-first.Offset {
		var more []event.Event
		more, err = w.log.Read(all[len(all)-1].Next(), 1<<20)
		all = append(all, more...)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range watchers {
		var want []int
		for _, d := range w.decode(all) {
			if d.Position.Offset >= m.from.Offset && m.wants(d.Topic, d.Device) {
				want = append(want, int(d.Metrics[0].Value))
			}
		}
		if !slices.Equal(m.got, want) {
			t.Errorf("member %d of %v from %v: got %d events, want %d; they part at %d", i, m.spec, m.from, len(m.got), len(want), parting(m.got, want))
		}
	}
	fallen := counter(t, metrics, "pulso_room_fallen_total")
	if resumed.Load() < members || changed.Load() < members || fallen < members {
		t.Errorf("the test tested little: %d resumed, %d changed, %v fell behind", resumed.Load(), changed.Load(), fallen)
	}
}

func counter(t *testing.T, from prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func parting(a, b []int) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

type watcher struct {
	member

	random  *rand.Rand
	from    event.Position
	last    event.Position
	got     []int
	resumed *atomic.Int32
	changed *atomic.Int32
}

// final is the payload of the last event of device 0.
const final = 1_000_000

func newWatcher(w *world, seed uint64, resumed, changed *atomic.Int32) *watcher {
	specs := []room.Spec{
		spec(wire.FormEvents, wire.DeliveryEvery, "#"),
		spec(wire.FormValues, wire.DeliveryEvery, "devices/+/t"),
		spec(wire.FormEvents, wire.DeliveryEvery, "devices/d1/t", "devices/d1/#", "devices/d3/+"),
		{Filters: []string{"#"}, Devices: []string{"d0", "d2"}, Form: wire.FormEvents, Delivery: wire.DeliveryEvery},
		spec(wire.FormEvents, wire.DeliveryEvery, "nothing/here", "devices/d4/t"),
		{Filters: []string{"#"}, Scope: rights{allow: []string{"devices/d1/#"}}, Form: wire.FormEvents, Delivery: wire.DeliveryEvery},
		{Filters: []string{"#"}, Scope: rights{allow: []string{"#"}, deny: []string{"devices/d1/#"}}, Form: wire.FormValues, Delivery: wire.DeliveryEvery},
		{
			Filters: []string{"devices/#"}, Devices: []string{"d0", "d2"}, Scope: rights{allow: []string{"devices/d2/+"}},
			Form: wire.FormEvents, Delivery: wire.DeliveryEvery,
		},
	}
	s := specs[seed%uint64(len(specs))]
	s.Rate = []float64{50, 200, 1000}[seed%3]
	return &watcher{
		member: member{world: w, spec: s, wake: make(chan struct{}, 1)}, random: rand.New(rand.NewPCG(seed, 7)),
		resumed: resumed, changed: changed,
	}
}

// wants reports whether an event is for the watcher.
func (m *watcher) wants(topic, device string) bool {
	return event.MatchAny(m.spec.Filters, topic) && event.Sees(m.spec.Scope, topic) &&
		(len(m.spec.Devices) == 0 || slices.Contains(m.spec.Devices, device))
}

// watch ends with the last event that it wants.
func (m *watcher) watch(devices int) {
	last := 0
	for d := range devices {
		if id := fmt.Sprint("d", d); m.wants("devices/"+id+"/t", id) {
			last = final + d
		}
	}
	for len(m.got) == 0 || m.got[len(m.got)-1] != last {
		if !m.step() {
			return
		}
	}
	m.leave()
}

// step takes what is due, or lags, goes or changes instead, and reports whether that went well.
func (m *watcher) step() bool {
	w, t := m.world, m.world.t
	if m.sub == nil {
		m.from = position(t, m.join(room.Options{})[0].Subscribed.Position)
		m.last = m.from
	}
	select {
	case <-m.wake:
	case <-time.After(time.Millisecond):
	}
	switch m.random.IntN(12) {
	case 0: // slow
		time.Sleep(time.Duration(m.random.IntN(30)) * time.Millisecond)
	case 1: // gone for a while, and back, perhaps with the other encoding
		m.leave()
		time.Sleep(time.Duration(m.random.IntN(20)) * time.Millisecond)
		o := room.Options{From: m.last, Encoding: wire.Encoding(m.random.IntN(wire.Encodings))}
		if again := m.join(o)[0].Subscribed; !again.Recovered || again.Position != m.last.String() {
			t.Errorf("resumed from %v: %+v", m.last, again)
		}
		m.resumed.Add(1)
	case 2: // into a room of another rate
		before := m.sub
		m.spec.Rate = []float64{50, 200, 1000}[m.random.IntN(3)]
		if to := m.join(room.Options{Follow: before})[0].Changed; to == nil || !to.Recovered || to.Position != m.last.String() {
			t.Errorf("changed at %v: %+v", m.last, to)
		}
		w.reg.Leave(before)
		m.changed.Add(1)
	}
	raw, _, err := m.sub.Next(nil, 1+m.random.IntN(400))
	if err != nil {
		t.Error(err)
		return false
	}
	for _, f := range parse(t, raw) {
		if f.Gap != nil {
			t.Errorf("gap %+v", f.Gap)
		}
		p := position(t, f.Position)
		if p.Offset < m.last.Offset {
			t.Errorf("position %v after %v", p, m.last)
		}
		m.last = p
		m.got = append(m.got, numbers([]message{f})...)
	}
	return true
}
