// Package promapi serves the history as Prometheus serves its own: PromQL and lookups of series over HTTP, federation and
// remote read. Whatever speaks to a Prometheus, Grafana's data source first of all, can be pointed at the hub as it is.
//
// Paths, parameters, answers and errors are those of https://prometheus.io/docs/prometheus/latest/querying/api. What the hub
// has none of (rules, alerts, exemplars) is answered as empty, so that clients that ask for it go on.
//
// Everything that reads the history takes one of a few slots; who finds none waits, and who waits too long is told to come
// back. What one request may cost is bounded in time, samples, points, series and bytes of its answer.
//
// For who asks with a scope ([event.ScopeOf] the request's context) there are no other series than those that it sees.
//
// Life: [New]; a [Handler] has no goroutines of its own and serves any number of requests at one time.
package promapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"pulso/bridge/event"
)

// Config of a Handler.
type Config struct {
	// Queryable is what is asked. Required.
	Queryable storage.Queryable
	// Sees reports whether who reads with a scope sees the series of a device on a topic. It is asked once a device and topic of
	// what a request with a scope selects. nil: the topic decides.
	Sees func(scope event.Scope, device, topic string) bool
	// Timeout is how long a request may take, waiting included; 0: 30 s. A request may ask for less.
	Timeout time.Duration
	// MaxSamples is how many samples a query may hold in memory at one time; 0: 10,000,000.
	MaxSamples int
	// MaxPoints is how many steps a range query may have; 0: 11,000.
	MaxPoints int
	// MaxSeries is how many series, names or values a lookup answers; 0: 100,000. A request may ask for less.
	MaxSeries int
	// MaxAnswer is how many bytes an answer may have before it is compressed; 0: 64 MiB.
	MaxAnswer int
	// Lookback is for how long a sample counts as the present value where no later one is; 0: 5 min. A request may ask for
	// another.
	Lookback time.Duration
	// Concurrency is how many requests read the history at one time; 0: twice the processors, at least 4.
	Concurrency int
	// Queue is how many more may wait; 0: 256.
	Queue int
	// Version is the hub's.
	Version string
	// Logger is where failures of the history are logged; nil: nowhere.
	Logger *slog.Logger
	// Metrics registers the package's metrics; nil: they are not registered.
	Metrics prometheus.Registerer
}

// maxBody bounds the bytes of a request's body, maxMatchers its selectors.
const (
	maxBody     = 1 << 20
	maxMatchers = 256
)

