package room

import (
	"sync"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// entranceAge is for how long an entrance is used for those who come after.
const entranceAge = time.Second

// An entrance is a place in a room's stream, with the state of things there. A member begins with the state, and goes on
// with the frames after it. All who come within entranceAge begin at the same: a thousand that come back at once cost
// one snapshot.
type entrance struct {
	cursor uint64
	pos    event.Position
	made   time.Time
	values []current // of rooms of values

	once    sync.Once
	message *wire.Message
	version uint64
	err     error

	announce sync.Once
	series   []byte
}

// entrance is where a member of an encoding begins. The registry's lock is held.
func (r *Room) entrance(e wire.Encoding) *entrance {
	now, stateless := time.Now(), r.spec.Form == wire.FormEvents && r.spec.Delivery == wire.DeliveryEvery
	old := r.entrances[e]
	if old != nil && !stateless && now.Sub(old.made) < entranceAge && old.cursor >= r.win.Load().first {
		return old
	}
	made := &entrance{pos: r.reg.pos, made: now}
	switch {
	case r.spec.Form == wire.FormValues: // what is pending is part of the state
		r.flush(r.reg.pos, now)
		made.values = r.reg.current.of(r.spec)
	case !r.gathered.empty():
		made.pos = r.gathered.from // what is pending comes with the next frame
	}
	made.cursor = r.win.Load().next()
	if !stateless {
		r.entrances[e] = made
	}
	return made
}

// closeEntrances forgets those that nobody will use again.
func (r *Room) closeEntrances(now time.Time) {
	for i, e := range r.entrances {
		if e != nil && now.Sub(e.made) >= entranceAge {
			r.entrances[i] = nil
		}
	}
}

// state is the snapshot of how things stand at the entrance. The first who asks makes it.
func (e *entrance) state(s *Sub) (*wire.Message, error) {
	e.once.Do(func() {
		room, enc := s.room, s.encoding
		switch {
		case room.source != nil:
			now, version := room.since(0)
			e.version = version
			e.message = enc.Snapshot(room.id, e.pos, enc.AppendView(nil, now), false)
		case room.spec.Form == wire.FormValues:
			e.message = s.valuesSnapshot(nil, false)
		default:
			history, truncated, err := s.history(1)
			if e.err = err; err == nil {
				e.message = s.eventsSnapshot(history, truncated)
			}
		}
	})
	s.version = e.version
	return e.message, e.err
}

// announcement is a snapshot that tells the numbers of the room's series and nothing else, for members that recover.
func (e *entrance) announcement(s *Sub) *wire.Message {
	enc := s.encoding
	e.announce.Do(func() {
		series := make([]*event.Series, len(e.values))
		for i, c := range e.values {
			series[i] = c.series
		}
		e.series = enc.AppendSeries(nil, series)
	})
	return enc.Snapshot(s.room.id, s.pos, e.series, false)
}
