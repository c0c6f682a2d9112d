package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Bounds of what is learned.
const (
	// enough is how many messages must have been seen before what all of them have is taken for a duty.
	enough = 20
	// maxLearned bounds the values that are told apart; what is beyond them is allowed to be anything.
	maxLearned = 500
	// maxNames bounds the names of an object. One with more is a map: its names are data.
	maxNames = 64
	// maxLearnedDepth bounds how deep is looked; deeper, all is allowed.
	maxLearnedDepth = 16
)

// A Learner proposes a schema from messages. It allows all of them, and what is like them. It is not safe for concurrent use.
type Learner struct {
	root   *shape
	shapes int
	// Messages are those learned from, Skipped those that are no JSON.
	Messages, Skipped int
}

// A shape is what values at one place look like.
type shape struct {
	seen  int
	kinds map[string]int // how many of each type there were
	// low and high bound the numbers, fractions says that not all are whole.
	low, high float64
	fractions bool
	members   map[string]*shape // of objects
	isMap     bool              // they have too many names: rest is what the values look like
	items     *shape            // of lists
	rest      *shape
	anything  bool // there is too much of it to tell
}

// Add learns from a message's payload.
func (l *Learner) Add(payload []byte) {
	var v any
	if json.Unmarshal(payload, &v) != nil {
		l.Skipped++
		return
	}
	l.Messages++
	if l.root == nil {
		l.root = l.newShape()
	}
	l.learn(l.root, v, 0)
}

func (l *Learner) newShape() *shape {
	l.shapes++
	return &shape{kinds: map[string]int{}, low: math.Inf(1), high: math.Inf(-1), anything: l.shapes > maxLearned}
}

func (l *Learner) learn(s *shape, v any, depth int) {
	s.seen++
	if s.anything || depth > maxLearnedDepth {
		s.anything = true
		return
	}
	switch v := v.(type) {
	case nil:
		s.kinds["null"]++
	case bool:
		s.kinds["boolean"]++
	case string:
		s.kinds["string"]++
	case float64:
		s.kinds["number"]++
		s.low, s.high = min(s.low, v), max(s.high, v)
		s.fractions = s.fractions || v != math.Trunc(v)
	case []any:
		s.kinds["array"]++
		for _, item := range v {
			if s.items == nil {
				s.items = l.newShape()
			}
			l.learn(s.items, item, depth+1)
		}
	case map[string]any:
		s.kinds["object"]++
		l.learnObject(s, v, depth)
	}
}

func (l *Learner) learnObject(s *shape, v map[string]any, depth int) {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if s.members == nil {
			s.members = make(map[string]*shape)
		}
		member := s.members[name]
		switch {
		case s.isMap:
			member = s.rest
		case member == nil && len(s.members) >= maxNames:
			s.isMap, s.members = true, map[string]*shape{}
			s.rest = l.newShape()
			s.rest.anything = true // what stood under the names before is not told apart any more
			member = s.rest
		case member == nil:
			member = l.newShape()
			s.members[name] = member
		}
		l.learn(member, v[name], depth+1)
	}
}

// errNothing: there is nothing to learn from.
var errNothing = errors.New("nothing to learn from")

// Schema is what has been learned, as a JSON Schema (2020-12).
func (l *Learner) Schema() (json.RawMessage, error) {
	if l.root == nil {
		return nil, fmt.Errorf("%w: %w: %d messages, none of them JSON", ErrContract, errNothing, l.Skipped)
	}
	schema := l.root.schema()
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["description"] = fmt.Sprintf("Learned from %d messages.", l.Messages)
	text, err := json.Marshal(schema)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContract, err)
	}
	if _, err := Compile(text); err != nil {
		return nil, fmt.Errorf("what was learned is too much for a contract: %w", err)
	}
	return text, nil
}

func (s *shape) schema() map[string]any {
	out := map[string]any{}
	if s.anything {
		return out
	}
	kinds := slices.Sorted(maps.Keys(s.kinds))
	if i := slices.Index(kinds, "number"); i >= 0 {
		if !s.fractions {
			kinds[i] = "integer"
		}
		out["description"] = "seen: " + number(s.low) + " to " + number(s.high)
	}
	if len(kinds) == 1 {
		out["type"] = kinds[0]
	} else if len(kinds) > 1 {
		out["type"] = kinds
	}
	if s.items != nil {
		out["items"] = s.items.schema()
	}
	if len(s.members) == 0 {
		return out
	}
	properties, required := map[string]any{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(s.members)) {
		properties[name] = s.members[name].schema()
		if objects := s.kinds["object"]; s.members[name].seen == objects && objects >= enough {
			required = append(required, name)
		}
	}
	out["properties"] = properties
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