func (c *Config) setDefaults() {
	setDefault(&c.Timeout, 30*time.Second)
	setDefault(&c.MaxSamples, 10_000_000)
	setDefault(&c.MaxPoints, 11_000)
	setDefault(&c.MaxSeries, 100_000)
	setDefault(&c.MaxAnswer, 64<<20)
	setDefault(&c.Lookback, 5*time.Minute)
	setDefault(&c.Concurrency, max(4, 2*runtime.GOMAXPROCS(0)))
	setDefault(&c.Queue, 256)
	if c.Sees == nil {
		c.Sees = func(scope event.Scope, _, topic string) bool { return event.Sees(scope, topic) }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// A Handler answers what Prometheus' HTTP API answers. See the package comment.
type Handler struct {
	stored  storage.Queryable
	config  Config
	engine  *promql.Engine
	parser  parser.Parser
	slots   *slots
	metrics *metrics
	mux     *http.ServeMux
}

// New makes a Handler. Its error says what Config lacks.
func New(c Config) (*Handler, error) {
	if c.Queryable == nil {
		return nil, errors.New("promapi: Queryable is required")
	}
	c.setDefaults()
	stored := c.Queryable
	c.Queryable = nil // there is one way to it, which asks who may
	h := &Handler{
		stored: stored, config: c, parser: parser.NewParser(parser.Options{}), slots: newSlots(c.Concurrency, c.Queue), mux: http.NewServeMux(),
	}
	h.engine = promql.NewEngine(promql.EngineOpts{
		Logger: c.Logger, MaxSamples: c.MaxSamples, Timeout: c.Timeout, LookbackDelta: c.Lookback, Parser: h.parser,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true,
	})
	var err error
	if h.metrics, err = newMetrics(c.Metrics, h.slots); err != nil {
		return nil, fmt.Errorf("promapi: register metrics: %w", err)
	}
	for _, e := range h.endpoints() {
		h.mux.Handle(e.path, h.serve(e))
	}
	return h, nil
}

// An endpoint answers the requests of one path.
type endpoint struct {
	path string
	// name is its label in metrics.
	name string
	// reads says that it reads the history, for which it needs a slot.
	reads bool
	// answer writes the answer's data to out. It writes nothing of an answer that is an error.
	answer func(ctx context.Context, r *http.Request, out *encoder) error
}

func (h *Handler) endpoints() []endpoint {
	return []endpoint{
		{"/api/v1/query", "query", true, h.query},
		{"/api/v1/query_range", "query_range", true, h.queryRange},
		{"/api/v1/series", "series", true, h.series},
		{"/api/v1/labels", "labels", true, h.labels},
		{"/api/v1/label/{name}/values", "label_values", true, h.labelValues},
		{"/api/v1/metadata", "metadata", true, h.metadata},
		{"/api/v1/format_query", "format_query", false, h.formatQuery},
		{"/api/v1/query_exemplars", "query_exemplars", false, none(`[]`)},
		{"/api/v1/rules", "rules", false, none(`{"groups":[]}`)},
		{"/api/v1/alerts", "alerts", false, none(`{"alerts":[]}`)},
		{"/api/v1/status/buildinfo", "buildinfo", false, h.buildInfo},
		{"/api/v1/read", "read", true, h.read},
		{"/federate", "federate", true, h.federate},
	}
}

// Patterns are the patterns under which a [http.ServeMux] is to know the Handler.
func (h *Handler) Patterns() []string {
	all := h.endpoints()
	out := make([]string, len(all))
	for i, e := range all {
		out[i] = e.path
	}
	return out
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Handler) serve(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		out := &encoder{limit: h.config.MaxAnswer}
		release, err := h.prepare(w, r, e, out)
		defer release()
		if failure := asFailure(err); failure != nil {
			if failure.kind == kindInternal {
				h.config.Logger.Error("history could not be read", "path", r.URL.Path, "error", failure.err)
			}
			out.fail(failure)
		}
		h.metrics.seconds.WithLabelValues(e.name).Observe(time.Since(began).Seconds())
		h.metrics.requests.WithLabelValues(e.name, out.result()).Inc()
		if len(out.buf) <= smallAnswer {
			release()
		}
		out.write(w, r)
	})
}

// prepare answers a request into out. The slot that this took is free again once release, which is never nil and may be called
// again, has been called.
func (h *Handler) prepare(w http.ResponseWriter, r *http.Request, e endpoint, out *encoder) (release func(), err error) {
	release = func() {}
	if r.Method != http.MethodGet && r.Method != http.MethodPost && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, POST")
		return release, &failure{kindMethod, fmt.Errorf("the method is %.20q, it must be GET or POST", r.Method)}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return release, &failure{kindTooLarge, fmt.Errorf("the form is larger than %d bytes", maxBody)}
		}
		return release, badData("error parsing form values: %w", err)
	}
	timeout, err := h.timeout(r)
	if err != nil {
		return release, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if e.reads {
		if release, err = h.slots.take(ctx); err != nil {
			return release, err
		}
	}
	return release, e.answer(ctx, r, out)
}

// timeout is how long a request may take.
func (h *Handler) timeout(r *http.Request) (time.Duration, error) {
	text := r.FormValue("timeout")
	if text == "" {
		return h.config.Timeout, nil
	}
	d, err := parseDuration(text)
	if err == nil && d <= 0 {
		err = fmt.Errorf("timeout must be positive, got %s", d)
	}
	if err != nil {
		return 0, invalid("timeout", err)
	}
	return min(d, h.config.Timeout), nil
}
