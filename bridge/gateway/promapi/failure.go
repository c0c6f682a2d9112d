package promapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/prometheus/promql"
)

// A kind of failure is what Prometheus calls the error type.
type kind string

// The kinds that Prometheus has, and two that are HTTP's.
const (
	kindBadData     kind = "bad_data"
	kindExecution   kind = "execution"
	kindTimeout     kind = "timeout"
	kindCanceled    kind = "canceled"
	kindInternal    kind = "internal"
	kindUnavailable kind = "unavailable"
	kindMethod      kind = "method_not_allowed"
	kindTooLarge    kind = "too_large"
)

// status is the HTTP status of an answer that is a failure.
func (k kind) status() int {
	switch k {
	case kindBadData:
		return http.StatusBadRequest
	case kindExecution:
		return http.StatusUnprocessableEntity
	case kindTimeout, kindCanceled, kindUnavailable:
		return http.StatusServiceUnavailable
	case kindMethod:
		return http.StatusMethodNotAllowed
	case kindTooLarge:
		return http.StatusRequestEntityTooLarge
	default:
		return http.StatusInternalServerError
	}
}

// A failure is an error with its kind.
type failure struct {
	kind kind
	err  error
}

// Error implements error.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap returns what went wrong.
func (f *failure) Unwrap() error { return f.err }

func badData(format string, args ...any) *failure {
	return &failure{kindBadData, fmt.Errorf(format, args...)}
}

// invalid says in Prometheus' words that a parameter is not good.
func invalid(name string, err error) *failure { return badData("invalid parameter %q: %w", name, err) }

// asFailure finds the kind of an error; nil is none.
func asFailure(err error) *failure {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	switch {
	case errors.As(err, new(promql.ErrQueryCanceled)), errors.Is(err, context.Canceled):
		return &failure{kindCanceled, err}
	case errors.As(err, new(promql.ErrQueryTimeout)), errors.Is(err, context.DeadlineExceeded):
		return &failure{kindTimeout, err}
	case errors.As(err, new(promql.ErrStorage)):
		return &failure{kindInternal, err}
	default:
		return &failure{kindExecution, err}
	}
}
