package bridge

import "pulso/bridge/event"

type seriesKey struct{ device, name string }

// A seriesTable numbers the series of this node's life. It is guarded by the bridge's decoding lock.
type seriesTable struct {
	topics map[string]map[seriesKey]*event.Series
	count  int
	limit  int
}

func newSeriesTable(limit int) *seriesTable {
	return &seriesTable{topics: make(map[string]map[seriesKey]*event.Series), limit: limit}
}

// intern returns the series, or nil at the bound. A unit that was not known before makes a new Series with the same
// number; one that is known stays when a message does not say it.
func (t *seriesTable) intern(device, name, unit, topic string) *event.Series {
	ofTopic := t.topics[topic]
	key := seriesKey{device, name}
	s := ofTopic[key]
	switch {
	case s == nil:
		if t.count >= t.limit {
			return nil
		}
		t.count++
		s = &event.Series{ID: uint32(t.count), Device: device, Name: name, Unit: unit, Topic: topic} //nolint:gosec // bounded by limit
		if ofTopic == nil {
			ofTopic = make(map[seriesKey]*event.Series)
			t.topics[topic] = ofTopic
		}
		ofTopic[key] = s
	case unit != "" && unit != s.Unit:
		renewed := *s
		renewed.Unit = unit
		s = &renewed
		ofTopic[key] = s
	}
	return s
}
