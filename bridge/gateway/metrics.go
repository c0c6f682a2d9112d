package gateway

import "github.com/prometheus/client_golang/prometheus"

// Reasons for which a session is refused.
const (
	refusedSessions = "sessions"
	// refusedStrangers is for clients that would have had to say who they are, where too many others have not yet.
	refusedStrangers = "strangers"
	refusedAdmit     = "memory"
	refusedAccount   = "account"
)

type metrics struct {
	opened          *prometheus.CounterVec
	closed          *prometheus.CounterVec
	refused         *prometheus.CounterVec
	refusedCommands *prometheus.CounterVec
	painted         prometheus.Histogram
	paintsIgnored   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, g *Gateway) *metrics {
	m := &metrics{
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulso_gateway_sessions_opened_total", Help: "Sessions that began, by transport.",
		}, []string{"transport"}),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulso_gateway_sessions_closed_total", Help: "Sessions that ended, by close code; client: the client left.",
		}, []string{"code"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulso_gateway_sessions_refused_total",
			Help: "Sessions refused because there were too many, of an account or of clients that had not said who they are, too, or memory was short.",
		}, []string{"reason"}),
		refusedCommands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulso_gateway_commands_refused_total", Help: "Commands answered with an error, by its code.",
		}, []string{"code"}),
		painted: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pulso_gateway_painted_seconds", Help: "Time from a message's arrival until a screen had painted it, as the screens report it.",
			Buckets: prometheus.ExponentialBuckets(0.004, 2, 13),
		}),
		paintsIgnored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulso_gateway_painted_ignored_total", Help: "Paints that screens reported beyond what a screen can paint, and that were not believed.",
		}),
	}
	for _, reason := range []string{refusedSessions, refusedAdmit, refusedAccount, refusedStrangers} {
		m.refused.WithLabelValues(reason) // there from the start, as a zero
	}
	if reg != nil {
		reg.MustRegister(m.opened, m.closed, m.refused, m.refusedCommands, m.painted, m.paintsIgnored,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pulso_gateway_sessions", Help: "Sessions now."}, func() float64 {
				return float64(g.Sessions())
			}))
	}
	return m
}
