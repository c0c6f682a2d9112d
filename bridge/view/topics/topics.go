// Package topics is the list of topics that messages came on: how many, how fast, when last, and how the newest begins.
//
// A View starts no goroutine. Its Runner calls Apply, Tick, Save and Restore; the other methods may be called from any
// goroutine.
package topics

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/view"
)

// Config configures a View. The zero value is ready for use.
type Config struct {
	// MaxTopics bounds the topics; 0: 100,000. Further ones are refused and counted.
	MaxTopics int
	// Metrics registers the view's metrics; nil: they are not registered.
	Metrics prometheus.Registerer
}

// A topic is what is known of one. The View's mutex guards it.
type topic struct {
	epoch        uint64 // the view's
	number       uint32
	name, device string
	first, last  int64
	events       uint64
	bytes        int
	begin        []byte // of the newest payload
	meter        view.Meter
	rate         float64

	// changed and announced are the versions of the newest change of anything, and of what is announced.
	changed, announced uint64
	older, newer       *topic
}

// A View is the list of topics. See the package comment.
type View struct {
	limit int

	// epoch grows when all is forgotten.
	epoch    uint64
	mu       sync.Mutex
	version  uint64
	byName   map[string]*topic
	all      []*topic
	newest   *topic // of the list by version of the newest change
	refused  uint64
	selected []*topic
}

// New returns an empty View. Its error says that the metrics could not be registered.
func New(c Config) (*View, error) {
	if c.MaxTopics == 0 {
		c.MaxTopics = 100_000
	}
	v := &View{limit: c.MaxTopics}
	v.clear()
	if c.Metrics == nil {
		return v, nil
	}
	for _, m := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_topics_known", Help: "Topics that messages came on.",
		}, func() float64 {
			known, _ := v.Counts()
			return float64(known)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "pulso_topics_refused_total", Help: "Messages whose topic is not listed because there are too many.",
		}, func() float64 {
			_, refused := v.Counts()
			return float64(refused)
		}),
	} {
		if err := c.Metrics.Register(m); err != nil {
			return nil, fmt.Errorf("topics view: register metrics: %w", err)
		}
	}
	return v, nil
}

func (v *View) clear() {
	v.version++
	v.epoch++
	v.byName = make(map[string]*topic)
	v.all, v.newest, v.selected, v.refused = nil, nil, nil, 0
}

// Name implements view.View.
func (*View) Name() string { return "topics" }

// Version grows with each visible change.
func (v *View) Version() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.version
}

// Counts returns how many topics are known, and how many messages came on topics that were refused.
func (v *View) Counts() (known int, refused uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.all), v.refused
}

// RateFor is how many messages a second come on the topics that a scope sees.
func (v *View) RateFor(scope event.Scope) (rate float64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, t := range v.all {
		if t.rate > 0 && event.Sees(scope, t.name) {
			rate += t.rate
		}
	}
	return rate
}

// Topics returns up to limit topics that one of filters matches, that belong to one of devices (none: all) and that a scope
// (nil: any) sees, and whether there are more. A topic belongs to the device that its newest message was of.
func (v *View) Topics(filters, devices []string, scope event.Scope, limit int) (names []string, more bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, t := range v.all {
		if len(devices) > 0 && !slices.Contains(devices, t.device) || !event.MatchAny(filters, t.name) ||
			!event.Sees(scope, t.name) {
			continue
		}
		if len(names) >= limit {
			return names, true
		}
		names = append(names, t.name)
	}
	return names, false
}

// Apply implements view.View.
func (v *View) Apply(batch []event.Decoded) {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := v.version + 1
	for i := range batch {
		e := &batch[i]
		if !e.Kind.IsMessage() {
			continue
		}
		t, found := event.Slot[*topic](e.Ref, event.SlotTopics)
		if found = found && t.epoch == v.epoch; !found {
			t = v.byName[e.Topic]
		}
		if t == nil {
			if len(v.all) >= v.limit {
				v.refused++
				continue
			}
			t = &topic{number: uint32(len(v.all)) + 1, name: strings.Clone(e.Topic), first: e.Time, announced: next}
			v.add(t)
		}
		if !found {
			e.Ref.Keep(event.SlotTopics, t)
		}
		if e.Device != t.device {
			t.device, t.announced = strings.Clone(e.Device), next
		}
		t.last = max(t.last, e.Time)
		t.events++
		t.bytes = len(e.Payload)
		t.begin = begin(t.begin, e.Payload)
		t.meter.Add(e.Time / int64(time.Second))
		v.touch(t, next)
	}
}

func (v *View) add(t *topic) {
	t.epoch = v.epoch
	v.byName[t.name] = t
	v.all = append(v.all, t)
	v.push(t)
}

func (v *View) push(t *topic) {
	t.older = v.newest
	if v.newest != nil {
		v.newest.newer = t
	}
	v.newest = t
}

// touch notes a change in version next.
func (v *View) touch(t *topic, next uint64) {
	v.version = next
	if t.changed == next {
		return
	}
	t.changed = next
	if v.newest == t {
		return
	}
	t.newer.older = t.older
	if t.older != nil {
		t.older.newer = t.newer
	}
	t.newer = nil
	v.push(t)
}

// Tick implements view.Ticker: it lets rates fall.
func (v *View) Tick(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	next, second := v.version+1, now.Unix()
	for _, t := range v.all {
		if t.rate == 0 && t.meter.Idle(second) {
			continue
		}
		if rate := t.meter.Rate(second, t.first/int64(time.Second)); rate != t.rate {
			t.rate = rate
			v.touch(t, next)
		}
	}
}
