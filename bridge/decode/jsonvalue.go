package decode

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// number reads a JSON number (RFC 8259, section 6).
func (p *parser) number() error {
	start := p.at
	i := start
	b := p.data
	negative := b[i] == '-'
	if negative {
		i++
	}
	if i < len(b) && b[i] == 'I' {
		p.at, p.loose = i, true
		return p.literal("Infinity")
	}
	first := i
	mantissa, digits, fraction := uint64(0), 0, 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		mantissa = mantissa*10 + uint64(b[i]-'0')
	}
	digits = i - first
	if digits == 0 || digits > 1 && b[first] == '0' {
		p.at = first
		return p.fail("bad number")
	}
	if i < len(b) && b[i] == '.' {
		point := i
		for i++; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
			mantissa = mantissa*10 + uint64(b[i]-'0')
		}
		fraction = i - point - 1
		if fraction == 0 {
			p.at = i
			return p.fail("bad number")
		}
	}
	simple := true
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		simple = false
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exponent := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		if i == exponent {
			p.at = i
			return p.fail("bad number")
		}
	}
	p.at = i
	if p.quiet() {
		return nil
	}
	p.addNumber(b[start:i], mantissa, digits+fraction, fraction, negative, simple)
	return nil
}

// pow10 are the powers of ten that a float64 holds exactly, as far as they are needed here.
var pow10 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// addNumber adds a number. Up to 15 digits, mantissa and power of ten are exact, so their quotient is rounded once, as
// strconv would.
func (p *parser) addNumber(raw []byte, mantissa uint64, digits, fraction int, negative, simple bool) {
	n := p.scope.lookup(p.scope.name)
	const exact = 15
	var value float64
	if simple && digits <= exact {
		value = float64(mantissa) / pow10[fraction]
		if negative {
			value = -value
		}
	} else {
		var err error
		if value, err = strconv.ParseFloat(string(raw), 64); err != nil {
			return
		}
	}
	const longestQuantity = 25
	switch {
	case n.class == keyID, digits > longestQuantity && fraction == 0:
		p.scope.text(p.out, n, raw)
	case n.class == keyUnit:
	default:
		p.scope.number(p.in, p.out, n, "", value)
	}
}

func appendIndex(b []byte, i int) []byte { return strconv.AppendInt(b, int64(i), 10) }

// escapeSize is the length of the escape that b begins with; 0 if it is none.
func escapeSize(b []byte) int {
	const short, long = 2, 6
	if len(b) < short {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return short
	case 'u':
		if len(b) < long {
			return 0
		}
		for _, c := range b[short:long] {
			if hexDigit(c) < 0 {
				return 0
			}
		}
		return long
	default:
		return 0
	}
}

func hexDigit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	default:
		return -1
	}
}

// unescape appends what the checked string raw stands for to dst. A surrogate without its other half becomes U+FFFD.
func unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, size := unescapeRune(raw[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	return dst
}

func unescapeRune(b []byte) (r rune, size int) {
	const long = 6
	r = hex4(b[2:long])
	if !utf16.IsSurrogate(r) {
		return r, long
	}
	if len(b) >= 2*long && b[long] == '\\' && b[long+1] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(b[long+2:2*long])); pair != utf8.RuneError {
			return pair, 2 * long
		}
	}
	return utf8.RuneError, long
}

func hex4(b []byte) rune {
	var r rune
	for _, c := range b {
		r = r<<4 | hexDigit(c)
	}
	return r
}
