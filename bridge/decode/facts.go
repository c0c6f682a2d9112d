package decode

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"pulso/bridge/event"
)

// MaxFactBytes bounds one fact's JSON form.
const MaxFactBytes = 256 << 10

// Facts are what messages announced of one kind (the aliases of Sparkplug's metrics, the units of a device's readings),
// by a key (a topic, a device id). T is encoded as JSON and must not be changed once it is remembered.
type Facts[T any] struct {
	// Kind names the facts where they are saved.
	Kind string
}

// Remember keeps a fact as of the message's time. One that an older message announced does not replace a newer one. It
// reports whether it is kept: it is not where it is too large or there are too many.
func (f Facts[T]) Remember(s *Scope, key string, value T) bool {
	return s.decoder.remember(factKey{f.Kind, key}, value, s.decoder.input.Time)
}

// Recall returns the newest fact.
func (f Facts[T]) Recall(s *Scope, key string) (value T, found bool) {
	return recall[T](s.decoder, s.decoder.facts.byKey[factKey{f.Kind, key}])
}

// RecallThen returns the fact as it was at the message's time, as far back as the one before the newest.
func (f Facts[T]) RecallThen(s *Scope, key string) (value T, found bool) {
	kept := s.decoder.facts.byKey[factKey{f.Kind, key}]
	for kept != nil && kept.time > s.decoder.input.Time {
		kept = kept.before
	}
	return recall[T](s.decoder, kept)
}

type factKey struct{ kind, key string }

// A fact is one of [Facts].
type fact struct {
	// time is when it was announced, in nanoseconds since the Unix epoch.
	time int64
	// encoded is its JSON form; value what it stands for, nil until it is asked for after it was restored.
	encoded []byte
	value   any
	// before is the fact that this one has replaced; it has none itself.
	before *fact
}

type facts struct {
	limit, byteLimit int
	byKey            map[factKey]*fact
	bytes            int
	// filters are those of which something has been told, in the order in which it was; at most maxFilters.
	filters []string
	// changed counts the changes.
	changed uint64
}

func newFacts(limit, byteLimit int) facts {
	return facts{limit: limit, byteLimit: byteLimit, byKey: make(map[factKey]*fact)}
}

// maxFilters bounds the filters of which something has been told: each costs a little whenever a topic is new.
const maxFilters = 256

func (d *Decoder) remember(key factKey, value any, at int64) bool {
	if d.trying {
		return true
	}
	encoded, err := json.Marshal(value)
	kept := d.facts.byKey[key]
	switch {
	case kept != nil && bytes.Equal(kept.encoded, encoded):
		kept.time = max(kept.time, at)
		return true
	case kept != nil && kept.time > at:
		return true
	case err != nil, len(encoded) > MaxFactBytes, kept == nil && len(d.facts.byKey) >= d.facts.limit,
		d.facts.bytes+len(encoded) > d.facts.byteLimit,
		kept == nil && key.kind == toldFacts.Kind && isFilter(key.key) && len(d.facts.filters) >= maxFilters:
		d.metrics.refused.Inc()
		return false
	}
	d.facts.changed++
	made := &fact{time: at, encoded: encoded, value: value}
	d.facts.bytes += len(encoded)
	if kept == nil {
		key.key = strings.Clone(key.key)
		if key.kind == toldFacts.Kind && isFilter(key.key) {
			d.facts.filters = append(d.facts.filters, key.key)
		}
	} else {
		if kept.before != nil {
			d.facts.bytes -= len(kept.before.encoded)
		}
		kept.before, made.before = nil, kept
	}
	d.facts.byKey[key] = made
	return true
}

func recall[T any](d *Decoder, f *fact) (value T, found bool) {
	if f == nil {
		return value, false
	}
	if known, ok := f.value.(T); ok {
		return known, true
	}
	if err := json.Unmarshal(f.encoded, &value); err != nil {
		d.metrics.refused.Inc()
		return value, false
	}
	f.value = value
	return value, true
}

// savedFact is a line of what SaveFacts writes.
type savedFact struct {
	Kind  string          `json:"kind"`
	Key   string          `json:"key"`
	Time  int64           `json:"time"`
	Value json.RawMessage `json:"value"`
}

// SaveFacts writes the facts as lines of JSON. Its errors are the writer's.
func (d *Decoder) SaveFacts(w io.Writer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	keys := make([]factKey, 0, len(d.facts.byKey))
	for key := range d.facts.byKey {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b factKey) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.key, b.key))
	})
	lines := json.NewEncoder(w)
	for _, key := range keys {
		newest := d.facts.byKey[key]
		for _, f := range []*fact{newest.before, newest} {
			if f == nil {
				continue
			}
			if err := lines.Encode(savedFact{Kind: key.kind, Key: key.key, Time: f.time, Value: f.encoded}); err != nil {
				return fmt.Errorf("save what devices announced: %w", err)
			}
		}
	}
	return nil
}

