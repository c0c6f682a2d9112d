package sse

import (
	"net/http"
	"strings"

	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// A wish is what a request asks for.
type wish struct {
	subscribe *wire.Subscribe // nil: a session
	name      string
	encoding  wire.Encoding
	parted    bool // it was told not to come back
}

// parse reads a request for a stream.
func parse(r *http.Request) (w wish, bad *wire.Error) {
	if r.ContentLength != 0 {
		return w, wire.Errorf(wire.CodeBadCommand, "a request for a stream has no body")
	}
	last := r.Header.Get("Last-Event-ID")
	q := web.ParseQuery(r.URL, "filter", "device", "form", "delivery", "rate", "from", "history", "viewers", "name", "encoding", "lastEventId")
	if last == "" {
		last = q.Text("lastEventId")
	}
	if w.parted = strings.HasPrefix(last, closeID); w.parted {
		return w, nil
	}
	if w.name = q.Text("name"); len(w.name) > wire.MaxName {
		return w, wire.Errorf(wire.CodeBadCommand, "name has at most %d bytes", wire.MaxName)
	}
	switch encoding := q.Text("encoding"); encoding {
	case "", "json":
	case "proto":
		w.encoding = wire.Proto
	default:
		return w, wire.Errorf(wire.CodeBadCommand, "encoding is %.40q: it is json or proto", encoding)
	}
	if !q.Has("filter", "device", "form", "delivery", "rate", "from", "history", "viewers") {
		return w, q.Err()
	}
	w.subscribe = &wire.Subscribe{
		Filters: q.List("filter"), Devices: q.List("device"), FormName: q.Text("form"), DeliveryName: q.Text("delivery"),
		Rate: q.Float("rate"), FromText: q.Text("from"), History: q.Int("history"), Viewers: q.Bool("viewers"),
	}
	if last != "" {
		w.subscribe.FromText = last
	}
	if err := q.Err(); err != nil {
		return w, err
	}
	return w, w.subscribe.Check()
}
