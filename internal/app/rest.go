package app

import (
	"context"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/gateway/rest"
)

// buildRest makes what answers questions over plain HTTP.
func (h *Hub) buildRest() (err error) {
	h.rest, err = rest.New(rest.Config{
		Devices: h.devices, Topics: h.topics, Log: h.log, Decode: h.bridge.Decode, Decoder: h.decoder, History: h.history,
		Forget: h.forget, Catch: h.catch, Logger: h.logger.With("part", "rest"), Metrics: h.registry,
	})
	return err
}

// forget stores that a device is to be forgotten, and waits until all views have heard of it.
func (h *Hub) forget(ctx context.Context, device string) error {
	type outcome struct {
		at  event.Position
		err error
	}
	stored := make(chan outcome, 1)
	wish := event.Event{
		Kind: event.KindForget, Time: time.Now().UnixNano(), Payload: []byte(device), Source: event.SourceHub,
		QoS: 1, // it is to be durable
	}
	if err := h.bridge.Ingest(ctx, wish, func(at event.Position, err error) { stored <- outcome{at, err} }); err != nil {
		return err
	}
	var done outcome
	select {
	case done = <-stored:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if done.err != nil {
		return done.err
	}
	for _, r := range h.runners {
		if r.Reach(ctx, done.at) != nil {
			return rest.ErrPending
		}
	}
	return nil
}

// catchFor is how long a question waits for views that are behind.
const catchFor = 500 * time.Millisecond

// catch waits a little until all views know what the log has now.
func (h *Hub) catch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, catchFor)
	defer cancel()
	_, next := h.log.Bounds()
	for _, r := range h.runners {
		if r.Reach(ctx, next) != nil {
			return
		}
	}
}
