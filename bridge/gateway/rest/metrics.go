package rest

import "github.com/prometheus/client_golang/prometheus"

// metrics of the package.
type metrics struct {
	exported, broken prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, h *Handler) (*metrics, error) {
	m := &metrics{
		exported: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_rest_exported_bytes_total", Help: "Bytes of exports that were sent.",
		}),
		broken: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_rest_exports_broken_total", Help: "Exports that were cut off before their end.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.exported, m.broken,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_rest_readers", Help: "Requests that read the log or the history now.",
		}, func() float64 { return float64(len(h.readers)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_rest_exports", Help: "Exports that are being sent now.",
		}, func() float64 { return float64(len(h.exports)) }),
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
