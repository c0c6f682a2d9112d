package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/gateway/web"
	"pulso/bridge/view/devices"
	"pulso/bridge/wire"
)

// maxPageMetrics bounds the metrics on one page of devices.
const maxPageMetrics = 20_000

type (
	// deviceJSON is a device as it is answered. Times are in milliseconds since the Unix epoch, the interval in
	// milliseconds, 0 while unknown.
	deviceJSON struct {
		ID          string       `json:"id"`
		Name        string       `json:"name"`
		Kind        string       `json:"kind"`
		Status      string       `json:"status"`
		Client      string       `json:"client"`
		First       int64        `json:"first"`
		Last        int64        `json:"last"`
		Interval    int64        `json:"interval"`
		Rate        float64      `json:"rate"`
		Events      uint64       `json:"events"`
		Undecodable uint64       `json:"undecodable"`
		Metrics     []metricJSON `json:"metrics"`
		Texts       []textJSON   `json:"texts"`
	}
	metricJSON struct {
		Name  string  `json:"name"`
		Unit  string  `json:"unit"`
		Topic string  `json:"topic"`
		Value float64 `json:"value"`
		Time  int64   `json:"time"`
	}
	textJSON struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	detailJSON struct {
		deviceJSON

		// Announced are the units that the device has announced, by the names of its readings.
		Announced map[string]string `json:"announced"`
		Topics    []explainedJSON   `json:"topics"`
	}
	// explainedJSON is the newest message on a topic of the device, and how it was understood. There is none where
	// retention has dropped it: then time is 0.
	explainedJSON struct {
		Topic   string `json:"topic"`
		Format  string `json:"format"`
		Problem string `json:"problem,omitempty"`
		Time    int64  `json:"time"`
		// DeviceTime is the device's own time, where it is trusted.
		DeviceTime int64           `json:"device_time,omitempty"`
		Why        []string        `json:"why"`
		Bytes      int             `json:"bytes"`
		Payload    json.RawMessage `json:"payload,omitempty"`
		Text       *string         `json:"payload_text,omitempty"`
		Base64     []byte          `json:"payload_base64,omitempty"`
		// Omitted says that there is a payload and it is not here: with it the answer would be too long.
		Omitted bool `json:"omitted,omitempty"`
	}
)

func deviceOf(d *devices.Device) deviceJSON {
	out := deviceJSON{
		ID: text(d.ID), Name: text(d.Name), Kind: text(d.Kind), Status: d.Status.String(), Client: text(d.Client),
		First: d.First.UnixMilli(), Last: d.Last.UnixMilli(), Interval: d.Interval.Milliseconds(), Rate: d.Rate,
		Events: d.Events, Undecodable: d.Undecodable,
		Metrics: make([]metricJSON, len(d.Values)), Texts: make([]textJSON, len(d.Texts)),
	}
	for i, v := range d.Values {
		s := v.Series
		out.Metrics[i] = metricJSON{text(s.Name), text(s.Unit), text(s.Topic), v.Value, wire.Millis(v.Time)}
	}
	for i, t := range d.Texts {
		out.Texts[i] = textJSON{text(t.Name), text(t.Value)}
	}
	return out
}

// serveDevices serves /api/v1/devices.
func (h *Handler) serveDevices(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	q := web.ParseQuery(r.URL, "limit", "after", "q", "status")
	n, bad := limit(q)
	query := devices.Query{
		Text: q.Text("q"), After: q.Text("after"), Limit: n, MaxValues: maxPageMetrics, Scope: event.ScopeOf(r.Context()),
	}
	if name := q.Text("status"); name != "" {
		status, known := devices.ParseStatus(name)
		if !known {
			bad = firstOf(bad, wire.Errorf(wire.CodeBadCommand, "status is %.40q: it must be online, stale or offline", name))
		}
		query.Status = &status
	}
	if bad = firstOf(q.Err(), bad); bad != nil {
		h.refuser.Error(w, bad)
		return
	}
	page, more := h.cfg.Devices.List(query)
	answer := struct {
		Devices []deviceJSON `json:"devices"`
		Next    string       `json:"next,omitempty"`
	}{Devices: make([]deviceJSON, len(page))}
	for i := range page {
		answer.Devices[i] = deviceOf(&page[i])
	}
	if more {
		answer.Next = page[len(page)-1].ID
	}
	h.answer(w, r, answer)
}

