package promapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"pulso/access/meter"
)

// Bounds of an expression.
const (
	maxQueryBytes = 64 << 10
	maxQueryParts = 2000
)

// maxRemarks is how many warnings, and how many infos, an answer has.
const maxRemarks = 10

func (h *Handler) query(ctx context.Context, r *http.Request, out *encoder) error {
	most, err := limit(r, h.config.MaxSeries)
	if err != nil {
		return err
	}
	at, err := timeParam(r, "time", time.Now().UnixMilli())
	if err != nil {
		return err
	}
	text, opts, err := h.expression(r)
	if err != nil {
		return err
	}
	q, err := h.engine.NewInstantQuery(ctx, h.queryable(ctx), opts, text, time.UnixMilli(at))
	if err != nil {
		return notBuilt(err)
	}
	return execute(ctx, q, most, out)
}

func (h *Handler) queryRange(ctx context.Context, r *http.Request, out *encoder) error {
	most, err := limit(r, h.config.MaxSeries)
	if err != nil {
		return err
	}
	from, err := parseTime(r.FormValue("start"))
	if err != nil {
		return invalid("start", err)
	}
	to, err := parseTime(r.FormValue("end"))
	if err != nil {
		return invalid("end", err)
	}
	if to < from {
		return invalid("end", errors.New("end timestamp must not be before start time"))
	}
	step, err := parseDuration(r.FormValue("step"))
	if err != nil {
		return invalid("step", err)
	}
	// The engine counts in milliseconds.
	if step < time.Millisecond {
		return invalid("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
	}
	if (to-from)/step.Milliseconds() > int64(h.config.MaxPoints) {
		return badData("exceeded maximum resolution of %d points per timeseries. Try decreasing the query resolution (?step=XX)", h.config.MaxPoints)
	}
	text, opts, err := h.expression(r)
	if err != nil {
		return err
	}
	q, err := h.engine.NewRangeQuery(ctx, h.queryable(ctx), opts, text, time.UnixMilli(from), time.UnixMilli(to), step)
	if err != nil {
		return notBuilt(err)
	}
	return execute(ctx, q, most, out)
}

// expression is the request's PromQL, which is neither too long nor too deep, and what the engine is to do with it.
func (h *Handler) expression(r *http.Request) (string, promql.QueryOpts, error) {
	text := r.FormValue("query")
	if _, err := h.parse(text); err != nil {
		return "", nil, err
	}
	var lookback time.Duration
	if v := r.FormValue("lookback_delta"); v != "" {
		d, err := parseDuration(v)
		if err != nil {
			return "", nil, invalid("lookback_delta", err)
		}
		lookback = d
	}
	return text, promql.NewPrometheusQueryOpts(false, lookback, nil), nil
}

func (h *Handler) parse(text string) (parser.Expr, error) {
	if err := checkLength(text); err != nil {
		return nil, invalid("query", err)
	}
	if tooManyParts(text) {
		return nil, invalid("query", fmt.Errorf("the expression has more than %d operators and parentheses", maxQueryParts))
	}
	e, err := h.parser.ParseExpr(text)
	if err != nil {
		return nil, invalid("query", err)
	}
	return e, nil
}

func checkLength(text string) error {
	if len(text) > maxQueryBytes {
		return fmt.Errorf("%d bytes, at most %d", len(text), maxQueryBytes)
	}
	return nil
}

// tooManyParts reports whether an expression has more operators, calls and parentheses than one may: parsing takes time that
// grows with the square of how deep they are nested, and is not interrupted.
func tooManyParts(text string) bool {
	lexer, count := parser.Lex(text), 0
	for item := (parser.Item{}); count <= maxQueryParts; {
		lexer.NextItem(&item)
		switch {
		case item.Typ == parser.EOF || item.Typ == parser.ERROR:
			return false
		case item.Typ.IsOperator() || item.Typ == parser.LEFT_PAREN || item.Typ == parser.LEFT_BRACKET:
			count++
		}
	}
	return true
}

// notBuilt is why the engine did not take a query.
func notBuilt(err error) error {
	if f := asFailure(err); f.kind != kindExecution {
		return f
	}
	return invalid("query", err)
}

func execute(ctx context.Context, q promql.Query, most int, out *encoder) error {
	defer q.Close()
	result := q.Exec(ctx)
	meter.Of(ctx).Read(samplesRead(q))
	if result.Err != nil {
		return result.Err
	}
	out.warnings, out.infos = result.Warnings.AsStrings(q.String(), maxRemarks, maxRemarks)
	return out.value(ctx, result.Value, most)
}

// samplesRead is how many samples the engine has looked at.
func samplesRead(q promql.Query) int {
	stats := q.Stats()
	if stats == nil || stats.Samples == nil {
		return 0
	}
	return int(min(stats.Samples.TotalSamples, math.MaxInt32))
}

func (h *Handler) formatQuery(_ context.Context, r *http.Request, out *encoder) error {
	e, err := h.parse(r.FormValue("query"))
	if err != nil {
		return err
	}
	out.string(e.Pretty(0))
	return nil
}
