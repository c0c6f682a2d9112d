package memlog

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events, trimmed    prometheus.Counter
	held, bytes, first prometheus.GaugeFunc
}

func newMetrics(l *Log) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "pulso", Subsystem: "memlog", Name: name, Help: help})
	}
	gauge := func(name, help string, value func() float64) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "pulso", Subsystem: "memlog", Name: name, Help: help,
		}, func() float64 {
			l.mu.RLock()
			defer l.mu.RUnlock()
			return value()
		})
	}
	return &metrics{
		events:  counter("events_total", "Events appended."),
		trimmed: counter("trimmed_events_total", "Events dropped by retention."),
		held:    gauge("events", "Events held.", func() float64 { return float64(l.ring.len()) }),
		bytes:   gauge("bytes", "Bytes held, estimated.", func() float64 { return float64(l.bytes) }),
		first:   gauge("first_offset", "Offset of the oldest event held.", func() float64 { return float64(l.ring.first) }),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.trimmed, m.held, m.bytes, m.first}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range m.all() {
		if err := r.Register(c); err != nil {
			m.unregister(r)
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all() {
		r.Unregister(c)
	}
}
