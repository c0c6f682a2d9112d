package room

import (
	"sort"

	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// snapshot is what comes first in a room; nil where there is nothing to say. A member that recovered gets what it missed
// as frames, so only the numbers of its series are announced.
func (s *Sub) snapshot(recovered bool) (*wire.Message, error) {
	spec := &s.room.spec
	switch {
	case s.room.source != nil:
		return s.entrance.state(s)
	case recovered && spec.Form == wire.FormValues:
		return s.entrance.announcement(s), nil
	case recovered, s.opts.History == 0 && spec.Form == wire.FormEvents && spec.Delivery == wire.DeliveryEvery:
		return nil, nil //nolint:nilnil // there is nothing to say
	case s.opts.History == 0:
		return s.entrance.state(s)
	}
	history, truncated, err := s.history(s.opts.History)
	if err != nil {
		return nil, err
	}
	if spec.Form == wire.FormValues {
		return s.valuesSnapshot(history, truncated), nil
	}
	return s.eventsSnapshot(history, truncated), nil
}

// history returns the newest n events of each topic of the room before the member joined, in the log's order.
func (s *Sub) history(n int) ([]event.Decoded, bool, error) {
	past := s.reg.cfg.Past
	topics, truncated := past.Topics(s.room.spec.Filters, s.room.spec.Devices, s.room.spec.Scope, maxHistoryTopics)
	var out []event.Decoded
	size := 0
	for _, topic := range topics {
		room := maxHistoryEvents - len(out)
		if room <= 0 || size > maxHistoryBytes {
			truncated = true
			break
		}
		events, err := past.Last(topic, s.joined, min(n, room))
		if err != nil {
			return nil, false, err
		}
		for i := range events {
			if s.room.spec.matches(events[i].Topic, events[i].Device) {
				out = append(out, events[i])
				size += len(events[i].Payload)
			}
		}
	}
	sort.Slice(out, func(a, b int) bool { return out[a].Position.Offset < out[b].Position.Offset })
	return out, truncated, nil
}

func (s *Sub) eventsSnapshot(history []event.Decoded, truncated bool) *wire.Message {
	var rows []byte
	e := s.encoding
	for i := range history {
		rows = e.AppendEvent(rows, &history[i], 1)
	}
	return e.Snapshot(s.room.id, s.joined, e.AppendEvents(nil, rows), truncated)
}

// valuesSnapshot is the history, then the current value of each series that the history does not end with.
func (s *Sub) valuesSnapshot(history []event.Decoded, truncated bool) *wire.Message {
	var values []wire.Value
	last := make(map[uint32]int64)
	for i := range history {
		for _, m := range history[i].Metrics {
			values = append(values, single(m.Series, history[i].Taken(), m.Value))
			last[m.Series.ID] = history[i].Taken()
		}
	}
	for _, c := range s.entrance.values {
		if t, ok := last[c.series.ID]; !ok || t != c.time {
			values = append(values, single(c.series, c.time, c.value))
		}
	}
	var series []*event.Series
	known := make(map[uint32]*event.Series)
	for i := range values {
		if v := values[i].Series; known[v.ID] != v {
			known[v.ID] = v
			series = append(series, v)
		}
	}
	e := s.encoding
	return e.Snapshot(s.room.id, s.joined, e.AppendValues(e.AppendSeries(nil, series), values), truncated)
}
