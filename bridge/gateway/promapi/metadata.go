package promapi

import (
	"context"
	"net/http"
	"runtime"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

const (
	// unitLabel is the label by which series of the history say their unit.
	unitLabel = "unit"
	// compatible is the version of Prometheus whose query language and API this is: clients conclude from it what they may ask.
	compatible = "3.16.0"
	// defaultMetadata is how many metrics a request for the metadata of all gets: each is a lookup.
	defaultMetadata = 1000
)

// metadata answers with the units of metrics. Devices do not say whether a reading is a counter or a gauge, so the type is
// unknown, as it is for those whom Prometheus is not told it.
func (h *Handler) metadata(ctx context.Context, r *http.Request, out *encoder) error {
	most, err := limit(r, min(h.config.MaxSeries, defaultMetadata))
	if err != nil {
		return err
	}
	metric := r.FormValue("metric")
	return h.querier(ctx, minTime, maxTime, func(q storage.Querier) error {
		hints := &storage.LabelHints{Limit: most}
		var matchers []*labels.Matcher
		if metric != "" {
			matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metric))
		}
		names, _, err := q.LabelValues(ctx, model.MetricNameLabel, hints, matchers...)
		if err != nil {
			return err
		}
		out.raw("{")
		for i, name := range names[:min(len(names), most)] {
			units, _, err := q.LabelValues(ctx, unitLabel, nil, labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name))
			if err != nil {
				return err
			}
			if len(units) == 0 {
				units = []string{""}
			}
			out.comma(i)
			out.string(name)
			out.raw(":[")
			for j, unit := range units {
				out.comma(j)
				out.raw(`{"type":"unknown","help":"","unit":`)
				out.string(unit)
				out.raw("}")
			}
			out.raw("]")
			if err := out.err(ctx); err != nil {
				return err
			}
		}
		out.raw("}")
		return nil
	})
}

func (h *Handler) buildInfo(_ context.Context, _ *http.Request, out *encoder) error {
	out.raw(`{"version":"` + compatible + `","revision":`)
	out.string(h.config.Version)
	out.raw(`,"branch":"pulso","buildUser":"","buildDate":"","goVersion":`)
	out.string(runtime.Version())
	out.raw("}")
	return nil
}

// none answers that there is nothing of what was asked for.
func none(data string) func(context.Context, *http.Request, *encoder) error {
	return func(_ context.Context, _ *http.Request, out *encoder) error {
		out.raw(data)
		return nil
	}
}
