package decode

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"
)

// CSV understands values in one line, separated by commas, semicolons or tabs: all of them numbers, at least two. It names
// them by their place, or by a line of names in front of the last line. Colours are no readings.
type CSV struct{}

const (
	// maxCSV bounds a payload of values, in bytes, and maxColumns the values.
	maxCSV     = 16 << 10
	maxColumns = 256
)

// Name implements [Format].
func (CSV) Name() string { return "csv" }

// colourWords as the name of a value say that its numbers are a colour.
var colourWords = words("color colour rgb rgbw hsv hsb hs xy col")

// Decode implements [Format].
func (CSV) Decode(s *Scope, in *Input, out *Result) (bool, error) {
	b := trim(in.Payload)
	if len(b) == 0 || len(b) > maxCSV || !csvByte(b[0]) && bytes.IndexByte(b, '\n') < 0 || !utf8.Valid(b) {
		return false, nil
	}
	lines := bytes.Split(b, []byte("\n"))
	last := bytes.TrimSuffix(lines[len(lines)-1], []byte("\r"))
	separator := csvSeparator(last)
	if separator == 0 || s.topic != nil && has(colourWords, lastKey(s.bare().text)) {
		return false, nil
	}
	columns := bytes.Split(last, []byte{separator})
	if len(columns) > maxColumns {
		return false, nil
	}
	values, ok := csvValues(columns, separator)
	if !ok {
		return false, nil
	}
	names := csvNames(lines, separator, len(columns))
	if names == nil && (len(lines) > 1 || separator == ',' && !sureCommas(columns)) {
		return false, nil
	}
	s.Becausef("the payload is %d values in a line", len(values))
	s.columns(in, out, values, names, timeOfText(trim(columns[0])))
	return true, nil
}

// columns adds the values by their names or places. The first is no reading where it is a time: stamp, in nanoseconds.
func (s *Scope) columns(in *Input, out *Result, values []csvValue, names [][]byte, stamp int64) {
	prefix := append([]byte(nil), s.topic.barePrefix...)
	if stamp != 0 {
		s.time(in, out, stamp)
	}
	for i, v := range values {
		if !v.some || i == 0 && stamp != 0 {
			continue
		}
		if names != nil {
			s.number(in, out, s.info(names[i]), "", v.value)
			continue
		}
		s.name = strconv.AppendInt(append(s.name[:0], prefix...), int64(i), 10)
		s.number(in, out, s.lookup(s.name), "", v.value)
	}
}

// csvByte reports whether a line of values can begin so.
func csvByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'n' || c == 'N'
}

// csvSeparator is what parts the values of a line; 0 if nothing does. Commas part nothing where semicolons do: they may be
// decimal points.
func csvSeparator(line []byte) byte {
	for _, c := range []byte{';', '\t', ','} {
		if bytes.IndexByte(line, c) >= 0 {
			return c
		}
	}
	return 0
}

type csvValue struct {
	value float64
	some  bool
}

// csvValues reads a line of which every column is a number, or says that there is none.
func csvValues(columns [][]byte, separator byte) (values []csvValue, ok bool) {
	const fewest = 2
	numbers := 0
	for i, column := range columns {
		column = trim(column)
		if i == 0 && timeOfText(column) != 0 {
			values = append(values, csvValue{})
			continue
		}
		if len(column) == 0 || bytes.EqualFold(column, []byte("nan")) || bytes.EqualFold(column, []byte("null")) {
			values = append(values, csvValue{})
			continue
		}
		if len(column) > maxNumberBytes || separator == ',' && bytes.IndexByte(column, ',') >= 0 {
			return nil, false
		}
		v, number := looseNumber(column)
		if !number {
			return nil, false
		}
		numbers++
		values = append(values, csvValue{v, true})
	}
	return values, numbers >= fewest || numbers > 0 && timeOfText(trim(columns[0])) != 0
}

// sureCommas reports whether commas part values and are neither decimal points nor between thousands: the first is a time,
// each has a decimal point, there are four, or three of which one has a fraction or a sign.
func sureCommas(columns [][]byte) bool {
	const sure = 4
	whole := func(column []byte) bool { return bytes.IndexByte(column, '.') < 0 }
	return timeOfText(trim(columns[0])) != 0 || !slices.ContainsFunc(columns, whole) ||
		len(columns) >= sure || len(columns) == sure-1 && bytes.ContainsAny(bytes.Join(columns, nil), ".-")
}

// csvNames are the names in the line before the values; nil if there is none that has a name for each.
func csvNames(lines [][]byte, separator byte, columns int) [][]byte {
	if len(lines) < 2 {
		return nil
	}
	names := bytes.Split(bytes.TrimSuffix(lines[0], []byte("\r")), []byte{separator})
	if len(names) != columns {
		return nil
	}
	for i := range names {
		names[i] = bytes.Trim(trim(names[i]), `"`)
		if len(names[i]) == 0 || len(names[i]) > MaxNameBytes || unprintable(names[i]) >= 0 {
			return nil
		}
		if _, number := looseNumber(names[i]); number {
			return nil
		}
	}
	return names
}
