package contract

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Bounds of a schema. What is beyond them is refused when it is written, not when a device pays for it.
const (
	// MaxSchema is how large a schema is, in bytes.
	MaxSchema = 64 << 10
	// maxSchemaDepth is how deeply it is nested.
	maxSchemaDepth = 32
	// maxSchemaParts is how many schemas it consists of, one that is referred to twice counted twice.
	maxSchemaParts = 2_000
	// maxPattern is how many instructions a regular expression takes. They are RE2's, whose time grows with the text only as a line.
	maxPattern = 500
)

// Bounds of a message under a schema: what is beyond them breaks the contract, since nobody can tell at a fair price.
const (
	// maxWork is schemas times values.
	maxWork = 50_000
	// maxMatching is instructions of regular expressions times bytes.
	maxMatching = 4 << 20
)

// maxReason bounds a reason, in bytes.
const maxReason = 200

// A Schema is a JSON Schema (draft 4 to 2020-12) that is ready to be asked. It is safe for concurrent use.
type Schema struct {
	compiled *jsonschema.Schema
	// parts are the schemas that it consists of, matching the instructions of its regular expressions.
	parts, matching int
}

// Compile reads a schema. It refers to nothing but itself, and not in circles. The error says where what is wrong.
func Compile(text []byte) (*Schema, error) {
	if len(text) > MaxSchema {
		return nil, fmt.Errorf("%w: the schema has %d bytes, at most %d", ErrContract, len(text), MaxSchema)
	}
	if deep(text, maxSchemaDepth) {
		return nil, fmt.Errorf("%w: the schema is nested more than %d levels deep", ErrContract, maxSchemaDepth)
	}
	var doc any
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%w: the schema is not JSON: %w", ErrContract, err)
	}
	if err := refersToItself(doc, ""); err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	c.UseRegexpEngine(compilePattern)
	c.AssertFormat()
	c.RegisterFormat(&jsonschema.Format{Name: "regex", Validate: func(any) error { return nil }}) // a device's would be compiled for it
	const url = "urn:pulso:contract"
	if err := c.AddResource(url, doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContract, err)
	}
	compiled, err := c.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("%w: the schema: %s", ErrContract, cut(err.Error(), 500))
	}
	w := weighing{on: map[*jsonschema.Schema]bool{}, known: map[*jsonschema.Schema]weight{}}
	total, err := w.of(compiled)
	if err != nil {
		return nil, err
	}
	return &Schema{compiled: compiled, parts: total.parts, matching: total.matching}, nil
}

