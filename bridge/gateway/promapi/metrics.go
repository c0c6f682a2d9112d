package promapi

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(registerer prometheus.Registerer, s *slots) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulso_promapi_requests_total", Help: "Requests answered, by endpoint and result (success, or the type of the error).",
		}, []string{"endpoint", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pulso_promapi_seconds", Help: "Time until an answer was ready, waiting included.",
			Buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10, 30},
		}, []string{"endpoint"}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.requests, m.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_promapi_running", Help: "Requests that read the history now.",
		}, func() float64 { return float64(s.running()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_promapi_waiting", Help: "Requests that wait to read the history.",
		}, func() float64 { return float64(s.waiting.Load()) }),
	} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
