package store

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	commitSeconds, checkpointSeconds prometheus.Histogram
	rows                             prometheus.Counter
	errors                           *prometheus.CounterVec
	disk                             prometheus.GaugeFunc
}

func newMetrics(size func() int64) *metrics {
	const namespace, subsystem = "pulso", "store"
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(1e-4, 4, 9),
		})
	}
	m := &metrics{
		commitSeconds:     seconds("commit_seconds", "Time of one committed batch, fsync included."),
		checkpointSeconds: seconds("checkpoint_seconds", "Time of writing the write-ahead log into the database file."),
		rows: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "rows_total", Help: "Rows committed, removed ones included.",
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "errors_total",
			Help: "Batches not committed, and failures to write the write-ahead log back: no room (full), the store failed (failed), or other.",
		}, []string{"reason"}),
		disk: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "disk_bytes", Help: "Bytes of the database and its write-ahead log.",
		}, func() float64 { return float64(size()) }),
	}
	for _, r := range []string{reasonFull, reasonFailed, reasonOther} {
		m.errors.WithLabelValues(r)
	}
	return m
}

const (
	reasonFull   = "full"
	reasonFailed = "failed"
	reasonOther  = "other"
)

func reason(err error) string {
	switch {
	case errors.Is(err, ErrFull):
		return reasonFull
	case errors.Is(err, ErrFailed):
		return reasonFailed
	}
	return reasonOther
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.commitSeconds, m.checkpointSeconds, m.rows, m.errors, m.disk}
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
