package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"pulso/access/meter"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/gateway/web"
	"pulso/bridge/view/history"
	"pulso/bridge/wire"
)

// An exportForm is how an export is written.
type exportForm struct {
	contentType, extension string
	// head is what it begins with; sample appends a row.
	head   string
	sample func(dst []byte, p *history.Point) []byte
}

// exportForms are by their names.
var exportForms = map[string]exportForm{
	"csv":   {"text/csv; charset=utf-8; header=present", ".csv", csvHead, appendSampleCSV},
	"jsonl": {"application/jsonl", ".jsonl", "", appendSampleJSON},
}

// What is exported.
const (
	exportSamples = "samples"
	exportEvents  = "events"
)

// serveExport serves /api/v1/export.
func (h *Handler) serveExport(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	q := web.ParseQuery(r.URL, "what", "device", "topic", "filter", "field", "from", "to", "format")
	selected, bad := h.selection(q, r)
	want, bad2 := wanted(q, event.ScopeOf(r.Context()))
	what, format := q.Text("what"), q.Text("format")
	if what == "" {
		what = exportSamples
	}
	if format == "" {
		format = "jsonl"
	}
	form, known := exportForms[format]
	bad = firstOf(q.Err(), bad, bad2)
	switch {
	case bad != nil:
	case !known:
		bad = wire.Errorf(wire.CodeBadCommand, "format is %.40q: it must be csv or jsonl", format)
	case what != exportSamples && what != exportEvents:
		bad = wire.Errorf(wire.CodeBadCommand, "what is %.40q: it must be samples or events", what)
	case what == exportEvents && (format != "jsonl" || len(selected.Fields) > 0):
		bad = wire.Errorf(wire.CodeBadCommand, "events are exported whole, as jsonl")
	case what == exportSamples && q.Has("filter"):
		bad = wire.Errorf(wire.CodeBadCommand, "filter is for events")
	case what == exportSamples && h.cfg.History == nil:
		bad = errNoHistory()
	}
	if bad != nil {
		h.refuser.Error(w, bad)
		return
	}
	select {
	case h.exports <- struct{}{}:
		defer func() { <-h.exports }()
	default:
		h.busy(w, "too many exports")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.ExportTimeout)
	defer cancel()
	w.Header().Set("Content-Type", form.contentType)
	w.Header().Set("Content-Disposition", `attachment; filename="`+fileName(what, &selected)+form.extension+`"`)
	w.Header().Set("Cache-Control", "no-store")
	out := h.newDownload(w)
	var err error
	if what == exportEvents {
		err = h.writeEvents(ctx, out, &selected, want)
	} else {
		err = h.writeSamples(ctx, out, &selected, form)
	}
	h.end(w, r, out, err)
}

// end ends an export. Where it has failed and nothing has been sent, the client is told why; else the connection is cut, so that
// nobody takes what came for the whole.
func (h *Handler) end(w http.ResponseWriter, r *http.Request, out *download, err error) {
	if err == nil {
		err = out.flush()
	}
	switch {
	case err == nil:
		return
	case !out.begun:
		w.Header().Del("Content-Disposition")
		h.fail(w, r, err)
		return
	}
	h.metrics.broken.Inc()
	h.cfg.Logger.Warn("an export was cut off", "bytes", out.sent, "error", err)
	panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to end an answer so that the client sees that it is not whole
}

func (h *Handler) writeSamples(ctx context.Context, out *download, s *history.Selection, form exportForm) error {
	out.buf = append(out.buf, form.head...)
	return h.cfg.History.Walk(ctx, *s, func(p history.Point) error {
		out.buf = form.sample(out.buf, &p)
		return out.room()
	})
}

// lateEvents is how far behind its time in the log an event may stand: arrival times are those of many connections.
const lateEvents = time.Minute

func (h *Handler) writeEvents(ctx context.Context, out *download, s *history.Selection, want func(string) bool) error {
	// What comes while it is read is not part of it.
	at, end := h.cfg.Log.Bounds()
	for at.Offset < end.Offset {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		found, next, err := h.cfg.Log.Scan(at, want, scanned)
		if trimmed := (*eventlog.TrimmedError)(nil); errors.As(err, &trimmed) {
			at = trimmed.First
			continue
		}
		if err != nil {
			return err
		}
		meter.Of(ctx).Read(len(found))
		if next == at {
			break
		}
		at = next
		events := h.cfg.Decode(inTime(found, s))
		for i := range events {
			e := &events[i]
			if e.Position.Offset >= end.Offset || s.Device != "" && e.Device != s.Device {
				continue
			}
			out.buf = append(appendEvent(out.buf, e), '\n')
			if err := out.room(); err != nil {
				return err
			}
		}
		if n := len(found); s.To != 0 && n > 0 && wire.Millis(found[n-1].Time) > s.To+lateEvents.Milliseconds() {
			break
		}
	}
	return nil
}

// inTime are those of events that arrived in a selection's time.
func inTime(events []event.Event, s *history.Selection) []event.Event {
	in := events[:0]
	for i := range events {
		if ms := wire.Millis(events[i].Time); ms >= s.From && (s.To == 0 || ms <= s.To) {
			in = append(in, events[i])
		}
	}
	return in
}

// A download is the answer to an export while it is written.
type download struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	buf     []byte
	begun   bool
	sent    int64
	count   func(bytes int)
}

// downloadChunk is how much is sent at one time.
const downloadChunk = 64 << 10

func (h *Handler) newDownload(w http.ResponseWriter) *download {
	d := &download{
		w: w, control: http.NewResponseController(w), timeout: h.cfg.WriteTimeout, buf: make([]byte, 0, downloadChunk+4096),
		count: func(n int) { h.metrics.exported.Add(float64(n)) },
	}
	_ = d.control.SetReadDeadline(time.Time{}) // the request has been read: the server's time for that must not end it
	return d
}

// room sends what has gathered, once that is worth it.
func (d *download) room() error {
	if len(d.buf) < downloadChunk {
		return nil
	}
	return d.flush()
}

// flush sends what has gathered. A client that takes it too slowly is cut off.
func (d *download) flush() error {
	_ = d.control.SetWriteDeadline(time.Now().Add(d.timeout))
	for from := 0; from < len(d.buf); {
		n, err := d.w.Write(d.buf[from:min(len(d.buf), from+downloadChunk)])
		d.begun, d.sent = true, d.sent+int64(n)
		d.count(n)
		if err != nil {
			return fmt.Errorf("send the export: %w", err)
		}
		from += n
		_ = d.control.SetWriteDeadline(time.Now().Add(d.timeout))
	}
	d.buf = d.buf[:0]
	if cap(d.buf) > 4*downloadChunk { // a large event
		d.buf = make([]byte, 0, downloadChunk+4096)
	}
	return nil
}

// maxFileName bounds the part of a file's name that is a device's or a topic's.
const maxFileName = 60

// fileName names the file of an export, by characters alone that mean nothing to any system.
func fileName(what string, s *history.Selection) string {
	name := s.Device
	if name == "" {
		name = s.Topic
	}
	name = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			return c
		}
		return '-'
	}, name)
	name = strings.Trim(name[:min(len(name), maxFileName)], "-")
	if name == "" {
		return "pulso-" + what
	}
	return "pulso-" + what + "-" + name
}
