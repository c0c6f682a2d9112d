package promapi

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// The times that Prometheus' clients send for "ever"; Go's parser knows no such years.
const (
	minTimeText = "-292273086-05-16T16:47:06Z"
	maxTimeText = "292277025-08-18T07:12:54.999999999Z"
)

// minTime and maxTime are what counts as ever, in milliseconds: some 30,000 years each way. Sums with them do not overflow.
const (
	minTime = -1e15
	maxTime = 1e15
)

// parseTime reads a time as seconds since the Unix epoch, with a fraction or not, or as RFC 3339. It returns milliseconds.
func parseTime(s string) (int64, error) {
	switch s {
	case minTimeText:
		return minTime, nil
	case maxTimeText:
		return maxTime, nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(f) {
			return 0, fmt.Errorf("cannot parse %.80q to a valid timestamp", s)
		}
		return int64(math.Round(min(max(f*1000, minTime), maxTime))), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, fmt.Errorf("cannot parse %.80q to a valid timestamp", s)
	}
	return t.UnixMilli(), nil
}

// timeParam is a parameter that is a time, or otherwise where it does not come.
func timeParam(r *http.Request, name string, otherwise int64) (int64, error) {
	text := r.FormValue(name)
	if text == "" {
		return otherwise, nil
	}
	t, err := parseTime(text)
	if err != nil {
		return 0, invalid(name, err)
	}
	return t, nil
}

// parseDuration reads a duration as seconds, or with units ("1h30m").
func parseDuration(s string) (time.Duration, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		ns := f * float64(time.Second)
		if math.IsNaN(ns) || ns >= math.MaxInt64 || ns <= math.MinInt64 {
			return 0, fmt.Errorf("cannot parse %.80q to a valid duration. It overflows int64", s)
		}
		return time.Duration(ns), nil
	}
	d, err := model.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("cannot parse %.80q to a valid duration", s)
	}
	return time.Duration(d), nil
}

// limit is how many results a request wants: most where it does not say so, or wants more.
func limit(r *http.Request, most int) (int, error) {
	text := r.FormValue("limit")
	if text == "" {
		return most, nil
	}
	n, err := strconv.Atoi(text)
	if err == nil && n < 0 {
		err = errors.New("limit must be non-negative")
	}
	if err != nil {
		return 0, invalid("limit", err)
	}
	if n == 0 || n > most {
		n = most
	}
	return n, nil
}

// A lookup is what a request for series, label names or values is about.
type lookup struct {
	from, to int64 // milliseconds, both inclusive
	matchers [][]*labels.Matcher
	limit    int
}

func (h *Handler) lookup(r *http.Request) (l lookup, err error) {
	if l.limit, err = limit(r, h.config.MaxSeries); err != nil {
		return l, err
	}
	if l.from, err = timeParam(r, "start", minTime); err != nil {
		return l, err
	}
	if l.to, err = timeParam(r, "end", maxTime); err != nil {
		return l, err
	}
	l.matchers, err = h.selectors(r.Form["match[]"])
	return l, err
}

// selectors reads series selectors, each of which must select by something.
func (h *Handler) selectors(texts []string) ([][]*labels.Matcher, error) {
	if len(texts) > maxMatchers {
		return nil, invalid("match[]", fmt.Errorf("%d selectors, at most %d", len(texts), maxMatchers))
	}
	for _, text := range texts {
		if err := checkLength(text); err != nil {
			return nil, invalid("match[]", err)
		}
	}
	sets, err := h.parser.ParseMetricSelectors(texts)
	if err != nil {
		return nil, invalid("match[]", err)
	}
	if slices.ContainsFunc(sets, everything) {
		return nil, invalid("match[]", errors.New("match[] must contain at least one non-empty matcher"))
	}
	return sets, nil
}

func everything(set []*labels.Matcher) bool {
	return !slices.ContainsFunc(set, func(m *labels.Matcher) bool { return !m.Matches("") })
}