// RestoreFacts replaces the facts by what SaveFacts wrote; by none where r is empty. Its error says what is wrong; then
// there are none.
func (d *Decoder) RestoreFacts(r io.Reader) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.facts = newFacts(d.facts.limit, d.facts.byteLimit)
	d.relearn()
	lines := json.NewDecoder(r)
	for {
		var line savedFact
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			d.facts = newFacts(d.facts.limit, d.facts.byteLimit)
			return fmt.Errorf("restore what devices announced: %w", err)
		}
		d.remember(factKey{line.Kind, line.Key}, line.Value, line.Time)
	}
}

// A Told is what another message said of a topic, as discovery does: whose readings come on it, and what they are.
type Told struct {
	Device string `json:"device,omitempty"`
	Name   string `json:"name,omitempty"`
	Kind   string `json:"kind,omitempty"`
	// Role is what the topic's messages are.
	Role Role `json:"role,omitempty"`
	// Keys are by the path inside the payload; "" is a bare value's.
	Keys map[string]Key `json:"keys,omitempty"`
	// Weak reports that Device counts only where the topic is of no scheme that names one.
	Weak bool `json:"weak,omitempty"`
	// Several reports that more than one device was told, so that none is meant.
	Several bool `json:"several,omitempty"`
	// Online and Offline are the words that the topic's messages have for presence; empty: the common ones.
	Online  string `json:"online,omitempty"`
	Offline string `json:"offline,omitempty"`
}

// says reports whether anything is told.
func (t Told) says() bool {
	return t.Keys != nil || t.Device != "" || t.Name != "" || t.Kind != "" || t.Role != RoleReading
}

// toldFacts are by topic.
var toldFacts = Facts[Told]{Kind: "topic"}

// Tell remembers what is said of another topic, from its next message on. The topic may be a filter: then it is said of all
// that match it and of which nothing is said by itself.
func (s *Scope) Tell(topic string, told Told) bool {
	if d := s.decoder; len(d.namespaces) > 0 && d.namespaceOf(topic) != s.topic.namespace {
		return false // nobody speaks for the devices of another namespace
	}
	if known, found := toldFacts.Recall(s, topic); found && sameTold(known, told) {
		return true
	}
	ok := toldFacts.Remember(s, topic, told)
	s.decoder.epoch++
	if isFilter(topic) {
		s.decoder.topics = newCache[*topicInfo](s.decoder.topics.limit)
		return ok
	}
	delete(s.decoder.topics.young, topic)
	delete(s.decoder.topics.old, topic)
	return ok
}

// tellMore adds to what has been told of a topic.
func (s *Scope) tellMore(topic string, more Told) {
	told, _ := s.Told(topic)
	s.Tell(topic, told.with(more))
}

// with adds more to what is told. Where both name a device, and not the same one, none is meant. What has readings does not
// become a topic of another role.
func (t Told) with(more Told) Told {
	t.Several = t.Several || t.Device != "" && more.Device != "" && t.Device != more.Device
	switch {
	case len(more.Keys) > 0:
		t.Role = more.Role
	case len(t.Keys) == 0:
		t.Role = max(t.Role, more.Role)
	}
	keys := maps.Clone(t.Keys)
	if keys == nil {
		keys = make(map[string]Key, len(more.Keys))
	}
	for path, k := range more.Keys {
		if _, known := keys[path]; known || len(keys) < maxUnits {
			keys[path] = k
		}
	}
	t.Keys, t.Weak = keys, t.Weak || more.Weak
	t.Device, t.Name, t.Kind = first(more.Device, t.Device), first(more.Name, t.Name), first(more.Kind, t.Kind)
	t.Online, t.Offline = first(more.Online, t.Online), first(more.Offline, t.Offline)
	if t.Several {
		t.Device, t.Name, t.Kind = "", "", ""
	}
	return t
}

func isFilter(topic string) bool { return strings.ContainsAny(topic, "+#") }

// told returns what has been said of a topic, by itself or by way of a filter.
func (d *Decoder) told(topic string) Told {
	if told, found := recall[Told](d, d.facts.byKey[factKey{toldFacts.Kind, topic}]); found {
		return told
	}
	for _, filter := range d.facts.filters {
		if event.Match(filter, topic) {
			told, _ := recall[Told](d, d.facts.byKey[factKey{toldFacts.Kind, filter}])
			return told
		}
	}
	return Told{}
}

// Told returns what has been said of a topic.
func (s *Scope) Told(topic string) (Told, bool) { return toldFacts.Recall(s, topic) }

func sameTold(a, b Told) bool {
	x, err := json.Marshal(a)
	y, other := json.Marshal(b)
	return err == nil && other == nil && bytes.Equal(x, y)
}
