package contract

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	kept, observed, quarantined, rejected prometheus.Counter

	contracts prometheus.Gauge
	failures  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulso_contract_messages_total",
		Help: "Messages under a contract, by outcome: kept (for each contract), and of those that break one: observed, quarantined, rejected.",
	}, []string{"outcome"})
	m := &metrics{
		kept: messages.WithLabelValues("kept"), observed: messages.WithLabelValues("observed"),
		quarantined: messages.WithLabelValues("quarantined"), rejected: messages.WithLabelValues("rejected"),
		contracts: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pulso_contracts", Help: "Contracts that count."}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_contracts_failures_total", Help: "Times that the file of contracts could not be read: those known go on counting.",
		}),
	}
	if reg != nil {
		reg.MustRegister(messages, m.contracts, m.failures)
	}
	return m
}
