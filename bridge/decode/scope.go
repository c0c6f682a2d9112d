package decode

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"pulso/bridge/event"
)

// subjectEnd parts the subject from the path inside the payload in the key of a name; neither can contain it, since a
// topic has no U+0000 and a key's is replaced.
const subjectEnd = 0

// A Scope is what a format adds through: it names, bounds and de-duplicates. It is valid during one call of
// [Format.Decode].
type Scope struct {
	decoder  *Decoder
	topic    *topicInfo
	units    map[string]string
	about    about
	why      *[]string
	sequence uint64
	// name is the key of the name being built: the topic's prefix, then the path.
	name    []byte
	scratch []byte
	// asked counts the names looked up.
	asked int
	// left counts the readings and texts that were left out because of a bound.
	left int
}

// Becausef notes why the result is what it is, for who asked: see [Decoder.Explain].
func (s *Scope) Becausef(format string, args ...any) {
	if s.why != nil {
		*s.why = append(*s.why, fmt.Sprintf(format, args...))
	}
}

// SetDevice says that the message is another device's than its topic names, and takes that one's announced units. An
// override's device stays.
func (s *Scope) SetDevice(out *Result, device string) {
	if s.topic.space.override.device != "" || device == "" {
		return
	}
	if s.why != nil { // the hot path allocates nothing
		s.Becausef("the payload names the device %q", device)
	}
	out.Device = cutName(s.topic.own(strings.ToValidUTF8(device, "\uFFFD")))
	s.units, s.about = s.decoder.unitsOf(out.Device), s.decoder.aboutOf(out.Device)
}

// A nameInfo is what is known of a name, worked out once.
type nameInfo struct {
	key   string
	text  string
	class keyClass
	unit  string
	// fixed reports that unit counts for more than what the message says; sure, that the class is beyond doubt.
	fixed, sure bool
	// moment reports that a value that looks like a clock is one; apart, that a clock is not the message's.
	moment, apart bool
	// scale is what numbers are multiplied by; 0 is 1.
	scale float64
	// value is the last text of the name: it often comes again.
	value string
	// sequence is the last message that used the name, index where in its Result: a duplicate's last value counts.
	sequence uint64
	index    int
}

// info returns what is known of the name whose path inside the payload is path.
func (s *Scope) info(path []byte) *nameInfo {
	s.name = append(append(s.name[:0], s.topic.prefix...), path...)
	return s.lookup(s.name)
}

// bare returns what is known of the name of a bare value.
func (s *Scope) bare() *nameInfo {
	s.name = append(s.name[:0], s.topic.barePrefix...)
	return s.lookup(s.name)
}

// lookup finds what is known of a name. The messages of a topic mostly have the same names in the same order, so that the
// last message's are tried first.
func (s *Scope) lookup(key []byte) *nameInfo {
	at, last := s.asked, s.topic.names
	s.asked++
	if at < len(last) && last[at].key == string(key) {
		return last[at]
	}
	n, found := s.decoder.names.get(key)
	if !found {
		n = newNameInfo(s.topic.space, string(key))
		s.decoder.names.put(n.key, n)
	}
	switch {
	case at < len(last):
		last[at] = n
	case at < maxGuesses:
		s.topic.names = append(s.topic.names, n)
	}
	return n
}

// maxGuesses bounds the names that are kept with a topic.
const maxGuesses = 64

func newNameInfo(of *space, key string) *nameInfo {
	subject, path, _ := strings.Cut(key[spaceBytes:], string(rune(subjectEnd)))
	path = strings.ToValidUTF8(path, "\uFFFD")
	known := of.known(path)
	if rest, isValue := cutValue(path); known == (Key{}) && (path == "" || isValue && rest == "") {
		known = of.known(subject)
	}
	text := first(known.Name, path)
	if subject != "" {
		rest, isValue := cutValue(text)
		switch {
		case isValue && rest == "", text == "":
			text = subject
		case isValue:
			text = subject + "." + rest
		default:
			text = subject + "." + text
		}
	}
	last := lastKey(text)
	if path != "" {
		if named, isValue := cutValue(path); !isValue || named != "" {
			last = lastKey(path)
		}
	}
	n := &nameInfo{key: key, text: text, class: classify(last)}
	if n.class == keyPlain {
		n.unit, n.moment = unitOfKey(last), isMoment(last)
	}
	n.apart = isApart(last)
	n.take(known)
	n.take(of.told[path])
	n.text = first(of.told[path].Name, n.text)
	if f, found := of.override.fields[text]; found {
		n.take(Key{Class: classOfField[f.As], Unit: f.Unit, Scale: f.Scale})
		n.text, n.fixed = first(f.Name, n.text), f.Unit != ""
	}
	return n
}

