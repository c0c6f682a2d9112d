package rest

import (
	"net/http"

	"pulso/bridge/event"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// topicJSON is a topic as it is answered. Times are in milliseconds since the Unix epoch.
type topicJSON struct {
	Topic   string  `json:"topic"`
	Device  string  `json:"device"`
	First   int64   `json:"first"`
	Last    int64   `json:"last"`
	Events  uint64  `json:"events"`
	Rate    float64 `json:"rate"`
	Bytes   int     `json:"bytes"`
	Preview string  `json:"preview"`
}

// serveTopics serves /api/v1/topics.
func (h *Handler) serveTopics(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	q := web.ParseQuery(r.URL, "limit", "after", "filter")
	n, bad := limit(q)
	filter, bad2 := filterOf(q)
	after := q.Text("after")
	if bad = firstOf(q.Err(), bad, bad2); bad != nil {
		h.refuser.Error(w, bad)
		return
	}
	page, more := h.cfg.Topics.List(filter, after, event.ScopeOf(r.Context()), n)
	answer := struct {
		Topics []topicJSON `json:"topics"`
		Next   string      `json:"next,omitempty"`
	}{Topics: make([]topicJSON, len(page))}
	for i, t := range page {
		answer.Topics[i] = topicJSON{
			text(t.Name), text(t.Device), t.First.UnixMilli(), t.Last.UnixMilli(), t.Events, t.Rate, t.Bytes, t.Preview,
		}
	}
	if more {
		answer.Next = page[len(page)-1].Name
	}
	h.answer(w, r, answer)
}

// filterOf is the parameter filter; empty where there is none.
func filterOf(q *web.Query) (string, *wire.Error) {
	filter := q.Text("filter")
	if filter == "" {
		return "", nil
	}
	if err := event.CheckFilter(filter); err != nil {
		return "", wire.Errorf(wire.CodeInvalidFilter, "%v", err)
	}
	return filter, nil
}
