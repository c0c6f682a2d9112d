package topics

import (
	"slices"
	"strings"
	"time"

	"pulso/bridge/event"
)

// A Topic is a copy of what is known of a topic.
type Topic struct {
	Name string
	// Device is the one that its newest message was of; empty: of none.
	Device      string
	First, Last time.Time
	Events      uint64
	Rate        float64 // messages a second
	// Bytes is the size of the newest payload, Preview how it begins, as text that can be shown.
	Bytes   int
	Preview string
}

// List returns up to limit topics that a filter matches (empty: all) and a scope sees (nil: any) in the order of their names,
// beginning behind after, and whether there are more.
func (v *View) List(filter, after string, scope event.Scope, limit int) (page []Topic, more bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	byName := func(t *topic, name string) int { return strings.Compare(t.name, name) }
	first := make([]*topic, 0, min(limit, len(v.all))+2) // the first ones by name, and one more
	for _, t := range v.all {
		if t.name <= after || filter != "" && !event.Match(filter, t.name) || !event.Sees(scope, t.name) {
			continue
		}
		if len(first) > limit {
			if t.name > first[limit].name {
				continue
			}
			first = first[:limit]
		}
		at, _ := slices.BinarySearchFunc(first, t.name, byName)
		first = slices.Insert(first, at, t)
	}
	if more = len(first) > limit; more {
		first = first[:limit]
	}
	for _, t := range first {
		page = append(page, Topic{
			Name: t.name, Device: t.device, First: time.Unix(0, t.first), Last: time.Unix(0, t.last), Events: t.events, Rate: t.rate,
			Bytes: t.bytes, Preview: string(appendPreview(nil, t.begin)),
		})
	}
	return page, more
}
