package broker

import (
	"errors"
	"slices"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// maxReplays is how many replays may wait in one session. A client that asks for the same again and again gets each, up
// to here; then the latest of a filter stands for the earlier ones.
const maxReplays = 1024

const (
	scanLimit   = 256             // events that one reading of the log returns
	recallLimit = 16              // messages in flight that are fetched at one go
	maxScans    = 4               // readings at one time: each may hold a mebibyte
	retryPause  = time.Second     // after the log could not be read
	maxLate     = 1 * time.Minute // a QoS 0 message that is older is not sent to a subscriber that was behind
)

// A laggard is served from the log: a session, or a shared subscription.
type laggard interface {
	// due says from where to read, which topics and how many events; false: nothing is to be read now, and the reading ends.
	due() (from event.Position, wants func(topic string) bool, limit int, ok bool)
	// got takes the events that were found between two places.
	got(from event.Position, found []event.Event, next event.Position)
	// skip says that the log holds nothing between two places any more.
	skip(from, to event.Position, why string)
}

// catchUp reads for a laggard for as long as it wants more. It runs in a goroutine of its own.
func (b *Broker) catchUp(l laggard) {
	for {
		from, wants, limit, ok := l.due()
		if !ok {
			return
		}
		b.scans <- struct{}{}
		found, next, err := b.cfg.Log.Scan(from, wants, limit)
		<-b.scans
		trimmed := (*eventlog.TrimmedError)(nil)
		switch {
		case err == nil:
			l.got(from, found, next)
		case errors.As(err, &trimmed) && trimmed.Damaged:
			l.skip(from, trimmed.First, "damage")
		case errors.As(err, &trimmed):
			l.skip(from, trimmed.First, "retention")
		case errors.Is(err, eventlog.ErrEpoch): // of a life of the log that ended before this place
			l.skip(from, b.base, "another log")
		default:
			b.cannotRead(err)
		}
	}
}

// cannotRead reports an error of the log that may pass, and waits.
func (b *Broker) cannotRead(err error) {
	if !errors.Is(err, eventlog.ErrClosed) {
		b.log.Error("cannot read the log for MQTT subscribers, trying again", "error", err)
	}
	b.pause(retryPause)
}

// A Gap says that a subscriber did not get part of what it was owed, because the log no longer held it.
type Gap struct {
	Time time.Time
	// Client is the client id, or the shared subscription as "$share/<group>/<filter>".
	Client string
	// From and To are the places between which nothing could be read; how much of that was the client's is not known.
	From, To event.Position
	// Why is what took the events: "retention", "damage", or "another log".
	Why string
}

// lost counts, logs and reports a gap.
func (b *Broker) lost(client string, from, to event.Position, why string) {
	g := Gap{Time: time.Now(), Client: client, From: from, To: to, Why: why}
	b.metrics.gaps.Inc()
	if to.Offset > from.Offset {
		b.metrics.gapEvents.Add(float64(to.Offset - from.Offset))
	}
	b.log.Warn("an MQTT subscriber was passed by: what it was owed is no longer in the log",
		"client", client, "from", from.String(), "to", to.String(), "because", why)
	if b.cfg.OnGap != nil {
		b.cfg.OnGap(g)
	}
}

// refill begins to read for the session where that is due; s.mu is held.
func (s *session) refill() {
	if s.filling || s.conn == nil || !s.recalls && (!s.low() || !s.behind && len(s.replays) == 0) {
		return
	}
	s.filling = true
	s.broker.wg.Go(func() { s.broker.catchUp(s) })
}

// low reports whether the queue is to be filled up. What is read from the log for one session is its alone in memory: an
// eighth of what it may share with others has to do.
func (s *session) low() bool {
	return len(s.queue) <= s.broker.cfg.MaxQueue/2 && s.queueBytes <= s.broker.cfg.MaxQueueBytes/32
}

// due implements laggard. What is in flight comes first, then retained messages that answer a subscription, then the log.
func (s *session) due() (from event.Position, wants func(string) bool, limit int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.conn != nil && (s.recalls && s.conn.hasRoom() || len(s.replays) > 0 && s.low()) {
		s.mu.Unlock()
		s.recallNext()
		s.replayNext()
		s.mu.Lock()
	}
	if s.conn == nil || !s.behind || !s.low() || s.broker.stops() {
		s.filling = false
		return from, nil, 0, false
	}
	s.asked = s.changes
	if s.reads == 0 {
		s.reads = scanLimit
	}
	return s.next, func(topic string) bool { return len(s.claims.to(s, topic).subscriptions) > 0 }, s.reads, true
}

// recallNext fetches the content of messages in flight that are to be sent again, if there is room for it. What neither
// log nor store has any more is given up and counted.
func (s *session) recallNext() {
	s.mu.Lock()
	if s.conn == nil || !s.recalls || !s.conn.hasRoom() {
		s.mu.Unlock()
		return
	}
	var due []outgoing
	for i := range s.inflight {
		if o := &s.inflight[i]; !o.sent && !o.received && o.message == nil {
			if due = append(due, *o); len(due) == recallLimit {
				break
			}
		}
	}
	s.mu.Unlock()
	for i := range due {
		var err error
		if due[i].message, err = s.broker.recall(due[i].offset, due[i].topic); err != nil && !errors.Is(err, errGone) {
			s.broker.cannotRead(err)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recalls = false
	for i := range due {
		at := slices.IndexFunc(s.inflight, func(o outgoing) bool { return o.id == due[i].id && o.offset == due[i].offset && !o.sent })
		switch {
		case at < 0:
		case due[i].message != nil:
			s.inflight[at].message = due[i].message
		default:
			s.broker.drop(dropPassed)
			s.passed++
			s.touch()
			s.remove(at)
		}
	}
	s.dispatch()
}

// replayNext queues the next retained messages of a replay, if there is room for them.
func (s *session) replayNext() {
	s.mu.Lock()
	if s.conn == nil || len(s.replays) == 0 || !s.low() {
		s.mu.Unlock()
		return
	}
	r := s.replays[0]
	from := r.from
	s.mu.Unlock()
	found, next, more := s.broker.retained.page(r.filter, from, r.until)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || len(s.replays) == 0 || s.replays[0] != r || r.from != from {
		return
	}
	if r.from = next; !more {
		s.replays = s.replays[1:]
	}
	s.pushRetained(r, found)
	s.dispatch()
}

// pushRetained queues what a page has found, but for what was replaced since: the newer message comes live, and may have
// been sent already.
func (s *session) pushRetained(r *replay, found []*message) {
	for _, m := range found {
		if now, _ := s.broker.retained.get(m.event.Topic); now != m {
			continue
		}
		s.push(&delivery{message: m, ids: r.sub.ids(), qos: min(r.sub.qos, m.event.QoS), retain: true, replay: r})
	}
}

// got implements laggard.
func (s *session) got(from event.Position, found []event.Event, next event.Position) {
	targets := make([]target, len(found)) // without the lock: others have messages for the session
	for i := range found {
		targets[i] = s.claims.to(s, found[i].Topic).target(s, found[i].Position.Offset)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != from || s.conn == nil || s.asked != s.changes { // what was read is not what is wanted now
		return
	}
	oldest := time.Now().Add(-maxLate).UnixNano()
	for i := range found {
		e, t := &found[i], &targets[i]
		if t.session == nil || !e.Kind.IsMessage() || t.silences(e) {
			continue
		}
		d := t.delivery(&message{event: *e})
		switch {
		case d.qos > 0:
		case e.Position.Offset < s.online:
			continue // it was not there
		case e.Time < oldest:
			s.broker.drop(dropQueue)
			continue
		}
		if s.queueBytes > s.broker.cfg.MaxQueueBytes/8 { // the rest is read again later, and less at one go
			next, s.reads = e.Position, max(i, 1)
			break
		}
		s.push(&d)
		if i == len(found)-1 {
			s.reads = min(2*s.reads, scanLimit)
		}
	}
	s.next = next
	if next.Offset >= s.broker.tail.Load() { // what Deliver has dispatched it has read, what comes it will be offered
		s.setBehind(false)
		s.claims = claims{}
	}
	s.touch()
	s.dispatch()
}

// skip implements laggard.
func (s *session) skip(from, to event.Position, why string) {
	s.mu.Lock()
	if s.next != from {
		s.mu.Unlock()
		return
	}
	s.next = to
	if to.Offset > from.Offset {
		s.passed += to.Offset - from.Offset
	}
	if to.Offset >= s.broker.tail.Load() {
		s.setBehind(false)
	}
	s.touch()
	s.mu.Unlock()
	s.broker.lost(s.id, from, to, why)
}
