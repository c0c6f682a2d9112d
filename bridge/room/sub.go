package room

import (
	"errors"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/wire"
)

// Bounds of reading from the log.
const (
	readChunk = 256
	// maxConflate is how many events of the log a `latest` member that fell behind reads to conflate them; beyond it, a
	// gap says what was left out and the current values follow.
	maxConflate = 100_000
	// maxHistoryEvents, maxHistoryTopics and maxHistoryBytes (of payload) bound a snapshot's history.
	maxHistoryEvents = 20_000
	maxHistoryTopics = 2_000
	maxHistoryBytes  = 16 << 20
)

// reasonBehind is the gap's reason where a `latest` member was too far behind to conflate what it missed.
const reasonBehind = "behind"

// Options are what a member asks for besides the room.
type Options struct {
	// From is the position to resume from; zero for none.
	From event.Position
	// FromStart asks for everything still held.
	FromStart bool
	// History is how many past events of each topic the snapshot begins with.
	History int
}

// A Sub is one member's place in a room. It belongs to one goroutine at a time.
type Sub struct {
	reg  *Registry
	room *Room
	opts Options

	// cursor is the number of the next frame of the ring, pos the position after what was delivered, told the last one
	// that the client knows.
	cursor uint64
	pos    event.Position
	told   event.Position
	// While catching, the log is read from pos to target; then the ring goes on at cursor.
	catching bool
	target   event.Position
	enc      encoder
	// ahead says that pos, where the member resumed, is beyond the room's frames: those before it are not for it.
	ahead bool

	version uint64
	joined  event.Position
	values  []current
}

// Join makes a session a member of the room for spec, which begins if it is the first. After it, Begin is called once,
// then Next whenever the member is woken.
func (r *Registry) Join(spec Spec, opts Options, m member) (*Sub, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	room, err := r.open(spec)
	if err != nil {
		return nil, err
	}
	s := &Sub{reg: r, room: room, opts: opts}
	s.enter()
	room.members[s] = m
	return s, nil
}

// enter puts the member at the room's end, with the values as they are there. The registry's lock is held.
func (s *Sub) enter() {
	r, room := s.reg, s.room
	// What is pending goes out to those who were there before.
	room.flush(r.pos, time.Now())
	s.cursor = room.win.Load().next()
	s.pos, s.told, s.joined = r.pos, r.pos, r.pos
	if room.spec.Form == wire.FormValues {
		s.values = r.current.of(room.spec)
	}
}

func (r *Registry) open(spec Spec) (*Room, error) {
	key := spec.key()
	if room := r.rooms[key]; room != nil {
		return room, nil
	}
	if len(r.rooms) >= r.cfg.MaxRooms {
		return nil, ErrTooManyRooms
	}
	r.nextID++
	room := &Room{
		reg: r, id: r.nextID, key: key, spec: spec, interval: spec.interval(), members: make(map[*Sub]member), pos: r.pos,
		announced: make(map[uint32]*event.Series),
	}
	if spec.Form.IsView() {
		if room.source = r.cfg.Sources[spec.Form]; room.source == nil {
			return nil, ErrNoSource
		}
		room.version = room.source.Version()
		r.views = append(r.views, room)
	} else {
		room.enc = newEncoder(spec)
		r.index(room)
	}
	room.win.Store(&window{end: r.pos})
	r.rooms[key] = room
	r.wakeRun()
	return room, nil
}

func (r *Registry) index(room *Room) {
	for _, d := range room.spec.Devices {
		r.devices[d] = append(r.devices[d], room)
	}
	if len(room.spec.Devices) == 0 {
		for _, f := range room.spec.Filters {
			r.trie.insert(f, room)
		}
		clear(r.cache)
	}
}

