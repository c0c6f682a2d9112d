package bridge

import (
	"slices"

	"pulso/bridge/event"
)

// A namedSeries is a series and when its unit was said, in nanoseconds since the Unix epoch.
type namedSeries struct {
	series *event.Series
	unitAt int64
}

func (n namedSeries) is(device, name string) bool {
	return n.series.Name == name && n.series.Device == device
}

type seriesKey struct{ device, name string }

// A topicSeries is the series of one topic, in the order of their appearance.
type topicSeries struct {
	topic string
	all   []namedSeries
	index map[seriesKey]int // of all, once there are many
}

// manySeries is the number of series of a topic from which on they are found by a map.
const manySeries = 16

// A seriesTable numbers the series of this node's life. It is guarded by the bridge's decoding lock.
type seriesTable struct {
	topics map[string]*topicSeries
	count  int
	limit  int
	// devices counts the series of each device; none has more than deviceLimit.
	devices     map[string]int
	deviceLimit int
}

func newSeriesTable(limit, deviceLimit int) *seriesTable {
	return &seriesTable{topics: make(map[string]*topicSeries), limit: limit, devices: make(map[string]int), deviceLimit: deviceLimit}
}

// of returns the series of a topic; of an unknown one, none, which the first series makes known. ref is the topic's.
func (t *seriesTable) of(topic string, ref *event.Ref) *topicSeries {
	if s, found := event.Slot[*topicSeries](ref, event.SlotSeries); found {
		return s
	}
	s := t.topics[topic]
	if s == nil {
		return &topicSeries{topic: topic}
	}
	ref.Keep(event.SlotSeries, s)
	return s
}

// find returns the index of a series; -1 if it is not known. Messages name their readings in the same order each time, so
// that of the last message's reading at the same place is looked at first.
func (s *topicSeries) find(device, name string, guess int) int {
	if guess < len(s.all) && s.all[guess].is(device, name) {
		return guess
	}
	if s.index != nil {
		if i, found := s.index[seriesKey{device, name}]; found {
			return i
		}
		return -1
	}
	return slices.IndexFunc(s.all, func(n namedSeries) bool { return n.is(device, name) })
}

// intern returns a series, or nil at a bound; guess is its likely index. A unit that was not known before, or changed,
// makes a new Series with the same number; one that is known stays when a message does not say it, or is older than the
// one that did. at is the message's time.
func (t *seriesTable) intern(s *topicSeries, guess int, device, name, unit string, at int64) *event.Series {
	i := s.find(device, name, guess)
	if i < 0 {
		return t.add(s, device, name, unit, at)
	}
	n := &s.all[i]
	switch {
	case unit == n.series.Unit:
		if unit != "" && at > n.unitAt {
			n.unitAt = at
		}
	case unit == "", n.series.Unit != "" && at < n.unitAt:
	default:
		renewed := *n.series
		renewed.Unit = unit
		n.series, n.unitAt = &renewed, max(n.unitAt, at)
	}
	return n.series
}

// add numbers a new series.
func (t *seriesTable) add(s *topicSeries, device, name, unit string, at int64) *event.Series {
	if t.count >= t.limit || t.devices[device] >= t.deviceLimit {
		return nil
	}
	t.count++
	t.devices[device]++
	if len(s.all) == 0 {
		t.topics[s.topic] = s
	}
	made := &event.Series{ID: uint32(t.count), Device: device, Name: name, Unit: unit, Topic: s.topic}
	s.all = append(s.all, namedSeries{made, at})
	switch {
	case s.index != nil:
		s.index[seriesKey{device, name}] = len(s.all) - 1
	case len(s.all) == manySeries:
		s.index = make(map[seriesKey]int, 2*manySeries)
		for i, n := range s.all {
			s.index[seriesKey{n.series.Device, n.series.Name}] = i
		}
	}
	return made
}
