package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"pulso/access/meter"
	"pulso/bridge/event"
	"pulso/bridge/wire"
	"pulso/contract"
)

// Bounds of what is read of the past for one answer.
const (
	maxTopics   = 200
	maxMessages = 20_000
	maxOfTopic  = 500 // the newest
	readFor     = 5 * time.Second
)

// A Reading says what of the past was looked at: the newest messages of each topic.
type Reading struct {
	Topics int `json:"topics"`
	// Complete says that no topic and no time was left out; each topic has its newest messages only.
	Complete bool `json:"complete"`
}

// errBusy is answered where too many read the past.
func errBusy() *wire.Error {
	return &wire.Error{Code: wire.CodeTooMany, Message: fmt.Sprintf("%d are reading the past already", maxReading), Retry: true}
}

// past calls add with the newest messages of the topics of a filter, those of one topic from the oldest on.
func (h *Handler) past(r *http.Request, filter string, add func(*event.Event)) (Reading, error) {
	if err := contract.CheckFilter(filter); err != nil {
		return Reading{}, err
	}
	select {
	case h.reading <- struct{}{}:
		defer func() { <-h.reading }()
	default:
		return Reading{}, errBusy()
	}
	ctx, cancel := context.WithTimeout(r.Context(), readFor)
	defer cancel()
	topics, more := h.cfg.FindTopics(filter, event.ScopeOf(ctx), maxTopics)
	read := Reading{Complete: !more}
	for _, topic := range topics {
		if ctx.Err() != nil {
			read.Complete = false
			break
		}
		events, err := h.cfg.Log.Last(topic, event.Position{}, min(maxOfTopic, maxMessages/len(topics)))
		if err != nil {
			return read, fmt.Errorf("read the past of %.80q: %w", topic, err)
		}
		meter.Of(ctx).Read(len(events))
		read.Topics++
		for i := range events {
			if events[i].Kind.IsMessage() {
				add(&events[i])
			}
		}
	}
	return read, nil
}

// A Learned schema is one that is proposed.
type Learned struct {
	Reading

	Filter string `json:"filter"`
	// Messages are those that it was learned from, Skipped those that are no JSON.
	Messages int             `json:"messages"`
	Skipped  int             `json:"skipped"`
	Schema   json.RawMessage `json:"schema"`
}

func (h *Handler) learn(r *http.Request, filter string) (*Learned, error) {
	var l contract.Learner
	read, err := h.past(r, filter, func(e *event.Event) {
		if !e.Retain || len(e.Payload) > 0 {
			l.Add(e.Payload)
		}
	})
	if err != nil {
		return nil, err
	}
	schema, err := l.Schema()
	return &Learned{read, filter, l.Messages, l.Skipped, schema}, err
}

// Tried is what a schema would have refused.
type Tried struct {
	Reading
	contract.Report
}

func (h *Handler) try(r *http.Request, wanted *wish) (*Tried, error) {
	schema, err := contract.Compile(wanted.Schema)
	if err != nil {
		return nil, err
	}
	trial := contract.NewTrial(schema)
	read, err := h.past(r, wanted.Filter, trial.Add)
	if err != nil {
		return nil, err
	}
	return &Tried{read, trial.Report()}, nil
}