// serveDevice serves /api/v1/devices/{id...}. An id that no path can carry ("..") is given as the parameter id instead.
func (h *Handler) serveDevice(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	q := web.ParseQuery(r.URL, "id", "to")
	to := q.Instant("to")
	if id == "" {
		id = q.Text("id")
	}
	if bad := q.Err(); bad != nil {
		h.refuser.Error(w, bad)
		return
	}
	d, found := h.cfg.Devices.DeviceFor(id, event.ScopeOf(r.Context()))
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodDelete:
		h.refuser.Method(w, r, http.MethodGet+", "+http.MethodDelete)
	case !found:
		h.refuser.Fail(w, http.StatusNotFound, web.CodeNotFound, "no such device")
	case r.Method == http.MethodDelete:
		h.forget(w, r, id)
	default:
		h.show(w, r, &d, to)
	}
}

func (h *Handler) forget(w http.ResponseWriter, r *http.Request, id string) {
	if h.cfg.Forget == nil {
		h.refuser.Error(w, wire.Errorf(wire.CodeForbidden, "this hub deletes no devices"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Timeout)
	defer cancel()
	err := h.cfg.Forget(ctx, id)
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, ErrPending):
		w.WriteHeader(http.StatusAccepted)
	default:
		h.cfg.Logger.Warn("a device could not be deleted", "device", id, "error", err)
		h.refuser.Error(w, &wire.Error{Code: wire.CodeUnavailable, Message: "the log takes nothing now", Retry: true})
	}
}

// maxShownPayload bounds the payloads of one device that are shown, in bytes together.
const maxShownPayload = 256 << 10

func (h *Handler) show(w http.ResponseWriter, r *http.Request, d *devices.Device, to int64) {
	ctx, release, ok := h.begin(w, r)
	defer release()
	if !ok {
		return
	}
	before, err := h.until(to)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	out := detailJSON{deviceJSON: deviceOf(d), Announced: map[string]string{}, Topics: make([]explainedJSON, 0, len(d.Topics))}
	if event.ScopeOf(r.Context()) == nil { // nobody knows on which topics that was
		for name, unit := range h.cfg.Decoder.Announced(d.ID) {
			out.Announced[text(name)] = text(unit)
		}
	}
	room := maxShownPayload
	for _, topic := range d.Topics {
		if ctx.Err() != nil {
			h.fail(w, r, ctx.Err())
			return
		}
		e, err := h.newest(d.ID, topic, before)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		shown := explainedJSON{Topic: text(topic), Why: []string{}}
		if e != nil {
			shown.explain(h.cfg.Decoder, e, room)
			if !shown.Omitted {
				room -= shown.Bytes
			}
		}
		out.Topics = append(out.Topics, shown)
	}
	h.answer(w, r, &out)
}

// manyTogether is how many of a topic's newest messages are looked at for one of a device that is not alone on it.
const manyTogether = 64

// newest is a device's newest message on a topic before a place, where that is not zero; nil where it is not held any more, or far behind
// those of others.
func (h *Handler) newest(device, topic string, before event.Position) (*event.Decoded, error) {
	for _, n := range []int{1, manyTogether} {
		events, err := h.cfg.Log.Last(topic, before, n)
		if err != nil {
			return nil, err
		}
		decoded := h.cfg.Decode(events)
		for i := range slices.Backward(decoded) {
			if decoded[i].Device == device {
				return &decoded[i], nil
			}
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// explain fills in a message. room is for how many bytes of payload there is room.
func (x *explainedJSON) explain(d *decode.Decoder, e *event.Decoded, room int) {
	report := d.Review(decode.Input{Topic: e.Topic, Client: e.Client, Payload: e.Payload, Retain: e.Retain, Time: e.Time})
	x.Format, x.Problem, x.Time, x.Bytes = report.Format, text(report.Problem), wire.Millis(e.Time), len(e.Payload)
	for _, why := range report.Why {
		x.Why = append(x.Why, text(why))
	}
	if report.Timestamp != nil {
		if at, err := time.Parse(time.RFC3339Nano, *report.Timestamp); err == nil {
			x.DeviceTime = at.UnixMilli()
		}
	}
	switch {
	case len(e.Payload) > room:
		x.Omitted = true
	case e.JSON:
		x.Payload = e.Payload
	case utf8.Valid(e.Payload):
		x.Text = new(string(e.Payload))
	default:
		x.Base64 = e.Payload
	}
}
