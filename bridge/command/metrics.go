package command

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	ended   *prometheus.CounterVec
	sent    prometheus.Counter
	seconds prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, s *Sender) metrics {
	m := metrics{
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_command_sent_total", Help: "Commands to devices that were stored and published.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulso_command_ended_total", Help: "Commands to devices that ended, by their state: acknowledged, failed, timed_out.",
		}, []string{"state"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pulso_command_answer_seconds", Help: "Time from a command to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}),
	}
	for _, state := range []State{Acknowledged, Failed, TimedOut} {
		m.ended.WithLabelValues(string(state))
	}
	if reg != nil {
		reg.MustRegister(m.sent, m.ended, m.seconds, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_command_pending", Help: "Commands to devices that wait for an answer.",
		}, func() float64 { return float64(s.open.Load()) }))
	}
	return m
}
