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
	byFormat      map[string]prometheus.Counter // of events; of the decoding goroutine alone
	undecodable   prometheus.Counter
	requests      prometheus.Counter
	pastMemory    prometheus.Counter
	pastLog       prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, b *Bridge) *metrics {
	buckets := prometheus.ExponentialBuckets(50e-6, 2, 18)
	past := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulso_bridge_past_reads_total",
		Help: "Reads of the past by sessions that resume or are behind, by what they found: events in memory, which another reader has decoded, or not.",
	}, []string{"served"})
	m := &metrics{
		byFormat:   make(map[string]prometheus.Counter),
		pastMemory: past.WithLabelValues("memory"), pastLog: past.WithLabelValues("log"),
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
		requests: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_bridge_requests_total", Help: "Requests to devices to announce again what their messages need to be understood.",
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulso_bridge_events_total", Help: "Events handed on, by the format that understood them; none: not decodable.",
		}, []string{"format"}),
		undecodable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_bridge_undecodable_total", Help: "Events whose payload could not be decoded.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.commit, m.latency, m.queueFull, m.refused, m.noRoom, m.seriesRefused, m.events, m.undecodable, m.requests, past,
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
	format, n := "", 0 // of neighbours, which are mostly alike
	for i := range batch {
		d := &batch[i]
		if !d.Kind.IsMessage() {
			continue
		}
		if d.Format != format {
			m.count(format, n)
			format, n = d.Format, 0
		}
		n++
	}
	m.count(format, n)
	m.latency.Observe(float64(now-batch[len(batch)-1].Time) / 1e9)
}

// count counts events of a format.
func (m *metrics) count(format string, n int) {
	if n == 0 {
		return
	}
	if format == "" {
		m.undecodable.Add(float64(n))
		format = "none"
	}
	counter := m.byFormat[format]
	if counter == nil {
		counter = m.events.WithLabelValues(format)
		m.byFormat[format] = counter
	}
	counter.Add(float64(n))
}