// Leave ends the membership. The room ends with its last member.
func (r *Registry) Leave(s *Sub) {
	r.mu.Lock()
	defer r.mu.Unlock()
	room := s.room
	delete(room.members, s)
	if len(room.members) > 0 || r.rooms[room.key] != room {
		return
	}
	delete(r.rooms, room.key)
	r.views = without(r.views, room)
	r.dirty = without(r.dirty, room)
	if room.source != nil {
		return
	}
	for _, d := range room.spec.Devices {
		if r.devices[d] = without(r.devices[d], room); len(r.devices[d]) == 0 {
			delete(r.devices, d)
		}
	}
	if len(room.spec.Devices) == 0 {
		for _, f := range room.spec.Filters {
			r.trie.remove(f, room)
		}
		clear(r.cache)
	}
}

// Room is the room's number.
func (s *Sub) Room() uint64 { return s.room.id }

// Begin appends the reply to the subscribe command and what comes before the room's frames. It may read the log.
func (s *Sub) Begin(dst [][]byte, id uint64) ([][]byte, error) {
	recovered, reason := false, ""
	if s.room.source == nil && (!s.opts.From.IsZero() || s.opts.FromStart) {
		switch err := s.resume(); {
		case err == nil:
			recovered = true
		case errors.Is(err, eventlog.ErrEpoch):
			reason = wire.ReasonInsufficientState
		default:
			return dst, err
		}
	}
	dst = append(dst, wire.Subscribed(nil, id, s.room.id, s.pos, recovered, reason))
	snapshot, err := s.snapshot(recovered)
	if err != nil {
		return dst, err
	}
	if snapshot != nil {
		dst = append(dst, snapshot)
	}
	return dst, nil
}

// resume makes the member read the log from where it left off.
func (s *Sub) resume() error {
	from := s.opts.From
	if s.opts.FromStart {
		from, _ = s.reg.cfg.Past.Bounds()
	}
	var trimmed *eventlog.TrimmedError
	if _, err := s.reg.cfg.Past.Read(from, 1); err != nil && !errors.As(err, &trimmed) {
		return err
	}
	s.pos, s.told = from, from
	if from.Offset > s.joined.Offset {
		s.ahead = true
		return nil
	}
	s.catchUpTo(s.joined)
	return nil
}

func (s *Sub) catchUpTo(target event.Position) {
	s.target, s.catching = target, true
	s.enc = newEncoder(s.room.spec)
}

// Next appends up to about budget bytes of what is due for the member and reports whether there is more.
func (s *Sub) Next(dst [][]byte, budget int) (_ [][]byte, more bool, err error) {
	for {
		if s.catching {
			if dst, err = s.catchUp(dst); err != nil || s.catching {
				return dst, true, err
			}
		}
		w := s.room.win.Load()
		if s.cursor < w.first {
			dst = s.fallOut(dst, w)
			continue
		}
		for _, f := range w.frames[s.cursor-w.first:] {
			if budget <= 0 {
				return dst, true, nil
			}
			s.cursor++
			if s.ahead {
				if s.meet(f); s.catching {
					break
				}
				continue
			}
			if s.room.source != nil && f.version <= s.version {
				continue // the snapshot was newer
			}
			dst = append(dst, f.data)
			budget -= len(f.data)
			s.pos, s.told, s.version = f.to, f.to, f.version
			s.reg.frames.Add(1)
		}
		if !s.catching {
			return dst, false, nil
		}
	}
}

// meet lets a member that is ahead of its room pass over a frame: what of it is not older than the member's position is
// read from the log.
func (s *Sub) meet(f *frame) {
	if f.to.Offset < s.pos.Offset {
		return
	}
	s.ahead = false
	s.catchUpTo(f.to)
}

// fallOut recovers a member whose next frame is no longer in the ring.
func (s *Sub) fallOut(dst [][]byte, w *window) [][]byte {
	s.reg.metrics.fallen.Inc()
	s.cursor = w.next()
	if s.room.source == nil {
		if s.ahead = w.end.Offset < s.pos.Offset; !s.ahead {
			s.catchUpTo(w.end)
		}
		return dst
	}
	members, version := s.room.source.AppendSince(nil, s.room.spec.Filters, s.version)
	s.version, s.pos = version, w.end
	if len(members) == 0 {
		return dst
	}
	s.reg.frames.Add(1)
	return append(dst, appendFrame(s.room.id, w.end, members))
}

