package broker

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"pulso/bridge/event"
)

var (
	errTooManySubscriptions = errors.New("too many subscriptions")
	errAccountSubscriptions = errors.New("too many subscriptions of the account")
)

// A groupKey names a shared subscription (MQTT 5, 4.8.2).
type groupKey struct{ name, filter string }

func (k groupKey) String() string { return "$share/" + k.name + "/" + k.filter }

// A group is a shared subscription: a place in the log that its members have in common. Each message goes to one member
// that has room. What a member has not acknowledged at QoS 1 when its connection ends goes to another; at QoS 2 it stays
// with the member [MQTT-4.8.2-4]. The group is behind as a session is: when its members have no room, or none is there.
//
// Locks: a group's before a session's.
type group struct {
	broker *Broker
	key    groupKey
	busy   atomic.Bool // there may be something to hand out

	mu      sync.Mutex
	ended   bool
	members []member
	turn    int
	again   []delivery          // given back, oldest first
	out     map[uint64]*session // offsets that members have and have not acknowledged, at QoS 1
	skips   map[uint64]struct{} // offsets that members had before a crash and still have
	queue   []delivery          // messages that wait for a member
	bytes   int                 // payload of again and queue
	next    event.Position      // everything before it has been queued or handed out
	behind  bool                // what is from next on is in the log
	filling bool                // a goroutine reads for the group
	dirty   bool                // the journal knows that there is something to store
}

// A member is a session with its subscription.
type member struct {
	session *session
	sub     subscription
}

// join makes a session a member of a group, or replaces its subscription.
func (b *Broker) join(key groupKey, s *session, sub subscription) *group {
	b.groupsMu.Lock()
	defer b.groupsMu.Unlock()
	g := b.groups[key]
	if g == nil {
		g = &group{broker: b, key: key, next: b.position(), out: map[uint64]*session{}}
		b.groups[key] = g
		b.index.addGroup(g)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.members, func(m member) bool { return m.session == s }); i >= 0 {
		g.members[i].sub = sub
	} else {
		g.members = append(g.members, member{s, sub})
	}
	g.touch()
	return g
}

// remove takes a session out of its group, which ends with its last member.
func (g *group) remove(s *session) {
	b := g.broker
	b.groupsMu.Lock()
	defer b.groupsMu.Unlock()
	g.mu.Lock()
	g.members = slices.DeleteFunc(g.members, func(m member) bool { return m.session == s })
	maps.DeleteFunc(g.out, func(_ uint64, had *session) bool { return had == s })
	g.touch()
	if len(g.members) == 0 && !g.ended {
		g.ended = true
		g.setBehind(false)
		delete(b.groups, g.key)
		b.index.removeGroup(g)
		b.journal.endGroup(g.key)
	}
	g.mu.Unlock()
	g.pump()
}

// touch says that something changed that must survive; g.mu is held.
func (g *group) touch() {
	if !g.dirty && !g.ended && g.broker.journal.store != nil {
		g.dirty = true
		g.broker.journal.group(g)
	}
}

// offer hands over an event of the log, in its order. It never blocks.
func (g *group) offer(m *message) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := &m.event
	if g.behind || e.Position.Offset < g.next.Offset || g.ended {
		return
	}
	d := delivery{message: m, group: g, qos: e.QoS}
	if len(g.again)+len(g.queue) == 0 && (g.assign(&d) || g.insist(&d)) {
		g.next = e.Next()
		g.touch()
		return
	}
	if len(g.queue) >= g.broker.cfg.MaxQueue || g.bytes+len(e.Payload) > g.broker.cfg.MaxQueueBytes || !g.anybody() {
		g.next = e.Position
		g.setBehind(true)
		g.busy.Store(true)
		g.touch()
		g.refill()
		return
	}
	g.next = e.Next()
	g.push(&d)
	g.busy.Store(true)
}

func (g *group) takeBack(d *delivery) {
	g.again = append(g.again, *d)
	g.bytes += len(d.message.event.Payload)
}

func (g *group) push(d *delivery) {
	g.queue = append(g.queue, *d)
	g.bytes += len(d.message.event.Payload)
}

// low reports whether the queue is to be filled up from the log: as that of a session.
func (g *group) low() bool {
	return len(g.queue) <= g.broker.cfg.MaxQueue/2 && g.bytes <= g.broker.cfg.MaxQueueBytes/32
}

// insist assigns once more, now that whoever gets room says so: one may have got it just before.
func (g *group) insist(d *delivery) bool {
	g.busy.Store(true)
	return g.assign(d)
}

func (g *group) setBehind(behind bool) {
	if g.behind != behind {
		g.behind = behind
		if behind {
			g.broker.behind.Add(1)
		} else {
			g.broker.behind.Add(-1)
		}
	}
}

