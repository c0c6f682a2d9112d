package broker

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	connects    prometheus.Counter
	refused     *prometheus.CounterVec
	closed      *prometheus.CounterVec
	received    [3]prometheus.Counter // by QoS
	receivedVec *prometheus.CounterVec
	bytesIn     prometheus.Counter
	bytesOut    prometheus.Counter
	acks        prometheus.Counter
	delivered   prometheus.Counter
	drops       *prometheus.CounterVec
	invalid     *prometheus.CounterVec
	panics      prometheus.Counter
	wills       prometheus.Counter
	accepts     prometheus.Counter
	limited     *prometheus.CounterVec
	forbidden   *prometheus.CounterVec
	withheld    prometheus.Counter
	gaps        prometheus.Counter
	gapEvents   prometheus.Counter

	ackSeconds   prometheus.Histogram
	storeSeconds prometheus.Histogram
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "pulso_broker_" + name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulso_broker_" + name, Help: help}, []string{label})
	}
	m := &metrics{
		connects:    counter("connects_total", "MQTT connections that were accepted."),
		refused:     vec("refused_total", "Connections turned away, by reason.", "reason"),
		closed:      vec("closed_total", "Accepted MQTT connections that ended, by reason.", "reason"),
		receivedVec: vec("messages_received_total", "Messages taken from clients, by QoS.", "qos"),
		bytesIn:     counter("received_bytes_total", "Bytes read from MQTT clients."),
		bytesOut:    counter("sent_bytes_total", "Bytes written to MQTT clients."),
		acks:        counter("acks_total", "Messages acknowledged after they were stored."),
		delivered:   counter("messages_sent_total", "Messages written for MQTT subscribers."),
		drops:       vec("drops_total", "Messages not delivered to an MQTT subscriber or not retained, by reason.", "reason"),
		invalid:     vec("messages_refused_total", "Messages of clients that were not taken, by reason.", "reason"),
		panics:      counter("panics_total", "Panics that were caught; the connection concerned was closed."),
		wills:       counter("wills_total", "Wills handed to the log."),
		accepts:     counter("accept_errors_total", "Temporary errors of accepting connections."),
		limited:     vec("limited_total", "What clients asked for beyond a bound and did not get, by reason.", "reason"),
		forbidden:   vec("forbidden_total", "What clients asked for without a right to it, by what it was.", "what"),
		withheld:    counter("withheld_total", "Messages that a subscriber's filter matches, and that it may not hear."),
		gaps:        counter("session_gaps_total", "Times that a subscriber was passed by: the log no longer held what it was owed."),
		gapEvents:   counter("session_gap_events_total", "Events between the two ends of those gaps, whosever business they were."),
		storeSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pulso_broker_store_commit_seconds",
			Help:    "Time to store a batch of sessions, retained messages and wills.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}),
		ackSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pulso_broker_ack_seconds",
			Help:    "Time from the arrival of a QoS 1 or 2 message to its acknowledgement.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}),
	}
	for qos := range m.received {
		m.received[qos] = m.receivedVec.WithLabelValues(string(rune('0' + qos)))
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer, b *Broker) error {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pulso_broker_" + name, Help: help}, f)
	}
	count := func(f func() int) func() float64 {
		return func() float64 {
			b.mu.Lock()
			defer b.mu.Unlock()
			return float64(f())
		}
	}
	for _, c := range []prometheus.Collector{
		m.connects, m.refused, m.closed, m.receivedVec, m.bytesIn, m.bytesOut, m.acks, m.delivered, m.drops, m.invalid,
		m.panics, m.wills, m.accepts, m.ackSeconds, m.storeSeconds, m.limited, m.forbidden, m.withheld, m.gaps, m.gapEvents,
		gauge("connections", "MQTT connections at this time.", count(func() int { return len(b.owners) })),
		gauge("sessions", "MQTT sessions, connected or not.", count(func() int { return len(b.sessions) })),
		gauge("subscriptions", "Topic filters that MQTT sessions are subscribed to.",
			func() float64 { return float64(b.subscriptions.Load()) }),
		gauge("sessions_behind", "Sessions and shared subscriptions that are owed more than is in memory: it waits in the log.",
			func() float64 { return float64(b.behind.Load()) }),
		gauge("retained", "Retained messages.", func() float64 { return float64(b.retained.count.Load()) }),
		gauge("retained_bytes", "Topics and payloads of retained messages.",
			func() float64 { return float64(b.retained.bytes.Load()) }),
	} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register the broker's metrics: %w", err)
		}
	}
	return nil
}
