package room

import (
	"time"

	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// A Viewer is a member as others see it.
type Viewer struct {
	// Session is the name of the session, unique on this node.
	Session string
	// Name is what the session calls itself; empty if it has not said.
	Name string
	// Transport is how it is connected.
	Transport string
}

const (
	// crowdInterval is how often those who want to know are told who has come and gone.
	crowdInterval = time.Second
	// maxNamed is how many viewers are named. Where there are more, those who are named are a sample.
	maxNamed = 100
	// maxNews is how many who came, and how many who went, are named at a time.
	maxNews = 20
)

// An audience is everyone who watches the same filters and devices, and may read the same, in whatever room. It belongs to the registry's lock.
type audience struct {
	key     string
	viewers map[string]*viewer // by session
	rooms   map[*Room]int      // members that want to know who else watches
	changed bool               // waits in the crowd's list
	joined  []*viewer
	left    []string
	skipped bool // there were more than are named in joined and left
}

// A viewer is one session in an audience.
type viewer struct {
	Viewer

	since time.Time
	subs  int // its places in rooms of the audience
}

func (v *viewer) proto() *pulsov1.Viewer {
	return &pulsov1.Viewer{Session: v.Session, Name: v.Name, Transport: v.Transport, Since: v.since.UnixMilli()}
}

// A crowd is all audiences.
type crowd struct {
	audiences map[string]*audience
	changed   []*audience
}

func newCrowd() crowd { return crowd{audiences: make(map[string]*audience)} }

// join takes a new member into the audience of its room.
func (c *crowd) join(s *Sub) {
	a := s.room.audience
	if a == nil {
		key := Spec{Filters: s.room.spec.Filters, Devices: s.room.spec.Devices, Scope: s.room.spec.Scope}.key()
		if a = c.audiences[key]; a == nil {
			a = &audience{key: key, viewers: make(map[string]*viewer), rooms: make(map[*Room]int)}
			c.audiences[key] = a
		}
		s.room.audience = a
	}
	if s.viewer = a.viewers[s.opts.Viewer.Session]; s.viewer == nil {
		s.viewer = &viewer{Viewer: s.opts.Viewer, since: time.Now()}
		a.viewers[s.viewer.Session] = s.viewer
		c.came(a, s.viewer)
	}
	s.viewer.subs++
	if s.viewers {
		a.rooms[s.room]++
	}
}

// leave takes a member out of its audience, which ends with the last.
func (c *crowd) leave(s *Sub) {
	a := s.room.audience
	if s.viewers {
		if a.rooms[s.room]--; a.rooms[s.room] == 0 {
			delete(a.rooms, s.room)
		}
	}
	if s.viewer.subs--; s.viewer.subs > 0 {
		return
	}
	delete(a.viewers, s.viewer.Session)
	if len(a.viewers) == 0 {
		delete(c.audiences, a.key)
	}
	if c.tells(a) {
		if len(a.left) < maxNews {
			a.left = append(a.left, s.viewer.Session)
		} else {
			a.skipped = true
		}
	}
}

func (c *crowd) came(a *audience, v *viewer) {
	if c.tells(a) {
		if len(a.joined) < maxNews {
			a.joined = append(a.joined, v)
		} else {
			a.skipped = true
		}
	}
}

// tells reports whether somebody is to hear of a change in an audience, and sees to it that they do.
func (c *crowd) tells(a *audience) bool {
	if len(a.rooms) == 0 {
		return false
	}
	if !a.changed {
		a.changed = true
		c.changed = append(c.changed, a)
	}
	return true
}

// Rename tells others the member's new name.
func (s *Sub) Rename(name string) {
	s.reg.mu.Lock()
	defer s.reg.mu.Unlock()
	if _, member := s.room.members[s]; member && s.viewer.Name != name {
		s.viewer.Name = name
		s.reg.crowd.came(s.room.audience, s.viewer)
	}
}

// tellViewers tells those who want to know who has come and gone.
func (r *Registry) tellViewers() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.crowd.changed {
		news := &pulsov1.Viewers{Count: uint32(len(a.viewers)), Sampled: a.skipped || len(a.viewers) > maxNamed, Left: a.left}
		for _, v := range a.joined {
			news.Joined = append(news.Joined, v.proto())
		}
		for room := range a.rooms {
			room.tell(news)
		}
		a.changed, a.joined, a.left, a.skipped = false, nil, nil, false
	}
	clear(r.crowd.changed)
	r.crowd.changed = r.crowd.changed[:0]
}

// tell puts a frame of news into the ring. It takes no place in the stream.
func (r *Room) tell(news *pulsov1.Viewers) {
	f := &frame{to: r.win.Load().end, version: r.version, viewers: true}
	for e, n := range r.takers {
		if n > 0 {
			f.messages[e] = wire.Encoding(e).Viewers(r.id, news)
		}
	}
	r.put(f)
}

// present tells a member who is there.
func (s *Sub) present() *wire.Message {
	s.reg.mu.Lock()
	defer s.reg.mu.Unlock()
	a := s.room.audience
	now := &pulsov1.Viewers{Count: uint32(len(a.viewers)), Sampled: len(a.viewers) > maxNamed}
	for _, v := range a.viewers {
		if len(now.GetPresent()) == maxNamed {
			break
		}
		now.Present = append(now.Present, v.proto())
	}
	return s.encoding.Viewers(s.room.id, now)
}
