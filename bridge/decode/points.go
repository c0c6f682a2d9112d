package decode

import (
	"bytes"
	"iter"
	"math"
	"strconv"
)

// points gathers the values of a message that tells of several moments, or of several devices. Of each name the newest
// becomes the reading, the others [Result.Earlier]. It is used once.
type points struct {
	s   *Scope
	in  *Input
	out *Result
	all []point
	// sent is when the message was made, by the device's clock, in nanoseconds; 0: it does not say.
	sent int64
	// device is the one that values are of from now on; empty: the message's own.
	device string
}

// A point is a value and when it was so.
type point struct {
	name   *nameInfo
	device string
	unit   string
	value  float64
	// at is in nanoseconds; 0: now.
	at int64
	// past reports that it is no news, however old it may be.
	past bool
}

type pointKey struct {
	name   *nameInfo
	device string
}

func (s *Scope) points(in *Input, out *Result) *points { return &points{s: s, in: in, out: out} }

// path makes a name what [Scope.Add] takes.
func (p *points) path(path []byte) []byte {
	path = cut(path, MaxNameBytes)
	if bytes.IndexByte(path, subjectEnd) >= 0 {
		path = bytes.ReplaceAll(path, []byte{subjectEnd}, []byte(" "))
	}
	return path
}

// name looks a name up, as long as there are not too many; nil then.
func (p *points) name(path []byte) *nameInfo {
	if p.s.asked >= maxAsked {
		p.s.left++
		return nil
	}
	return p.s.info(p.path(path))
}

// number adds a number under the rules for its name.
func (p *points) number(path []byte, unit string, value float64, at int64) {
	p.numberThen(path, unit, value, at, false)
}

// numberThen adds a number; past: it is one of the past for certain.
func (p *points) numberThen(path []byte, unit string, value float64, at int64, past bool) {
	n := p.name(path)
	switch {
	case n == nil, n.class == keyHidden, n.class == keyUnit && !n.sure:
	case n.class == keyTime, n.moment && timeOfNumber(value) != 0:
		p.s.Becausef("%q is a clock: no reading", n.text)
	case n.class == keyID:
		if p.device == "" && !past {
			p.s.text(p.out, n, appendNumber(p.s.scratch[:0], value))
		}
	case n.sure || !isClock(value, p.in.Time):
		p.all = append(p.all, point{n, p.device, unit, value, at, past})
	}
}

// text adds a text. Words of truth are numbers. Of a name that comes again, the last counts.
func (p *points) text(path, value []byte, at int64) {
	n := p.name(path)
	if n == nil || p.device != "" || n.class == keyTime {
		return
	}
	if v, ok := truth(value); ok && n.class == keyPlain {
		p.all = append(p.all, point{n, p.device, "", v, at, false})
		return
	}
	before := len(p.out.Texts)
	p.s.text(p.out, n, value)
	if len(p.out.Texts) == before {
		return
	}
	for i := range p.out.Texts[:before] {
		if p.out.Texts[i].Name == n.text {
			p.out.Texts[i] = p.out.Texts[before]
			p.out.Texts = p.out.Texts[:before]
			return
		}
	}
}

// truth adds a word of truth.
func (p *points) truth(path []byte, value bool, at int64) {
	v := 0.0
	if value {
		v = 1
	}
	p.number(path, "", v, at)
}

// json adds a JSON value that has been checked: what is in it goes by the path inside of it, the value beside a unit has that
// one.
func (p *points) json(path []byte, unit string, raw []byte, at int64) {
	if len(raw) == 0 || len(path) > MaxNameBytes {
		return
	}
	switch raw[0] {
	case '{':
		unit := readUnit(first(scalar(member(raw, "unit")), scalar(member(raw, "units"))))
		for key, value := range members(raw) {
			of := ""
			if string(key) == "value" || string(key) == "Value" {
				of = unit
			}
			if unit == "" || string(key) != "unit" && string(key) != "units" {
				p.json(below(path, unescape(nil, key)), of, value, at)
			}
		}
	case '[':
		i := 0
		for value := range elements(raw) {
			p.json(below(path, appendIndex(nil, i)), unit, value, at)
			i++
		}
	case '"':
		text := []byte(scalar(raw))
		if v, ok := plainNumber(text); ok {
			p.number(path, unit, v, at)
		} else {
			p.text(path, text, at)
		}
	case 't', 'f':
		p.truth(path, raw[0] == 't', at)
	case 'n', 'N', 'I':
	default:
		if v, err := strconv.ParseFloat(string(raw), 64); err == nil {
			p.number(path, unit, v, at)
		}
	}
}

