package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// isMissing reports whether the cell says that there is no reading.
func isMissing(cell string) bool {
	switch strings.ToLower(cell) {
	case "", "na", "n/a", "nan", "null", "none", "-":
		return true
	default:
		return false
	}
}

// number returns the cell as a JSON number: as it stands if it is one (RFC 8259, section 6), else in another spelling of
// the same value ("+5", ".5", "5."). Leading zeros, infinities and anything else are no numbers.
func number(cell string) (string, bool) {
	value, err := strconv.ParseFloat(cell, 64)
	if err != nil || math.IsInf(value, 0) || math.IsNaN(value) || strings.ContainsAny(cell, "xX_") {
		return "", false
	}

	if json.Valid([]byte(cell)) {
		return cell, true
	}

	digits := strings.TrimLeft(cell, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return "", false
	}

	return strconv.FormatFloat(value, 'g', -1, 64), true
}

// shorten cuts text that is to stand in an error message.
func shorten(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}

	return strings.ToValidUTF8(text[:most], "") + "…"
}

// errTime says that a cell is no time in any form that ParseTime knows.
var errTime = errors.New("not a time that is known here (2006-01-02 15:04:05, RFC 3339, or seconds since 1970)")

// layouts are the written forms of a time. Go takes an hour without its leading zero, and fractions of a second after
// any of them. Forms in which day and month could be mistaken for each other are not among them.
var layouts = []string{
	"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", time.RFC3339, "2006-01-02 15:04:05 Z07:00",
	"2006-01-02 15:04:05-0700", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05-0700", "2006-01-02 15:04:05 MST",
	"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02", "2006/01/02 15:04:05", "2006/01/02 15:04", "2006/01/02",
}

// ParseTime reads a time as recordings write it. Without a zone it is UTC. A plain number is the time since 1970, before
// it if negative: in seconds, or, where that would be more than 3,000 years away, in milli-, micro- or nanoseconds.
func ParseTime(text string) (time.Time, error) {
	text = strings.TrimSpace(text)

	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}

	if whole, err := strconv.ParseInt(text, 10, 64); err == nil {
		return sinceEpoch(whole), nil
	}

	// Seconds with a fraction: split in two, so that no digit is lost to floating point.
	if value, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(value) < secondsLimit {
		seconds := math.Floor(value)

		return time.Unix(int64(seconds), int64(math.Round((value-seconds)*1e6))*1000).UTC(), nil
	}

	return time.Time{}, fmt.Errorf("%q is %w", shorten(text), errTime)
}

// secondsLimit is about 3,170 years in seconds.
const secondsLimit = 1e11

func sinceEpoch(n int64) time.Time {
	magnitude := math.Abs(float64(n))

	switch {
	case magnitude < secondsLimit:
		return time.Unix(n, 0).UTC()
	case magnitude < secondsLimit*1e3:
		return time.UnixMilli(n).UTC()
	case magnitude < secondsLimit*1e6:
		return time.UnixMicro(n).UTC()
	default:
		return time.Unix(0, n).UTC()
	}
}

// timeColumns are the columns that make the time of a row: none, one, or a date and a time of day.
type timeColumns struct {
	columns []int
	names   []string
}

// timeNames are the usual names of the time's column, the likeliest first.
var timeNames = []string{"timestamp", "datetime", "date_time", "time", "date", "ts", "utc", "epoch", "_time"}

// find takes the columns that spec names ("A" or "A+B"), or looks for them by their usual names.
func (t *timeColumns) find(column func(string) (int, error), header []string, spec string) error {
	switch {
	case spec == noneWord:
		return nil
	case spec != "":
		names := []string{spec}
		if !slices.Contains(header, spec) {
			names = strings.SplitN(spec, "+", 2)
		}

		for _, name := range names {
			at, err := column(strings.TrimSpace(name))
			if err != nil {
				return fmt.Errorf("time: %w", err)
			}

			t.add(at, header)
		}

		return nil
	}

	index := func(name string) int {
		return slices.IndexFunc(header, func(h string) bool { return strings.EqualFold(h, name) })
	}

	if date, clock := index("date"), index("time"); date >= 0 && clock >= 0 {
		t.add(date, header)
		t.add(clock, header)

		return nil
	}

	for _, name := range timeNames {
		if at := index(name); at >= 0 {
			t.add(at, header)

			return nil
		}
	}

	return nil
}

func (t *timeColumns) add(column int, header []string) {
	t.columns = append(t.columns, column)
	t.names = append(t.names, header[column])
}

// parse returns the time of a row, zero if the recording has none. Its errors begin with the column.
func (t *timeColumns) parse(cells []string) (time.Time, error) {
	if len(t.columns) == 0 {
		return time.Time{}, nil
	}

	parts := make([]string, 0, len(t.columns))
	for _, column := range t.columns {
		parts = append(parts, strings.TrimSpace(cells[column]))
	}

	parsed, err := ParseTime(strings.Join(parts, " "))
	if err != nil {
		return parsed, fmt.Errorf("column %q: %w", strings.Join(t.names, "+"), err)
	}

	return parsed, nil
}
