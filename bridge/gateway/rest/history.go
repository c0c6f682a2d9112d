package rest

import (
	"net/http"
	"strconv"

	"pulso/bridge/event"
	"pulso/bridge/gateway/web"
	"pulso/bridge/view/history"
	"pulso/bridge/wire"
)

const (
	// maxPoints bounds the points of a series; manyPoints is how many there may be where not one device is asked for.
	maxPoints, manyPoints = 20_000, 2000
	// maxFields bounds the fields of one request.
	maxFields = 64
)

// serveHistory serves /api/v1/history.
func (h *Handler) serveHistory(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	q := web.ParseQuery(r.URL, "device", "topic", "field", "from", "to", "points")
	selected, bad := h.selection(q, r)
	points := q.Int("points")
	highest := maxPoints
	if selected.Device == "" || len(selected.Fields) == 0 {
		highest = manyPoints
	}
	switch {
	case bad != nil:
	case selected.Device == "" && selected.Topic == "":
		bad = wire.Errorf(wire.CodeBadCommand, "a device or a topic must be named")
	case q.Has("points") && (points < 1 || points > highest):
		bad = wire.Errorf(wire.CodeBadCommand, "points must be 1 to %d, or 1 to %d where a device and fields are named", manyPoints, maxPoints)
	case h.cfg.History == nil:
		bad = errNoHistory()
	}
	if bad = firstOf(q.Err(), bad); bad != nil {
		h.refuser.Error(w, bad)
		return
	}
	ctx, release, ok := h.begin(w, r)
	defer release()
	if !ok {
		return
	}
	series, err := h.cfg.History.Range(ctx, history.Request{Selection: selected, Points: points}) //nolint:contextcheck // begin has it from the request
	if err != nil {
		h.fail(w, r, err)
		return
	}
	out := []byte(`{"series":[`)
	for i := range series {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendSeries(out, &series[i])
	}
	h.send(w, append(out, "]}\n"...))
}

func errNoHistory() *wire.Error {
	return &wire.Error{Code: wire.CodeUnavailable, Message: "this hub keeps no history"}
}

// selection reads which series are asked for, and from when to when; and which of them may be read.
func (h *Handler) selection(q *web.Query, r *http.Request) (history.Selection, *wire.Error) {
	s := history.Selection{Device: q.Text("device"), Topic: q.Text("topic"), Fields: q.List("field")}
	if scope := event.ScopeOf(r.Context()); scope != nil {
		s.Sees = func(device, topic string) bool { return h.cfg.Devices.SeesSeries(scope, device, topic) }
	}
	s.From, s.To = q.Instant("from"), q.Instant("to")
	if bad := q.Err(); bad != nil {
		return s, bad
	}
	switch {
	case s.Topic != "" && event.CheckTopic(s.Topic) != nil:
		return s, wire.Errorf(wire.CodeInvalidTopic, "%v", event.CheckTopic(s.Topic))
	case len(s.Fields) > maxFields:
		return s, wire.Errorf(wire.CodeTooMany, "at most %d fields", maxFields)
	case s.To != 0 && s.To < s.From:
		return s, wire.Errorf(wire.CodeBadCommand, "to is before from")
	}
	return s, nil
}

// appendSeries appends what there is to draw of one series, in columns.
func appendSeries(dst []byte, s *history.Series) []byte {
	dst = appendNames(dst, &s.Info)
	dst = strconv.AppendInt(append(dst, `,"step":`...), s.Step, 10)
	dst = appendColumn(append(dst, `,"times":`...), s.Times, func(dst []byte, t int64) []byte { return strconv.AppendInt(dst, t, 10) })
	dst = appendColumn(append(dst, `,"min":`...), s.Min, wire.AppendFloat)
	dst = appendColumn(append(dst, `,"max":`...), s.Max, wire.AppendFloat)
	dst = appendColumn(append(dst, `,"last":`...), s.Last, wire.AppendFloat)
	dst = appendColumn(append(dst, `,"count":`...), s.Count, func(dst []byte, n uint32) []byte { return strconv.AppendUint(dst, uint64(n), 10) })
	return append(dst, '}')
}

// appendNames begins an object with what names a series.
func appendNames(dst []byte, i *history.Info) []byte {
	for _, member := range [...]struct{ key, value string }{
		{`{"device":`, i.Device},
		{`,"topic":`, i.Topic},
		{`,"field":`, i.Field},
		{`,"name":`, i.Name},
		{`,"unit":`, i.Unit},
		{`,"kind":`, i.Kind},
	} {
		dst = wire.AppendString(append(dst, member.key...), member.value)
	}
	return dst
}

func appendColumn[T any](dst []byte, column []T, one func([]byte, T) []byte) []byte {
	dst = append(dst, '[')
	for i, v := range column {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = one(dst, v)
	}
	return append(dst, ']')
}
