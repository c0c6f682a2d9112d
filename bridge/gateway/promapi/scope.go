package promapi

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"pulso/bridge/event"
	"pulso/bridge/view/series"
)

// queryable is the history for a request: all of it, or what its scope sees. It is the only way to what is stored.
func (h *Handler) queryable(ctx context.Context) storage.Queryable {
	scope := event.ScopeOf(ctx)
	if scope == nil {
		return h.stored
	}
	sees := func(device, topic string) bool { return h.config.Sees(scope, device, topic) }
	return storage.QueryableFunc(func(from, to int64) (storage.Querier, error) {
		q, err := h.stored.Querier(from, to)
		if err != nil {
			return nil, err
		}
		return &narrowed{of: q, from: from, to: to, sees: sees}, nil
	})
}

// A narrowed querier knows only the series that a scope sees. It embeds nothing: what it has no method for cannot be asked.
type narrowed struct {
	of       storage.Querier
	from, to int64
	sees     func(device, topic string) bool
}

// Close implements storage.Querier.
func (n *narrowed) Close() error { return n.of.Close() }

// Select implements storage.Querier. A limit is on what is seen, which the storage cannot count.
func (n *narrowed) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, m ...*labels.Matcher) storage.SeriesSet {
	if hints != nil && hints.Limit > 0 {
		unlimited := *hints
		unlimited.Limit = 0
		hints = &unlimited
	}
	return &seen{SeriesSet: n.of.Select(ctx, sorted, hints, m...), sees: n.sees, known: make(map[[2]string]bool)}
}

// LabelValues implements storage.LabelQuerier.
func (n *narrowed) LabelValues(
	ctx context.Context, name string, hints *storage.LabelHints, m ...*labels.Matcher,
) ([]string, annotations.Annotations, error) {
	return n.texts(ctx, hints, m, func(l labels.Labels, add func(string)) {
		if value := l.Get(name); value != "" {
			add(value)
		}
	})
}

// LabelNames implements storage.LabelQuerier.
func (n *narrowed) LabelNames(ctx context.Context, hints *storage.LabelHints, m ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return n.texts(ctx, hints, m, func(l labels.Labels, add func(string)) {
		l.Range(func(l labels.Label) { add(l.Name) })
	})
}

// texts is what of finds in the labels of the series, once and sorted. The storage's index knows labels, not who sees them, so each
// series is looked at.
func (n *narrowed) texts(
	ctx context.Context, hints *storage.LabelHints, m []*labels.Matcher, of func(l labels.Labels, add func(string)),
) ([]string, annotations.Annotations, error) {
	if len(m) == 0 { // every series has a field
		m = []*labels.Matcher{labels.MustNewMatcher(labels.MatchNotEqual, series.LabelField, "")}
	}
	set := n.Select(ctx, false, &storage.SelectHints{Start: n.from, End: n.to, Func: lookupFunc}, m...)
	all := make(map[string]struct{})
	add := func(s string) { all[s] = struct{}{} }
	for set.Next() {
		of(set.At().Labels(), add)
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
	}
	if err := set.Err(); err != nil {
		return nil, nil, err
	}
	out := slices.Sorted(maps.Keys(all))
	if hints != nil && hints.Limit > 0 {
		out = out[:min(len(out), hints.Limit)]
	}
	return out, set.Warnings(), nil
}

// A seen set passes over the series that are not seen.
type seen struct {
	storage.SeriesSet

	sees  func(device, topic string) bool
	known map[[2]string]bool // by device and topic
}

// Next implements storage.SeriesSet.
func (s *seen) Next() bool {
	for s.SeriesSet.Next() {
		l := s.At().Labels()
		key := [2]string{l.Get(series.LabelDevice), l.Get(series.LabelTopic)}
		sees, known := s.known[key]
		if !known {
			sees = s.sees(key[0], key[1])
			s.known[key] = sees
		}
		if sees {
			return true
		}
	}
	return false
}
