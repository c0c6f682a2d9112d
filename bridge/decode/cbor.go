package decode

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// CBOR understands maps and arrays in CBOR (RFC 8949), of definite or indefinite length, and SenML in CBOR (RFC 8428,
// section 6). What is in them goes by the rules for JSON. A bare number has too little of a form to be told from noise: it
// is read only where an override says that the payload is CBOR.
type CBOR struct{}

// Name implements [Format].
func (CBOR) Name() string { return "cbor" }

// cborMode bounds what is read.
var cborMode = newCBORMode()

func newCBORMode() cbor.DecMode {
	mode, err := cbor.DecOptions{
		MaxNestedLevels: MaxDepth, MaxArrayElements: 1 << 16, MaxMapPairs: 1 << 16, DupMapKey: cbor.DupMapKeyQuiet,
		UTF8: cbor.UTF8RejectInvalid, IntDec: cbor.IntDecConvertNone, TimeTagToAny: cbor.TimeTagToTime,
		BigIntDec: cbor.BigIntDecodePointer,
	}.DecMode()
	if err != nil {
		return nil
	}
	return mode
}

// Decode implements [Format].
func (c CBOR) Decode(s *Scope, in *Input, out *Result) (bool, error) {
	if len(in.Payload) == 0 || cborMode == nil {
		return false, nil
	}
	forced := s.isForced(c)
	major := in.Payload[0] >> 5
	const array, object, tag = 4, 5, 6
	if !forced && (major < array || major > tag || unprintable(in.Payload) < 0) {
		return false, nil
	}
	var tree any
	if err := cborMode.Unmarshal(in.Payload, &tree); err != nil {
		if forced {
			return true, fmt.Errorf("not valid CBOR: %w", err)
		}
		return false, nil
	}
	tree = untagged(tree)
	if s.senmlCBOR(in, out, tree) {
		return true, nil
	}
	if !forced && !hasNames(tree) {
		return false, nil
	}
	return true, s.tree(in, out, tree)
}

// isForced reports whether an override says that payloads are of this format.
func (s *Scope) isForced(f Format) bool {
	only := s.topic.space.override.format
	return only != nil && only.Name() == f.Name()
}

// untagged takes the tags off the root.
func untagged(tree any) any {
	for {
		tag, isTag := tree.(cbor.Tag)
		if !isTag {
			return tree
		}
		tree = tag.Content
	}
}

// hasNames reports whether a value is a map with words for keys, or an array that begins with one: bytes that are so by
// chance are not to be expected.
func hasNames(tree any) bool {
	switch v := tree.(type) {
	case map[any]any:
		if len(v) == 0 {
			return false
		}
		for key := range v {
			if name, isText := key.(string); !isText || name == "" || unprintable([]byte(name)) >= 0 {
				return false
			}
		}
		return true
	case []any:
		return len(v) > 0 && hasNames(v[0])
	default:
		return false
	}
}

var errTree = errors.New("more values than are read from one message")

// tree adds what is in a value under the rules for JSON.
func (s *Scope) tree(in *Input, out *Result, tree any) error {
	w := treeWriter{left: maxTreeValues}
	w.value(tree)
	if w.left <= 0 {
		return errTree
	}
	return s.part(in, out, "", w.b)
}

// maxTreeValues bounds the values of a payload that is written as JSON to be read.
const maxTreeValues = 1 << 16

// A treeWriter writes values as JSON.
type treeWriter struct {
	b    []byte
	left int
}

func (w *treeWriter) value(tree any) {
	if w.left--; w.left <= 0 {
		w.word("null")
		return
	}
	switch v := tree.(type) {
	case bool:
		w.b = strconv.AppendBool(w.b, v)
	case uint64:
		w.b = strconv.AppendUint(w.b, v, 10)
	case int64:
		w.b = strconv.AppendInt(w.b, v, 10)
	case float64:
		w.float(v)
	case *big.Int:
		w.b = v.Append(w.b, 10)
	case string:
		w.text(v)
	case []byte:
		if utf8.Valid(v) && unprintable(v) < 0 {
			w.text(string(v))
		} else {
			w.text(base64.StdEncoding.EncodeToString(cut(v, MaxTextBytes)))
		}
	case time.Time:
		w.text(v.UTC().Format(time.RFC3339Nano))
	case cbor.Tag:
		w.value(v.Content)
	case []any:
		w.array(v)
	case map[any]any:
		w.object(v)
	default:
		w.word("null")
	}
}

