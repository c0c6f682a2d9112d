package rest

import (
	"context"
	"errors"
	"net/http"

	"pulso/bridge/eventlog"
	"pulso/bridge/view/history"
	"pulso/bridge/wire"
)

// errLong ends a request whose answer would take too long.
var errLong = errors.New("it takes too long: ask for less")

// explain says what a client is told of an error. What is nobody's fault but the hub's is logged.
func (h *Handler) explain(r *http.Request, err error) *wire.Error {
	var bad *wire.Error
	switch {
	case errors.As(err, &bad):
		return bad
	case errors.Is(err, eventlog.ErrEpoch):
		return wire.Errorf(wire.CodeInvalidPosition, "%v", err)
	case errors.Is(err, history.ErrTooMuch):
		return wire.Errorf(wire.CodeTooMany, "%v", err)
	case errors.Is(err, errLong), errors.Is(err, context.DeadlineExceeded):
		return &wire.Error{Code: wire.CodeUnavailable, Message: errLong.Error(), Retry: true}
	case errors.Is(err, context.Canceled), errors.Is(err, eventlog.ErrClosed), errors.Is(err, history.ErrClosed):
		return &wire.Error{Code: wire.CodeUnavailable, Message: "the hub is stopping", Retry: true}
	}
	h.cfg.Logger.Error("a request could not be answered", "path", r.URL.Path, "error", err)
	return &wire.Error{Code: wire.CodeUnavailable, Message: "the hub could not read what was asked for; its log says why", Retry: true}
}
