package source

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// Bounds of what waits for one broker. What does not fit is read from the log later.
const (
	maxWaiting      = 1024
	maxWaitingBytes = 1 << 20
	maxUnanswered   = 64
	// readAhead is how many events are taken from the log at once.
	readAhead = 256
	// staleAfter is the age at which a message of QoS 0 is not sent any more, as to MQTT subscribers.
	staleAfter = time.Minute
)

// An outbox holds what screens and services have published for one broker: in memory what is new, in the log what does not
// fit. Its cursor is the place in the log up to which the broker has everything.
//
// A message counts as sent when the broker has acknowledged it, at QoS 0 when it is handed to the socket. So after a crash
// some may be sent again, and none is left out.
type outbox struct {
	log     Log
	prefix  string
	rivals  []string      // longer prefixes of other sources
	wake    chan struct{} // has an element when there may be something to do
	missed  func(events uint64, why error)
	metrics *metrics
	name    string

	mu sync.Mutex
	// waiting is what was published from cursor to tail, and not yet sent.
	waiting []event.Event
	bytes   int
	sent    []*sending // unanswered, in the log's order
	lastID  uint16
	// tail is how far the log has been looked at.
	tail event.Position
	// progress: see state.
	progress bool
	// behind says that what follows tail is to be read from the log, and not taken from offer.
	behind bool
}

// A sending is a message on its way to the broker.
type sending struct {
	event.Event

	id       uint16
	answered bool
	via      *link     // the connection that it was last sent by
	at       time.Time // when it was
	hangUps  int       // how often the broker hung up right after it
}

// A broker of MQTT 3.1.1 can refuse a message only by hanging up. One that it hangs up on that often, each time within
// refusalTime, is taken for refused: else it would keep everything else from coming and going, for ever.
const (
	maxHangUps  = 10
	refusalTime = 5 * time.Second
)

// newOutbox begins at the cursor, or at the log's end where there is none.
func newOutbox(cursor event.Position, log Log) *outbox {
	o := &outbox{log: log, wake: make(chan struct{}, 1), tail: cursor, behind: true}
	if cursor.IsZero() {
		_, o.tail = log.Bounds()
	}
	return o
}

func (o *outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// wants reports whether messages on a topic are for this broker.
func (o *outbox) wants(topic string) bool {
	rest, ok := strings.CutPrefix(topic, o.prefix)
	return ok && rest != "" && rest[0] != '$' && !slices.ContainsFunc(o.rivals, func(p string) bool { return strings.HasPrefix(topic, p) })
}

// offer takes events that the log has committed, in its order. It never waits.
func (o *outbox) offer(batch []event.Decoded) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range batch {
		e := &batch[i].Event
		if o.behind || e.Position.Offset < o.tail.Offset {
			continue
		}
		if o.is(e) {
			if len(o.waiting) >= maxWaiting || o.bytes+len(e.Payload) > maxWaitingBytes && o.bytes > 0 {
				o.behind = true
				continue
			}
			o.push(e)
		}
		o.tail = e.Next()
	}
}

// is reports whether an event is a message for the broker: what screens and services publish, and nothing that came by MQTT.
func (o *outbox) is(e *event.Event) bool {
	return e.Source == event.SourceGateway && e.Kind.IsMessage() && o.wants(e.Topic)
}

func (o *outbox) push(e *event.Event) {
	o.waiting = append(o.waiting, *e)
	o.bytes += len(e.Payload)
	o.nudge()
}

// take returns the message to be sent next by a connection, which is to have at most limit unanswered ones: first those that
// an earlier connection has left so, for which again is true. It is nil if there is none. One goroutine calls it.
func (o *outbox) take(via *link, limit int, now time.Time) (next *sending, again bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	under := 0
	for _, s := range o.sent {
		switch {
		case s.answered:
		case s.via == via:
			under++
		case next == nil:
			next = s
		}
	}
	switch {
	case under >= limit:
		return nil, false
	case next != nil:
		again = true
	default:
		next = o.fresh(now)
	}
	if next != nil {
		next.via, next.at = via, now
	}
	return next, again
}

