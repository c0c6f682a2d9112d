package room

import (
	"errors"
	"slices"
	"sort"
	"strings"
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

// Options are what a member asks for besides the room.
type Options struct {
	// Encoding is how the member's messages are written.
	Encoding wire.Encoding
	// From is the position to resume from; zero for none.
	From event.Position
	// FromStart asks for everything still held.
	FromStart bool
	// Follow is the same session's place in another room, which this one takes: it goes on where that one is. It must have
	// begun, and is not used any more once the new one has.
	Follow *Sub
	// History is how many past events of each topic the snapshot begins with.
	History int
	// Viewer is who the member is, for others who ask.
	Viewer Viewer
	// Viewers asks to be told who else watches.
	Viewers bool
}

// A Sub is one member's place in a room. It belongs to one goroutine at a time.
type Sub struct {
	reg  *Registry
	room *Room
	// opts is what the member asked for, until it has begun.
	opts     *Options
	encoding wire.Encoding
	viewers  bool

	// cursor is the number of the next frame of the ring, pos the position after what was delivered, told the last one
	// that the client knows.
	cursor uint64
	pos    event.Position
	told   event.Position
	// While catching, the log is read from pos to target; then the ring goes on at cursor.
	catching bool
	target   event.Position
	gathered *gatherer
	// ahead says that pos, where the member resumed, is beyond the room's frames: those before it are not for it.
	ahead bool

	version  uint64
	joined   event.Position
	entrance *entrance
	viewer   *viewer
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
	s := &Sub{reg: r, room: room, opts: &opts, encoding: opts.Encoding, viewers: opts.Viewers}
	if e := opts.Encoding; room.takers[e] == 0 {
		room.flush(r.pos, time.Now()) // in the encodings of those who were there before
		room.announced[e] = make(map[uint32]*event.Series)
	}
	room.takers[opts.Encoding]++
	s.enter()
	room.members[s] = m
	r.crowd.join(s)
	return s, nil
}

// enter puts the member where its room begins for it. The registry's lock is held.
func (s *Sub) enter() {
	s.entrance = s.room.entrance(s.encoding)
	s.cursor, s.joined = s.entrance.cursor, s.entrance.pos
	s.pos, s.told = s.joined, s.joined
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
	}
	if spec.Form.IsView() {
		if room.source = r.cfg.Sources[spec.Form]; room.source == nil {
			return nil, ErrNoSource
		}
		room.version = room.source.Version()
		r.views = append(r.views, room)
	} else {
		room.gathered = *newGatherer(&room.spec)
		for _, d := range spec.Devices {
			r.devices[d] = append(r.devices[d], room)
		}
		if len(spec.Devices) == 0 {
			for _, f := range spec.Filters {
				r.trie.insert(f, room)
			}
			r.reshape(spec.Filters)
		}
	}
	room.win.Store(&window{begin: r.pos, end: r.pos})
	r.rooms[key] = room
	r.wakeRun()
	return room, nil
}

// reshape makes the registry forget which rooms the topics of filters reach.
func (r *Registry) reshape(filters []string) {
	for _, f := range filters {
		if strings.ContainsAny(f, "+#") {
			r.shape++
		} else if c := r.cache[f]; c != nil {
			c.gone = true // a Ref may have it, too
			delete(r.cache, f)
		}
	}
}

// Leave ends the membership. The room ends with its last member.
func (r *Registry) Leave(s *Sub) {
	r.mu.Lock()
	defer r.mu.Unlock()
	room := s.room
	if _, member := room.members[s]; !member {
		return
	}
	delete(room.members, s)
	if e := s.encoding; room.takers[e] > 1 {
		room.takers[e]--
	} else { // what is made from now on is not made for it
		room.takers[e], room.announced[e], room.entrances[e] = 0, nil, nil
	}
	r.crowd.leave(s)
	if len(room.members) > 0 {
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
		r.reshape(room.spec.Filters)
	}
}

// Room is the room's number.
func (s *Sub) Room() uint64 { return s.room.id }

// Begin appends the reply to the command and what comes before the room's frames. It may read the log.
func (s *Sub) Begin(dst []*wire.Message, id uint64) ([]*wire.Message, error) {
	e, recovered, reason := s.encoding, false, ""
	before := s.opts.Follow
	if before != nil && s.room.source == nil && before.room.source == nil {
		s.opts.From = before.told
	}
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
	if before != nil {
		dst = append(dst, e.Changed(id, before.room.id, s.room.id, s.pos, recovered, reason))
	} else {
		dst = append(dst, e.Subscribed(id, s.room.id, s.pos, recovered, reason))
	}
	snapshot, err := s.snapshot(recovered)
	if err != nil {
		return dst, err
	}
	if snapshot != nil {
		dst = append(dst, snapshot)
	}
	s.entrance, s.opts = nil, nil
	if s.viewers {
		dst = append(dst, s.present())
	}
	return dst, nil
}

// resume makes the member go on where it left off: with the frames that the room still holds, and with the log up to
// where those begin.
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
	s.meetRing(s.room.win.Load())
	return nil
}