// floatOf is a JSON value as a number, written as such or as a string; 0 if it is none.
func floatOf(raw []byte) float64 {
	v, err := strconv.ParseFloat(scalar(raw), 64)
	if err != nil {
		return 0
	}
	return v
}

// below is a path with one element more.
func below(path, element []byte) []byte {
	if len(path) == 0 {
		return bytes.Clone(element)
	}
	return bytes.Join([][]byte{path, element}, []byte("."))
}

// elements goes over the elements of an array, as they are written; over a value that is none as if it were the only one.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		i := skipSpace(array, 0)
		if i == len(array) || array[i] != '[' {
			if i < len(array) {
				yield(trim(array))
			}
			return
		}
		for i++; ; i++ {
			i = skipSpace(array, i)
			end := skipValue(array, i)
			if end == i || !yield(array[i:end]) {
				return
			}
			if i = skipSpace(array, end); i >= len(array) || array[i] != ',' {
				return
			}
		}
	}
}

// done makes readings of what was gathered. Those of which another device is named go to [Result.Earlier] all.
func (p *points) done() {
	newest, right := make(map[pointKey]int), believable(p.sent, p.in.Time)
	for i := range p.all {
		q := &p.all[i]
		right = right || believable(q.at, p.in.Time)
		if q.past {
			continue
		}
		key := pointKey{q.name, q.device}
		if best, found := newest[key]; !found || !q.before(&p.all[best]) {
			newest[key] = i
		}
	}
	for i := range p.all {
		if q := &p.all[i]; q.device == "" && isNewest(newest, q, i) {
			p.reading(q)
		}
	}
	if p.out.DeviceTime == 0 {
		p.s.time(p.in, p.out, p.sent)
	}
	for i := range p.all {
		if q := &p.all[i]; q.device != "" || !isNewest(newest, q, i) {
			p.earlier(q, newest, right)
		}
	}
}

func isNewest(newest map[pointKey]int, q *point, i int) bool {
	best, found := newest[pointKey{q.name, q.device}]
	return found && best == i
}

// before reports whether a point is older than another: what has no time is of now.
func (q *point) before(other *point) bool {
	return q.at != 0 && (other.at == 0 || q.at < other.at)
}

// reading adds the newest of a name. The first such tells the message's time.
func (p *points) reading(q *point) {
	if len(p.out.Readings) == 0 && q.at != 0 {
		p.s.time(p.in, p.out, q.at)
	}
	before := len(p.out.Readings)
	p.s.add(p.out, q.name, q.unit, q.value)
	if len(p.out.Readings) > before && q.at != p.out.DeviceTime && believable(q.at, p.in.Time) {
		p.out.Readings[before].Time = q.at
	}
}

// earlier adds an older point. Its time counts if others of the message show that the device's clock is right.
func (p *points) earlier(q *point, newest map[pointKey]int, right bool) {
	at := q.at
	best, found := newest[pointKey{q.name, q.device}]
	switch isBest := found && &p.all[best] == q; {
	case isBest && !believable(at, p.in.Time):
		at = 0
	case !isBest && (at < earliest || !right):
		p.s.left++
		return
	case !isBest && found && at == p.all[best].at:
		return // the same moment told again
	}
	if len(p.out.Earlier) >= maxAsked {
		p.s.left++
		return
	}
	value := q.value
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	if q.name.scale != 0 {
		value *= q.name.scale
	}
	unit := q.unit
	if unit == "" || q.name.fixed {
		unit = q.name.unit
	}
	p.out.Earlier = append(p.out.Earlier, EarlierReading{
		Reading: Reading{Name: q.name.text, Unit: unit, Value: value}, Device: q.device, Time: at,
	})
}

func appendNumber(b []byte, value float64) []byte { return strconv.AppendFloat(b, value, 'f', -1, 64) }
