package bridge

import (
	"slices"
	"sync"
	"time"

	"pulso/bridge/event"
)

const (
	// maxLatencies bounds the latencies remembered between two looks; beyond it, older ones are overwritten.
	maxLatencies = 1024
	// maxLag is how long before its arrival a message may have been sent for that to count as the way it took, in
	// nanoseconds: beyond, it was kept back, or the device's clock is wrong.
	maxLag = int64(time.Minute)
)

// latencies are the newest of a kind since the last look, in nanoseconds.
type latencies struct {
	list []int64
	next int
}

func (l *latencies) add(ns int64) {
	if len(l.list) < maxLatencies {
		l.list = append(l.list, ns)
		return
	}
	l.list[l.next%maxLatencies] = ns
	l.next++
}

// take returns the percentiles, 0 if there was nothing, and forgets everything.
func (l *latencies) take() (p50, p99 int64) {
	n := len(l.list)
	if n == 0 {
		return 0, 0
	}
	slices.Sort(l.list)
	p50, p99 = l.list[n/2], l.list[n*99/100]
	l.list, l.next = l.list[:0], 0
	return p50, p99
}

// A traffic counts what was handed on, for the hub's own figures.
type traffic struct {
	mu          sync.Mutex
	events      uint64
	bytes       uint64
	undecodable uint64
	inside      latencies
	device      latencies
}

// Traffic is what went through the bridge since its start, but for the latencies.
type Traffic struct {
	Events, Bytes, Undecodable uint64
	// P50 and P99 are of the time from arrival until the rooms had the event, in nanoseconds, over the batches since
	// the last call; 0 if there were none.
	P50, P99 int64
	// DeviceP50 and DeviceP99 are of the time from when a message says it was sent to its arrival, in nanoseconds, of the
	// messages since the last call that tell it; 0 if there were none.
	DeviceP50, DeviceP99 int64
}

func (t *traffic) add(batch []event.Decoded) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range batch {
		d := &batch[i]
		if !d.Kind.IsMessage() {
			continue
		}
		t.events++
		t.bytes += uint64(len(d.Payload))
		if d.Problem != "" {
			t.undecodable++
		}
		if ns, known := lag(d); known {
			t.device.add(ns)
		}
	}
}

// lag is how long a message was on its way. It is not known where the device's clock is ahead, tells whole seconds only, or is so
// far behind that the message was kept back or the clock is wrong.
func lag(d *event.Decoded) (ns int64, known bool) {
	if d.DeviceTime == 0 || d.DeviceTime%int64(time.Second) == 0 {
		return 0, false
	}
	ns = d.Time - d.DeviceTime
	return ns, ns > 0 && ns <= maxLag
}

func (t *traffic) latency(ns int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside.add(ns)
}

// Traffic returns the counts and the latencies since the last call.
func (b *Bridge) Traffic() Traffic {
	t := &b.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	out := Traffic{Events: t.events, Bytes: t.bytes, Undecodable: t.undecodable}
	out.P50, out.P99 = t.inside.take()
	out.DeviceP50, out.DeviceP99 = t.device.take()
	return out
}
