package gateway

import (
	"math"
	"sync"
	"time"

	"pulso/bridge/wire"
)

const (
	// maxPaints is how many paints a second are believed of a screen: more than any paints.
	maxPaints = 250
	// maxReported is the longest time that a report counts for.
	maxReported = time.Minute
	// paintWindow is how many seconds of reports count. Screens report more often.
	paintWindow = 15
)

// paints merges what the screens report of the time from a message's arrival until it was painted.
type paints struct {
	mu      sync.Mutex
	seconds [paintWindow]paintSecond // by time, modulo the window
}

// paintSecond is what was reported within one second.
type paintSecond struct {
	at      int64 // seconds since the Unix epoch
	counts  [wire.MaxPaintedCounts]uint64
	screens map[string]struct{} // the sessions that reported
}

// painted takes a session's report. A screen cannot paint more often than maxPaints, whatever it says: a report of more is not
// believed, so that one client counts no more than another.
func (s *Session) painted(counts []uint32) {
	now := time.Now()
	allowed := uint64(min(now.Sub(s.reported), maxReported).Seconds() * maxPaints)
	s.reported = now
	total := uint64(0)
	for _, n := range counts {
		total += uint64(n)
	}
	if total > allowed {
		s.gateway.metrics.paintsIgnored.Add(float64(total))
		return
	}
	if total == 0 {
		return
	}
	for i, n := range counts {
		for range n {
			s.gateway.metrics.painted.Observe(paintMillis(i) / 1000)
		}
	}
	s.gateway.paints.add(now.Unix(), s.id, counts)
}

func (p *paints) add(second int64, session string, counts []uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slot := &p.seconds[second%paintWindow]
	if slot.at != second {
		*slot = paintSecond{at: second, screens: make(map[string]struct{})}
	}
	slot.screens[session] = struct{}{}
	for i, n := range counts {
		slot.counts[i] += uint64(n)
	}
}

// Painted tells how long it took from a message's arrival until a screen had painted it, over the last 15 seconds, and how many
// screens have told. The latencies are 0 where none has.
func (g *Gateway) Painted() (p50, p99 time.Duration, screens int) {
	return g.paints.percentiles(time.Now().Unix())
}

func (p *paints) percentiles(second int64) (p50, p99 time.Duration, screens int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var counts [wire.MaxPaintedCounts]uint64
	total := uint64(0)
	all := make(map[string]struct{})
	for i := range p.seconds {
		slot := &p.seconds[i]
		if second-slot.at >= paintWindow {
			continue
		}
		for session := range slot.screens {
			all[session] = struct{}{}
		}
		for i, n := range &slot.counts {
			counts[i] += n
			total += n
		}
	}
	if total == 0 {
		return 0, 0, 0
	}
	at := func(rank uint64) time.Duration {
		for i, n := range &counts {
			if rank < n {
				return time.Duration(paintMillis(i) * float64(time.Millisecond))
			}
			rank -= n
		}
		return 0
	}
	return at(total / 2), at(total * 99 / 100), len(all)
}

// paintMillis is the middle of what element i of a report stands for, in milliseconds.
func paintMillis(i int) float64 { return math.Exp2((float64(i) + 0.5) / 4) }
