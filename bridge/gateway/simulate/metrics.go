package simulate

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	started prometheus.Counter
	running prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		started: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_simulate_started_total", Help: "Fleets of simulated devices that were started over HTTP.",
		}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pulso_simulate_running", Help: "Whether a fleet of simulated devices runs inside of the hub: 0 or 1.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.started, m.running)
	}
	return m
}
