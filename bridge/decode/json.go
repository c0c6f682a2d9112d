package decode

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const jsonName = "json"

// JSON understands a JSON value (RFC 8259), several of them a line each (the last counts), and NaN and Infinity where a
// number should be, which are no readings.
type JSON struct{}

// Name implements [Format].
func (JSON) Name() string { return jsonName }

// Decode implements [Format]. Objects and arrays are claimed by their first byte: if they are broken, the error says
// where.
func (JSON) Decode(s *Scope, in *Input, out *Result) (bool, error) {
	p := &parser{data: in.Payload, scope: s, in: in, out: out}
	if bytes.HasPrefix(p.data, []byte("\uFEFF")) {
		p.at, p.loose = len("\uFEFF"), true
	}
	p.space()
	if p.at == len(p.data) {
		return false, nil
	}
	first := p.data[p.at]
	p.scalar = first != '{' && first != '['
	if first == '[' && !p.opensArray() || p.scalar && !opensScalar(first) {
		return false, nil
	}
	prefix := s.topic.prefix
	if p.scalar {
		prefix = s.topic.barePrefix
	}
	s.name = append(s.name[:0], prefix...)
	p.base = len(s.name)
	if err := p.document(); err != nil {
		if p.scalar {
			out.nothing() // another format may understand it
			return false, nil
		}
		return false, err
	}
	p.tellBatches()
	out.JSON = !p.loose
	return first == '{' || first == '[' || first == '"' || first == 'n', nil
}

// errJSON is wrapped by what is said of broken JSON.
var errJSON = errors.New("not valid JSON")

// A parser goes over the payload once: it checks the grammar and the encoding and adds what it finds.
type parser struct {
	data  []byte
	at    int
	scope *Scope
	in    *Input
	out   *Result
	// base is the length of scope.name before the path.
	base  int
	depth int
	// muted is above 0 inside of something whose name is too long.
	muted int
	// scalar: the payload is a bare value, which the plain formats read; only its grammar is checked, but for strings.
	scalar bool
	// loose: it is understood but not valid JSON.
	loose bool
	// inside of a string that is JSON itself.
	inside bool
	// list is what is known of the object that comes next as an element of a list.
	list listed
	// batches are lists of moments, and lines of them, told once all is read.
	batches []batch
	lines   [][]byte
}

func (p *parser) fail(what string) error {
	return fmt.Errorf("%w: %s at offset %d", errJSON, what, p.at)
}

// opensArray reports whether what follows the bracket can be an array's: "[INFO] ready" is text.
func (p *parser) opensArray() bool {
	for _, c := range p.data[p.at+1:] {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == ']' || c == '[' || c == '{' || c == '"' || c == '-' || c >= '0' && c <= '9' || strings.IndexByte("tfnN", c) >= 0
		}
	}
	return true
}

// opensScalar reports whether a string, number or word can begin with c.
func opensScalar(c byte) bool {
	return c == '"' || c == '-' || c >= '0' && c <= '9' || c == 't' || c == 'f' || c == 'n'
}

// document reads one value and, after line ends, further ones, the last of which counts.
func (p *parser) document() error {
	for {
		start := p.at
		if err := p.value(); err != nil {
			return err
		}
		end := p.at
		if p.loose && len(p.lines) > 0 {
			p.lines = append(p.lines, p.data[start:end])
		}
		p.space()
		if p.at == len(p.data) {
			return nil
		}
		if p.scalar || bytes.IndexByte(p.data[end:p.at], '\n') < 0 || p.data[p.at] != '{' {
			return p.fail("more after the value")
		}
		if p.loose = true; len(p.lines) == 0 {
			p.lines = append(p.lines, p.data[start:end])
		}
		p.out.nothing()
	}
}

func (p *parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

func (p *parser) value() error {
	if p.at == len(p.data) {
		return p.fail("a value is missing")
	}
	switch c := p.data[p.at]; c {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		raw, escaped, err := p.str()
		if err == nil {
			p.addString(raw, escaped)
		}
		return err
	case 't':
		return p.word("true", 1)
	case 'f':
		return p.word("false", 0)
	case 'n':
		if bytes.HasPrefix(p.data[p.at:], []byte("nan")) {
			return p.notFinite()
		}
		return p.literal("null")
	case 'N', 'I', 'i':
		return p.notFinite()
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return p.number()
		}
		return p.fail(fmt.Sprintf("unexpected %q", rune(c)))
	}
}

