package bridge

import (
	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
)

type metrics struct {
	commit        prometheus.Histogram
	latency       prometheus.Histogram
	queueFull     prometheus.Counter
	refused       prometheus.Counter
	noRoom        prometheus.Counter
	seriesRefused prometheus.Counter
	events        *prometheus.CounterVec
	undecodable   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, b *Bridge) *metrics {
	buckets := prometheus.ExponentialBuckets(50e-6, 2, 18)
	m := &metrics{
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pulso_bridge_commit_seconds", Help: "Time to append one batch to the log.", Buckets: buckets,
		}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pulso_bridge_latency_seconds", Help: "Time from a message's arrival until the rooms had it, of one message a batch.", Buckets: buckets,
		}),
		queueFull: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_bridge_queue_full_total", Help: "Times a publisher waited because the queue to the log was full.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_bridge_not_stored_total", Help: "Messages that the log did not take; none was acknowledged.",
		}),
		noRoom: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_bridge_no_room_total", Help: "Times that messages began to wait because the log had no room.",
		}),
		seriesRefused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_bridge_readings_refused_total", Help: "Readings left out because there are as many series as there may be.",
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulso_bridge_events_total", Help: "Events handed on, by the format that understood them; none: not decodable.",
		}, []string{"format"}),
		undecodable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_bridge_undecodable_total", Help: "Events whose payload could not be decoded.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.commit, m.latency, m.queueFull, m.refused, m.noRoom, m.seriesRefused, m.events, m.undecodable,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pulso_bridge_queued", Help: "Messages that wait for the log."}, func() float64 {
				return float64(b.Queued())
			}),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "pulso_bridge_stalled", Help: "1 while nothing can be stored, because there is no room, after a failure, or because the log is stuck.",
			}, func() float64 {
				if b.Err() != nil {
					return 1
				}
				return 0
			}))
	}
	return m
}

// observe counts a batch. now is in nanoseconds since the Unix epoch.
func (m *metrics) observe(batch []event.Decoded, now int64) {
	formats := make(map[string]int, 4)
	for i := range batch {
		d := &batch[i]
		switch {
		case !d.Kind.IsMessage():
		case d.Format == "":
			formats["none"]++
			m.undecodable.Inc()
		default:
			formats[d.Format]++
		}
	}
	for f, n := range formats {
		m.events.WithLabelValues(f).Add(float64(n))
	}
	m.latency.Observe(float64(now-batch[len(batch)-1].Time) / 1e9)
}
