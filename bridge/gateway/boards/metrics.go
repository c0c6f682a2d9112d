package boards

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	kept    prometheus.GaugeFunc
	changes *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, s *store) metrics {
	m := metrics{
		kept: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pulso_boards_kept", Help: "Boards that are kept."},
			func() float64 { return float64(len(*s.boards.Load())) }),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulso_boards_changes_total", Help: "Boards that were saved or deleted, and those where the disk failed.",
		}, []string{"change"}),
	}
	if reg != nil {
		reg.MustRegister(m.kept, m.changes)
	}
	return m
}
