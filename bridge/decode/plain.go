package decode

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Empty understands the empty payload, which clears a retained message.
type Empty struct{}

// Name implements [Format].
func (Empty) Name() string { return "empty" }

// Decode implements [Format].
func (Empty) Decode(_ *Scope, in *Input, _ *Result) (bool, error) { return len(in.Payload) == 0, nil }

// Number understands one number, with a unit behind it or not.
type Number struct{}

// Name implements [Format].
func (Number) Name() string { return "number" }

// maxNumberBytes is longer than any number and its unit.
const maxNumberBytes = 64

// Decode implements [Format]. "nan" in any case is a number without a reading: the device says that it has none.
func (Number) Decode(s *Scope, in *Input, out *Result) (bool, error) {
	b := trim(in.Payload)
	if len(b) == 0 || len(b) > maxNumberBytes {
		return false, nil
	}
	if bytes.EqualFold(b, []byte("nan")) {
		return true, nil
	}
	end := numberEnd(b)
	unit, known := "", true
	if rest := bytes.TrimLeft(b[end:], " \u00a0"); len(rest) > 0 {
		unit, known = valueUnits[string(rest)]
	}
	value, ok := looseNumber(b[:end])
	if !known || !ok {
		return false, nil
	}
	n := s.bare()
	if n.class == keyID || n.class == keyUnit {
		return false, nil
	}
	s.number(in, out, n, unit, value)
	return true, nil
}

// numberEnd returns where what can be a number ends.
func numberEnd(b []byte) int {
	i := 0
	for i < len(b) && (b[i] >= '0' && b[i] <= '9' || b[i] == '.' || b[i] == ',' || (b[i] == '-' || b[i] == '+') &&
		(i == 0 || b[i-1] == 'e' || b[i-1] == 'E') || (b[i] == 'e' || b[i] == 'E') && i > 0 && i+1 < len(b) &&
		(b[i+1] >= '0' && b[i+1] <= '9' || b[i+1] == '-' || b[i+1] == '+')) {
		i++
	}
	return i
}

