package bridge

import (
	"slices"
	"sync"

	"pulso/bridge/event"
)

// maxLatencies bounds the latencies remembered between two looks; beyond it, older ones are overwritten.
const maxLatencies = 1024

// A traffic counts what was handed on, for the hub's own figures.
type traffic struct {
	mu          sync.Mutex
	events      uint64
	bytes       uint64
	undecodable uint64
	latencies   []int64
	next        int
}

// Traffic is what went through the bridge since its start, but for the latencies.
type Traffic struct {
	Events, Bytes, Undecodable uint64
	// P50 and P99 are of the time from arrival until the rooms had the event, in nanoseconds, over the batches since
	// the last call; 0 if there were none.
	P50, P99 int64
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
	}
}

func (t *traffic) latency(ns int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.latencies) < maxLatencies {
		t.latencies = append(t.latencies, ns)
		return
	}
	t.latencies[t.next%maxLatencies] = ns
	t.next++
}

// Traffic returns the counts and the latencies since the last call.
func (b *Bridge) Traffic() Traffic {
	t := &b.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	out := Traffic{Events: t.events, Bytes: t.bytes, Undecodable: t.undecodable}
	if n := len(t.latencies); n > 0 {
		slices.Sort(t.latencies)
		out.P50, out.P99 = t.latencies[n/2], t.latencies[n*99/100]
		t.latencies, t.next = t.latencies[:0], 0
	}
	return out
}
