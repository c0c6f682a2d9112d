package topics

import (
	"pulso/bridge/event"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// Since returns the fields "topics" and "activity" of a frame with what changed after version since on topics that one of
// filters matches and a scope (nil: any) sees; since 0 is a whole snapshot. The frame is nil where there is nothing; nobody
// writes to it any more. The version is the one that it is up to date with.
func (v *View) Since(filters []string, scope event.Scope, since uint64) (*pulsov1.Frame, uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	selected, announced := v.selected[:0], 0
	for t := v.newest; t != nil && t.changed > since; t = t.older {
		if !event.MatchAny(filters, t.name) || !event.Sees(scope, t.name) {
			continue
		}
		selected = append(selected, t)
		if t.announced > since {
			announced++
		}
	}
	v.selected = selected
	if len(selected) == 0 {
		return nil, v.version
	}
	// All messages of a kind are made at once: there may be as many as there are topics.
	topics, activity := make([]pulsov1.Topic, announced), make([]pulsov1.TopicActivity, len(selected))
	frame := &pulsov1.Frame{Activity: make([]*pulsov1.TopicActivity, len(selected))}
	if announced > 0 {
		frame.Topics = make([]*pulsov1.Topic, 0, announced)
	}
	for i := range activity {
		t, a := selected[len(selected)-1-i], &activity[i]
		a.Topic, a.Time, a.Events, a.Rate = t.number, wire.Millis(t.last), t.events, t.rate
		a.Bytes, a.Preview = uint32(t.bytes), string(appendPreview(nil, t.begin))
		frame.Activity[i] = a
		if t.announced > since {
			r := &topics[len(frame.GetTopics())]
			r.Topic, r.Name, r.Device = t.number, t.name, t.device
			frame.Topics = append(frame.Topics, r)
		}
	}
	clear(selected)
	return frame, v.version
}
