package access

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	denied, revoked, failures prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, d *Directory) *metrics {
	count := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		denied:   count("pulso_access_denied_total", "Credentials that were not good."),
		revoked:  count("pulso_access_revoked_total", "Grants that ended while somebody used them."),
		failures: count("pulso_access_read_failures_total", "Times that the file of accounts could not be read."),
	}
	if reg != nil {
		reg.MustRegister(m.denied, m.revoked, m.failures,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pulso_access_accounts", Help: "Accounts."}, func() float64 {
				d.mu.RLock()
				defer d.mu.RUnlock()
				return float64(len(d.state.accounts))
			}))
	}
	return m
}
