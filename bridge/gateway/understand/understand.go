// Package understand serves what people decide about the understanding of messages: the overrides, and how a message would
// be read with others.
//
//	GET  /api/v1/overrides  the overrides that count, and their version
//	PUT  /api/v1/overrides  replaces those that are kept here; the configuration's stay
//	POST /api/v1/decode     how a message is read, or would be with other overrides
//
// The overrides name topics and devices: they are nothing for who asks with a scope ([event.ScopeOf] the request's context). Such
// a one may ask how messages of the topics that it sees are read, and is told by the message alone: what devices have announced
// came on topics that nobody has noted.
//
// A Handler starts no goroutine and may serve any number of requests at one time.
package understand

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// MaxBody bounds a request's body, in bytes.
const MaxBody = 4 << 20

// Where an override comes from.
const (
	FromDashboard     = "dashboard"
	FromConfiguration = "configuration"
)

// ErrVersion is returned by Store.Set when the overrides are not those any more that the caller has read.
var ErrVersion = errors.New("the overrides have changed meanwhile")

// A Store holds the overrides.
type Store interface {
	// Overrides returns those that are kept here, the configuration's, and the version of the former.
	Overrides() (kept, configured []decode.Override, version string)
	// Set replaces those that are kept, if their version is still the one given. Its error is ErrVersion, says what is wrong
	// with an override (decode.Decoder.Override), or that it could not be saved (ErrNotSaved).
	Set(kept []decode.Override, version string) (newVersion string, err error)
}

// ErrNotSaved is wrapped by what Store.Set returns where the overrides are good but could not be saved.
var ErrNotSaved = errors.New("the overrides could not be saved")

// Config of a Handler.
type Config struct {
	// Store holds the overrides; Decoder reads messages. Both are required.
	Store   Store
	Decoder *decode.Decoder
	// Metrics takes the package's metric; nil: nobody.
	Metrics prometheus.Registerer
}

// A Handler serves the requests of the package comment.
type Handler struct {
	store   Store
	decoder *decode.Decoder
	refuser *web.Refuser
	bodies  *web.Bodies
}

// New makes a Handler.
func New(c Config) *Handler {
	return &Handler{
		store: c.Store, decoder: c.Decoder, bodies: web.NewBodies(),
		refuser: web.NewRefuser(c.Metrics, "pulso_understand_refused_total"),
	}
}

// override is one of the list.
type override struct {
	decode.Override

	From string `json:"from,omitempty"`
}

// list is the body of /api/v1/overrides.
type list struct {
	Version   string     `json:"version"`
	Overrides []override `json:"overrides"`
	// Formats are the names that an override's format may have.
	Formats []string `json:"formats,omitempty"`
}

// ServeOverrides serves /api/v1/overrides.
func (h *Handler) ServeOverrides(w http.ResponseWriter, r *http.Request) {
	if event.ScopeOf(r.Context()) != nil {
		h.refuser.Error(w, wire.Errorf(wire.CodeForbidden, "the overrides are for those who may read every topic"))
		return
	}
	switch r.Method {
	case http.MethodGet:
		h.show(w)
	case http.MethodPut:
		h.replace(w, r)
	default:
		h.refuser.Method(w, r, http.MethodGet)
	}
}

func (h *Handler) show(w http.ResponseWriter) {
	kept, configured, version := h.store.Overrides()
	l := list{Version: version, Overrides: make([]override, 0, len(kept)+len(configured)), Formats: h.decoder.FormatNames()}
	for i := range kept {
		l.Overrides = append(l.Overrides, override{kept[i], FromDashboard})
	}
	for i := range configured {
		l.Overrides = append(l.Overrides, override{configured[i], FromConfiguration})
	}
	h.answer(w, l)
}

func (h *Handler) replace(w http.ResponseWriter, r *http.Request) {
	var given list
	if !h.read(w, r, &given) {
		return
	}
	_, err := h.store.Set(ours(given.Overrides), given.Version)
	switch {
	case errors.Is(err, ErrVersion):
		h.refuser.Fail(w, http.StatusConflict, web.CodeConflict, err.Error()+": read them again")
	case errors.Is(err, ErrNotSaved):
		h.refuser.Error(w, &wire.Error{Code: wire.CodeUnavailable, Message: err.Error(), Retry: true})
	case err != nil:
		h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "%v", err))
	default:
		h.show(w)
	}
}

// ours are those of a list that are kept here.
func ours(all []override) []decode.Override {
	kept := make([]decode.Override, 0, len(all))
	for i := range all {
		if all[i].From != FromConfiguration {
			kept = append(kept, all[i].Override)
		}
	}
	return kept
}

// question is the body of POST /api/v1/decode.
type question struct {
	Topic    string  `json:"topic"`
	Payload  *string `json:"payload"`
	Base64   *string `json:"payload_base64"`
	Retained bool    `json:"retained"`
	Client   string  `json:"client"`
	// Time is the arrival in milliseconds since the Unix epoch; 0: not known.
	Time int64 `json:"time"`
	// Overrides stand in the place of those that are kept here; nil: those count.
	Overrides *[]override `json:"overrides"`
}

// ServeDecode serves POST /api/v1/decode. It answers with a [decode.Report].
func (h *Handler) ServeDecode(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodPost) {
		return
	}
	var q question
	if !h.read(w, r, &q) {
		return
	}
	in := decode.Input{Topic: q.Topic, Client: q.Client, Retain: q.Retained, Time: q.Time * 1e6}
	if err := event.CheckTopic(q.Topic); err != nil {
		h.refuser.Error(w, wire.Errorf(wire.CodeInvalidTopic, "%v", err))
		return
	}
	try := h.decoder.Try
	if scope := event.ScopeOf(r.Context()); scope != nil {
		if !event.Sees(scope, q.Topic) {
			h.refuser.Error(w, wire.Errorf(wire.CodeForbidden, "this topic is not for you to read"))
			return
		}
		try = h.decoder.TryAlone
	}
	switch {
	case q.Base64 != nil:
		payload, err := base64.StdEncoding.DecodeString(*q.Base64)
		if err != nil {
			h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "payload_base64: %v", err))
			return
		}
		in.Payload = payload
	case q.Payload != nil:
		in.Payload = []byte(*q.Payload)
	}
	kept, configured, _ := h.store.Overrides()
	if q.Overrides != nil {
		kept = ours(*q.Overrides)
	}
	report, err := try(in, slices.Concat(kept, configured))
	if err != nil {
		h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "%v", err))
		return
	}
	h.answer(w, report)
}

// read reads a request's body of JSON and reports whether that went well; if not, it has answered.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, into any) bool {
	// A form of a foreign page cannot send this type.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		h.refuser.Fail(w, http.StatusUnsupportedMediaType, wire.CodeBadCommand, "the body must be application/json")
		return false
	}
	body, release, bad := h.bodies.Read(w, r, MaxBody)
	defer release()
	if bad != nil {
		h.refuser.Error(w, bad)
		return false
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		h.refuser.Error(w, wire.Errorf(wire.CodeBadJSON, "%v", err))
		return false
	}
	return true
}

func (h *Handler) answer(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil { // a number that JSON cannot say
		h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "%v", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(body, '\n')) // whether the client hears it is beyond us
}
