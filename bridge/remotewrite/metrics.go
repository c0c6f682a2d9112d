package remotewrite

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/eventlog"
)

// reasonUnfit is why samples are not sent at all: too many at one time, or names that are too long. The other reasons are the
// HTTP statuses of refusals.
const reasonUnfit = "unfit"

type metrics struct {
	backlog *backlog
	sent    *prometheus.CounterVec
	failed  *prometheus.CounterVec
	dropped *prometheus.CounterVec
	missed  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newMetrics(registerer prometheus.Registerer, log eventlog.Log) (*metrics, error) {
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"target"}, more...))
	}
	m := &metrics{
		backlog: newBacklog(log),
		sent:    counter("pulso_remotewrite_samples_total", "Samples that the target has taken."),
		failed:  counter("pulso_remotewrite_failures_total", "Requests that failed and were, or will be, sent again."),
		dropped: counter("pulso_remotewrite_dropped_samples_total", "Samples that were given up, by the status of the refusal.", "reason"),
		missed:  counter("pulso_remotewrite_missed_events_total", "Events that retention dropped, or damage took, before they were sent."),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pulso_remotewrite_seconds", Help: "Time of a request.", Buckets: []float64{0.005, 0.025, 0.1, 0.25, 1, 2.5, 10, 30},
		}, []string{"target"}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.sent, m.failed, m.dropped, m.missed, m.seconds, m.backlog} {
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

// of returns those of a target.
func (m *metrics) of(target string) *senderMetrics {
	label := prometheus.Labels{"target": target}
	s := &senderMetrics{
		sent: m.sent.With(label), failed: m.failed.With(label), missed: m.missed.With(label),
		dropped: m.dropped.MustCurryWith(label), seconds: m.seconds.With(label),
	}
	s.done.Store(&progress{})
	m.backlog.mu.Lock()
	defer m.backlog.mu.Unlock()
	m.backlog.senders[target] = s
	return s
}

// A backlog tells how far targets are behind when it is asked.
type backlog struct {
	log             eventlog.Log
	pending, behind *prometheus.Desc

	mu      sync.Mutex
	senders map[string]*senderMetrics
}

func newBacklog(log eventlog.Log) *backlog {
	label := []string{"target"}
	return &backlog{
		log:     log,
		pending: prometheus.NewDesc("pulso_remotewrite_pending_events", "Events of the log that are still to be sent.", label, nil),
		behind: prometheus.NewDesc("pulso_remotewrite_behind_seconds",
			"Age of the last event that was sent, while others wait; else 0.", label, nil),
		senders: map[string]*senderMetrics{},
	}
}

// Describe implements [prometheus.Collector].
func (b *backlog) Describe(to chan<- *prometheus.Desc) { to <- b.pending; to <- b.behind }

// Collect implements [prometheus.Collector].
func (b *backlog) Collect(to chan<- prometheus.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, next := b.log.Bounds()
	for target, s := range b.senders {
		done := s.done.Load()
		pending, behind := next.Offset-min(done.next, next.Offset), 0.0
		if pending > 0 && !done.arrival.IsZero() {
			behind = max(0, time.Since(done.arrival).Seconds())
		}
		to <- prometheus.MustNewConstMetric(b.pending, prometheus.GaugeValue, float64(pending), target)
		to <- prometheus.MustNewConstMetric(b.behind, prometheus.GaugeValue, behind, target)
	}
}
