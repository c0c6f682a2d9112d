// Package rest answers questions about devices, topics, events and their past over plain HTTP, and deletes devices.
//
//	GET    /api/v1/devices           the devices, a page at a time
//	GET    /api/v1/devices/{id...}   one device, and how what it last said was understood
//	DELETE /api/v1/devices/{id...}   forgets the device and its series
//	GET    /api/v1/topics            the topics, a page at a time
//	GET    /api/v1/events            messages, the newest first
//	GET    /api/v1/history           series to be drawn
//	GET    /api/v1/export            samples or messages as a file
//
// docs/API.md tells parameters and answers. What one request may cost is bounded: pages by entries and bytes, readers of the
// log and the history by their number at one time, all by time.
//
// Who asks with a scope ([event.ScopeOf] the request's context) is answered as if there were nothing else.
//
// A [Handler] starts no goroutine and serves any number of requests at one time.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/gateway/web"
	"pulso/bridge/view/devices"
	"pulso/bridge/view/history"
	"pulso/bridge/view/topics"
	"pulso/bridge/wire"
)

// Devices is the registry of devices.
type Devices interface {
	DeviceFor(id string, scope event.Scope) (devices.Device, bool)
	SeesSeries(scope event.Scope, device, topic string) bool
	List(q devices.Query) (page []devices.Device, more bool)
}

// Topics is the list of topics.
type Topics interface {
	List(filter, after string, scope event.Scope, limit int) (page []topics.Topic, more bool)
}

// Log is the part of eventlog.Log that is read.
type Log interface {
	Read(from event.Position, limit int) ([]event.Event, error)
	Scan(from event.Position, want func(topic string) bool, limit int) (found []event.Event, next event.Position, err error)
	Last(topic string, before event.Position, limit int) ([]event.Event, error)
	Bounds() (first, next event.Position)
}

// History is what is kept of the devices' numbers.
type History interface {
	Range(ctx context.Context, r history.Request) ([]history.Series, error)
	Walk(ctx context.Context, s history.Selection, visit func(history.Point) error) error
}

// Config of a Handler.
type Config struct {
	// Devices, Topics, Log, Decode and Decoder are required. Decode decodes what was read from the log.
	Devices Devices
	Topics  Topics
	Log     Log
	Decode  func(events []event.Event) []event.Decoded
	Decoder *decode.Decoder
	// History answers for the past; nil: there is none, and questions about it are answered 503.
	History History
	// Forget stores that a device is to be forgotten, and waits until the views know. Its error is ErrPending where that is
	// stored, and not known everywhere yet. nil: devices cannot be deleted.
	Forget func(ctx context.Context, device string) error
	// Catch waits a little until the views know what the log has, so that who has been told that a message is stored finds it;
	// nil: nobody waits.
	Catch func(ctx context.Context)
	// Readers is how many requests read the log or the history at one time; 0: 8. Exports is how many of them may be
	// exports besides; 0: 4.
	Readers, Exports int
	// Timeout is how long a request may take; 0: 20 s. ExportTimeout is how long an export may; 0: 1 h.
	Timeout, ExportTimeout time.Duration
	// WriteTimeout is how long a client of an export may take to take 64 KiB; 0: 30 s.
	WriteTimeout time.Duration
	// Logger takes failures; nil: nowhere.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil: nobody.
	Metrics prometheus.Registerer
}

func (c *Config) setDefaults() {
	setDefault(&c.Readers, 8)
	setDefault(&c.Exports, 4)
	setDefault(&c.Timeout, 20*time.Second)
	setDefault(&c.ExportTimeout, time.Hour)
	setDefault(&c.WriteTimeout, 30*time.Second)
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

// ErrPending is returned by Config.Forget for a deletion that is stored and has not reached every view yet.
var ErrPending = errors.New("the deletion is stored, and not known everywhere yet")

// A Handler serves the requests of the package comment.
type Handler struct {
	cfg     Config
	refuser *web.Refuser
	metrics *metrics
	readers chan struct{}
	exports chan struct{}
}

// New makes a Handler. Its error says what Config lacks, or that the metrics could not be registered.
func New(c Config) (*Handler, error) {
	if c.Devices == nil || c.Topics == nil || c.Log == nil || c.Decode == nil || c.Decoder == nil {
		return nil, errors.New("rest: Devices, Topics, Log, Decode and Decoder are required")
	}
	c.setDefaults()
	h := &Handler{cfg: c, readers: make(chan struct{}, c.Readers), exports: make(chan struct{}, c.Exports)}
	var err error
	if h.metrics, err = newMetrics(c.Metrics, h); err != nil {
		return nil, fmt.Errorf("rest: register metrics: %w", err)
	}
	h.refuser = web.NewRefuser(c.Metrics, "pulso_rest_refused_total")
	return h, nil
}

// Routes are the handlers by the patterns under which a [http.ServeMux] is to know them.
func (h *Handler) Routes() map[string]http.Handler {
	routes := make(map[string]http.Handler)
	for pattern, serve := range map[string]http.HandlerFunc{
		"/api/v1/devices":         h.serveDevices,
		"/api/v1/devices/{id...}": h.serveDevice,
		"/api/v1/topics":          h.serveTopics,
		"/api/v1/events":          h.serveEvents,
		"/api/v1/history":         h.serveHistory,
		"/api/v1/export":          h.serveExport,
	} {
		routes[pattern] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h.cfg.Catch != nil {
				h.cfg.Catch(r.Context())
			}
			serve(w, r)
		})
	}
	return routes
}

// begin takes a place among those who read, until the request's time is over. ok is false where it has answered; release
// is never nil.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) (ctx context.Context, release func(), ok bool) {
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Timeout)
	select {
	case h.readers <- struct{}{}:
		return ctx, func() { <-h.readers; cancel() }, true
	case <-ctx.Done():
		cancel()
		h.busy(w, "too many requests read the past")
		return ctx, func() {}, false
	}
}

func (h *Handler) busy(w http.ResponseWriter, what string) {
	h.refuser.Error(w, &wire.Error{Code: wire.CodeUnavailable, Message: what + " at one time", Retry: true})
}

// fail answers with what went wrong while the past was read.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	h.refuser.Error(w, h.explain(r, err))
}

// answer answers with a value as JSON, in which payloads are as they were sent.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, value any) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		h.fail(w, r, err)
		return
	}
	h.send(w, body.Bytes())
}

func (*Handler) send(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) //nolint:gosec // it is JSON and says so; whether the client hears it is beyond us
}

// Sizes of pages.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// limit is the size of a page.
func limit(q *web.Query) (int, *wire.Error) {
	n := q.Int("limit")
	switch {
	case !q.Has("limit"):
		n = defaultLimit
	case n < 1 || n > maxLimit:
		return 0, firstOf(q.Err(), wire.Errorf(wire.CodeBadCommand, "limit must be 1 to %d", maxLimit))
	}
	return n, q.Err()
}

func firstOf(all ...*wire.Error) *wire.Error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// text makes text of a device fit for JSON.
func text(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
