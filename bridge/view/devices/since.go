package devices

import (
	"slices"

	"pulso/bridge/event"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// Since returns the fields "removed", "devices" and "status" of a frame with what changed after version since for the devices
// of which a topic matches one of filters and that a scope (nil: any) sees; since 0 is a whole snapshot. Of who was removed, all
// who see everything hear, whatever their filters. Who reads with a scope hears of those that it may have been told of, and of
// those that it does not see any more as if they had been removed. The frame is nil where there is nothing; nobody writes to it
// any more. The version is the one that it is up to date with.
func (v *View) Since(filters []string, scope event.Scope, since uint64) (*pulsov1.Frame, uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	selected := v.selected[:0]
	removed := v.removals.since(since, func(r *removal) bool {
		return scope == nil || v.sawBy(r.topics, r.came, filters, scope, since)
	})
	for d := v.changes.newest; d != nil && d.changed > since; d = d.older {
		switch {
		case !matchesAny(filters, d.topics):
		case v.seenBy(d, scope):
			selected = append(selected, d)
		case v.sawBy(d.topics, d.came, filters, scope, since):
			removed = append(removed, d.number)
		}
	}
	v.selected = selected
	if len(selected)+len(removed) == 0 {
		return nil, v.version
	}
	slices.Reverse(selected)
	frame := &pulsov1.Frame{Removed: removed, Devices: records(selected, scope, since), Status: status(selected)}
	clear(selected)
	return frame, v.version
}

// matchesAny reports whether one of filters matches one of topics.
func matchesAny(filters, topics []string) bool {
	for _, t := range topics {
		if event.MatchAny(filters, t) {
			return true
		}
	}
	return false
}

// A frame may be of ten thousand devices, which are as many messages as they have values: all of a kind are made at once.

// records are those of the devices that were announced after version since, as who reads with a scope is told of them.
func records(selected []*device, scope event.Scope, since uint64) []*pulsov1.Device {
	devices, metrics, texts := 0, 0, 0
	for _, d := range selected {
		if d.announced > since {
			devices, metrics, texts = devices+1, metrics+len(d.values), texts+len(d.texts)
		}
	}
	if devices == 0 {
		return nil
	}
	list := make([]*pulsov1.Device, 0, devices)
	all, allMetrics, allTexts := make([]pulsov1.Device, devices), newList[pulsov1.Series](metrics), newList[pulsov1.Text](texts)
	for _, d := range selected {
		if d.announced <= since {
			continue
		}
		r := &all[len(list)]
		list = append(list, r)
		r.Device, r.Id, r.Kind, r.Name, r.Client, r.First = d.number, d.id, d.kind, d.name, d.client, wire.Millis(d.first)
		r.Topics = slices.Clip(d.topics) // it grows, and nothing in it changes
		r.Metrics = allMetrics.cut(len(d.values))
		for i, m := range r.GetMetrics() {
			s := d.values[d.inOrder(i)].Series
			m.Series, m.Device, m.Name, m.Unit, m.Topic = s.ID, s.Device, s.Name, s.Unit, s.Topic
		}
		texts, told := allTexts.cut(len(d.texts)), 0
		for i := range d.texts {
			if d.texts[i].toldTo(scope) {
				texts[told].Name, texts[told].Value = d.texts[i].Name, d.texts[i].Value
				told++
			}
		}
		r.Texts = texts[:told]
	}
	return list
}

// status says of each device how it is.
func status(selected []*device) []*pulsov1.DeviceStatus {
	all := newList[pulsov1.DeviceStatus](len(selected))
	values := make([]float64, len(selected))
	for i, s := range all.pointers {
		d := selected[i]
		s.Device, s.Status, s.Time, s.Rate = d.number, d.status.String(), wire.Millis(d.last), d.rate
		s.Events, s.Interval, s.Undecodable = d.events, d.interval.Milliseconds(), d.undecodable
		if len(d.values) > 0 {
			values[i] = d.values[d.lead].Value
			s.Value = &values[i]
		}
	}
	return all.pointers
}

// A list is messages that were made at once, and pointers to them as protobuf wants them.
type list[T any] struct{ pointers []*T }

func newList[T any](n int) list[T] {
	if n == 0 {
		return list[T]{}
	}
	all, pointers := make([]T, n), make([]*T, n)
	for i := range all {
		pointers[i] = &all[i]
	}
	return list[T]{pointers}
}

// cut takes the first n messages off the list; nil for none.
func (l *list[T]) cut(n int) []*T {
	if n == 0 {
		return nil
	}
	head := l.pointers[:n:n]
	l.pointers = l.pointers[n:]
	return head
}
