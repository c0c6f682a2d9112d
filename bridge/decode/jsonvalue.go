package decode

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A numeral is a number as it is written.
type numeral struct {
	raw []byte
	// mantissa is its digits, of which there are so many, fraction of them behind the point; overflown beyond 19.
	mantissa         uint64
	digits, fraction int
	negative         bool
	// exponent reports that one is written.
	exponent bool
}

// number reads a JSON number (RFC 8259, section 6).
func (p *parser) number() error {
	n := numeral{negative: p.data[p.at] == '-'}
	start := p.at
	if n.negative {
		p.at++
	}
	if p.at < len(p.data) && strings.IndexByte("INin", p.data[p.at]) >= 0 {
		return p.notFinite()
	}
	first := p.at
	n.digits = p.digits(&n.mantissa)
	if n.digits == 0 || n.digits > 1 && p.data[first] == '0' {
		p.at = first
		return p.fail("bad number")
	}
	if p.at < len(p.data) && p.data[p.at] == '.' {
		p.at++
		if n.fraction = p.digits(&n.mantissa); n.fraction == 0 {
			return p.fail("bad number")
		}
		n.digits += n.fraction
	}
	if p.at < len(p.data) && p.data[p.at]|0x20 == 'e' {
		n.exponent = true
		if p.at++; p.at < len(p.data) && (p.data[p.at] == '+' || p.data[p.at] == '-') {
			p.at++
		}
		var exponent uint64
		if p.digits(&exponent) == 0 {
			return p.fail("bad number")
		}
	}
	if n.raw = p.data[start:p.at]; !p.quiet() {
		p.addNumber(&n)
	}
	return nil
}

// digits reads as many digits as there are, appends them to the decimal number v, and returns how many.
func (p *parser) digits(v *uint64) int {
	start := p.at
	for p.at < len(p.data) && p.data[p.at] >= '0' && p.data[p.at] <= '9' {
		*v = *v*10 + uint64(p.data[p.at]-'0')
		p.at++
	}
	return p.at - start
}

// pow10 are the powers of ten that a float64 holds exactly, as far as they are needed here.
var pow10 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// addNumber adds a number. Up to 15 digits, mantissa and power of ten are exact, so their quotient is rounded once, as
// strconv would.
func (p *parser) addNumber(num *numeral) {
	n := p.scope.lookup(p.scope.name)
	const exact = 15
	var value float64
	if !num.exponent && num.digits <= exact {
		value = float64(num.mantissa) / pow10[num.fraction]
		if num.negative {
			value = -value
		}
	} else {
		var err error
		if value, err = strconv.ParseFloat(string(num.raw), 64); err != nil {
			return
		}
	}
	const longestQuantity = 25
	switch {
	case n.class == keyID, num.digits > longestQuantity && num.fraction == 0:
		p.scope.text(p.out, n, num.raw)
	case n.class == keyUnit, n.class == keyHidden:
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
