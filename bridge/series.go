package bridge

import "pulso/bridge/event"

type seriesKey struct{ device, name string }

// A namedSeries is a series and when its unit was said, in nanoseconds since the Unix epoch.
type namedSeries struct {
	series *event.Series
	unitAt int64
}

// A seriesTable numbers the series of this node's life. It is guarded by the bridge's decoding lock.
type seriesTable struct {
	topics map[string]map[seriesKey]*namedSeries
	count  int
	limit  int
}

func newSeriesTable(limit int) *seriesTable {
	return &seriesTable{topics: make(map[string]map[seriesKey]*namedSeries), limit: limit}
}

// intern returns the series, or nil at the bound. A unit that was not known before, or changed, makes a new Series with
// the same number; one that is known stays when a message does not say it, or is older than the one that did. at is the
// message's time.
func (t *seriesTable) intern(device, name, unit, topic string, at int64) *event.Series {
	ofTopic := t.topics[topic]
	key := seriesKey{device, name}
	n := ofTopic[key]
	if n == nil {
		if t.count >= t.limit {
			return nil
		}
		t.count++
		n = &namedSeries{series: &event.Series{ID: uint32(t.count), Device: device, Name: name, Unit: unit, Topic: topic}, unitAt: at}
		if ofTopic == nil {
			ofTopic = make(map[seriesKey]*namedSeries)
			t.topics[topic] = ofTopic
		}
		ofTopic[key] = n
		return n.series
	}
	if unit == "" || n.series.Unit != "" && at < n.unitAt {
		return n.series
	}
	if unit != n.series.Unit {
		renewed := *n.series
		renewed.Unit = unit
		n.series = &renewed
	}
	n.unitAt = max(n.unitAt, at)
	return n.series
}
