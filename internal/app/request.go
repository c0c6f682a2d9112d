package app

import (
	"context"
	"errors"
	"time"

	"pulso/bridge"
	"pulso/bridge/decode"
	"pulso/bridge/event"
)

// maxWaitingRequests is how many requests to devices may wait to be published.
const maxWaitingRequests = 16

// ask publishes what devices must be asked for to be understood, as the gateway publishes for its clients, until ctx ends.
func (h *Hub) ask(ctx context.Context) error {
	for {
		var r decode.Request
		select {
		case <-ctx.Done():
			return nil
		case r = <-h.requests:
		}
		err := h.bridge.Ingest(ctx, event.Event{
			Time: time.Now().UnixNano(), Topic: r.Topic, Client: "pulso", Payload: r.Payload, Source: event.SourceGateway,
		}, nil)
		switch {
		case err != nil && ctx.Err() == nil && !errors.Is(err, bridge.ErrStopped):
			h.logger.Warn("a device could not be asked to announce itself again", "topic", r.Topic, "error", err)
		case err == nil:
			h.logger.Info("a device is asked to announce itself again: its messages cannot be understood without", "topic", r.Topic)
		}
	}
}
