package contract

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"pulso/bridge/event"
)

// Bounds of what is kept about the messages of a contract.
const (
	maxKinds   = 50 // of faults; those beyond count as "others"
	maxSamples = 10 // the newest
	maxShown   = 256
)

const otherKinds = "others"

// A Report is what has been seen of the messages of a schema.
type Report struct {
	// Since is when counting began, Checked how many messages have been counted and Broken how many of them break the schema.
	Since   time.Time `json:"since"`
	Checked uint64    `json:"checked"`
	Broken  uint64    `json:"broken"`
	// Last is when the newest message came; zero: none has.
	Last time.Time `json:"last,omitzero"`
	// Faults are how often each kind was found, the most frequent first.
	Faults []Count `json:"faults"`
	// Samples are messages that break it, the newest first.
	Samples []Sample `json:"samples"`
}

// A Count is how often something was.
type Count struct {
	Kind  string `json:"kind"`
	Count uint64 `json:"count"`
}

// A Sample is a message that breaks a schema.
type Sample struct {
	Time   time.Time `json:"time"`
	Topic  string    `json:"topic"`
	Client string    `json:"client,omitempty"`
	Reason string    `json:"reason"`
	// Payload is its beginning, at most 256 bytes, as text.
	Payload string `json:"payload"`
	Size    int    `json:"size"`
}

// observed counts messages. Its methods are safe for concurrent use.
type observed struct {
	mu      sync.Mutex
	total   Report
	kinds   map[string]uint64
	samples []Sample // the oldest first
}

func newObserved(since time.Time) *observed {
	return &observed{total: Report{Since: since.UTC()}, kinds: make(map[string]uint64)}
}

// note counts a message. fault is nil for a good one.
func (o *observed) note(e *event.Event, fault *Fault) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.total.Checked++
	o.total.Last = e.Arrival()
	if fault == nil {
		return
	}
	o.total.Broken++
	kind := fault.Kind
	if _, known := o.kinds[kind]; !known && len(o.kinds) >= maxKinds {
		kind = otherKinds
	}
	o.kinds[kind]++
	if len(o.samples) == maxSamples {
		o.samples = slices.Delete(o.samples, 0, 1)
	}
	o.samples = append(o.samples, Sample{
		Time: e.Arrival().UTC(), Topic: strings.Clone(e.Topic), Client: strings.Clone(e.Client), Reason: fault.Reason,
		Payload: shown(e.Payload), Size: len(e.Payload),
	})
}

// shown is the beginning of a payload as text.
func shown(payload []byte) string {
	text := string(payload[:min(len(payload), maxShown)])
	for !utf8.ValidString(text) && len(payload) > maxShown && len(text) > maxShown-utf8.UTFMax {
		text = text[:len(text)-1]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// report is what has been seen. sees narrows the samples to topics; nil: to none.
func (o *observed) report(sees func(topic string) bool) Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.total
	r.Faults, r.Samples = []Count{}, []Sample{}
	for _, kind := range slices.Sorted(maps.Keys(o.kinds)) {
		r.Faults = append(r.Faults, Count{kind, o.kinds[kind]})
	}
	slices.SortStableFunc(r.Faults, func(a, b Count) int { return cmp.Compare(b.Count, a.Count) })
	for _, s := range slices.Backward(o.samples) {
		if sees != nil && sees(s.Topic) {
			r.Samples = append(r.Samples, s)
		}
	}
	return r
}

// A Trial says of a schema what it would have refused of messages seen.
type Trial struct {
	schema *Schema
	seen   *observed
}

// NewTrial begins one.
func NewTrial(s *Schema) *Trial { return &Trial{s, newObserved(time.Time{})} }

// Add counts a message, from the oldest to the newest.
func (t *Trial) Add(e *event.Event) {
	if e.Retain && len(e.Payload) == 0 {
		return
	}
	if t.seen.total.Checked == 0 {
		t.seen.total.Since = e.Arrival().UTC()
	}
	t.seen.note(e, t.schema.Check(e.Payload))
}

// Report is what was found.
func (t *Trial) Report() Report { return t.seen.report(func(string) bool { return true }) }
