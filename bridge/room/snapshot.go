package room

import (
	"sort"

	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// snapshot makes what comes first in a room; nil where there is nothing to say. A member that recovered gets what it
// missed as frames, so only the numbers of its series are announced.
func (s *Sub) snapshot(recovered bool) ([]byte, error) {
	spec := s.room.spec
	if s.room.source != nil {
		members, version := s.room.source.AppendSince(nil, spec.Filters, 0)
		s.version = version
		data := wire.AppendSnapshotHead(make([]byte, 0, len(members)+96), s.room.id, s.pos)
		if len(members) > 0 {
			data = append(data, ',')
			data = append(data, members...)
		}
		return append(data, "}}"...), nil
	}
	var history []event.Decoded
	truncated := false
	if n := s.opts.History; n > 0 && !recovered {
		var err error
		if history, truncated, err = s.history(n); err != nil {
			return nil, err
		}
	}
	if spec.Form == wire.FormValues {
		if recovered {
			return s.seriesSnapshot(), nil
		}
		return s.valuesSnapshot(history, truncated), nil
	}
	if recovered || s.opts.History == 0 && spec.Delivery == wire.DeliveryEvery {
		return nil, nil
	}
	if s.opts.History == 0 {
		var err error
		if history, truncated, err = s.history(1); err != nil {
			return nil, err
		}
	}
	return s.eventsSnapshot(history, truncated), nil
}

// history returns the newest n events of each topic of the room before the member joined, in the log's order.
func (s *Sub) history(n int) ([]event.Decoded, bool, error) {
	past := s.reg.cfg.Past
	topics, truncated := past.Topics(s.room.spec.Filters, s.room.spec.Devices, maxHistoryTopics)
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

func (s *Sub) eventsSnapshot(history []event.Decoded, truncated bool) []byte {
	data := wire.AppendSnapshotHead(nil, s.room.id, s.pos)
	data = append(data, `,"events":[`...)
	for i := range history {
		if i > 0 {
			data = append(data, ',')
		}
		data = wire.AppendEvent(data, &history[i], 1)
	}
	return endSnapshot(append(data, ']'), truncated)
}

// valuesSnapshot is the history, then the current value of each series that the history does not end with.
func (s *Sub) valuesSnapshot(history []event.Decoded, truncated bool) []byte {
	enc := newEncoder(Spec{Form: wire.FormValues, Delivery: wire.DeliveryEvery})
	last := make(map[uint32]int64)
	for i := range history {
		for _, m := range history[i].Metrics {
			enc.addRow(m.Series, history[i].Time, m.Value)
			last[m.Series.ID] = history[i].Time
		}
	}
	for _, c := range s.values {
		if t, ok := last[c.series.ID]; !ok || t != c.time {
			enc.addRow(c.series, c.time, c.value)
		}
	}
	s.values = nil
	data := wire.AppendSnapshotHead(make([]byte, 0, enc.size()+128), s.room.id, s.pos)
	return endSnapshot(enc.appendTo(data, make(map[uint32]*event.Series)), truncated)
}

// seriesSnapshot announces the room's series to a member that recovered.
func (s *Sub) seriesSnapshot() []byte {
	data := wire.AppendSnapshotHead(nil, s.room.id, s.pos)
	series := make([]*event.Series, len(s.values))
	for i, c := range s.values {
		series[i] = c.series
	}
	s.values = nil
	return endSnapshot(appendAnnounce(data, series, make(map[uint32]*event.Series)), false)
}

func endSnapshot(data []byte, truncated bool) []byte {
	if truncated {
		data = append(data, `,"truncated":true`...)
	}
	return append(data, "}}"...)
}
