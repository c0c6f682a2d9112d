package rpc

import "github.com/prometheus/client_golang/prometheus"

// newRefused makes the counter of what is refused before there is a session that could.
func newRefused(reg prometheus.Registerer) *prometheus.CounterVec {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulso_rpc_refused_total", Help: "Calls refused before they had a session, by error code or the name of a close code.",
	}, []string{"code"})
	if reg != nil {
		reg.MustRegister(refused)
	}
	return refused
}