func (g *group) anybody() bool {
	return slices.ContainsFunc(g.members, func(m member) bool { return m.session.connected() })
}

// assign gives a message to the next member that has room and reports whether it is settled. A message of QoS 0 that
// nobody is there for is.
func (g *group) assign(d *delivery) bool {
	connected := false
	for i := range g.members {
		m := &g.members[(g.turn+i)%len(g.members)]
		t := target{subscription: m.sub, session: m.session, identifiers: m.sub.ids()}
		mine := t.delivery(d.message)
		mine.group = g
		taken, held, there := m.session.admit(&mine)
		connected = connected || there
		if !taken {
			continue
		}
		g.turn = (g.turn + i + 1) % len(g.members)
		if held && mine.qos == 1 {
			g.out[d.message.event.Position.Offset] = m.session
		}
		return true
	}
	if d.message.event.QoS == 0 && !connected {
		return true
	}
	return false
}

// admit gives a group's message to the session if it has room, and says whether it holds it until it is acknowledged,
// and whether it has a connection.
func (s *session) admit(d *delivery) (taken, held, connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || s.ended {
		return false, false, false
	}
	before := len(s.inflight)
	taken = len(s.queue) == 0 && !s.resend && s.send(d)
	return taken, len(s.inflight) > before, true
}

// settled takes note that a member has acknowledged an event.
func (g *group) settled(at event.Position) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.out, at.Offset)
	g.touch()
}

// left takes back what a member had not acknowledged when its connection ended.
func (g *group) left(s *session, back []outgoing) {
	for i := range back {
		if o := &back[i]; o.group == g && o.message == nil {
			o.message, _ = g.broker.recall(o.offset, o.topic) // which is counted below
		}
	}
	g.mu.Lock()
	for i := range back {
		o := &back[i]
		if o.group != g || o.qos == 1 && g.out[o.offset.Offset] != s {
			continue
		}
		delete(g.out, o.offset.Offset)
		if o.message == nil {
			g.broker.drop(dropPassed)
			continue
		}
		g.takeBack(&o.delivery)
	}
	slices.SortFunc(g.again, func(a, b delivery) int {
		return int(a.message.event.Position.Offset) - int(b.message.event.Position.Offset)
	})
	g.busy.Store(true)
	g.touch()
	g.mu.Unlock()
	g.pump()
}

// pump hands out what waits, as far as members have room.
func (g *group) pump() {
	if !g.busy.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dispatch()
}

func (g *group) dispatch() {
	if len(g.members) == 0 {
		return
	}
	before := len(g.again) + len(g.queue)
	g.again = g.handOut(g.again)
	if len(g.again) == 0 {
		g.queue = g.handOut(g.queue)
	}
	left := len(g.again) + len(g.queue)
	if left != before {
		g.touch()
	}
	g.busy.Store(left > 0 || g.behind)
	g.refill()
}

func (g *group) handOut(list []delivery) []delivery {
	for len(list) > 0 && g.assign(&list[0]) {
		g.bytes -= len(list[0].message.event.Payload)
		list[0] = delivery{}
		list = list[1:]
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

// refill begins to read for the group where that is due; g.mu is held.
func (g *group) refill() {
	if g.filling || !g.behind || !g.low() || !g.anybody() || g.broker.stops() {
		return
	}
	g.filling = true
	g.broker.wg.Go(func() { g.broker.catchUp(g) })
}

// due implements laggard.
func (g *group) due() (from event.Position, wants func(string) bool, limit int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.behind || g.ended || !g.low() || !g.anybody() || g.broker.stops() {
		g.filling = false
		return from, nil, 0, false
	}
	return g.next, func(topic string) bool { return event.Match(g.key.filter, topic) }, scanLimit, true
}

// got implements laggard.
func (g *group) got(from event.Position, found []event.Event, next event.Position) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next != from || g.ended {
		return
	}
	for i := range found {
		e := &found[i]
		_, skip := g.skips[e.Position.Offset]
		if e.Kind.IsMessage() && e.QoS > 0 && !skip {
			g.push(&delivery{message: &message{event: *e}, group: g, qos: e.QoS})
		}
	}
	g.next = next
	if next.Offset >= g.broker.tail.Load() {
		g.setBehind(false)
		g.skips = nil
	}
	g.touch()
	g.dispatch()
}

// skip implements laggard.
func (g *group) skip(from, to event.Position, why string) {
	g.mu.Lock()
	if g.next != from {
		g.mu.Unlock()
		return
	}
	g.next = to
	if to.Offset >= g.broker.tail.Load() {
		g.setBehind(false)
	}
	g.touch()
	g.mu.Unlock()
	g.broker.lost(g.key.String(), from, to, why)
}
