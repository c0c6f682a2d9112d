// Package api tells and changes contracts over HTTP: as JSON, as a page for people, and as AsyncAPI for programs.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/gateway"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
	"pulso/contract"
)

// Paths that a Handler serves.
const (
	Path      = "/api/v1/contracts"
	LearnPath = "/api/v1/schema/learn"
	TryPath   = "/api/v1/schema/try"
	AsyncPath = "/asyncapi.json"
	PagePath  = "/contracts"
)

// A Topic is what is known of one that messages came on.
type Topic struct {
	Name        string
	First, Last time.Time
	Messages    uint64
	Rate        float64 // messages a second
}

// Config of a Handler.
type Config struct {
	Book *contract.Book
	// Log is where the past is read.
	Log eventlog.Log
	// FindTopics finds up to limit topics that a filter matches and a scope sees, and says if there are more.
	FindTopics func(filter string, scope event.Scope, limit int) (names []string, more bool)
	// Topics are up to limit topics that a scope sees, by name.
	Topics func(scope event.Scope, limit int) []Topic
	// MayChange reports whether a request comes from somebody who may change contracts.
	MayChange func(r *http.Request) bool
	// Address is where devices connect, host:port; empty: nowhere.
	Address string
	Version string
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
}

// A Handler serves contracts. What it tells is narrowed to the topics that may be read; who may change them the gate decides.
type Handler struct {
	cfg     Config
	refuser *web.Refuser
	bodies  *web.Bodies
	reading chan struct{} // those that read the past
}

// maxReading is how many read the past at one time.
const maxReading = 2

// New makes a Handler.
func New(cfg Config) *Handler {
	return &Handler{
		cfg: cfg, refuser: web.NewRefuser(cfg.Metrics, "pulso_contracts_refused_total"), bodies: web.NewBodies(),
		reading: make(chan struct{}, maxReading),
	}
}

// ServeList tells all contracts.
func (h *Handler) ServeList(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	h.answer(w, struct {
		Contracts []contract.Watched `json:"contracts"`
	}{h.visible(r)})
}

// visible are the contracts of topics that may be read. How many messages there were is told to who reads everything.
func (h *Handler) visible(r *http.Request) []contract.Watched {
	scope := event.ScopeOf(r.Context())
	all := h.cfg.Book.All(func(topic string) bool { return event.Sees(scope, topic) })
	if scope == nil {
		return all
	}
	seen := []contract.Watched{}
	for _, k := range all {
		if found, _ := h.cfg.FindTopics(k.Last().Filter, scope, 1); len(found) > 0 {
			k.Seen = contract.Report{Faults: []contract.Count{}, Samples: k.Seen.Samples}
			k.Versions = k.Versions[len(k.Versions)-1:] // earlier ones may have been about other topics
			seen = append(seen, k)
		}
	}
	return seen
}

// maxBody bounds what is sent: a schema and what it is for.
const maxBody = contract.MaxSchema + 8<<10

// A wish is a contract as people write it.
type wish struct {
	Filter string          `json:"filter"`
	Mode   contract.Mode   `json:"mode"`
	Schema json.RawMessage `json:"schema"`
}

// ServeContract tells, makes, changes and removes one: its name is the path's {name}.
func (h *Handler) ServeContract(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		for _, k := range h.visible(r) {
			if k.Name == name {
				h.answer(w, k)
				return
			}
		}
		h.fail(w, fmt.Errorf("%w: %.80q", contract.ErrNone, name))
	case http.MethodPut:
		var wanted wish
		if !h.read(w, r, &wanted) {
			return
		}
		if err := h.put(r, name, &wanted); err != nil {
			h.fail(w, err)
			return
		}
		h.answer(w, h.cfg.Book.All(nil)[h.at(name)].Contract)
	case http.MethodDelete:
		if err := h.remove(name); err != nil {
			h.fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		h.refuser.Method(w, r, "GET, PUT, DELETE")
	}
}

func (h *Handler) at(name string) int {
	for i, k := range h.cfg.Book.Content().Contracts {
		if k.Name == name {
			return i
		}
	}
	return 0
}

func (h *Handler) put(r *http.Request, name string, wanted *wish) error {
	by := ""
	if p := gateway.PersonOf(r.Context()); p != nil {
		by = p.Name()
	}
	return h.cfg.Book.Edit(func(c *contract.Content) error {
		_, err := c.Put(name, wanted.Mode, contract.Version{Filter: wanted.Filter, Schema: wanted.Schema, By: by}, time.Now())
		return err
	})
}

func (h *Handler) remove(name string) error {
	return h.cfg.Book.Edit(func(c *contract.Content) error {
		if !c.Remove(name) {
			return fmt.Errorf("%w: %.80q", contract.ErrNone, name)
		}
		return nil
	})
}

// read reads a body of JSON, and answers where it is none.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, into any) bool {
	body, release, bad := h.bodies.Read(w, r, maxBody)
	defer release()
	if bad == nil {
		d := json.NewDecoder(strings.NewReader(string(body)))
		d.DisallowUnknownFields()
		if err := d.Decode(into); err != nil {
			bad = wire.Errorf(wire.CodeBadJSON, "the body is not {\"filter\":…, \"mode\":…, \"schema\":…}: %v", err)
		}
	}
	if bad != nil {
		h.refuser.Error(w, bad)
		return false
	}
	return true
}

// fail answers with what went wrong.
func (h *Handler) fail(w http.ResponseWriter, err error) {
	told := (*wire.Error)(nil)
	switch {
	case errors.As(err, &told):
		h.refuser.Error(w, told)
	case errors.Is(err, contract.ErrNone):
		h.refuser.Fail(w, http.StatusNotFound, "not_found", err.Error())
	case errors.Is(err, event.ErrFilter):
		h.refuser.Error(w, wire.Errorf(wire.CodeInvalidFilter, "%v", err))
	case contract.IsWrong(err):
		h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "%v", err))
	default:
		h.refuser.Error(w, &wire.Error{Code: wire.CodeUnavailable, Message: err.Error(), Retry: true})
	}
}

func (h *Handler) answer(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		h.refuser.Fail(w, http.StatusInternalServerError, "internal", "the answer could not be written as JSON")
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body) // whether the client hears it is beyond us
}

// ServeLearn proposes a schema for the parameter filter from what its topics said.
func (h *Handler) ServeLearn(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	q := web.ParseQuery(r.URL, "filter")
	filter := q.Text("filter")
	if err := q.Err(); err != nil {
		h.refuser.Error(w, err)
		return
	}
	learned, err := h.learn(r, filter)
	if err != nil {
		h.fail(w, err)
		return
	}
	h.answer(w, learned)
}

// ServeTry says what a schema would have refused of what the topics of a filter said.
func (h *Handler) ServeTry(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodPost) {
		return
	}
	var wanted wish
	if !h.read(w, r, &wanted) {
		return
	}
	tried, err := h.try(r, &wanted)
	if err != nil {
		h.fail(w, err)
		return
	}
	h.answer(w, tried)
}
