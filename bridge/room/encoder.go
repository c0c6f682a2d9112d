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

	values     map[uint32]int // series number -> index in aggregates and valueOrder
	aggregates []wire.Aggregate
	valueOrder []*event.Series

	events map[string]int // topic -> index in latest
	latest []latestEvent
	held   int // bytes of latest's topics and payloads
}

// latestEvent is the newest event of a topic, a copy: a pointer would keep its whole batch alive.
type latestEvent struct {
	event event.Decoded
	count uint32
}

func newEncoder(s Spec) encoder {
	e := encoder{form: s.Form, delivery: s.Delivery}
	switch {
	case s.Form == wire.FormValues && s.Delivery == wire.DeliveryLatest:
		e.values = make(map[uint32]int)
	case s.Form == wire.FormValues:
		e.usedSet = make(map[*event.Series]struct{})
	case s.Delivery == wire.DeliveryLatest:
		e.events = make(map[string]int)
	}
	return e
}

func (e *encoder) empty() bool {
	return len(e.rows) == 0 && len(e.valueOrder) == 0 && len(e.latest) == 0
}

// size estimates the frame's bytes.
func (e *encoder) size() int {
	return len(e.rows) + 64*(len(e.used)+2*len(e.valueOrder)) + 128*len(e.latest) + e.held
}

// add takes one event in.
func (e *encoder) add(d *event.Decoded) {
	switch {
	case e.form == wire.FormEvents && e.delivery == wire.DeliveryEvery:
		e.comma()
		e.rows = wire.AppendEvent(e.rows, d, 1)
	case e.form == wire.FormEvents:
		e.addLatest(d)
	case e.delivery == wire.DeliveryEvery:
		for _, m := range d.Metrics {
			e.addRow(m.Series, d.Time, m.Value)
		}
	default:
		for _, m := range d.Metrics {
			i, known := e.values[m.Series.ID]
			if !known {
				i = len(e.aggregates)
				e.values[m.Series.ID] = i
				e.aggregates = append(e.aggregates, wire.Aggregate{})
				e.valueOrder = append(e.valueOrder, m.Series)
			}
			e.valueOrder[i] = m.Series
			e.aggregates[i].Add(d.Time, m.Value)
		}
	}
}

func (e *encoder) addLatest(d *event.Decoded) {
	i, known := e.events[d.Topic]
	if !known {
		i = len(e.latest)
		e.events[d.Topic] = i
		e.latest = append(e.latest, latestEvent{})
		e.held += len(d.Topic)
	}
	l := &e.latest[i]
	e.held += len(d.Payload) - len(l.event.Payload)
	l.event, l.count = *d, l.count+1
	l.event.Metrics, l.event.Texts = nil, nil // parts of the batch that no frame of events needs
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
		for i := range e.latest {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = wire.AppendEvent(dst, &e.latest[i].event, e.latest[i].count)
		}
	} else {
		dst = appendAnnounce(dst, e.used, announced)
		dst = appendAnnounce(dst, e.valueOrder, announced)
		dst = append(dst, `,"values":[`...)
		dst = append(dst, e.rows...)
		for i, s := range e.valueOrder {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = wire.AppendValue(dst, s.ID, e.aggregates[i])
		}
	}
	e.reset()
	return append(dst, ']')
}

// reset forgets what was gathered and keeps the memory for the next frame, unless a burst has made it large.
func (e *encoder) reset() {
	clear(e.usedSet)
	clear(e.values)
	clear(e.events)
	e.rows, e.used, e.valueOrder = reuse(e.rows), reuse(e.used), reuse(e.valueOrder)
	e.aggregates, e.latest, e.held = reuse(e.aggregates), reuse(e.latest), 0
}

func reuse[T any](s []T) []T {
	if cap(s) > 4*flushBytes {
		return nil
	}
	clear(s)
	return s[:0]
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
