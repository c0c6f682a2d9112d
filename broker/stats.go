package broker

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Stats are the broker's own figures, for whoever shows them.
type Stats struct {
	// Connections is how many there are now.
	Connections int
	// Sessions is how many there are now, connected or not.
	Sessions int
	// Behind is how many sessions and shared subscriptions are owed more than is in memory: it waits in the log.
	Behind int
	// Drops counts messages not delivered to a subscriber or not retained since the start, by reason, sorted.
	Drops []Drop
}

// A Drop is one reason and its count.
type Drop struct {
	Reason string
	Count  uint64
}

// Stats returns the figures as they are.
func (b *Broker) Stats() Stats {
	b.mu.Lock()
	s := Stats{Connections: len(b.owners), Sessions: len(b.sessions), Behind: int(b.behind.Load())}
	b.mu.Unlock()
	collected := make(chan prometheus.Metric)
	go func() {
		defer close(collected)
		b.metrics.drops.Collect(collected)
	}()
	for c := range collected {
		var m dto.Metric
		if c.Write(&m) == nil && m.GetCounter().GetValue() > 0 {
			s.Drops = append(s.Drops, Drop{Reason: m.GetLabel()[0].GetValue(), Count: uint64(m.GetCounter().GetValue())})
		}
	}
	slices.SortFunc(s.Drops, func(a, b Drop) int { return strings.Compare(a.Reason, b.Reason) })
	return s
}
