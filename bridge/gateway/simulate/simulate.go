// Package simulate lets people start a small fleet of simulated devices inside of the hub, for a first look.
//
//	GET    /api/v1/simulator  whether it runs
//	POST   /api/v1/simulator  starts it
//	DELETE /api/v1/simulator  stops it, and waits until its devices have said goodbye
//
// There is one fleet at most. What a fleet is, is its caller's: a Handler knows a function that runs until its context ends.
package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// Path is where a Handler is served.
const Path = "/api/v1/simulator"

// Config of a Handler.
type Config struct {
	// Fleet runs the simulated devices until its context ends; nil: there are none to be had here.
	Fleet func(ctx context.Context) error
	// Logger takes why a fleet has failed; nil: nobody.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil: nobody.
	Metrics prometheus.Registerer
}

// A Handler serves the requests of the package comment. It may serve any number of them at one time.
type Handler struct {
	fleet   func(ctx context.Context) error
	logger  *slog.Logger
	refuser *web.Refuser
	metrics metrics

	mu      sync.Mutex
	life    context.Context //nolint:containedctx // that of Run: fleets end with it
	current *run            // nil where none has been started
}

// A run is one fleet, from its start to its end.
type run struct {
	cancel context.CancelFunc
	since  time.Time
	ended  chan struct{} // closed at its end
	err    error         // why it ended; to be read after that
}

func (r *run) running() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// New makes a Handler. It starts no fleet before Run.
func New(c Config) *Handler {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		fleet: c.Fleet, logger: c.Logger, metrics: newMetrics(c.Metrics),
		refuser: web.NewRefuser(c.Metrics, "pulso_simulate_refused_total"),
	}
}

// Run lets fleets be started until ctx ends; then it stops the one that runs, and waits for it.
func (h *Handler) Run(ctx context.Context) error {
	h.mu.Lock()
	h.life = ctx
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock()
	h.life = nil
	current := h.current
	h.mu.Unlock()
	if current != nil {
		<-current.ended
	}
	return nil
}

// state is the body of all answers that are no problems.
type state struct {
	Running bool `json:"running"`
	// Since is when the one that runs was started, in milliseconds since the Unix epoch; 0: none runs.
	Since int64 `json:"since"`
	// Failure is why the last one ended by itself; empty: it did not.
	Failure string `json:"failure"`
}

// ServeHTTP serves [Path].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.fleet == nil {
		h.refuser.Fail(w, http.StatusNotFound, web.CodeNotFound, "this hub offers no simulator")
		return
	}
	switch r.Method {
	case http.MethodGet:
		h.answer(w, http.StatusOK)
	case http.MethodPost:
		h.start(w)
	case http.MethodDelete:
		h.stop(w, r)
	default:
		h.refuser.Method(w, r, "GET, POST, DELETE")
	}
}

var errNotUp = wire.Error{Code: wire.CodeUnavailable, Message: "the hub is starting or stopping", Retry: true}

func (h *Handler) start(w http.ResponseWriter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.life == nil:
		h.refuser.Error(w, new(errNotUp))
	case h.current != nil && h.current.running():
		h.refuser.Fail(w, http.StatusConflict, web.CodeConflict, "the simulator runs already")
	default:
		h.launch(h.life)
		h.write(w, http.StatusAccepted, h.now())
	}
}

// launch begins a fleet. The lock is held.
func (h *Handler) launch(life context.Context) {
	ctx, cancel := context.WithCancel(life)
	current := &run{cancel: cancel, since: time.Now(), ended: make(chan struct{})}
	h.current = current
	h.metrics.started.Inc()
	h.metrics.running.Set(1)
	go func() {
		defer close(current.ended)
		defer h.metrics.running.Set(0)
		defer cancel()
		err := h.fleet(ctx)
		if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return
		}
		current.err = err
		h.logger.Warn("the simulator has ended", "reason", err)
	}()
}

func (h *Handler) stop(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	current := h.current
	h.mu.Unlock()
	if current != nil {
		current.cancel()
		select {
		case <-current.ended:
		case <-r.Context().Done():
			return
		}
	}
	h.answer(w, http.StatusOK)
}

func (h *Handler) answer(w http.ResponseWriter, status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.write(w, status, h.now())
}

// now is the present state. The lock is held.
func (h *Handler) now() state {
	switch {
	case h.current == nil:
		return state{}
	case h.current.running():
		return state{Running: true, Since: h.current.since.UnixMilli()}
	case h.current.err != nil:
		return state{Failure: h.current.err.Error()}
	}
	return state{}
}

func (h *Handler) write(w http.ResponseWriter, status int, s state) {
	body, err := json.Marshal(s)
	if err != nil {
		return // a struct of strings and numbers always can be
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // whether the client hears it is beyond us
}