// catchUp reads one chunk of the log. The member is through when it has reached its target.
func (s *Sub) catchUp(dst [][]byte) ([][]byte, error) {
	latest := s.room.spec.Delivery == wire.DeliveryLatest
	left := s.target.Offset - min(s.pos.Offset, s.target.Offset)
	switch {
	case left == 0:
		return s.caughtUp(dst), nil
	case latest && left > maxConflate:
		return s.skip(dst)
	}
	batch, err := s.reg.cfg.Past.Read(s.pos, int(min(left, readChunk)))
	if trimmed := (*eventlog.TrimmedError)(nil); errors.As(err, &trimmed) {
		to := trimmed.First
		if to.Offset > s.target.Offset {
			to = s.target
		}
		reason := wire.ReasonRetention
		if trimmed.Damaged {
			reason = wire.ReasonDamaged
		}
		return s.gap(s.emit(dst), to, reason), nil
	}
	if err != nil {
		return dst, err
	}
	if len(batch) == 0 {
		return s.caughtUp(dst), nil
	}
	for i := range batch {
		if d := &batch[i]; d.Kind.IsMessage() && s.room.spec.matches(d.Topic, d.Device) {
			s.enc.add(d)
		}
	}
	s.pos = batch[len(batch)-1].Next()
	s.reg.metrics.reread.Add(float64(len(batch)))
	if !latest || s.enc.size() > flushBytes {
		dst = s.emit(dst)
	}
	if s.pos.Offset >= s.target.Offset {
		return s.caughtUp(dst), nil
	}
	return dst, nil
}

// emit makes a frame of what was read.
func (s *Sub) emit(dst [][]byte) [][]byte {
	if s.enc.empty() {
		return dst
	}
	data := wire.AppendHead(make([]byte, 0, s.enc.size()+96), s.room.id, s.pos)
	// A catch-up frame announces all series that it uses: the member may know none of them.
	data = s.enc.appendTo(data, make(map[uint32]*event.Series))
	s.reg.frames.Add(1)
	s.told = s.pos
	return append(dst, append(data, '}'))
}

// caughtUp ends reading the log. The client learns the position even if nothing before it was for this room.
func (s *Sub) caughtUp(dst [][]byte) [][]byte {
	s.pos = s.target
	dst = s.emit(dst)
	if s.told != s.pos {
		dst = append(dst, appendFrame(s.room.id, s.pos, nil))
		s.told = s.pos
	}
	s.catching = false
	s.enc = encoder{}
	return dst
}

func (s *Sub) gap(dst [][]byte, to event.Position, reason string) [][]byte {
	s.reg.gaps.Add(1)
	s.reg.metrics.gaps.WithLabelValues(reason).Inc()
	dst = append(dst, wire.AppendGap(nil, s.room.id, s.pos, to, reason))
	s.pos, s.told = to, to
	return dst
}

// skip tells a `latest` member that it is too far behind to be told everything that changed, and gives it the current
// state: it enters the room anew.
func (s *Sub) skip(dst [][]byte) ([][]byte, error) {
	s.catching = false
	s.enc = encoder{}
	from := s.pos
	s.reg.mu.Lock()
	s.enter()
	s.reg.mu.Unlock()
	s.pos = from
	dst = s.gap(dst, s.joined, reasonBehind)
	if s.room.spec.Form == wire.FormValues {
		return append(dst, s.valuesSnapshot(nil, false)), nil
	}
	history, truncated, err := s.history(1)
	if err != nil {
		return dst, err
	}
	return append(dst, s.eventsSnapshot(history, truncated)), nil
}
