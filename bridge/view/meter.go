package view

import "math"

// A Meter counts messages in the last seconds. The zero Meter is ready; it is not for use by several goroutines at once.
type Meter struct {
	// second is the newest one counted in; counts is a ring by second.
	second int64
	counts [meterRing]uint32
}

const (
	// meterSeconds is how many whole seconds a rate is the mean of.
	meterSeconds = 10
	// meterRing holds them and the one that has begun.
	meterRing = 16
)

// Add counts a message that came in a second of the Unix epoch.
func (m *Meter) Add(second int64) {
	switch {
	case second > m.second:
		for s := max(m.second, second-meterRing) + 1; s <= second; s++ {
			m.counts[s%meterRing] = 0
		}
		m.second = second
	case second <= m.second-meterRing, second < 0:
		return
	}
	m.counts[second%meterRing]++
}

// Rate is messages a second, to two decimals, over the whole seconds before now, at most ten of them and none before
// first.
func (m *Meter) Rate(now, first int64) float64 {
	if m.Idle(now) {
		return 0
	}
	sum := uint64(0)
	for s := now - meterSeconds; s < now; s++ {
		if s <= m.second && s > m.second-meterRing && s >= 0 {
			sum += uint64(m.counts[s%meterRing])
		}
	}
	const decimals = 100
	return math.Round(float64(sum)/float64(min(max(now-first, 1), meterSeconds))*decimals) / decimals
}

// Idle reports whether nothing was counted in the seconds that Rate looks at.
func (m *Meter) Idle(now int64) bool { return m.second < now-meterSeconds }
