// Package boards keeps the boards that people make on the dashboard: charts of any metrics of any devices beside each other.
//
//	GET    /api/v1/boards       all of them, without their panels
//	GET    /api/v1/boards/{id}  one
//	PUT    /api/v1/boards/{id}  makes it (version "") or replaces the version that was read
//	DELETE /api/v1/boards/{id}  deletes it
//
// A Handler starts no goroutine and may serve any number of requests at one time.
package boards

import (
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// Path is where the list is served. Each board is served below it.
const Path = "/api/v1/boards"

// Config of a Handler.
type Config struct {
	// Path is the file that boards are kept in; empty: they are kept in memory.
	Path string
	// Sees reports whether who reads with a scope sees the series of a device on a topic; nil: the topic decides.
	Sees func(scope event.Scope, device, topic string) bool
	// Logger takes that the file is damaged; nil: nobody.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil: nobody.
	Metrics prometheus.Registerer
}

// A Handler serves the requests of the package comment.
type Handler struct {
	store   *store
	sees    func(scope event.Scope, device, topic string) bool
	refuser *web.Refuser
	bodies  *web.Bodies
	metrics metrics
}

// New makes a Handler. Its error says that the file cannot be read; one that is damaged is set aside beside it, which is logged.
func New(c Config) (*Handler, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := openStore(c.Path, c.Logger)
	if err != nil {
		return nil, err
	}
	if c.Sees == nil {
		c.Sees = func(scope event.Scope, _, topic string) bool { return event.Sees(scope, topic) }
	}
	return &Handler{
		store: s, sees: c.Sees, bodies: web.NewBodies(), metrics: newMetrics(c.Metrics, s),
		refuser: web.NewRefuser(c.Metrics, "pulso_boards_refused_total"),
	}, nil
}

// ServeList serves [Path].
func (h *Handler) ServeList(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	boards := []Board{}
	for _, b := range h.store.list() {
		if !h.seen(b, r) {
			continue
		}
		boards = append(boards, Board{ID: b.ID, Name: b.Name, Version: b.Version, Changed: b.Changed})
	}
	h.answer(w, http.StatusOK, map[string][]Board{"boards": boards})
}

// seen reports whether the one whom a request is from sees a board: who reads with a scope sees those of which it sees every series,
// and nothing of the others, whose names and titles are about what it does not see.
func (h *Handler) seen(b *Board, r *http.Request) bool {
	scope := event.ScopeOf(r.Context())
	if scope == nil {
		return true
	}
	some := false
	for i := range b.Panels {
		for _, s := range b.Panels[i].Series {
			if !h.sees(scope, s.Device, s.Topic) {
				return false
			}
			some = true
		}
	}
	return some
}

// ServeBoard serves one board; its id is the path's value "id".
func (h *Handler) ServeBoard(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if r.Method != http.MethodGet && event.ScopeOf(r.Context()) != nil {
		h.refuser.Error(w, wire.Errorf(wire.CodeForbidden, "boards are changed by those who may read every topic"))
		return
	}
	switch r.Method {
	case http.MethodGet:
		if b := h.store.get(id); b != nil && h.seen(b, r) {
			h.show(w, http.StatusOK, b)
			return
		}
		h.refuse(w, errNotFound)
	case http.MethodPut:
		h.put(w, r, id)
	case http.MethodDelete:
		if err := h.store.remove(id); err != nil {
			h.refuse(w, err)
			return
		}
		h.metrics.changes.WithLabelValues("deleted").Inc()
		w.WriteHeader(http.StatusNoContent)
	default:
		h.refuser.Method(w, r, "GET, PUT, DELETE")
	}
}

func (h *Handler) put(w http.ResponseWriter, r *http.Request, id string) {
	// A form of a foreign page cannot send this type.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		h.refuser.Fail(w, http.StatusUnsupportedMediaType, wire.CodeBadCommand, "the body must be application/json")
		return
	}
	if !validID.MatchString(id) {
		h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "id: must be 1 to 64 small letters, digits and hyphens between them"))
		return
	}
	body, release, bad := h.bodies.Read(w, r, MaxBody)
	defer release()
	if bad != nil {
		h.refuser.Error(w, bad)
		return
	}
	var d draft
	if err := parse(body, &d); err != nil {
		h.refuser.Error(w, wire.Errorf(wire.CodeBadJSON, "%v", err))
		return
	}
	if err := check(d.Name, d.Panels); err != nil {
		h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "%v", err))
		return
	}
	b, err := h.store.put(id, &d)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.metrics.changes.WithLabelValues("saved").Inc()
	status := http.StatusOK
	if d.Version == "" {
		status = http.StatusCreated
	}
	h.show(w, status, b)
}

func (h *Handler) refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, errNotFound):
		h.refuser.Fail(w, http.StatusNotFound, web.CodeNotFound, err.Error())
	case errors.Is(err, errVersion), errors.Is(err, errExists):
		h.refuser.Fail(w, http.StatusConflict, web.CodeConflict, "version: "+err.Error())
	case errors.Is(err, errFull):
		h.refuser.Error(w, wire.Errorf(wire.CodeTooMany, "%v", err))
	default:
		h.metrics.changes.WithLabelValues("failed").Inc()
		h.refuser.Error(w, &wire.Error{Code: wire.CodeUnavailable, Message: err.Error(), Retry: true})
	}
}

// whole is a board whose panels are told even if it has none.
type whole struct {
	*Board

	Panels []Panel `json:"panels"`
}

func (h *Handler) show(w http.ResponseWriter, status int, b *Board) {
	h.answer(w, status, whole{b, b.Panels})
}

func (h *Handler) answer(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // boards are texts and whole numbers, which JSON can say
		h.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // whether the client hears it is beyond us
}