func (w *treeWriter) word(word string) { w.b = append(w.b, word...) }

func (w *treeWriter) float(v float64) {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		w.word("null")
	case float64(float32(v)) == v:
		w.b = strconv.AppendFloat(w.b, v, 'g', -1, 32)
	default:
		w.b = strconv.AppendFloat(w.b, v, 'g', -1, 64)
	}
}

// text writes a string. What JSON does not have in one becomes a space.
func (w *treeWriter) text(text string) {
	w.b = append(w.b, '"')
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			w.b = append(w.b, '\\', byte(r))
		case r < ' ':
			w.b = append(w.b, ' ')
		default:
			w.b = utf8.AppendRune(w.b, r)
		}
	}
	w.b = append(w.b, '"')
}

func (w *treeWriter) array(values []any) {
	w.b = append(w.b, '[')
	for i, v := range values {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.value(v)
	}
	w.b = append(w.b, ']')
}

// object writes a map in the order of its keys: a payload shall always read the same.
func (w *treeWriter) object(values map[any]any) {
	type pair struct {
		key   string
		value any
	}
	pairs := make([]pair, 0, len(values))
	for k, v := range values {
		pairs = append(pairs, pair{fmt.Sprint(k), v})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
	w.b = append(w.b, '{')
	for i, p := range pairs {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.text(p.key)
		w.b = append(w.b, ':')
		w.value(p.value)
	}
	w.b = append(w.b, '}')
}

// senmlNumbers are the labels of records as CBOR has them (RFC 8428, table 4).
var senmlNumbers = map[int64]string{
	-1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs", 0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t",
	7: "ut", 8: "vd",
}

// senmlCBOR adds the records of a pack. It reports whether it is one: an array of maps by those labels.
func (s *Scope) senmlCBOR(in *Input, out *Result, tree any) bool {
	list, isList := tree.([]any)
	if !isList || len(list) == 0 {
		return false
	}
	pack := &senmlPack{points: s.points(in, out)}
	for _, item := range list {
		fields, isMap := item.(map[any]any)
		if !isMap || len(fields) == 0 {
			return false
		}
		var r senmlRecord
		for k, v := range fields {
			label, known := senmlLabel(k)
			if !known || !r.set(label, senmlValueOf(v)) {
				return false
			}
		}
		pack.add(&r)
	}
	pack.end()
	return true
}

func senmlLabel(key any) (label string, known bool) {
	switch k := key.(type) {
	case uint64:
		label, known = senmlNumbers[int64(min(k, math.MaxInt64))]
	case int64:
		label, known = senmlNumbers[k]
	case string:
		// A label without a number, of an extension.
		return k, k != "" && !has(senmlLabels, k)
	}
	return label, known
}

// senmlValueOf is a value as a record takes it: numbers as float64, data as base64url.
func senmlValueOf(value any) any {
	switch v := value.(type) {
	case uint64:
		return float64(v)
	case int64:
		return float64(v)
	case []byte:
		return base64.RawURLEncoding.EncodeToString(cut(v, MaxTextBytes))
	case cbor.Tag:
		return senmlFraction(v)
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f
	default:
		return value
	}
}

// senmlFraction is a decimal fraction (RFC 8949, section 3.4.4), which records may have for numbers.
func senmlFraction(tag cbor.Tag) any {
	const decimal = 4
	parts, isList := tag.Content.([]any)
	if tag.Number != decimal || !isList || len(parts) != 2 {
		return nil
	}
	exponent, ok := senmlValueOf(parts[0]).(float64)
	mantissa, also := senmlValueOf(parts[1]).(float64)
	if !ok || !also {
		return nil
	}
	return mantissa * math.Pow(10, exponent)
}
