package room

import "time"

// Bounds of a pacer.
const (
	// paceInterval is how often the factor changes.
	paceInterval = time.Second
	// lateAbove is the mean lateness from which on the machine counts as overloaded, and lateBelow the one under which it
	// recovers.
	lateAbove = 5 * time.Millisecond
	lateBelow = time.Millisecond
	// maxStretch bounds the factor: 50 frames a second become no fewer than 5.
	maxStretch = 10
)

// A pacer watches how late the rooms' timer is served, which is how long whoever is ready to run waits for a processor, and
// stretches the rooms' intervals while that is long: fewer, fuller frames cost less, and one late frame is better than
// a queue of them that grows. It belongs to the registry's lock.
type pacer struct {
	factor float64
	since  time.Time
	sum    time.Duration
	count  int
}

func newPacer() pacer { return pacer{factor: 1} }

// observe takes note of one lateness.
func (p *pacer) observe(late time.Duration, now time.Time) {
	if idle := now.Sub(p.since); p.since.IsZero() || idle > 10*paceInterval {
		*p = pacer{factor: 1, since: now} // what was long ago says nothing of now
	}
	p.sum += max(late, 0)
	p.count++
	if now.Sub(p.since) < paceInterval {
		return
	}
	switch mean := p.sum / time.Duration(p.count); {
	case mean > lateAbove:
		p.factor = min(p.factor*1.5, maxStretch)
	case mean < lateBelow:
		p.factor = max(p.factor/1.25, 1)
	}
	p.since, p.sum, p.count = now, 0, 0
}

// stretch is an interval at the pace that the machine can keep.
func (p *pacer) stretch(interval time.Duration) time.Duration {
	if p.factor == 1 {
		return interval
	}
	return time.Duration(min(float64(interval)*p.factor, float64(maxInterval)))
}