func (p *parser) literal(word string) error {
	if !bytes.HasPrefix(p.data[p.at:], []byte(word)) {
		return p.fail("unknown word")
	}
	p.at += len(word)
	return nil
}

// notFinite reads what programs write for numbers that JSON has none for.
func (p *parser) notFinite() error {
	if p.scalar {
		return p.fail("no value of JSON")
	}
	p.loose = true
	for _, word := range [...]string{"NaN", "nan", "Infinity", "infinity", "Inf", "inf"} {
		if bytes.HasPrefix(p.data[p.at:], []byte(word)) {
			p.at += len(word)
			return nil
		}
	}
	return p.fail("unknown word")
}

func (p *parser) word(word string, value float64) error {
	if err := p.literal(word); err != nil {
		return err
	}
	if p.quiet() {
		return nil
	}
	switch n := p.scope.lookup(p.scope.name); {
	case n.class == keyPlain, n.class == keyWord:
		p.scope.add(p.out, n, "", value)
	case n.class == keyID && n.sure:
		p.scope.text(p.out, n, []byte(word))
	}
	return nil
}

// quiet reports whether what is read now adds nothing.
func (p *parser) quiet() bool {
	if p.scope.asked >= maxAsked {
		p.scope.left++
		return true
	}
	return p.scalar || p.muted > 0
}

// maxAsked bounds the names that one message may have worked out.
const maxAsked = 4 * MaxReadings

func (p *parser) enter() error {
	if p.depth++; p.depth > MaxDepth {
		return fmt.Errorf("JSON nested deeper than %d levels, at offset %d", MaxDepth, p.at)
	}
	p.at++
	p.space()
	return nil
}

func (p *parser) object() error {
	if err := p.enter(); err != nil {
		return err
	}
	readings, texts, units := len(p.out.Readings), len(p.out.Texts), false
	mark, of := len(p.scope.name), p.list
	p.list = listed{}
	for first := true; ; first = false {
		if p.at < len(p.data) && p.data[p.at] == '}' && first {
			break
		}
		isUnit, err := p.member(mark, &of)
		if err != nil {
			return err
		}
		units = units || isUnit
		p.space()
		if p.at < len(p.data) && p.data[p.at] == '}' {
			break
		}
		if p.at == len(p.data) || p.data[p.at] != ',' {
			return p.fail("\",\" or \"}\" is missing")
		}
		p.at++
		p.space()
	}
	p.at++
	p.depth--
	if units {
		nameSiblings(p.out, readings, texts)
	}
	return nil
}

// member reads a key and its value. It reports whether the key is that of a unit. of is what the object is in a list.
func (p *parser) member(mark int, of *listed) (isUnit bool, err error) {
	if p.at == len(p.data) || p.data[p.at] != '"' {
		return false, p.fail("a key is missing")
	}
	key, escaped, err := p.str()
	if err != nil {
		return false, err
	}
	if escaped {
		key = unescape(p.scope.scratch[:0], key)
		p.scope.scratch = key[:0]
	}
	p.space()
	if p.at == len(p.data) || p.data[p.at] != ':' {
		return false, p.fail("\":\" is missing")
	}
	p.at++
	p.space()
	leave := false
	switch {
	case of.name != nil && string(key) == of.nameKey, p.isWish(key):
		p.muted++
		leave = true
	case of.pure && isValueKey(key):
	default:
		leave = p.extend(key)
	}
	isUnit = p.at < len(p.data) && p.data[p.at] == '"' && endsLikeUnit(key)
	err = p.value()
	p.scope.name = p.scope.name[:mark]
	if leave {
		p.muted--
	}
	return isUnit, err
}

// endsLikeUnit is a quick look at whether classify may call key a unit's.
func endsLikeUnit(key []byte) bool {
	for _, end := range [...]string{"unit", "units", "uom", "measurement"} {
		if at := len(key) - len(end); at >= 0 && bytes.EqualFold(key[at:], []byte(end)) {
			return true
		}
	}
	return false
}

// extend appends an element to the path. If that becomes too long it mutes what is below, and reports so.
func (p *parser) extend(element []byte) (muted bool) {
	name := p.scope.name
	if len(name)-p.base+len(element) >= MaxNameBytes {
		p.muted++
		p.scope.left++
		return true
	}
	if len(name) > p.base {
		name = append(name, '.')
	}
	start := len(name)
	name = append(name, element...)
	for i := start; i < len(name); i++ {
		if name[i] == subjectEnd {
			name[i] = ' '
		}
	}
	p.scope.name = name
	return false
}

