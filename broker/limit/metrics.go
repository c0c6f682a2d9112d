package limit

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

const metricsPrefix = "pulso_limit_"

func newCounter(name, help string, labels prometheus.Labels) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: metricsPrefix + name, Help: help, ConstLabels: labels})
}

func newGauge(name, help string, labels prometheus.Labels, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: metricsPrefix + name, Help: help, ConstLabels: labels}, value)
}

func register(r prometheus.Registerer, all ...prometheus.Collector) error {
	if r == nil {
		return nil
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register the metrics of limits: %w", err)
		}
	}
	return nil
}

type addressMetrics struct {
	refused map[Reason]prometheus.Counter
	delayed prometheus.Counter
	all     []prometheus.Collector
}

func newAddressMetrics(a *Addresses) *addressMetrics {
	port := prometheus.Labels{"port": a.cfg.Port}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: metricsPrefix + "refused_total", Help: "Connections refused before anything was read from them, by port and reason.", ConstLabels: port,
	}, []string{"reason"})
	m := &addressMetrics{
		refused: make(map[Reason]prometheus.Counter),
		delayed: newCounter("connects_delayed_total", "Connections after which the port waited, because of the connect rate.", port),
	}
	for _, r := range []Reason{Connections, AddressConnections, AddressRate} {
		m.refused[r] = refused.WithLabelValues(string(r))
	}
	locked := func(value func() int) func() float64 {
		return func() float64 {
			a.mu.Lock()
			defer a.mu.Unlock()
			return float64(value())
		}
	}
	m.all = []prometheus.Collector{
		refused, m.delayed,
		newGauge("addresses", "Source addresses that are known, with connections or without.", port, locked(func() int { return len(a.table) })),
		newGauge("connections", "Connections that are open.", port, locked(func() int { return a.open })),
		newGauge("connections_max", "Connections that may be open.", port, func() float64 { return float64(a.cfg.MaxConnections) }),
	}
	return m
}

func (m *addressMetrics) register(r prometheus.Registerer) error { return register(r, m.all...) }

type rateMetrics struct {
	waits           *prometheus.CounterVec
	messages, bytes prometheus.Counter
}

func newRateMetrics() *rateMetrics {
	waits := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: metricsPrefix + "client_waits_total", Help: "Times that a client was made to wait because it sent too fast, by reason.",
	}, []string{"reason"})
	return &rateMetrics{
		waits:    waits,
		messages: waits.WithLabelValues(string(ClientMessages)),
		bytes:    waits.WithLabelValues(string(ClientBytes)),
	}
}

func (m *rateMetrics) register(r prometheus.Registerer) error { return register(r, m.waits) }

type memoryMetrics struct {
	refused [workKinds]prometheus.Counter
	changes [Critical + 1]prometheus.Counter
	slowed  prometheus.Counter
	all     []prometheus.Collector
}

func newMemoryMetrics(m *Memory) *memoryMetrics {
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricsPrefix + name, Help: help}, []string{label})
	}
	refused := vec("memory_refused_total", "New work refused because memory is short, by what it was.", "work")
	changes := vec("memory_level_changes_total", "Changes of the memory's level, by the level changed to.", "level")
	mm := &memoryMetrics{slowed: newCounter("memory_slowed_total", "Packets of publishers that waited because memory is critical.", nil)}
	for w := range mm.refused {
		mm.refused[w] = refused.WithLabelValues(Work(w).String())
	}
	for l := range mm.changes {
		mm.changes[l] = changes.WithLabelValues(Level(l).String())
	}
	mm.all = []prometheus.Collector{
		refused, changes, mm.slowed,
		newGauge("memory_bytes", "Memory in use, without garbage.", nil, func() float64 { return float64(m.Used()) }),
		newGauge("memory_max_bytes", "Memory that may be in use.", nil, func() float64 { return float64(m.limit) }),
		newGauge("memory_level", "0 normal, 1 tight (new work is refused), 2 critical (publishers are slowed).", nil,
			func() float64 { return float64(m.Level()) }),
	}
	return mm
}

func (m *memoryMetrics) register(r prometheus.Registerer) error { return register(r, m.all...) }
