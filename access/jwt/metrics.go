package jwt

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

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
		m.tokens, m.reads, m.evicted = register(reg, m.tokens), register(reg, m.reads), register(reg, m.evicted)
	}
	return m
}

// register registers a metric, or returns the one that another Verifier has registered: its issuers have other names.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	if e := (prometheus.AlreadyRegisteredError{}); errors.As(err, &e) {
		if known, ok := e.ExistingCollector.(C); ok {
			return known
		}
	}
	if err != nil {
		reg.MustRegister(c) // which says so
	}
	return c
}
