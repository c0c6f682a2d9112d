// Package commands serves commands to devices over HTTP.
//
//	POST /api/v1/commands  sends one: 202 with its id when the log has it
//	GET  /api/v1/commands  what became of them: ?device=&limit=&before=&to=, newest first
//
// A Handler starts no goroutine and may serve any number of requests at one time.
package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/command"
	"pulso/bridge/event"
	"pulso/bridge/gateway"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// Path is where a Handler is served.
const Path = "/api/v1/commands"

const (
	defaultLimit = 50
	maxLimit     = 500
	// sendTimeout is how long a command may wait for the log.
	sendTimeout = 10 * time.Second
)

// A Sender sends commands, as [command.Sender] does.
type Sender interface {
	Send(ctx context.Context, r *command.Request) (id string, bad *wire.Error)
}

// Config of a Handler.
type Config struct {
	// Sender sends, View knows what was sent. Both are required.
	Sender Sender
	View   *command.View
	// Catch waits a little until View knows what the log has; nil: it is asked as it is.
	Catch func(ctx context.Context)
	// Metrics takes the package's metric; nil: nobody.
	Metrics prometheus.Registerer
}

// A Handler serves the requests of the package comment.
type Handler struct {
	cfg     Config
	refuser *web.Refuser
	bodies  *web.Bodies
}

// New makes a Handler.
func New(c Config) *Handler {
	return &Handler{cfg: c, bodies: web.NewBodies(), refuser: web.NewRefuser(c.Metrics, "pulso_commands_refused_total")}
}

// ServeHTTP serves [Path].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		h.list(w, r)
	case http.MethodPost:
		h.send(w, r)
	default:
		h.refuser.Method(w, r, "GET, POST")
	}
}

func (h *Handler) send(w http.ResponseWriter, r *http.Request) {
	body, release, bad := h.bodies.Read(w, r, command.MaxBody)
	defer release()
	if bad != nil {
		h.refuser.Error(w, bad)
		return
	}
	c, bad := command.ParseRequest(body)
	if bad != nil {
		h.refuser.Error(w, bad)
		return
	}
	if p := gateway.PersonOf(r.Context()); p != nil {
		if !p.MayCommand(c.Topic) {
			h.refuser.Error(w, wire.Errorf(wire.CodeForbidden, "%s may not send commands to %.200q", p.Name(), c.Topic))
			return
		}
		if bad := gateway.Allow(p, len(c.Topic)+len(c.Payload)); bad != nil {
			h.refuser.Error(w, bad)
			return
		}
		c.From = cmp.Or(p.Name(), c.From) // who it is counts more than what is said
	}
	c.From = sender(c.From, r.RemoteAddr)
	ctx, cancel := context.WithTimeout(r.Context(), sendTimeout)
	defer cancel()
	id, bad := h.cfg.Sender.Send(ctx, c)
	if bad != nil {
		h.refuser.Error(w, bad)
		return
	}
	write(w, http.StatusAccepted, map[string]string{"id": id})
}

// sender is who sends: the name that was given is only said, the address is known.
func sender(name, remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	if name == "" {
		return remote
	}
	return name + " (" + remote + ")"
}

// row is one command as it is told. Times are in milliseconds since the Unix epoch; null: it did not come to that.
type row struct {
	ID            string        `json:"id"`
	Device        string        `json:"device"`
	Topic         string        `json:"topic"`
	PayloadText   *string       `json:"payload_text,omitempty"`
	PayloadBytes  []byte        `json:"payload_base64,omitempty"`
	Size          int           `json:"size"`
	QoS           uint8         `json:"qos"`
	Retain        bool          `json:"retain"`
	Timeout       int64         `json:"timeout"`
	Expected      []string      `json:"expected,omitempty"`
	From          string        `json:"from"`
	State         command.State `json:"state"`
	Sent          int64         `json:"sent"`
	Delivered     *int64        `json:"delivered"`
	Acknowledged  *int64        `json:"acknowledged"`
	Failed        *int64        `json:"failed"`
	TimedOut      *int64        `json:"timed_out"`
	To            string        `json:"to,omitempty"`
	Took          *int64        `json:"took"`
	Reason        string        `json:"reason,omitempty"`
	Response      *string       `json:"response,omitempty"`
	ResponseBytes []byte        `json:"response_base64,omitempty"`
	Answered      string        `json:"response_topic,omitempty"`
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request) {
	q := web.ParseQuery(r.URL, "device", "limit", "before", "to")
	device, before, to, limit := q.Text("device"), q.Text("before"), q.Instant("to"), q.Int("limit")
	if err := q.Err(); err != nil {
		h.refuser.Error(w, err)
		return
	}
	if limit == 0 && !q.Has("limit") {
		limit = defaultLimit
	}
	if limit < 1 || limit > maxLimit {
		h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "limit is %d: it must be from 1 to %d", limit, maxLimit))
		return
	}
	if h.cfg.Catch != nil {
		h.cfg.Catch(r.Context())
	}
	found, ok := h.cfg.View.Commands(event.ScopeOf(r.Context()), device, before, to, limit)
	if !ok {
		h.refuser.Fail(w, http.StatusNotFound, web.CodeNotFound, "before: there is no such command, or not any more")
		return
	}
	rows := make([]row, 0, len(found))
	for i := range found {
		rows = append(rows, present(&found[i]))
	}
	write(w, http.StatusOK, map[string][]row{"commands": rows})
}

func present(c *command.Command) row {
	r := row{
		ID: c.ID, Device: c.Device, Topic: c.Topic, Size: c.Size, QoS: c.QoS, Retain: c.Retain, Timeout: c.Timeout, Expected: c.Expected,
		From: c.From, State: c.State, Sent: c.SentAt, To: c.To, Reason: c.Reason, Answered: c.Answered,
	}
	r.PayloadText, r.PayloadBytes = texts(c.Payload)
	if c.DeliveredAt != 0 {
		r.Delivered = new(c.DeliveredAt)
	}
	switch c.State {
	case command.Acknowledged:
		r.Acknowledged, r.Took = new(c.EndedAt), new(c.EndedAt-c.SentAt)
		r.Response, r.ResponseBytes = texts(c.Response)
	case command.Failed:
		r.Failed = new(c.EndedAt)
	case command.TimedOut:
		r.TimedOut = new(c.EndedAt)
	case command.Sent, command.Delivered:
	}
	return r
}

// texts is a payload as text where it is one, else as bytes. One that was cut within a letter is text without it.
func texts(b []byte) (text *string, bytes []byte) {
	end := len(b)
	if len(b) == command.MaxShown {
		for back := 1; back < utf8.UTFMax && !utf8.Valid(b[:end]); back++ {
			end = len(b) - back
		}
	}
	if utf8.Valid(b[:end]) {
		return new(string(b[:end])), nil
	}
	return nil, b
}

func write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		return // structs of texts and numbers always can be
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // whether the client hears it is beyond us
}