// looseNumber reads a number as people and firmwares write it: with a sign or without, with a decimal comma, or with
// commas between thousands. "1,234" may be either and is none.
func looseNumber(b []byte) (float64, bool) {
	if bytes.IndexByte(b, ',') >= 0 {
		var ok bool
		if b, ok = withoutCommas(b); !ok {
			return 0, false
		}
	}
	digits := bytes.TrimLeft(b, "+-")
	if len(digits) == 0 || len(b)-len(digits) > 1 || len(digits) > 1 && digits[0] == '0' && digits[1] != '.' &&
		isDigits(string(digits)) {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}

func withoutCommas(b []byte) ([]byte, bool) {
	if whole, fraction, one := bytes.Cut(b, []byte(",")); one && isDigits(string(fraction)) && areThousands(whole) {
		return append(append(bytes.ReplaceAll(whole, []byte("."), nil), '.'), fraction...), true
	}
	parts := bytes.Split(b, []byte(","))
	last := parts[len(parts)-1]
	const group = 3
	if len(parts) == 2 && bytes.IndexByte(b, '.') < 0 {
		return bytes.ReplaceAll(b, []byte(","), []byte(".")), len(last) != group && len(last) > 0
	}
	whole, _, hasFraction := bytes.Cut(last, []byte("."))
	for _, p := range parts[1 : len(parts)-1] {
		if len(p) != group || !isDigits(string(p)) {
			return nil, false
		}
	}
	ok := len(whole) == group && isDigits(string(whole)) && len(parts[0]) <= group+1 && (hasFraction || len(parts) > 2)
	return bytes.ReplaceAll(b, []byte(","), nil), ok
}

// areThousands reports whether b is a whole number with points between its thousands ("1.234").
func areThousands(b []byte) bool {
	const group = 3
	parts := bytes.Split(bytes.TrimLeft(b, "+-"), []byte("."))
	for i, p := range parts {
		if !isDigits(string(p)) || len(p) != group && i > 0 || len(p) > group {
			return false
		}
	}
	return len(parts) > 1
}

// writtenNumber reads a whole text that is a number with a unit behind it ("45 %", "21,5 °C") or with a decimal comma
// ("21,5"), beyond doubt: three digits behind the comma may as well be thousands, several commas make a list, and a letter
// right behind a whole number is part of a name.
func writtenNumber(b []byte) (value float64, unit string, ok bool) {
	if len(b) > maxNumberBytes || len(b) == 0 || b[0] > '9' || b[0] != '-' && b[0] < '0' {
		return 0, "", false
	}
	end := numberEnd(b)
	if bytes.Count(b[:end], []byte(",")) > 1 {
		return 0, "", false
	}
	if rest := bytes.TrimLeft(b[end:], " \u00a0"); len(rest) > 0 {
		letter := len(rest) == 1 && rest[0] != '%' && len(rest) == len(b)-end && isDigits(string(b[:end])) // "4C"
		if unit, ok = valueUnits[string(rest)]; !ok || letter {
			return 0, "", false
		}
	} else if bytes.IndexByte(b[:end], ',') < 0 {
		return 0, "", false
	}
	value, ok = looseNumber(b[:end])
	return value, unit, ok
}

// plainNumber reads a whole text that is a decimal number beyond doubt: no exponent, no plus, no leading zeros, and not
// so many digits that it would rather be an id, a telephone number or a clock.
func plainNumber(b []byte) (float64, bool) {
	const longest, longestInteger = 20, 10
	digits := b
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > longest {
		return 0, false
	}
	point := -1
	for i, c := range digits {
		switch {
		case c >= '0' && c <= '9':
		case c == '.' && point < 0 && i > 0 && i < len(digits)-1:
			point = i
		default:
			return 0, false
		}
	}
	if digits[0] == '0' && len(digits) > 1 && point != 1 || point < 0 && len(digits) > longestInteger {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(b), 64)
	return v, err == nil
}

// Boolean understands one word of truth: on, off, true, false, yes or no in any case.
type Boolean struct{}

// Name implements [Format].
func (Boolean) Name() string { return "boolean" }

// Decode implements [Format].
func (Boolean) Decode(s *Scope, in *Input, out *Result) (bool, error) {
	b := trim(in.Payload)
	value, ok := truth(b)
	if !ok && bytes.EqualFold(b, []byte("yes")) {
		value, ok = 1, true
	} else if !ok && bytes.EqualFold(b, []byte("no")) {
		value, ok = 0, true
	}
	if !ok {
		return false, nil
	}
	n := s.bare()
	if n.class != keyPlain {
		return false, nil
	}
	s.add(out, n, "", value)
	return true, nil
}

// truth reads on, off, true and false in any case as 1 and 0.
func truth(b []byte) (float64, bool) {
	switch len(b) {
	case len("on"):
		return 1, b[0]|0x20 == 'o' && b[1]|0x20 == 'n'
	case len("off"):
		return 0, b[0]|0x20 == 'o' && b[1]|0x20 == 'f' && b[2]|0x20 == 'f'
	case len("true"):
		return 1, b[0]|0x20 == 't' && bytes.EqualFold(b, []byte("true"))
	case len("false"):
		return 0, b[0]|0x20 == 'f' && bytes.EqualFold(b, []byte("false"))
	default:
		return 0, false
	}
}

// Plain understands printable text in UTF-8.
type Plain struct{}

// Name implements [Format].
func (Plain) Name() string { return "text" }

var errNotText = errors.New("payload is neither text in UTF-8 nor of a known binary format")

// Decode implements [Format].
func (Plain) Decode(s *Scope, in *Input, out *Result) (bool, error) {
	if at := unprintable(in.Payload); at >= 0 {
		return false, fmt.Errorf("%w: byte 0x%02x at offset %d", errNotText, in.Payload[at], at)
	}
	n := s.bare()
	if n.class == keyTime {
		s.clock(in, out, n, timeOfText(trim(in.Payload)))
	}
	s.text(out, n, bytes.TrimSpace(in.Payload))
	return true, nil
}

// unprintable returns the offset of the first byte that text does not contain; -1 if there is none. Escape is text: logs
// are coloured with it.
func unprintable(b []byte) int {
	const escape = 0x1b
	for i := 0; i < len(b); {
		if c := b[i]; c < utf8.RuneSelf {
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != escape || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 || unicode.Is(unicode.Cc, r) {
			return i
		}
		i += size
	}
	return -1
}

// trim takes the white space off both ends.
func trim(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }
