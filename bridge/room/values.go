package room

import "pulso/bridge/event"

// values holds the current value of every series, by its number.
type values struct {
	slots []current
}

type current struct {
	series *event.Series
	time   int64
	value  float64
}

func (v *values) set(s *event.Series, time int64, value float64) {
	for int(s.ID) >= len(v.slots) {
		v.slots = append(v.slots, make([]current, max(1024, len(v.slots)))...)
	}
	v.slots[s.ID] = current{s, time, value}
}

// of returns what spec selects.
func (v *values) of(spec Spec) []current {
	var out []current
	topics := make(map[string]bool)
	for i := range v.slots {
		c := &v.slots[i]
		if c.series == nil || len(spec.Devices) > 0 && !contains(spec.Devices, c.series.Device) {
			continue
		}
		match, known := topics[c.series.Topic]
		if !known {
			match = event.MatchAny(spec.Filters, c.series.Topic)
			topics[c.series.Topic] = match
		}
		if match {
			out = append(out, *c)
		}
	}
	return out
}
