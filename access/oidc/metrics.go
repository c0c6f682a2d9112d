package oidc

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// What becomes of logins.
const (
	resultBegun    = "begun"
	resultGood     = "good"
	resultEvicted  = "evicted" // it made room for another
	resultState    = "state"   // it is none that is open
	resultProvider = "provider"
	resultRefused  = "refused"
	resultToken    = "token"
	resultBusy     = "busy"
	resultLeft     = "left" // the browser did not wait
)

// resultOf is what an error of Finish comes to.
func resultOf(err error) string {
	if err == nil {
		return resultGood
	}
	for _, e := range []struct {
		err    error
		result string
	}{{ErrBegun, resultState}, {ErrProvider, resultProvider}, {ErrRefused, resultRefused}, {ErrToken, resultToken}, {ErrBusy, resultBusy}} {
		if errors.Is(err, e.err) {
			return e.result
		}
	}
	return resultLeft
}

type metrics struct{ logins *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer, p *Provider) *metrics {
	m := &metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulso_access_oidc_total", Help: "Logins by OpenID Connect that were begun, and what became of them.",
	}, []string{"result"})}
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pulso_access_oidc_open", Help: "Logins by OpenID Connect that have begun and not ended.",
	}, func() float64 {
		p.mu.Lock()
		defer p.mu.Unlock()
		return float64(len(p.open))
	})
	if reg != nil {
		reg.MustRegister(m.logins, open)
	}
	return m
}

func (m *metrics) count(result string) { m.logins.WithLabelValues(result).Inc() }
