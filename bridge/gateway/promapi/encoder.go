package promapi

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

const truncated = "results truncated due to limit"

// An encoder gathers an answer: its data as JSON, or as something else where contentType is set.
type encoder struct {
	buf      []byte
	limit    int
	warnings []string
	infos    []string
	// failed is set where the answer is a failure.
	failed *failure
	// contentType and encoding are set where the answer is not the API's JSON.
	contentType, encoding string
}

// errLarge is checked for after each series: an answer exceeds its limit by one series at most.
func (e *encoder) err(ctx context.Context) error {
	if len(e.buf) > e.limit {
		return &failure{kindExecution, fmt.Errorf("the answer is larger than %d bytes: ask for fewer series or points", e.limit)}
	}
	return ctx.Err()
}

func (e *encoder) fail(f *failure) { e.failed, e.buf, e.contentType, e.encoding = f, nil, "", "" }

// result is the label of metrics.
func (e *encoder) result() string {
	if e.failed != nil {
		return string(e.failed.kind)
	}
	return "success"
}

// value writes a query's result, of at most so many series. The engine makes histograms of histograms only, and there are none.
func (e *encoder) value(ctx context.Context, v parser.Value, most int) error {
	e.raw(`{"resultType":"`)
	e.raw(string(v.Type()))
	e.raw(`","result":`)
	switch v := v.(type) {
	case promql.Scalar:
		e.point(v.T, v.V)
	case promql.String:
		e.raw("[")
		e.time(v.T)
		e.raw(",")
		e.string(v.V)
		e.raw("]")
	case promql.Vector:
		e.raw("[")
		for i := range v[:e.cut(len(v), most)] {
			e.comma(i)
			e.raw(`{"metric":`)
			e.labels(v[i].Metric)
			e.raw(`,"value":`)
			e.point(v[i].T, v[i].F)
			e.raw("}")
			if err := e.err(ctx); err != nil {
				return err
			}
		}
		e.raw("]")
	case promql.Matrix:
		e.raw("[")
		for i := range v[:e.cut(len(v), most)] {
			e.comma(i)
			e.series(v[i])
			if err := e.err(ctx); err != nil {
				return err
			}
		}
		e.raw("]")
	default:
		return fmt.Errorf("a result of type %s has no JSON", v.Type())
	}
	e.raw("}")
	return nil
}

func (e *encoder) series(s promql.Series) {
	e.raw(`{"metric":`)
	e.labels(s.Metric)
	e.raw(`,"values":[`)
	for j, p := range s.Floats {
		e.comma(j)
		e.point(p.T, p.F)
	}
	e.raw("]}")
}

// cut is how many of count results are given, and warns where it is not all.
func (e *encoder) cut(count, most int) int {
	if count <= most {
		return count
	}
	e.warnings = append(e.warnings, truncated)
	return most
}

func (e *encoder) raw(s string) { e.buf = append(e.buf, s...) }

func (e *encoder) comma(i int) {
	if i > 0 {
		e.buf = append(e.buf, ',')
	}
}

func (e *encoder) labels(l labels.Labels) {
	e.raw("{")
	i := 0
	l.Range(func(l labels.Label) {
		e.comma(i)
		e.string(l.Name)
		e.raw(":")
		e.string(l.Value)
		i++
	})
	e.raw("}")
}

func (e *encoder) point(t int64, v float64) {
	e.raw("[")
	e.time(t)
	e.raw(`,"`)
	e.buf = appendFloat(e.buf, v)
	e.raw(`"]`)
}

// time writes milliseconds as seconds.
func (e *encoder) time(ms int64) {
	if ms < 0 {
		e.raw("-")
		ms = -ms
	}
	e.buf = strconv.AppendInt(e.buf, ms/1000, 10)
	if f := ms % 1000; f != 0 {
		e.buf = append(e.buf, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
	}
}

// appendFloat writes a number as Prometheus does, NaN and the infinities included.
func appendFloat(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, "NaN"...)
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsInf(v, -1):
		return append(b, "-Inf"...)
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, v, format, -1, 64)
}

func (e *encoder) string(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			text, err := json.Marshal(s)
			if err != nil {
				return // a string always can be
			}
			e.buf = append(e.buf, text...)
			return
		}
	}
	e.buf = append(e.buf, '"')
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, '"')
}

func (e *encoder) strings(list []string) {
	e.raw("[")
	for i, s := range list {
		e.comma(i)
		e.string(s)
	}
	e.raw("]")
}