// meetRing makes a member go on from its position, with the log up to where the ring's frames serve it. `every` goes on
// with all frames that it wants, since they are there and shared; `latest` is better served with what it missed in one.
func (s *Sub) meetRing(w *window) {
	if s.pos.Offset >= w.end.Offset {
		s.cursor, s.ahead = w.next(), s.pos.Offset > w.end.Offset
		return
	}
	target, cursor := w.end, w.next()
	if s.room.spec.Delivery == wire.DeliveryEvery {
		k := sort.Search(len(w.frames), func(k int) bool { return w.start(k).Offset >= s.pos.Offset })
		if !slices.ContainsFunc(w.frames[k:], s.lacks) {
			target, cursor = w.start(k), w.first+uint64(k)
		}
	}
	s.cursor = cursor
	s.catchUpTo(target)
}

// lacks reports whether a frame was made while nobody took the member's encoding.
func (s *Sub) lacks(f *frame) bool { return f.messages[s.encoding] == nil && !f.viewers }

func (s *Sub) catchUpTo(target event.Position) {
	s.target, s.catching = target, true
	s.gathered = newGatherer(&s.room.spec)
}

// Next appends up to about budget bytes of what is due for the member and reports whether there is more.
func (s *Sub) Next(dst []*wire.Message, budget int) (_ []*wire.Message, more bool, err error) {
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
			m := f.messages[s.encoding]
			switch {
			case f.viewers:
				if m != nil && s.viewers {
					dst = append(dst, m)
				}
				continue
			case s.ahead:
				s.meet(f)
			case m == nil || s.room.source != nil && f.version <= s.version:
				// It is not for the member, or the snapshot was newer.
			default:
				dst = append(dst, m)
				budget -= len(m.Bytes())
				s.pos, s.told, s.version = f.to, f.to, f.version
				s.reg.frames.Add(1)
			}
			if s.catching {
				break
			}
		}
		if !s.catching {
			return dst, false, nil
		}
	}
}

// Live is Next for members whose frames are in the ring: it neither reads the log nor asks a view, so it takes no time. It
// reports whether there is more, for Next.
func (s *Sub) Live(dst []*wire.Message, budget int) (_ []*wire.Message, more bool) {
	w := s.room.win.Load()
	if s.catching || s.ahead || s.cursor < w.first {
		return dst, true
	}
	dst, more, _ = s.Next(dst, budget) // it fails only where the log is read
	return dst, more
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
func (s *Sub) fallOut(dst []*wire.Message, w *window) []*wire.Message {
	s.reg.metrics.fallen.Inc()
	if s.room.source == nil {
		s.meetRing(w)
		return dst
	}
	changed, version := s.room.since(s.version)
	s.cursor, s.version, s.pos = w.next(), version, w.end
	if changed == nil {
		return dst
	}
	s.reg.frames.Add(1)
	return append(dst, viewFrame(s.encoding, s.room.id, w.end, changed))
}

// catchUp reads one chunk of the log. The member is through when it has reached its target.
func (s *Sub) catchUp(dst []*wire.Message) ([]*wire.Message, error) {
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
	var takers [wire.Encodings]int
	takers[s.encoding] = 1
	for i := range batch {
		if d := &batch[i]; d.Kind.IsMessage() && s.room.spec.matches(d.Topic, d.Device) {
			s.gathered.add(d, &takers)
		}
	}
	s.pos = batch[len(batch)-1].Next()
	s.reg.metrics.reread.Add(float64(len(batch)))
	if !latest || s.gathered.size() > flushBytes {
		dst = s.emit(dst)
	}
	if s.pos.Offset >= s.target.Offset {
		return s.caughtUp(dst), nil
	}
	return dst, nil
}

// emit makes a frame of what was read.
func (s *Sub) emit(dst []*wire.Message) []*wire.Message {
	if s.gathered.empty() {
		return dst
	}
	// A catch-up frame announces all series that it uses: the member may know none of them.
	fields := s.gathered.appendTo(nil, s.encoding, make(map[uint32]*event.Series))
	s.gathered.reset()
	s.reg.frames.Add(1)
	s.told = s.pos
	return append(dst, s.encoding.Frame(s.room.id, s.pos, fields))
}

// caughtUp ends reading the log. The client learns the position even if nothing before it was for this room.
func (s *Sub) caughtUp(dst []*wire.Message) []*wire.Message {
	s.pos = s.target
	dst = s.emit(dst)
	if s.told != s.pos {
		dst = append(dst, s.encoding.Frame(s.room.id, s.pos, nil))
		s.told = s.pos
	}
	s.catching = false
	s.gathered = nil
	return dst
}

func (s *Sub) gap(dst []*wire.Message, to event.Position, reason string) []*wire.Message {
	s.reg.gaps.Add(1)
	s.reg.metrics.gaps.WithLabelValues(reason).Inc()
	events := uint64(0)
	if s.room.spec.Scope == nil { // how many of them could be read nobody knows, and the others are not to be counted
		events = to.Offset - min(s.pos.Offset, to.Offset)
	}
	dst = append(dst, s.encoding.Gap(s.room.id, s.pos, to, events, reason))
	s.pos, s.told = to, to
	return dst
}

// skip tells a `latest` member that it is too far behind to be told everything that changed, and gives it the current
// state: it enters the room anew.
func (s *Sub) skip(dst []*wire.Message) ([]*wire.Message, error) {
	s.catching = false
	s.gathered = nil
	from := s.pos
	s.reg.mu.Lock()
	s.enter()
	s.reg.mu.Unlock()
	s.pos = from
	dst = s.gap(dst, s.joined, wire.ReasonBehind)
	state, err := s.entrance.state(s)
	s.entrance = nil
	if err != nil {
		return dst, err
	}
	return append(dst, state), nil
}
