package promapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// lookupFunc is what Prometheus' store takes for "samples are not needed".
const lookupFunc = "series"

func (h *Handler) series(ctx context.Context, r *http.Request, out *encoder) error {
	if len(r.Form["match[]"]) == 0 {
		return badData("no match[] parameter provided")
	}
	l, err := h.lookup(r)
	if err != nil {
		return err
	}
	return h.querier(ctx, l.from, l.to, func(q storage.Querier) error {
		// One more than wanted tells whether that is all.
		hints := &storage.SelectHints{Start: l.from, End: l.to, Func: lookupFunc, Limit: l.limit + 1}
		set := selectAny(ctx, q, hints, l.matchers)
		out.raw("[")
		count := 0
		for ; set.Next(); count++ {
			if count == l.limit {
				out.warnings = append(out.warnings, truncated)
				break
			}
			out.comma(count)
			out.labels(set.At().Labels())
			if err := out.err(ctx); err != nil {
				return err
			}
		}
		out.raw("]")
		out.warn(set.Warnings())
		return set.Err()
	})
}

// querier opens the history for a time and closes it behind use. What use copies from it lasts.
func (h *Handler) querier(ctx context.Context, from, to int64, use func(storage.Querier) error) error {
	q, err := h.queryable(ctx).Querier(from, to)
	if err != nil {
		return &failure{kindInternal, fmt.Errorf("open the history: %w", err)}
	}
	return errors.Join(use(q), q.Close())
}

// selectAny selects what one of the sets of matchers accepts, once.
func selectAny(ctx context.Context, q storage.Querier, hints *storage.SelectHints, matchers [][]*labels.Matcher) storage.SeriesSet {
	if len(matchers) == 1 {
		return q.Select(ctx, true, hints, matchers[0]...)
	}
	sets := make([]storage.SeriesSet, 0, len(matchers))
	for _, m := range matchers {
		sets = append(sets, q.Select(ctx, true, hints, m...))
	}
	return storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
}

func (e *encoder) warn(a annotations.Annotations) {
	warnings, infos := a.AsStrings("", maxRemarks, maxRemarks)
	e.warnings, e.infos = append(e.warnings, warnings...), append(e.infos, infos...)
}

func (h *Handler) labels(ctx context.Context, r *http.Request, out *encoder) error {
	return h.texts(ctx, r, out, func(q storage.Querier, hints *storage.LabelHints, m []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelNames(ctx, hints, m...)
	})
}

func (h *Handler) labelValues(ctx context.Context, r *http.Request, out *encoder) error {
	name := r.PathValue("name")
	if strings.HasPrefix(name, "U__") {
		name = model.UnescapeName(name, model.ValueEncodingEscaping)
	}
	if !model.UTF8Validation.IsValidLabelName(name) {
		return badData("invalid label name: %.80q", name)
	}
	return h.texts(ctx, r, out, func(q storage.Querier, hints *storage.LabelHints, m []*labels.Matcher) ([]string, annotations.Annotations, error) {
		return q.LabelValues(ctx, name, hints, m...)
	})
}

// texts answers with the texts that find finds for any of the request's selectors, sorted.
func (h *Handler) texts(
	ctx context.Context, r *http.Request, out *encoder,
	find func(storage.Querier, *storage.LabelHints, []*labels.Matcher) ([]string, annotations.Annotations, error),
) error {
	l, err := h.lookup(r)
	if err != nil {
		return err
	}
	if len(l.matchers) == 0 {
		l.matchers = [][]*labels.Matcher{nil}
	}
	return h.querier(ctx, l.from, l.to, func(q storage.Querier) error {
		hints := &storage.LabelHints{Limit: l.limit + 1}
		var all []string
		for _, m := range l.matchers {
			found, remarks, err := find(q, hints, m)
			if err != nil {
				return err
			}
			out.warn(remarks)
			all = append(all, found...)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		slices.Sort(all)
		all = slices.Compact(all)
		out.strings(all[:out.cut(len(all), l.limit)])
		return out.err(ctx)
	})
}
