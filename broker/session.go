package broker

import (
	"math"
	"sync"
	"time"

	"pulso/access/meter"
	"pulso/bridge/event"
	"pulso/broker/packet"
	"pulso/broker/store"
)

// forever is the life of a session that does not expire.
const forever = time.Duration(math.MaxInt64)

// A session is what one client is owed, with or without a connection (MQTT 5, 4.1): its subscriptions, what it has been
// sent and has not acknowledged, and the place in the log from which on it is owed the rest. What goes out stands in
// outbox.go, what comes in of QoS 2 in inbox.go, how it catches up with the log in backlog.go, and what of it survives
// the process in journal.go.
type session struct {
	outbox // under mu
	inbox  // under mu

	broker   *Broker
	id       string
	identity string    // the account it belongs to; it changes under broker.mu and mu
	expires  time.Time // while it has no connection; zero: never. broker.mu

	mu      sync.Mutex
	ended   bool
	expiry  uint32 // session expiry interval in seconds; 0: it ends with its connection
	version byte
	since   time.Time // offline: when it ends, as expires
	filters map[string]subscription
	groups  []*group     // of its shared subscriptions
	conn    *conn        // nil without a connection
	meter   *meter.Chain // of the account, for the filters; nil: nothing is bounded
	guest   Guest        // of the connection, or the last one; nil: it may do everything

	// What the journal needs.
	revision uint64              // grows with each change that must survive
	stored   uint64              // the revision that survives whatever happens
	dirty    bool                // the journal knows that there is something to store
	changed  map[string]struct{} // filters whose subscription changed since it was stored
	known    bool                // the store has it
	waiters  []waiter            // who waits for a revision to be stored
}

// A waiter is told when a revision is stored, or never will be.
type waiter struct {
	revision uint64
	told     chan error
}

func newSession(b *Broker, id, identity string) *session {
	s := &session{broker: b, id: id, identity: identity}
	s.next = b.position()
	return s
}

// own makes the session an account's, if it was nobody's.
func (s *session) own(identity string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.identity != identity {
		s.identity = identity
		s.touch()
	}
}

// begin sets what the CONNECT says.
func (s *session) begin(c *packet.Connecting, window int) {
	expiry := c.SessionExpiry
	if c.Version < 5 && !c.CleanStart {
		expiry = store.NeverExpires
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version, s.window, s.maxPacket = c.Version, window, int(c.MaximumPacket)
	s.setExpiryLocked(expiry)
	s.since = time.Time{}
	s.touch()
}

// setExpiry takes the interval of a DISCONNECT and reports whether it is allowed.
func (s *session) setExpiry(seconds uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expiry == 0 && seconds != 0 {
		return false
	}
	s.setExpiryLocked(seconds)
	s.touch()
	return true
}

func (s *session) setExpiryLocked(seconds uint32) {
	most := s.broker.cfg.SessionExpiry / time.Second
	if most < store.NeverExpires {
		seconds = min(seconds, uint32(most))
	}
	if seconds == 0 && s.known {
		s.broker.journal.end(s.id)
		s.known = false
	}
	if seconds > 0 && s.expiry == 0 { // from now on it is kept: with all its subscriptions
		for filter := range s.filters {
			s.note(filter)
		}
	}
	s.expiry = seconds
}

// granted is the session expiry interval that holds, in seconds.
func (s *session) granted() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expiry
}

// life is how long the session outlives its connection.
func (s *session) life() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expiry == store.NeverExpires {
		return forever
	}
	return time.Duration(s.expiry) * time.Second
}

// leave notes when a session without a connection ends.
func (s *session) leave(expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = expires
	s.touch()
}

// kept reports whether the session's state survives the process: it outlives its connection, and there is a store.
func (s *session) kept() bool { return s.expiry > 0 && !s.ended && s.broker.journal.store != nil }

// unstored reports whether the session survives the process, but the store does not have it yet.
func (s *session) unstored() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept() && !s.known
}