// deep reports whether JSON is nested more deeply than it may be.
func deep(text []byte, most int) bool {
	depth, inText := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// refersToItself returns nil for a schema that refers to nothing outside it, and to nothing that a message decides.
func refersToItself(doc any, at string) error {
	switch v := doc.(type) {
	case []any:
		for i, item := range v {
			if err := refersToItself(item, at+"/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, value := range v {
			text, isText := value.(string)
			switch {
			case name == "$ref" && isText && !strings.HasPrefix(text, "#"):
				return fmt.Errorf("%w: the schema refers to something else at %.80s/$ref: %.80q: references are within it, such as \"#/$defs/x\"",
					ErrContract, at, text)
			case (name == "$dynamicRef" || name == "$recursiveRef" || (name == "$id" || name == "id") && at != "") && isText:
				return fmt.Errorf("%w: the schema has %s at %.80s, which contracts do not have", ErrContract, name, at)
			}
			if err := refersToItself(value, at+"/"+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// nowhere loads nothing: a schema makes the hub fetch no file and no page.
type nowhere struct{}

var errRemote = errors.New("nothing is fetched for a schema")

// Load implements [jsonschema.URLLoader].
func (nowhere) Load(string) (any, error) { return nil, errRemote }

// A pattern is a regular expression of a known size.
type pattern struct {
	*regexp.Regexp

	size int
}

// compilePattern is a [jsonschema.RegexpEngine]: RE2 of a bounded size.
func compilePattern(text string) (jsonschema.Regexp, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("pattern %.80q: %w", text, err)
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, fmt.Errorf("pattern %.80q: %w", text, err)
	}
	if len(prog.Inst) > maxPattern {
		return nil, fmt.Errorf("%w: pattern %.80q takes %d instructions, at most %d", ErrContract, text, len(prog.Inst), maxPattern)
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("pattern %.80q: %w", text, err)
	}
	return pattern{compiled, len(prog.Inst)}, nil
}

// A weight is what a schema costs a message.
type weight struct{ parts, matching int }

// weighing adds up what the parts of a schema cost.
type weighing struct {
	on    map[*jsonschema.Schema]bool // those that are being weighed
	known map[*jsonschema.Schema]weight
}

func (w *weighing) of(s *jsonschema.Schema) (weight, error) {
	if known, ok := w.known[s]; ok {
		return known, nil
	}
	if w.on[s] {
		return weight{}, fmt.Errorf("%w: the schema refers to itself in a circle at %.80s, which contracts do not", ErrContract, place(s.Location))
	}
	w.on[s] = true
	defer delete(w.on, s)
	total := weight{parts: 1, matching: sizeOf(s.Pattern)}
	if s.Enum != nil {
		total.parts += len(s.Enum.Values) / 10
	}
	for p := range s.PatternProperties {
		total.matching += sizeOf(p)
	}
	for _, below := range partsOf(s) {
		part, err := w.of(below)
		if err != nil {
			return weight{}, err
		}
		total.parts, total.matching = total.parts+part.parts, total.matching+part.matching
		if total.parts > maxSchemaParts || total.matching > maxSchemaParts {
			return weight{}, fmt.Errorf("%w: the schema has more than %d parts at %.80s, those that are referred to twice counted twice",
				ErrContract, maxSchemaParts, place(s.Location))
		}
	}
	w.known[s] = total
	return total, nil
}

func sizeOf(r jsonschema.Regexp) int {
	if p, ok := r.(pattern); ok {
		return p.size
	}
	return 0
}

// place is the part of a location that is within the schema.
func place(location string) string {
	_, at, _ := strings.Cut(location, "#")
	return "#" + at
}

// partsOf are the schemas that stand in a schema.
func partsOf(s *jsonschema.Schema) []*jsonschema.Schema {
	parts := slices.Concat(s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems, []*jsonschema.Schema{
		s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems,
	})
	if s.DynamicRef != nil {
		parts = append(parts, s.DynamicRef.Ref)
	}
	for _, some := range []map[string]*jsonschema.Schema{s.Properties, s.DependentSchemas} {
		for _, below := range some {
			parts = append(parts, below)
		}
	}
	for _, below := range s.PatternProperties {
		parts = append(parts, below)
	}
	for _, value := range []any{s.AdditionalProperties, s.AdditionalItems, s.Items} {
		parts = append(parts, schemasIn(value)...)
	}
	for _, value := range s.Dependencies {
		parts = append(parts, schemasIn(value)...)
	}
	return slices.DeleteFunc(parts, func(s *jsonschema.Schema) bool { return s == nil })
}

// schemasIn are those of a keyword that takes one, several or none.
func schemasIn(value any) []*jsonschema.Schema {
	switch v := value.(type) {
	case *jsonschema.Schema:
		return []*jsonschema.Schema{v}
	case []*jsonschema.Schema:
		return v
	}
	return nil
}

// A Fault is why a payload breaks a contract.
type Fault struct {
	// Kind names what is broken, and is the same for all messages that break it in one way, such as "/values/*: type".
	Kind string `json:"kind"`
	// Reason says what is wrong with this one, in at most 200 bytes.
	Reason string `json:"reason"`
}

const tooMuch = "too much to check"

// Check says what is wrong with a payload; nil: nothing. Of several faults it tells the first by place.
func (s *Schema) Check(payload []byte) *Fault {
	values := 1 + bytes.Count(payload, []byte{','}) + bytes.Count(payload, []byte{'{'}) + bytes.Count(payload, []byte{'['})
	if s.parts*values > maxWork || s.matching*len(payload) > maxMatching {
		return &Fault{tooMuch, fmt.Sprintf("too much to check: %d values and %d bytes by a schema of %d parts", values, len(payload), s.parts)}
	}
	// Numbers become float64: as text, one such as 1e999999 would cost a large integer.
	var value any
	err := json.Unmarshal(payload, &value)
	if err != nil {
		return &Fault{"not JSON", cut("not JSON: "+err.Error(), maxReason)}
	}
	if err = s.compiled.Validate(value); err == nil {
		return nil
	}
	broken := (*jsonschema.ValidationError)(nil)
	if !errors.As(err, &broken) {
		return &Fault{"not checked", cut(err.Error(), maxReason)}
	}
	first := firstOf(broken)
	at := "/" + strings.Join(first.InstanceLocation, "/")
	return &Fault{
		Kind:   cut(anyItem(first.InstanceLocation)+": "+strings.Join(first.ErrorKind.KeywordPath(), "/"), maxReason),
		Reason: cut(at+": "+first.ErrorKind.LocalizedString(english), maxReason),
	}
}

var english = message.NewPrinter(language.English)

// firstOf is the first of the faults at the bottom of a tree of them, by place and keyword.
func firstOf(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	var first *jsonschema.ValidationError
	for _, below := range e.Causes {
		if leaf := firstOf(below); first == nil || compareFaults(leaf, first) < 0 {
			first = leaf
		}
	}
	if first == nil {
		return e
	}
	return first
}

func compareFaults(a, b *jsonschema.ValidationError) int {
	return cmp.Or(
		slices.Compare(a.InstanceLocation, b.InstanceLocation),
		slices.Compare(a.ErrorKind.KeywordPath(), b.ErrorKind.KeywordPath()),
	)
}

// anyItem is a place with "*" for each number in it.
func anyItem(location []string) string {
	var text strings.Builder
	for _, part := range location {
		if _, err := strconv.Atoi(part); err == nil {
			part = "*"
		}
		text.WriteString("/" + part)
	}
	return cmp.Or(text.String(), "/")
}

// cut shortens a text to a number of bytes, and makes it valid UTF-8 without control characters.
func cut(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most-len("…")], "") + "…"
	}
	return text
}
