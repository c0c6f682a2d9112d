package jwt

import "github.com/prometheus/client_golang/prometheus"

// What a token, or reading keys, comes to.
const (
	resultGood    = "good"
	resultKnown   = "known" // it was good before
	resultRefused = "refused"
	resultFailed  = "failed"
)

type metrics struct {
	tokens, reads *prometheus.CounterVec // by the issuer's configured name, and what it came to
	evicted       prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	count := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"issuer", "result"})
	}
	m := &metrics{
		tokens: count("pulso_access_jwt_total", "JSON Web Tokens that were good, known to be, or refused."),
		reads:  count("pulso_access_jwt_key_reads_total", "Times that keys of an issuer were fetched, or read from their file, with something new or in vain."),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_access_jwt_evicted_total", Help: "JSON Web Tokens that were forgotten to make room for others, and are verified again.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.tokens, m.reads, m.evicted)
	}
	return m
}
