package source

import "github.com/prometheus/client_golang/prometheus"

// Reasons of pulso_source_dropped_total.
const (
	dropTopic    = "topic"
	dropTooLarge = "too large"
)

// Reasons of pulso_source_forward_dropped_total.
const (
	dropExpired = "expired"
	dropRefused = "refused"
)

type metrics struct {
	connected      *prometheus.GaugeVec
	connects       *prometheus.CounterVec
	failures       *prometheus.CounterVec
	received       *prometheus.CounterVec
	acks           *prometheus.CounterVec
	redelivered    *prometheus.CounterVec
	dropped        *prometheus.CounterVec
	echoes         *prometheus.CounterVec
	repeated       *prometheus.CounterVec
	refusedFilters *prometheus.GaugeVec

	unknownOutages *prometheus.CounterVec
	unknownSeconds *prometheus.CounterVec
	sessionsLost   *prometheus.CounterVec

	forwarded      *prometheus.CounterVec
	forwardDropped *prometheus.CounterVec
	forwardMissed  *prometheus.CounterVec
	forwardWaiting *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulso_source_" + name, Help: help}, append([]string{"source"}, labels...))
		if reg != nil {
			reg.MustRegister(v)
		}
		return v
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pulso_source_" + name, Help: help}, []string{"source"})
		if reg != nil {
			reg.MustRegister(v)
		}
		return v
	}
	return &metrics{
		connected:      gauge("connected", "1 while the broker is connected and its subscriptions stand."),
		connects:       counter("connects_total", "Connections that came about."),
		failures:       counter("connect_failures_total", "Connections that did not come about."),
		received:       counter("messages_received_total", "Messages that came from the broker.", "qos"),
		acks:           counter("acks_total", "Messages of QoS 1 that were stored and then acknowledged."),
		redelivered:    counter("redelivered_total", "Messages that the broker sent again (DUP): some of them may be in the log twice."),
		dropped:        counter("dropped_total", "Messages that were not stored, by the reason.", "reason"),
		echoes:         counter("echoes_total", "Messages of this hub that came back, and were left out."),
		repeated:       counter("retained_repeated_total", "Retained messages that a new subscription brought again unchanged, and that were left out."),
		refusedFilters: gauge("filters_refused", "Filters that the broker refuses at present."),

		unknownOutages: counter("unknown_outages_total", "Times that the broker was away: what it lost at QoS 0 meanwhile is unknown."),
		unknownSeconds: counter("unknown_seconds_total", "Seconds that the broker was away: what it lost at QoS 0 meanwhile is unknown."),
		sessionsLost:   counter("sessions_lost_total", "Times that the broker had forgotten the session: what it lost at QoS 1 meanwhile is unknown."),

		forwarded:      counter("forwarded_total", "Messages of screens and services that the broker has taken."),
		forwardDropped: counter("forward_dropped_total", "Messages of screens and services that did not go to the broker, by the reason.", "reason"),
		forwardMissed:  counter("forward_missed_events_total", "Events of the log that were gone before they could be looked at for the broker."),
		forwardWaiting: gauge("forward_waiting", "Messages of screens and services in memory that the broker has not taken yet."),
	}
}
