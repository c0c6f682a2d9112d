package audit

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// Path is where a Handler is served.
const Path = "/api/v1/audit"

const (
	defaultLimit = 100
	maxLimit     = 1_000
)

// A Handler tells the newest records: GET with limit, before and who; format=jsonl gives all that is known, oldest last, a line each;
// topic tells who has asked for a topic instead.
type Handler struct {
	view    *View
	catch   func(context.Context)
	refuser *web.Refuser
}

// NewHandler makes a Handler. catch waits a little until the view knows what the log has.
func NewHandler(v *View, catch func(context.Context), reg prometheus.Registerer) *Handler {
	return &Handler{view: v, catch: catch, refuser: web.NewRefuser(reg, "pulso_audit_refused_total")}
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	q := web.ParseQuery(r.URL, "limit", "before", "who", "format", "topic")
	limit, before, who, format, topic := q.Int("limit"), q.Int("before"), q.Text("who"), q.Text("format"), q.Text("topic")
	if !q.Has("limit") {
		limit = defaultLimit
	}
	switch err := q.Err(); {
	case err != nil:
		h.refuser.Error(w, err)
		return
	case limit < 1 || limit > maxLimit || before < 0:
		h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "limit is from 1 to %d, before is not negative", maxLimit))
		return
	case format != "" && format != "json" && format != "jsonl":
		h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "format is json or jsonl"))
		return
	case topic != "" && (event.CheckTopic(topic) != nil || q.Has("before", "who", "format")):
		h.refuser.Error(w, wire.Errorf(wire.CodeInvalidTopic, "topic is a topic without wildcards, beside limit alone"))
		return
	}
	h.catch(r.Context())
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if topic != "" {
		h.answer(w, struct {
			Readers []Reader `json:"readers"`
		}{h.view.Readers(topic, limit)})
		return
	}
	if format == "jsonl" {
		list, _ := h.view.Newest(who, 0, MaxKept*2)
		header.Set("Content-Type", "application/jsonl")
		header.Set("Content-Disposition", `attachment; filename="audit.jsonl"`)
		for i := range list {
			line, err := json.Marshal(list[i])
			if err != nil { // texts and a number always can be
				continue
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return // who asked is gone
			}
		}
		return
	}
	list, number := h.view.Newest(who, uint64(before), limit)
	if list == nil {
		list = []Record{}
	}
	h.answer(w, struct {
		Records []Record `json:"records"`
		Before  uint64   `json:"before"`
	}{list, number})
}

func (*Handler) answer(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil { // texts and numbers always can be
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // whether the client hears it is beyond us
}
