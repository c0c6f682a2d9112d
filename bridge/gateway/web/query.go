package web

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"pulso/bridge/wire"
)

// A Query reads the parameters of a URL. The first that is not good is kept.
type Query struct {
	values url.Values
	err    *wire.Error
}

// ParseQuery reads a URL's query, which has these parameters and no others.
func ParseQuery(u *url.URL, known ...string) *Query {
	q := &Query{}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		q.failf("the query: %v", err)
		return q
	}
	q.values = values
	for name := range values {
		if !slices.Contains(known, name) {
			q.failf("the query has an unknown parameter %.40q", name)
		}
	}
	return q
}

// Err is what is wrong with the query, nil for nothing.
func (q *Query) Err() *wire.Error { return q.err }

func (q *Query) failf(format string, args ...any) {
	if q.err == nil {
		q.err = wire.Errorf(wire.CodeBadCommand, format, args...)
	}
}

// Has reports whether one of these parameters is there.
func (q *Query) Has(names ...string) bool { return slices.ContainsFunc(names, q.values.Has) }

// List is all values of a parameter.
func (q *Query) List(name string) []string { return q.values[name] }

// Text is the value of a parameter that comes at most once; empty if it does not.
func (q *Query) Text(name string) string {
	if len(q.values[name]) > 1 {
		q.failf("the query has %s %d times: once is enough", name, len(q.values[name]))
	}
	return q.values.Get(name)
}

// Int is the value of a parameter that is a whole number; 0 if it does not come.
func (q *Query) Int(name string) int {
	text := q.Text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		q.failf("%s is %.40q: it must be a whole number", name, text)
	}
	return n
}

// Float is the value of a parameter that is a number; 0 if it does not come.
func (q *Query) Float(name string) float64 {
	text := q.Text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		q.failf("%s is %.40q: it must be a number", name, text)
	}
	return n
}

// maxInstant is the last time of which nanoseconds can say the next millisecond, too (April 2262).
const maxInstant = math.MaxInt64/int64(time.Millisecond) - 1

// Instant is the value of a parameter that is a time, in milliseconds since the Unix epoch or as RFC 3339 has it: in milliseconds; 0 if
// it does not come.
func (q *Query) Instant(name string) int64 {
	text := q.Text(name)
	if text == "" {
		return 0
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		var t time.Time
		if t, err = time.Parse(time.RFC3339, text); err == nil {
			ms = t.UnixMilli()
		}
	}
	if err != nil || ms < 0 || ms > maxInstant {
		q.failf("%s is %.40q: it must be milliseconds since 1970, or like 2026-01-31T13:00:00Z", name, text)
		return 0
	}
	return ms
}

// Bool is the value of a parameter that is true or false; false if it does not come.
func (q *Query) Bool(name string) bool {
	switch text := q.Text(name); text {
	case "", "false", "0":
		return false
	case "true", "1":
		return true
	default:
		q.failf("%s is %.40q: it must be true or false", name, text)
		return false
	}
}
