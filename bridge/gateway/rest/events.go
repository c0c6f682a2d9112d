package rest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"pulso/access/meter"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

const (
	// maxPageBytes bounds the payloads of one page of events; a single one may be larger.
	maxPageBytes = 8 << 20
	// firstWindow and lastWindow are how many events of the log are looked at for a page, at first and later.
	firstWindow, lastWindow = 1 << 10, 1 << 17
	// scanned is how many events are taken from the log at one time.
	scanned = 1 << 10
)

// serveEvents serves /api/v1/events.
func (h *Handler) serveEvents(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	q := web.ParseQuery(r.URL, "topic", "filter", "limit", "before", "after", "to")
	n, bad := limit(q)
	scope := event.ScopeOf(r.Context())
	want, bad2 := wanted(q, scope)
	after, bad3 := position(q, "after")
	before, bad4 := position(q, "before")
	to := q.Instant("to")
	if bad = firstOf(q.Err(), bad, bad2, bad3, bad4); bad != nil {
		h.refuser.Error(w, bad)
		return
	}
	ctx, release, ok := h.begin(w, r)
	defer release()
	if !ok {
		return
	}
	first, next := h.cfg.Log.Bounds()
	if before.IsZero() {
		before = next
	}
	end, err := h.until(to)
	if !end.IsZero() && end.Offset < before.Offset {
		before = end
	}
	err = cmp.Or(err, h.check(after), h.check(before))
	if after.IsZero() || after.Offset < first.Offset {
		after = first
	}
	p := page{limit: n, end: before, from: after}
	if topic := q.Text("topic"); topic != "" && !event.Sees(scope, topic) {
		p.end = p.from // as of a topic on which nothing came
		p.whole = true
	} else if err == nil {
		err = p.fill(ctx, h.cfg.Log, topic, want) //nolint:contextcheck // begin has it from the request
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	out := []byte(`{"events":[`)
	events := h.cfg.Decode(p.events)
	for i := range slices.Backward(events) {
		if i < len(events)-1 {
			out = append(out, ',')
		}
		out = appendEvent(out, &events[i])
	}
	out = append(out, ']')
	if !p.whole {
		out = append(p.end.Append(append(out, `,"before":"`...)), '"')
	}
	out = append(before.Append(append(out, `,"after":"`...)), "\"}\n"...)
	h.send(w, out)
}

// until is the place in the log up to which events arrived until a time, in milliseconds since the Unix epoch and included; zero where
// there is no such bound.
func (h *Handler) until(to int64) (event.Position, error) {
	if to == 0 {
		return event.Position{}, nil
	}
	at, err := eventlog.Seek(h.cfg.Log, time.UnixMilli(to+1))
	if err != nil {
		return at, fmt.Errorf("find %d in the log: %w", to, err)
	}
	return at, nil
}

// check returns an error unless a position is zero or of this log.
func (h *Handler) check(p event.Position) error {
	if p.IsZero() {
		return nil
	}
	_, err := h.cfg.Log.Read(p, 1)
	if errors.As(err, new(*eventlog.TrimmedError)) {
		return nil
	}
	return err
}

// appendEvent appends an event as it stands in frames, and its position.
func appendEvent(dst []byte, e *event.Decoded) []byte {
	dst = append(e.Position.Append(append(dst, `{"position":"`...)), `",`...)
	return append(dst, wire.JSON.AppendEvent(nil, e, 1)[len("{"):]...)
}

// wanted says which topics are asked for, and may be: one, those of a filter, or all but session events, which have none.
func wanted(q *web.Query, scope event.Scope) (func(topic string) bool, *wire.Error) {
	want, bad := asked(q)
	if bad != nil || scope == nil {
		return want, bad
	}
	return func(t string) bool { return want(t) && event.Sees(scope, t) }, nil
}

func asked(q *web.Query) (func(topic string) bool, *wire.Error) {
	filter, bad := filterOf(q)
	topic := q.Text("topic")
	switch {
	case bad != nil:
		return nil, bad
	case topic != "" && filter != "":
		return nil, wire.Errorf(wire.CodeBadCommand, "topic and filter: one of them is enough")
	case topic != "":
		if err := event.CheckTopic(topic); err != nil {
			return nil, wire.Errorf(wire.CodeInvalidTopic, "%v", err)
		}
		return func(t string) bool { return t == topic }, nil
	case filter != "":
		return func(t string) bool { return event.Match(filter, t) }, nil
	}
	return func(t string) bool { return t != "" }, nil
}

// position is a parameter that is a position; zero where there is none.
func position(q *web.Query, name string) (event.Position, *wire.Error) {
	s := q.Text(name)
	if s == "" {
		return event.Position{}, nil
	}
	p, err := event.ParsePosition(s)
	if err != nil {
		return p, wire.Errorf(wire.CodeInvalidPosition, "%s: %v", name, err)
	}
	return p, nil
}

// A page is the newest events between two positions.
type page struct {
	limit int
	// from is where to look from, end is up to where; what lies behind end is in events, unless it is not asked for.
	from, end event.Position
	events    []event.Event // oldest first
	bytes     int
	// whole says that there is nothing more between from and end.
	whole bool
}

// fill finds the page's events. Windows of the log are looked at from the newest to the oldest, each forwards. When the
// context ends, the page has what was found until then.
func (p *page) fill(ctx context.Context, log Log, topic string, want func(string) bool) error {
	if topic != "" {
		return p.ofTopic(ctx, log, topic)
	}
	begin := p.end
	full := false
	for window := uint64(firstWindow); !full && p.end.Offset > p.from.Offset; window = min(2*window, lastWindow) {
		from := p.from
		if p.end.Offset-p.from.Offset > window {
			from = event.Position{Epoch: p.end.Epoch, Offset: p.end.Offset - window}
		}
		t := tail{limit: p.limit - len(p.events), bytes: maxPageBytes - p.bytes, first: len(p.events) == 0}
		err := t.read(ctx, log, want, from, p.end)
		if errors.Is(err, eventlog.ErrEpoch) && from != p.from {
			// It would begin in an earlier life of the log, of which only positions that were read tell the epoch.
			from, t.events = p.from, nil
			err = t.read(ctx, log, want, from, p.end)
		}
		if err != nil && ctx.Err() != nil && p.end != begin {
			return nil
		}
		if err != nil {
			return err
		}
		p.events, p.bytes = append(t.events, p.events...), p.bytes+t.size
		p.end = from
		if full = t.dropped || len(p.events) == p.limit; full {
			p.end = p.events[0].Position
		}
	}
	p.whole = p.end.Offset <= p.from.Offset
	return nil
}

// ofTopic finds the events of one topic by the log's index.
func (p *page) ofTopic(ctx context.Context, log Log, topic string) error {
	found, err := log.Last(topic, p.end, p.limit)
	if err != nil {
		return err
	}
	meter.Of(ctx).Read(len(found))
	old := slices.IndexFunc(found, func(e event.Event) bool { return e.Position.Offset >= p.from.Offset })
	if old != 0 {
		p.whole = true
	}
	if old >= 0 {
		p.events = found[old:]
		p.end = p.events[0].Position
	}
	return nil
}

// A tail is the newest events of a window of the log, as many as there is room for.
type tail struct {
	limit, bytes int
	// first says that one event is kept even if it is larger than bytes.
	first   bool
	events  []event.Event
	size    int
	dropped bool
}

func (t *tail) read(ctx context.Context, log Log, want func(string) bool, from, end event.Position) error {
	for from.Offset < end.Offset {
		if ctx.Err() != nil {
			return fmt.Errorf("look at events before %s: %w", end, context.Cause(ctx))
		}
		found, next, err := log.Scan(from, want, scanned)
		if trimmed := (*eventlog.TrimmedError)(nil); errors.As(err, &trimmed) {
			from = trimmed.First
			continue
		}
		if err != nil {
			return err
		}
		meter.Of(ctx).Read(len(found))
		for i := range found {
			if found[i].Position.Offset < end.Offset {
				t.add(found[i])
			}
		}
		if next == from {
			break // the log's end
		}
		from = next
	}
	return nil
}

// add takes an event in and lets go of the oldest for which there is no room.
func (t *tail) add(e event.Event) {
	t.events = append(t.events, e)
	t.size += len(e.Payload)
	n := 0
	for n < len(t.events) && (len(t.events)-n > t.limit || t.size > t.bytes && (!t.first || n < len(t.events)-1)) {
		t.size -= len(t.events[n].Payload)
		n++
	}
	if n > 0 {
		t.events, t.dropped = slices.Delete(t.events, 0, n), true
	}
}
