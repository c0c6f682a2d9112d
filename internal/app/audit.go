package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/access"
	"pulso/access/audit"
	"pulso/bridge/event"
)

// maxRecords is how many records of the audit wait for the log. Those beyond are lost, counted and said.
const maxRecords = 4_096

// A recorder puts what people do into the log.
type recorder struct {
	hub     *Hub
	waiting chan audit.Record
	lost    prometheus.Counter
}

func newRecorder(h *Hub) *recorder {
	r := &recorder{hub: h, waiting: make(chan audit.Record, maxRecords), lost: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulso_audit_lost_total", Help: "Records of the audit that the log did not take.",
	})}
	h.registry.MustRegister(r.lost)
	return r
}

// put hands over a record. It does not block.
func (r *recorder) put(record audit.Record) {
	select {
	case r.waiting <- record:
	default:
		r.lost.Inc()
	}
}

// Run stores records until ctx ends, and then those that wait.
func (r *recorder) Run(ctx context.Context) error {
	for {
		select {
		case record := <-r.waiting:
			r.store(ctx, record)
			continue
		case <-ctx.Done():
		}
		for {
			select {
			case record := <-r.waiting:
				r.store(context.WithoutCancel(ctx), record)
			default:
				return nil
			}
		}
	}
}

func (r *recorder) store(ctx context.Context, record audit.Record) {
	err := r.hub.bridge.Ingest(ctx, record.Event(), func(_ event.Position, err error) {
		if err != nil {
			r.lost.Inc()
		}
	})
	if err != nil {
		r.lost.Inc()
		r.hub.logger.Error("a record of the audit was not stored", "part", "access", "error", err)
	}
}

// accountsChanged records what is other in the file of accounts, whoever changed it.
func (h *Hub) accountsChanged(changes []access.Change) {
	now := time.Now().UnixMilli()
	for _, c := range changes {
		h.recorder.put(audit.Record{Time: now, What: c.What, About: c.About, Outcome: audit.Done})
	}
}
