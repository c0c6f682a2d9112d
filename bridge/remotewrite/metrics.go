package remotewrite

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/eventlog"
)

// reasonUnfit is why samples are not sent at all: too many at one time, or names that are too long. The other reasons are the
// HTTP statuses of refusals.
const reasonUnfit = "unfit"

type metrics struct {
	registerer prometheus.Registerer
	sent       *prometheus.CounterVec
	failed     *prometheus.CounterVec
	dropped    *prometheus.CounterVec
	missed     *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"target"}, more...))
	}
	m := &metrics{
		registerer: registerer,
		sent:       counter("pulso_remotewrite_samples_total", "Samples that the target has taken."),
		failed:     counter("pulso_remotewrite_failures_total", "Requests that failed and were, or will be, sent again."),
		dropped:    counter("pulso_remotewrite_dropped_samples_total", "Samples that were given up, by the status of the refusal.", "reason"),
		missed:     counter("pulso_remotewrite_missed_events_total", "Events that retention dropped, or damage took, before they were sent."),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pulso_remotewrite_seconds", Help: "Time of a request.", Buckets: []float64{0.005, 0.025, 0.1, 0.25, 1, 2.5, 10, 30},
		}, []string{"target"}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.sent, m.failed, m.dropped, m.missed, m.seconds} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// progress is how far a sender has come: the offset of the next event, and the arrival of the one before.
type progress struct {
	next    uint64
	arrival time.Time
}

// senderMetrics are those of one target.
type senderMetrics struct {
	sent, failed, missed prometheus.Counter
	dropped              *prometheus.CounterVec
	seconds              prometheus.Observer
	done                 atomic.Pointer[progress]
}

func (m *metrics) of(target string, log eventlog.Log) (*senderMetrics, error) {
	label := prometheus.Labels{"target": target}
	s := &senderMetrics{
		sent: m.sent.With(label), failed: m.failed.With(label), missed: m.missed.With(label),
		dropped: m.dropped.MustCurryWith(label), seconds: m.seconds.With(label),
	}
	s.done.Store(&progress{})
	if m.registerer == nil {
		return s, nil
	}
	pending := func() (float64, time.Time) {
		done := s.done.Load()
		_, next := log.Bounds()
		return float64(next.Offset - min(done.next, next.Offset)), done.arrival
	}
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_remotewrite_pending_events", Help: "Events of the log that are still to be sent.", ConstLabels: label,
		}, func() float64 {
			n, _ := pending()
			return n
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_remotewrite_behind_seconds", Help: "Age of the last event that was sent, while others wait; else 0.", ConstLabels: label,
		}, func() float64 {
			n, arrival := pending()
			if n == 0 || arrival.IsZero() {
				return 0
			}
			return max(0, time.Since(arrival).Seconds())
		}),
	} {
		if err := m.registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}
