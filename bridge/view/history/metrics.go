package history

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// figures count what becomes of samples.
type figures struct{ stored, moved, merged, failed atomic.Uint64 }

// register declares the view's metrics: they are read from the view when they are asked for.
func (v *View) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	counter := func(name, help string, n *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(n.Load()) })
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	all := []prometheus.Collector{
		counter("pulso_history_samples_total", "Samples that were stored.", &v.figures.stored),
		counter("pulso_history_samples_moved_total", "Samples that were moved on by milliseconds, because their time was taken.", &v.figures.moved),
		counter("pulso_history_samples_merged_total", "Samples that were there already.", &v.figures.merged),
		counter("pulso_history_commit_failures_total", "Times that samples could not be stored and were kept for another try.", &v.figures.failed),
		gauge("pulso_history_series", "Series that are known.", func() float64 {
			v.mu.Lock()
			defer v.mu.Unlock()
			return float64(v.series)
		}),
		gauge("pulso_history_bytes", "Size of the storage on disk.", func() float64 { return float64(v.Bytes()) }),
	}
	for _, reason := range []Reason{ReasonSeries, ReasonDevice, ReasonLength, ReasonRate, ReasonAge, ReasonStorage} {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "pulso_history_samples_refused_total", Help: "Samples that were not kept, by reason.",
			ConstLabels: prometheus.Labels{"reason": string(reason)},
		}, func() float64 {
			v.mu.Lock()
			defer v.mu.Unlock()
			return float64(v.refused.samples[reason])
		}))
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
