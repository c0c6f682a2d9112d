package decode

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// maxWrapped bounds the payloads that are unwrapped, in bytes; what is inside has a bound of its own.
const maxWrapped = 1 << 20

// unwrap takes a payload out of what programs wrap around one: gzip (RFC 1952), zlib (RFC 1950), UTF-16 with a byte order
// mark, Latin-1, the zero that ends a text in C, and the way in which Python prints a dictionary. how says which; empty: it
// is not wrapped.
func unwrap(b []byte) (plain []byte, how string, err error) {
	const least = 2
	if len(b) < least {
		return b, "", nil
	}
	switch {
	case isGzip(b):
		how = "gzip"
		plain, err = inflate(b)
	case isZlib(b):
		if inside, broken := inflate(b); broken == nil { // two bytes are little evidence
			return inside, "zlib", nil
		}
		return b, "", nil
	case b[0] == 0xff && b[1] == 0xfe, b[0] == 0xfe && b[1] == 0xff:
		how = "UTF-16"
		plain, err = fromUTF16(b)
	case b[0] == '{' && bytes.HasPrefix(trim(b[1:]), []byte("'")):
		return fromPython(b), "a Python dictionary", nil
	case isLatin1(b):
		return fromLatin1(b), "Latin-1", nil
	case isTerminated(b):
		return b[:len(b)-1], "a text of C's", nil
	default:
		return b, "", nil
	}
	if err != nil {
		err = fmt.Errorf("unpack %s: %w", how, err)
	}
	return plain, how, err
}

// isZlib reports whether b begins as zlib does, with a window of 32 KiB.
func isZlib(b []byte) bool {
	const check = 31
	return b[0] == 0x78 && (int(b[0])<<8|int(b[1]))%check == 0
}

// isTerminated reports whether b is printable text of some length with one zero behind it; a short one may be a number of
// two or four bytes.
func isTerminated(b []byte) bool {
	const least = 5
	return len(b) >= least && b[len(b)-1] == 0 && unprintable(b[:len(b)-1]) < 0
}

// isLatin1 reports whether b is JSON, or a number with a unit, in ISO 8859-1: it is not UTF-8, and its bytes beyond ASCII
// are letters and signs there (but for the last two, which damage brings more often).
func isLatin1(b []byte) bool {
	const least, firstSign, last = 5, 0xa0, 0xfd
	isNumber := b[0] == '-' || b[0] >= '0' && b[0] <= '9'
	if len(b) < least || b[0] != '{' && b[0] != '[' && !isNumber || utf8.Valid(b) {
		return false
	}
	beyond := 0
	for _, c := range b {
		switch {
		case c >= firstSign && c <= last:
			beyond++
		case c >= utf8.RuneSelf, c < ' ' && c != '\t' && c != '\n' && c != '\r':
			return false
		}
	}
	return !isNumber || beyond == 1
}

func fromLatin1(b []byte) []byte {
	plain := make([]byte, 0, len(b)+len(b)/4)
	for _, c := range b {
		plain = utf8.AppendRune(plain, rune(c))
	}
	return plain
}

var errUTF16 = errors.New("odd length, or half of a character")

// fromUTF16 reads text with a byte order mark in front.
func fromUTF16(b []byte) ([]byte, error) {
	if len(b)%2 != 0 || len(b) > maxWrapped {
		return nil, errUTF16
	}
	high, low := 1, 0
	if b[0] == 0xfe {
		high, low = 0, 1
	}
	units := make([]uint16, 0, len(b)/2)
	for at := 2; at < len(b); at += 2 {
		units = append(units, uint16(b[at+high])<<8|uint16(b[at+low]))
	}
	plain := make([]byte, 0, len(b))
	for _, r := range utf16.Decode(units) {
		if r == utf8.RuneError {
			return nil, errUTF16
		}
		plain = utf8.AppendRune(plain, r)
	}
	return plain, nil
}

// pythonWords are Python's words and what JSON has for them.
var pythonWords = []struct{ python, json string }{{"True", "true"}, {"False", "false"}, {"None", "null"}, {"nan", "NaN"}, {"inf", "Infinity"}}

// fromPython writes what Python prints as JSON; what is not Python either stays as broken as it is.
func fromPython(b []byte) []byte {
	out := make([]byte, 0, len(b)+len(b)/8)
	for at := 0; at < len(b); {
		if c := b[at]; c == '\'' || c == '"' {
			at, out = pythonString(out, b, at)
			continue
		}
		word := false
		for _, w := range pythonWords {
			if bytes.HasPrefix(b[at:], []byte(w.python)) {
				out = append(out, w.json...)
				at += len(w.python)
				word = true
				break
			}
		}
		if !word {
			out = append(out, b[at])
			at++
		}
	}
	return out
}

// pythonString appends the string that begins at a quote, in JSON's quotes, and returns where it ends.
func pythonString(out, b []byte, at int) (end int, _ []byte) {
	quote := b[at]
	out = append(out, '"')
	for at++; at < len(b); at++ {
		switch c := b[at]; {
		case c == quote:
			return at + 1, append(out, '"')
		case c == '\\' && at+1 < len(b) && b[at+1] == '\'':
			at++
			out = append(out, '\'')
		case c == '\\' && at+1 < len(b):
			out = append(out, c, b[at+1])
			at++
		case c == '"':
			out = append(out, '\\', '"')
		default:
			out = append(out, c)
		}
	}
	return at, out
}