// known is what the scheme says of a path, or of the most of its end that it says something of; with the indexes behind it
// or without.
func (s *space) known(path string) Key {
	if s.scheme == nil {
		return Key{}
	}
	last := lastKey(path)
	whole := path[:strings.LastIndex(path, last)+len(last)]
	for {
		if k, found := s.scheme.Keys[path]; found {
			return k
		}
		if k, found := s.scheme.Keys[whole]; found {
			return k
		}
		_, rest, more := strings.Cut(path, ".")
		if !more || len(whole) <= len(path)-len(rest) {
			return Key{}
		}
		whole = whole[len(path)-len(rest):]
		path = rest
	}
}

// take takes what is known of a key, but its name.
func (n *nameInfo) take(k Key) {
	n.unit = first(k.Unit, n.unit)
	if k.Scale != 0 {
		n.scale = k.Scale
	}
	if k.Class == ClassCommon {
		return
	}
	n.sure, n.moment, n.apart = true, false, false
	switch k.Class {
	case ClassMetric:
		n.class = keyPlain
	case ClassText:
		n.class = keyID
	case ClassTime:
		n.class = keyTime
	case ClassHidden:
		n.class = keyHidden
	case ClassCommon:
	}
}

// cutValue takes the key that only says "this is the value" off a path.
func cutValue(path string) (rest string, isValue bool) {
	first, rest, _ := strings.Cut(path, ".")
	switch first {
	case "value", "val", "Value":
		return rest, true
	default:
		return path, false
	}
}

// lastKey returns the last element of a path that is not an array index.
func lastKey(path string) string {
	for {
		i := strings.LastIndexByte(path, '.')
		if i < 0 || !isDigits(path[i+1:]) {
			return path[i+1:]
		}
		path = path[:i]
	}
}

// Add adds a reading named by its path inside the payload. A value that is not finite is no reading.
func (s *Scope) Add(out *Result, path []byte, unit string, value float64) {
	s.add(out, s.info(path), unit, value)
}

func (s *Scope) add(out *Result, n *nameInfo, unit string, value float64) {
	if n.scale != 0 {
		value *= n.scale
	}
	if math.IsNaN(value) || math.IsInf(value, 0) || n.class == keyHidden {
		return
	}
	if unit == "" || n.fixed {
		unit = n.unit
	}
	if unit == "" && s.units != nil {
		unit = s.units[n.text]
	}
	if n.sequence == s.sequence && n.index < len(out.Readings) && out.Readings[n.index].Name == n.text {
		out.Readings[n.index].Value = value
		return
	}
	if len(out.Readings) >= MaxReadings {
		s.left++
		return
	}
	n.sequence, n.index = s.sequence, len(out.Readings)
	out.Readings = append(out.Readings, Reading{Name: n.text, Unit: unit, Value: value})
}

// Text adds a text named by its path inside the payload. It is cut at MaxTextBytes and made valid UTF-8.
func (s *Scope) Text(out *Result, path, value []byte) {
	s.text(out, s.info(path), value)
}

func (s *Scope) text(out *Result, n *nameInfo, value []byte) {
	if n.class == keyHidden {
		return
	}
	if len(out.Texts) >= MaxTexts {
		s.left++
		return
	}
	if value = cut(value, MaxTextBytes); n.value != string(value) || len(value) == 0 {
		n.value = s.intern(value)
	}
	out.Texts = append(out.Texts, event.Text{Name: n.text, Value: n.value})
}

// intern returns value as a string, the same one for short values that come again.
func (s *Scope) intern(value []byte) string {
	const short = 32
	if len(value) > short {
		return strings.ToValidUTF8(string(value), "\uFFFD")
	}
	if v, found := s.decoder.values.get(value); found {
		return v
	}
	v := strings.ToValidUTF8(string(value), "\uFFFD")
	s.decoder.values.put(string(value), v)
	return v
}

// cut shortens b to at most limit bytes without breaking a character.
func cut(b []byte, limit int) []byte {
	if len(b) <= limit {
		return b
	}
	for limit > 0 && !utf8.RuneStart(b[limit]) {
		limit--
	}
	return b[:limit]
}

// number adds a number under the rules for its name's class.
func (s *Scope) number(in *Input, out *Result, n *nameInfo, unit string, value float64) {
	switch n.class {
	case keyTime:
		s.clock(in, out, n, timeOfNumber(value))
	case keyID:
		s.text(out, n, strconv.AppendFloat(s.scratch[:0], value, 'f', -1, 64))
	default:
		if n.moment {
			if t := timeOfNumber(value); t != 0 {
				s.clock(in, out, n, t)
				return
			}
		}
		if n.sure || !isClock(value, in.Time) {
			s.add(out, n, unit, value)
		}
	}
}

// clock takes t, a clock of the name n, as the device's time unless it tells of something else.
func (s *Scope) clock(in *Input, out *Result, n *nameInfo, t int64) {
	if !n.apart {
		s.time(in, out, t)
	}
}

// time takes t as the device's time if it is believable; the first such counts.
func (s *Scope) time(in *Input, out *Result, t int64) {
	if out.DeviceTime == 0 && believable(t, in.Time) {
		out.DeviceTime = t
	}
}
