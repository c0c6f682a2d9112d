package decode

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
	"strings"

	"pulso/bridge/event"
)

// checkJSON goes over the payload without adding anything, notes whether it is JSON, and says what is wrong if it is not.
func (s *Scope) checkJSON(in *Input, out *Result) error {
	p := &parser{data: in.Payload, scope: s, in: in, out: out, muted: 1}
	p.space()
	if err := p.document(); err != nil {
		return err
	}
	out.JSON = !p.loose
	return nil
}

// object reports whether the payload is a JSON object, for schemes that take it apart. Its error says how it is broken.
func (s *Scope) object(in *Input, out *Result) (bool, error) {
	if b := trim(in.Payload); len(b) == 0 || b[0] != '{' {
		return false, nil
	}
	err := s.checkJSON(in, out)
	return err == nil, err
}

// part adds a JSON value that is part of the payload, as if it stood under path; below the root where path is empty.
func (s *Scope) part(in *Input, out *Result, path string, raw []byte) error {
	p := &parser{data: raw, scope: s, in: in, out: out}
	s.name = append(append(s.name[:0], s.topic.prefix...), path...)
	p.base = len(s.topic.prefix)
	return p.value()
}

// members goes over the members of an object: key and value as they are written. It ends where the object does, or where
// it is broken.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		i := skipSpace(object, 0)
		if i == len(object) || object[i] != '{' {
			return
		}
		for i++; ; i++ {
			i = skipSpace(object, i)
			keyEnd := skipValue(object, i)
			at := skipSpace(object, keyEnd)
			if at >= len(object) || object[at] != ':' || object[i] != '"' || keyEnd-i < 2 {
				return
			}
			at = skipSpace(object, at+1)
			end := skipValue(object, at)
			if end == at || !yield(object[i+1:keyEnd-1], object[at:end]) {
				return
			}
			if i = skipSpace(object, end); i >= len(object) || object[i] != ',' {
				return
			}
		}
	}
}

// member returns the value of a key of an object; nil if it has none.
func member(object []byte, path ...string) []byte {
	for _, key := range path {
		var found []byte
		for k, v := range members(object) {
			if string(k) == key {
				found = v
			}
		}
		if object = found; object == nil {
			return nil
		}
	}
	return object
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// skipValue returns where the value that begins at i ends.
func skipValue(b []byte, i int) int {
	depth, inString := 0, false
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			if inString = !inString; !inString && depth == 0 {
				return i + 1
			}
		case inString:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || c == ':' || c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			return i
		}
	}
	return len(b)
}

// scalar returns a JSON value as a person reads it: a string without its quotes, a number or word as it is; nothing of
// null, objects and arrays.
func scalar(raw []byte) string {
	switch {
	case len(raw) == 0, raw[0] == '{', raw[0] == '[', string(raw) == "null":
		return ""
	case raw[0] != '"':
		return string(raw)
	case bytes.IndexByte(raw, '\\') < 0:
		return strings.ToValidUTF8(string(raw[1:max(1, len(raw)-1)]), "\uFFFD")
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// word is scalar for short texts that come again: the same string each time.
func (s *Scope) word(raw []byte) string {
	if len(raw) > 1 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		return s.intern(raw[1 : len(raw)-1])
	}
	return scalar(raw)
}

// quietly understands any payload and adds nothing of it: pictures, maps, logs.
func quietly(s *Scope, in *Input, out *Result) (bool, error) {
	_ = s.checkJSON(in, out) // only notes whether it is
	return true, nil
}

// verbatim takes any text for a text, whatever it looks like.
func verbatim(s *Scope, in *Input, out *Result) (bool, error) {
	b := trim(in.Payload)
	if len(b) > 0 && (b[0] == '{' || b[0] == '[') || unprintable(b) >= 0 {
		return false, nil
	}
	_ = s.checkJSON(in, out) // only notes whether it is
	s.text(out, s.bare(), b)
	return true, nil
}

// announceUnit notes that a message gives a unit to readings to come.
func (s *Scope) announceUnit(out *Result, name, unit string) {
	if unit == "" || len(out.Units) >= MaxReadings || len(name) > MaxNameBytes {
		return
	}
	out.Units = append(out.Units, event.Text{Name: strings.ToValidUTF8(name, "\uFFFD"), Value: readUnit(unit)})
}

// shortDevice is the piece of several levels that names a device: the last, and the one before it where that is a number or
// a common word.
func shortDevice(levels []string) string {
	first := max(len(levels)-1, 0)
	for first > 0 && (isShortNumber(levels[first]) || has(metricWords, levels[first]) || has(partWords, levels[first]) || isTail(levels[first])) {
		first--
	}
	return strings.Join(levels[first:], "/")
}

// cutName shortens what names a device or its kind to MaxNameBytes.
func cutName(name string) string {
	if len(name) <= MaxNameBytes {
		return name
	}
	return string(cut([]byte(name), MaxNameBytes))
}

// numberOf is a JSON value as a number; 0 if it is none.
func numberOf(raw []byte) float64 {
	v, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0
	}
	return v
}