// touch says that something changed that must survive.
func (s *session) touch() {
	if !s.kept() {
		return
	}
	s.revision++
	if !s.dirty {
		s.dirty = true
		s.broker.journal.session(s)
	}
}

// note says that a subscription changed.
func (s *session) note(filter string) {
	if s.changed == nil {
		s.changed = map[string]struct{}{}
	}
	s.changed[filter] = struct{}{}
}

// settled waits until what has been changed so far survives. Without a store, or for a session that ends with its
// connection, it does not wait.
func (s *session) settled(done <-chan struct{}) error {
	s.mu.Lock()
	if !s.kept() || s.stored >= s.revision {
		s.mu.Unlock()
		return nil
	}
	w := waiter{s.revision, make(chan error, 1)}
	s.waiters = append(s.waiters, w)
	s.mu.Unlock()
	if err := s.broker.journal.failure(); err != nil {
		s.confirm(0, err)
	}
	s.broker.journal.hurry()
	select {
	case err := <-w.told:
		return err
	case <-done:
		return ErrStopped
	}
}

// confirm is called when a revision has been stored, or with the error for which none will be.
func (s *session) confirm(revision uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.stored = max(s.stored, revision)
	}
	rest := s.waiters[:0]
	for _, w := range s.waiters {
		if err == nil && w.revision > s.stored {
			rest = append(rest, w)
			continue
		}
		w.told <- err
	}
	clear(s.waiters[len(rest):])
	s.waiters = rest
	if err == nil {
		s.answerReleases()
		s.answerTaken()
		s.resend = true
		s.dispatch()
	}
}

// attach begins to use a connection: what was in flight is sent again [MQTT-4.4.0-1], then what waited.
func (s *session) attach(c *conn) {
	groups := s.attachConn(c)
	for _, g := range groups {
		g.pump()
	}
}

func (s *session) attachConn(c *conn) []*group {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = c
	s.disown()
	s.online = s.broker.tail.Load()
	s.resend = true
	if p := s.broker.cfg.Presence; p != nil {
		for filter := range s.filters {
			p.Subscribed(s.id, filter)
		}
	}
	s.dispatch()
	return s.groups
}

// detach ends the use of a connection.
func (s *session) detach(c *conn) {
	groups, back := s.detachConn(c)
	for _, g := range groups {
		g.left(s, back)
	}
}

func (s *session) detachConn(c *conn) (groups []*group, back []outgoing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c {
		return nil, nil
	}
	s.conn = nil
	if p := s.broker.cfg.Presence; p != nil {
		for filter := range s.filters {
			p.Unsubscribed(s.id, filter)
		}
	}
	back = s.withdraw()
	s.touch()
	if s.kept() {
		s.broker.journal.hurry()
	}
	return s.groups, back
}

// terminate ends the session with all that is its, and reports whether the store has to learn that. It must have no
// connection.
func (s *session) terminate() (stored bool) {
	groups, stored := s.clear()
	for _, g := range groups {
		g.remove(s)
	}
	return stored
}

func (s *session) clear() (groups []*group, stored bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	groups = s.groups
	for filter := range s.filters {
		s.broker.index.remove(s, filter)
	}
	s.broker.subscriptions.Add(-int64(len(s.filters)))
	for i := range s.inflight {
		if s.inflight[i].group != nil && !s.inflight[i].received { // [MQTT-4.8.2-5]
			s.broker.drop(dropShared)
		}
	}
	s.setBehind(false)
	s.ended = true
	s.meter.Close()
	s.filters, s.groups, s.inflight, s.queue, s.replays, s.received = nil, nil, nil, nil, nil, nil
	for _, w := range s.waiters {
		w.told <- ErrStopped
	}
	s.waiters = nil
	if s.known {
		s.broker.journal.end(s.id)
		s.broker.journal.will(s.id) // which outlives the session by what it takes to send it
	}
	return groups, s.known
}

func (s *session) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
}

// position is the place in the log before which all has been handed to Deliver.
func (b *Broker) position() event.Position {
	if p := b.reached.Load(); p != nil {
		return *p
	}
	return event.Position{}
}
