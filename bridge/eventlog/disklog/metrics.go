package disklog

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	commits, events, bytes             prometheus.Counter
	commitSeconds, syncSeconds         prometheus.Histogram
	trimmedSegments, trimmedEvents     prometheus.Counter
	cutBytes, damaged, rebuilt, failed prometheus.Counter
	full                               prometheus.Counter
	segments, disk, first, next, state prometheus.GaugeFunc
}

const (
	metricsNamespace = "pulso"
	metricsSubsystem = "disklog"
)

func newMetrics(l *Log) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help,
		})
	}
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(1e-5, 4, 10),
		})
	}
	gauge := func(name, help string, value func() float64) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help,
		}, func() float64 {
			l.mu.RLock()
			defer l.mu.RUnlock()
			return value()
		})
	}
	return &metrics{
		commits:         counter("commits_total", "Batches appended."),
		events:          counter("events_total", "Events appended."),
		bytes:           counter("appended_bytes_total", "Bytes of records appended."),
		commitSeconds:   seconds("commit_seconds", "Time of one append, fsync included."),
		syncSeconds:     seconds("sync_seconds", "Time of one fsync of a segment."),
		trimmedSegments: counter("trimmed_segments_total", "Segments dropped by retention."),
		trimmedEvents:   counter("trimmed_events_total", "Events dropped by retention."),
		cutBytes:        counter("cut_bytes_total", "Bytes cut from the log's end at its opening: a torn batch, or damage."),
		damaged:         counter("damaged_reads_total", "Readings that met damaged bytes."),
		rebuilt:         counter("indexes_rebuilt_total", "Segments whose indexes were built anew."),
		failed:          counter("failures_total", "Failed writes and fsyncs: the log takes no more appends."),
		full:            counter("no_room_total", "Appends that found no room on the disk: nothing of them is stored, and the next may find some."),
		state: gauge("writable", "1 while the log takes appends, 0 while there is no room or after a failure.", func() float64 {
			if l.brokenLocked() != nil || l.full != nil {
				return 0
			}
			return 1
		}),
		segments: gauge("segments", "Segments held.", func() float64 { return float64(len(l.segments)) }),
		disk:     gauge("disk_bytes", "Bytes of segments and indexes.", func() float64 { return float64(l.bytes) }),
		first:    gauge("first_offset", "Offset of the oldest event held.", func() float64 { return float64(l.first()) }),
		next:     gauge("next_offset", "Offset of the next event.", func() float64 { return float64(l.next) }),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.commits, m.events, m.bytes, m.commitSeconds, m.syncSeconds, m.trimmedSegments, m.trimmedEvents,
		m.cutBytes, m.damaged, m.rebuilt, m.failed, m.full, m.state, m.segments, m.disk, m.first, m.next,
	}
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