func (p *parser) array() error {
	if err := p.enter(); err != nil {
		return err
	}
	mark := len(p.scope.name)
	named, batched := p.opensList()
	if batched {
		p.muted++
		defer func() { p.muted-- }()
	}
	var digits [20]byte
	for i := 0; ; i++ {
		if i == 0 && p.at < len(p.data) && p.data[p.at] == ']' {
			break
		}
		element := appendIndex(digits[:0], i)
		if named {
			p.list = listedAs(p.data[p.at:])
			element = p.list.name
		}
		leave := p.extend(element)
		err := p.value()
		p.scope.name = p.scope.name[:mark]
		if leave {
			p.muted--
		}
		if err != nil {
			return err
		}
		p.space()
		if p.at < len(p.data) && p.data[p.at] == ']' {
			break
		}
		if p.at == len(p.data) || p.data[p.at] != ',' {
			return p.fail("\",\" or \"]\" is missing")
		}
		p.at++
		p.space()
	}
	p.at++
	p.depth--
	return nil
}

// str reads a string and returns what stands between its quotes.
func (p *parser) str() (raw []byte, escaped bool, err error) {
	start := p.at + 1
	for i := start; i < len(p.data); {
		switch c := p.data[i]; {
		case c == '"':
			p.at = i + 1
			return p.data[start:i], escaped, nil
		case c == '\\':
			escaped = true
			size := escapeSize(p.data[i:])
			if size == 0 {
				p.at = i
				return nil, false, p.fail("bad escape")
			}
			i += size
		case c < ' ':
			p.at = i
			return nil, false, p.fail("control character in a string")
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(p.data[i:])
			if r == utf8.RuneError && size == 1 {
				p.at = i
				return nil, false, p.fail("invalid UTF-8")
			}
			i += size
		}
	}
	return nil, false, p.fail("a string has no end")
}

// addString adds a string's value: a number or word of truth that is written as a string, a time, or a text.
func (p *parser) addString(raw []byte, escaped bool) {
	if p.muted > 0 || p.scope.asked >= maxAsked {
		return
	}
	if escaped {
		raw = unescape(p.scope.scratch[:0], raw)
		p.scope.scratch = raw[:0]
	}
	n := p.scope.lookup(p.scope.name)
	switch n.class {
	case keyTime:
		p.scope.clock(p.in, p.out, n, timeOfText(raw))
		return
	case keyPlain:
		if n.moment {
			if t := timeOfText(raw); t != 0 {
				p.scope.clock(p.in, p.out, n, t)
				return
			}
		}
		if v, ok := plainNumber(raw); ok {
			p.scope.number(p.in, p.out, n, "", v)
			return
		}
		if v, ok := truth(raw); ok {
			p.scope.add(p.out, n, "", v)
			return
		}
		if v, unit, ok := writtenNumber(raw); ok {
			p.scope.number(p.in, p.out, n, unit, v)
			return
		}
	case keyID, keyWord, keyUnit, keyHidden:
	}
	if n.class != keyHidden && p.wrapped(raw) {
		return
	}
	p.scope.text(p.out, n, raw)
}

// wrapped reads a string that is JSON itself, an object or array, one level deep, and reports whether it is.
func (p *parser) wrapped(raw []byte) bool {
	if p.inside || len(raw) < len(`{"a":1}`) || raw[0] != '{' && raw[0] != '[' || raw[len(raw)-1] != '}' && raw[len(raw)-1] != ']' {
		return false
	}
	readings, texts, earlier, at := len(p.out.Readings), len(p.out.Texts), len(p.out.Earlier), p.out.DeviceTime
	inner := *p
	inner.data, inner.at, inner.inside = slices.Clone(raw), 0, true // the scratch memory is used again
	err := inner.value()
	if inner.space(); err == nil && inner.at == len(inner.data) && len(p.out.Readings) > readings {
		return true
	}
	p.out.Readings, p.out.Texts, p.out.Earlier, p.out.DeviceTime = p.out.Readings[:readings], p.out.Texts[:texts], p.out.Earlier[:earlier], at
	return false
}
