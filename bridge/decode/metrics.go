package decode

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	problems prometheus.Counter
	left     prometheus.Counter
	refused  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		problems: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_decode_problems_total",
			Help: "Payloads that could not be decoded.",
		}),
		left: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_decode_left_out_total",
			Help: "Readings and texts left out because their message had too many or their name was too long.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_decode_facts_refused_total",
			Help: "Announcements not kept because too many devices have announced themselves.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.problems, m.left, m.refused} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
