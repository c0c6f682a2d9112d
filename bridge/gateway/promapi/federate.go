package promapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"pulso/access/meter"
)

// federate answers with the present value of each series, as text that Prometheus scrapes
// (https://prometheus.io/docs/instrumenting/exposition_formats).
func (h *Handler) federate(ctx context.Context, r *http.Request, out *encoder) error {
	if len(r.Form["match[]"]) == 0 {
		return badData("no match[] parameter provided")
	}
	matchers, err := h.selectors(r.Form["match[]"])
	if err != nil {
		return err
	}
	to := time.Now().UnixMilli()
	from := to - h.config.Lookback.Milliseconds()
	type present struct {
		labels labels.Labels
		time   int64
		value  float64
	}
	var found []present
	samples := 0
	defer func() { meter.Of(ctx).Read(samples) }()
	err = h.querier(ctx, from, to, func(q storage.Querier) error {
		set := selectAny(ctx, q, &storage.SelectHints{Start: from, End: to}, matchers)
		var it chunkenc.Iterator
		for set.Next() {
			s := set.At()
			it = s.Iterator(it)
			p := present{time: -1}
			for it.Next() == chunkenc.ValFloat {
				p.time, p.value = it.At()
				samples++
			}
			if err := it.Err(); err != nil {
				return err
			}
			if p.time >= 0 && !value.IsStaleNaN(p.value) && len(found) < h.config.MaxSeries {
				p.labels = s.Labels()
				found = append(found, p)
			}
		}
		return set.Err()
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(found, func(a, b present) int {
		return strings.Compare(a.labels.Get(model.MetricNameLabel), b.labels.Get(model.MetricNameLabel))
	})
	out.contentType = "text/plain; version=0.0.4; charset=utf-8"
	last := ""
	for _, p := range found {
		name := model.EscapeName(p.labels.Get(model.MetricNameLabel), model.UnderscoreEscaping)
		if name != last {
			out.raw("# TYPE " + name + " untyped\n")
			last = name
		}
		out.exposed(name, p.labels)
		out.raw(" ")
		out.buf = appendFloat(out.buf, p.value)
		out.raw(" ")
		out.buf = strconv.AppendInt(out.buf, p.time, 10)
		out.raw("\n")
		if err := out.err(ctx); err != nil {
			return err
		}
	}
	return nil
}

var exposedEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// exposed writes a name and labels. The empty instance keeps a scraper that honours labels from adding its own.
func (e *encoder) exposed(name string, l labels.Labels) {
	e.raw(name)
	e.raw("{")
	instance := false
	l.Range(func(l labels.Label) {
		if l.Name == model.MetricNameLabel || l.Value == "" {
			return
		}
		instance = instance || l.Name == model.InstanceLabel
		e.raw(model.EscapeName(l.Name, model.UnderscoreEscaping))
		e.raw(`="`)
		e.raw(exposedEscapes.Replace(l.Value))
		e.raw(`",`)
	})
	if !instance {
		e.raw(model.InstanceLabel + `=""`)
	}
	e.raw("}")
}
