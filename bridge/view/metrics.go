package view

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	events   prometheus.Counter
	behind   prometheus.Counter
	missed   prometheus.Counter
	rebuilds prometheus.Counter
	failed   prometheus.Counter
	lag      prometheus.GaugeFunc
}

func newMetrics(registerer prometheus.Registerer, r *Runner) (*metrics, error) {
	labels := prometheus.Labels{"view": r.view.Name()}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	}
	m := &metrics{
		events:   counter("pulso_view_events_total", "Events that the view has applied."),
		behind:   counter("pulso_view_behind_total", "Times that the view fell behind and read from the log."),
		missed:   counter("pulso_view_missed_total", "Events that retention dropped before the view had read them, or that are lost to damage of the log."),
		rebuilds: counter("pulso_view_rebuilds_total", "Times that the view was built again from the log's start."),
		failed:   counter("pulso_view_snapshot_failures_total", "Snapshots that could not be written."),
		lag: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_view_lag_events", Help: "Events of the log that the view has not applied yet.",
			ConstLabels: labels,
		}, func() float64 {
			_, next := r.log.Bounds()
			return float64(next.Offset - min(r.Position().Offset, next.Offset))
		}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.events, m.behind, m.missed, m.rebuilds, m.failed, m.lag} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