// fresh moves the next message to those on their way; nil if there is none, or there are as many as there may be.
func (o *outbox) fresh(now time.Time) *sending {
	for len(o.sent) < maxUnanswered {
		if len(o.waiting) == 0 && !o.fill() {
			return nil
		}
		if len(o.waiting) == 0 {
			continue
		}
		s := &sending{Event: o.waiting[0]}
		o.bytes -= len(s.Payload)
		o.waiting[0] = event.Event{}
		if o.waiting = o.waiting[1:]; len(o.waiting) == 0 {
			o.waiting = nil
		}
		if expired(&s.Event, now) {
			o.metrics.forwardDropped.WithLabelValues(o.name, dropExpired).Inc()
			continue
		}
		s.id = o.freeID()
		o.sent = append(o.sent, s)
		return s
	}
	return nil
}

// expired reports whether a message is too old to be sent.
func expired(e *event.Event, now time.Time) bool {
	age := now.Sub(e.Arrival())
	if p := e.Properties; p != nil && p.HasExpiry && age >= time.Duration(p.Expiry)*time.Second {
		return true
	}
	return e.QoS == 0 && age > staleAfter
}

// fill reads from the log what has not been looked at; false at its end. The lock is free while it reads: who offers must
// not wait for a disk.
func (o *outbox) fill() bool {
	if !o.behind {
		return false
	}
	// Who appends offers after it: so what lies behind this end comes by offer, as soon as the lock is free.
	if _, end := o.log.Bounds(); o.tail == end {
		o.behind = false
		return false
	}
	from := o.tail // nobody else moves it while this is behind
	o.mu.Unlock()
	found, next, err := o.log.Scan(from, o.wants, readAhead)
	o.mu.Lock()
	if err != nil {
		return o.skip(err)
	}
	for i := range found {
		if o.is(&found[i]) {
			o.push(&found[i])
		}
	}
	o.tail = next
	return true
}

// skip goes on where the log can be read again.
func (o *outbox) skip(err error) bool {
	trimmed := (*eventlog.TrimmedError)(nil)
	switch {
	case errors.As(err, &trimmed):
		o.missed(trimmed.First.Offset-min(o.tail.Offset, trimmed.First.Offset), err)
		o.tail = trimmed.First
		return true
	case errors.Is(err, eventlog.ErrEpoch):
		o.missed(0, err)
		_, o.tail = o.log.Bounds()
		return true
	}
	return false // the log is closed
}

// freeID is an identifier that no message on its way has.
func (o *outbox) freeID() uint16 {
	for {
		o.lastID++
		if o.lastID > controlID+1 && !slices.ContainsFunc(o.sent, func(s *sending) bool { return s.id == o.lastID }) {
			return o.lastID
		}
	}
}

// ended notes that a connection has ended, and returns the message that the broker has hung up on too often.
func (o *outbox) ended(via *link, now time.Time) *sending {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.sent) == 0 {
		return nil
	}
	first := o.sent[0] // a broker answers in order, so it is this one
	if first.via != via || now.Sub(first.at) > refusalTime {
		first.hangUps = 0
		return nil
	}
	if first.hangUps++; first.hangUps < maxHangUps {
		return nil
	}
	return first
}

// answered takes note that a message is with the broker, or given up. It reports whether it was on its way.
func (o *outbox) answered(id uint16) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.sent, func(s *sending) bool { return s.id == id && !s.answered })
	if i < 0 {
		return false
	}
	o.sent[i].answered, o.progress = true, true
	for len(o.sent) > 0 && o.sent[0].answered {
		o.sent = o.sent[1:]
	}
	o.nudge()
	return true
}

// cursor is the place in the log up to which the broker has everything.
func (o *outbox) cursor() event.Position {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.progress = false
	switch {
	case len(o.sent) > 0:
		return o.sent[0].Position
	case len(o.waiting) > 0:
		return o.waiting[0].Position
	}
	return o.tail
}

// state is how many messages wait in memory, and whether one has reached the broker since the cursor was asked for.
func (o *outbox) state() (waiting int, progress bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.sent) + len(o.waiting), o.progress
}
