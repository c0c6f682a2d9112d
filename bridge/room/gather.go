package room

import (
	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// A gatherer gathers events for one frame of a form and delivery, for all encodings at once. Only whole events of `every` are
// encoded as they come, since keeping them would keep their whole batches; everything else waits, conflated where it may
// be, until the frame is made. It is used by rooms, and by members that read what they missed from the log.
type gatherer struct {
	form     wire.Form
	delivery wire.Delivery
	// from is the position of the first event since the last frame.
	from event.Position
	some bool

	rows [wire.Encodings][]byte // events, `every`

	values  []wire.Value
	arrived int64          // when the newest event arrived that values are of
	index   map[uint32]int // `latest`: series number -> index in values

	events map[string]int // `latest`: topic -> index in latest
	latest []latestEvent
	held   int // bytes of latest's topics and payloads
}

// latestEvent is the newest event of a topic, a copy: a pointer would keep its whole batch alive.
type latestEvent struct {
	event event.Decoded
	count uint32
}

func newGatherer(s *Spec) *gatherer {
	g := &gatherer{form: s.Form, delivery: s.Delivery}
	switch {
	case s.Delivery != wire.DeliveryLatest:
	case s.Form == wire.FormValues:
		g.index = make(map[uint32]int)
	case s.Form == wire.FormEvents:
		g.events = make(map[string]int)
	}
	return g
}

func (g *gatherer) empty() bool { return !g.some }

// size estimates the frame's bytes.
func (g *gatherer) size() int {
	size := 48*len(g.values) + 128*len(g.latest) + g.held
	for _, rows := range g.rows {
		size += len(rows)
	}
	return size
}

// add takes one event in, for the encodings that somebody takes.
func (g *gatherer) add(d *event.Decoded, takers *[wire.Encodings]int) {
	if g.form == wire.FormValues && len(d.Metrics) == 0 {
		return
	}
	if !g.some {
		g.some, g.from = true, d.Position
	}
	g.arrived = max(g.arrived, d.Time)
	switch {
	case g.form == wire.FormEvents && g.delivery == wire.DeliveryEvery:
		for e, n := range takers {
			if n > 0 {
				g.rows[e] = wire.Encoding(e).AppendEvent(g.rows[e], d, 1)
			}
		}
	case g.form == wire.FormEvents:
		g.addLatest(d)
	case g.delivery == wire.DeliveryEvery:
		for _, m := range d.Metrics {
			g.values = append(g.values, single(m.Series, d.Taken(), m.Value))
		}
	default:
		for _, m := range d.Metrics {
			i, known := g.index[m.Series.ID]
			if !known {
				i = len(g.values)
				g.index[m.Series.ID] = i
				g.values = append(g.values, wire.Value{})
			}
			g.values[i].Series = m.Series
			g.values[i].Add(d.Taken(), m.Value)
		}
	}
}

// single is a value that stands for itself.
func single(s *event.Series, time int64, v float64) wire.Value {
	return wire.Value{Series: s, Aggregate: wire.Aggregate{Time: time, Last: v, Min: v, Max: v, Count: 1}}
}

func (g *gatherer) addLatest(d *event.Decoded) {
	i, known := g.events[d.Topic]
	if !known {
		i = len(g.latest)
		g.events[d.Topic] = i
		g.latest = append(g.latest, latestEvent{})
		g.held += len(d.Topic)
	}
	l := &g.latest[i]
	g.held += len(d.Payload) - len(l.event.Payload)
	l.event, l.count = *d, l.count+1
	l.event.Metrics, l.event.Texts = nil, nil // parts of the batch that no frame of events needs
}

// appendTo appends the frame's fields in one encoding. Series that announced does not hold yet (as this very pointer: a
// series whose unit became known is announced again) are announced and added to it.
func (g *gatherer) appendTo(dst []byte, e wire.Encoding, announced map[uint32]*event.Series) []byte {
	if g.form == wire.FormEvents {
		rows := g.rows[e]
		for i := range g.latest {
			rows = e.AppendEvent(rows, &g.latest[i].event, g.latest[i].count)
		}
		return e.AppendEvents(dst, rows)
	}
	var fresh []*event.Series
	for i := range g.values {
		if s := g.values[i].Series; announced[s.ID] != s {
			announced[s.ID] = s
			fresh = append(fresh, s)
		}
	}
	return e.AppendArrived(e.AppendValues(e.AppendSeries(dst, fresh), g.values), g.arrived)
}

// reset forgets what was gathered and keeps the memory for the next frame, unless a burst has made it large.
func (g *gatherer) reset() {
	clear(g.index)
	clear(g.events)
	for e, rows := range g.rows {
		if g.rows[e] = rows[:0]; cap(rows) > 4*flushBytes {
			g.rows[e] = nil
		}
	}
	g.values, g.latest, g.held = reuse(g.values), reuse(g.latest), 0
	g.some, g.arrived = false, 0
}

// maxKept is how many elements a slice may have room for to be used again.
const maxKept = 16 << 10

func reuse[T any](s []T) []T {
	if cap(s) > maxKept {
		return nil
	}
	clear(s)
	return s[:0]
}
