package room

import (
	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// An encoder gathers events for one frame of a form and delivery. `every` is encoded at once, `latest` is conflated until
// the frame is made. It is used by rooms, and by members that read what they missed from the log.
type encoder struct {
	form     wire.Form
	delivery wire.Delivery

	rows    []byte
	used    []*event.Series // series of rows, in the order of first use
	usedSet map[*event.Series]struct{}

	values     map[*event.Series]*wire.Aggregate
	valueOrder []*event.Series
	events     map[string]*latestEvent
	eventOrder []string
}

type latestEvent struct {
	event *event.Decoded
	count uint32
}

func newEncoder(s Spec) encoder {
	e := encoder{form: s.Form, delivery: s.Delivery}
	switch {
	case s.Form == wire.FormValues && s.Delivery == wire.DeliveryLatest:
		e.values = make(map[*event.Series]*wire.Aggregate)
	case s.Form == wire.FormValues:
		e.usedSet = make(map[*event.Series]struct{})
	case s.Delivery == wire.DeliveryLatest:
		e.events = make(map[string]*latestEvent)
	}
	return e
}

func (e *encoder) empty() bool {
	return len(e.rows) == 0 && len(e.valueOrder) == 0 && len(e.eventOrder) == 0
}

// size estimates the frame's bytes.
func (e *encoder) size() int {
	return len(e.rows) + 64*(len(e.used)+len(e.valueOrder)) + 256*len(e.eventOrder)
}

// add takes one event in.
func (e *encoder) add(d *event.Decoded) {
	if e.form == wire.FormEvents {
		if e.delivery == wire.DeliveryEvery {
			e.comma()
			e.rows = wire.AppendEvent(e.rows, d, 1)
			return
		}
		if l := e.events[d.Topic]; l != nil {
			l.event = d
			l.count++
			return
		}
		e.events[d.Topic] = &latestEvent{event: d, count: 1}
		e.eventOrder = append(e.eventOrder, d.Topic)
		return
	}
	for _, m := range d.Metrics {
		if e.delivery == wire.DeliveryEvery {
			e.addRow(m.Series, d.Time, m.Value)
			continue
		}
		a := e.values[m.Series]
		if a == nil {
			a = new(wire.Aggregate)
			e.values[m.Series] = a
			e.valueOrder = append(e.valueOrder, m.Series)
		}
		a.Add(d.Time, m.Value)
	}
}

// addRow takes one value in that stands for itself.
func (e *encoder) addRow(s *event.Series, time int64, v float64) {
	e.comma()
	e.rows = wire.AppendValue(e.rows, s.ID, wire.Aggregate{Time: time, Last: v, Count: 1})
	if _, ok := e.usedSet[s]; !ok {
		e.usedSet[s] = struct{}{}
		e.used = append(e.used, s)
	}
}

func (e *encoder) comma() {
	if len(e.rows) > 0 {
		e.rows = append(e.rows, ',')
	}
}

// appendTo appends the frame's members and forgets what was gathered. Series that announced does not hold yet (as this
// very pointer: a series whose unit became known is announced again) are announced and added to it.
func (e *encoder) appendTo(dst []byte, announced map[uint32]*event.Series) []byte {
	if e.form == wire.FormEvents {
		dst = append(dst, `,"events":[`...)
		dst = append(dst, e.rows...)
		for i, topic := range e.eventOrder {
			if i > 0 {
				dst = append(dst, ',')
			}
			l := e.events[topic]
			dst = wire.AppendEvent(dst, l.event, l.count)
		}
		clear(e.events)
		e.eventOrder = e.eventOrder[:0]
		e.rows = reuse(e.rows)
		return append(dst, ']')
	}
	dst = appendAnnounce(dst, e.used, announced)
	dst = appendAnnounce(dst, e.valueOrder, announced)
	dst = append(dst, `,"values":[`...)
	dst = append(dst, e.rows...)
	for i, s := range e.valueOrder {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = wire.AppendValue(dst, s.ID, *e.values[s])
	}
	clear(e.values)
	clear(e.usedSet)
	e.used, e.valueOrder = e.used[:0], e.valueOrder[:0]
	e.rows = reuse(e.rows)
	return append(dst, ']')
}

// reuse keeps a buffer for the next frame, unless a burst has made it large.
func reuse(b []byte) []byte {
	if cap(b) > 1<<20 {
		return nil
	}
	return b[:0]
}

func appendAnnounce(dst []byte, series []*event.Series, announced map[uint32]*event.Series) []byte {
	n := 0
	for _, s := range series {
		if announced[s.ID] == s {
			continue
		}
		announced[s.ID] = s
		if n == 0 {
			dst = append(dst, `,"series":[`...)
		} else {
			dst = append(dst, ',')
		}
		n++
		dst = wire.AppendSeries(dst, s)
	}
	if n > 0 {
		dst = append(dst, ']')
	}
	return dst
}
