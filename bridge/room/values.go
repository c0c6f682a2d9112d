package room

import (
	"slices"
	"strings"

	"pulso/bridge/event"
)

// values holds the current value of every series, by its number, and the numbers by topic.
type values struct {
	slots  []current
	topics map[string][]uint32
}

type current struct {
	series *event.Series
	time   int64
	value  float64
}

func (v *values) set(s *event.Series, time int64, value float64) {
	if n := int(s.ID) + 1 - len(v.slots); n > 0 {
		v.slots = append(v.slots, make([]current, max(n, len(v.slots), 1024))...)
	}
	slot := &v.slots[s.ID]
	if slot.series == nil {
		if v.topics == nil {
			v.topics = make(map[string][]uint32)
		}
		v.topics[s.Topic] = append(v.topics[s.Topic], s.ID)
	}
	*slot = current{s, time, value}
}

// forget drops the values of a device.
func (v *values) forget(device string) {
	for id := range v.slots {
		s := v.slots[id].series
		if s == nil || s.Device != device {
			continue
		}
		v.slots[id] = current{}
		left := slices.DeleteFunc(v.topics[s.Topic], func(other uint32) bool { return other == s.ID })
		if v.topics[s.Topic] = left; len(left) == 0 {
			delete(v.topics, s.Topic)
		}
	}
}

// of returns what spec selects. It looks at topics, not at series, and at one topic where a filter is one.
func (v *values) of(spec Spec) []current {
	var out []current
	if len(spec.Filters) == 1 && !strings.ContainsAny(spec.Filters[0], "+#") {
		if event.Sees(spec.Scope, spec.Filters[0]) {
			out = v.ofTopic(out, spec, spec.Filters[0])
		}
		return out
	}
	for topic := range v.topics {
		if spec.selects(topic) {
			out = v.ofTopic(out, spec, topic)
		}
	}
	return out
}

func (v *values) ofTopic(out []current, spec Spec, topic string) []current {
	for _, id := range v.topics[topic] {
		if c := v.slots[id]; spec.hasDevice(c.series.Device) {
			out = append(out, c)
		}
	}
	return out
}
