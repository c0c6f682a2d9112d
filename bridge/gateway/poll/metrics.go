package poll

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ repeated prometheus.Counter }

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulso_poll_answers_repeated_total", Help: "Answers that were asked for again.",
	})}
	if reg != nil {
		reg.MustRegister(m.repeated)
	}
	return m
}
