package broker

import (
	"slices"
	"sync"
	"time"

	"pulso/bridge/event"
)

// A message is an event on its way to MQTT subscribers, shared by all of them.
type message struct {
	event event.Event
	// packets are the encoded form that all QoS 0 subscribers of MQTT 3 (0) and 5 (1) share; nil until one needs it. They
	// belong to Deliver's goroutine.
	packets [2][]byte
}

func (m *message) expires() bool { return m.event.Properties != nil && m.event.Properties.HasExpiry }

// A delivery is a message for one subscriber.
type delivery struct {
	message *message
	ids     []int // subscription identifiers
	qos     byte
	retain  bool
	replay  bool // a retained message that answers a subscription
}

// An outgoing message has been sent and is not acknowledged yet.
type outgoing struct {
	delivery

	id       uint16
	received bool // PUBREC has come: PUBREL is what is sent from now on
}

// A session is what one client is owed, with or without a connection: messages in flight and messages that wait for
// their turn. Messages leave in the order in which they came.
type session struct {
	broker  *Broker
	id      string
	expires time.Time // broker.mu

	mu         sync.Mutex
	filters    map[string]subscription
	conn       *conn // nil without a connection
	version    byte
	window     int // messages in flight at most
	maxPacket  int // bytes that the client takes in a packet; 0: any
	lastID     uint16
	inflight   []outgoing // oldest first
	queue      []delivery
	queueLive  int // of them, those that are no replay
	queueBytes int // payload of those
}

func (s *session) setLimits(version byte, window, maxPacket int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version, s.window, s.maxPacket = version, window, maxPacket
}

// attach begins to use a connection: what was in flight is sent again [MQTT-4.4.0-1], then what waited.
func (s *session) attach(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = c
	if p := s.broker.cfg.Presence; p != nil {
		for filter := range s.filters {
			p.Subscribed(s.id, filter)
		}
	}
	for i := range s.inflight {
		o := &s.inflight[i]
		if o.received {
			c.enqueue(ackPacket(nil, typePubrel, o.id, 0, s.version))
		} else {
			s.write(&o.delivery, o.id, true)
		}
	}
	s.pumpLocked()
}

func (s *session) detach(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c {
		return
	}
	s.conn = nil
	if p := s.broker.cfg.Presence; p != nil {
		for filter := range s.filters {
			p.Unsubscribed(s.id, filter)
		}
	}
	kept := s.queue[:0]
	for _, d := range s.queue {
		if d.qos > 0 {
			kept = append(kept, d)
			continue
		}
		s.dequeued(&d)
		s.broker.drop(dropQueue)
	}
	clear(s.queue[len(kept):])
	s.queue = kept
}

// deliver sends a message or lets it wait; it never blocks. shared says that the packet is the one that QoS 0
// subscribers share; only Deliver's goroutine says so.
func (s *session) deliver(d *delivery, shared bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil && d.qos == 0 {
		return
	}
	if s.conn != nil && len(s.queue) == 0 {
		if shared && s.maxPacket == 0 && s.conn.hasRoom() {
			if s.conn.enqueue(d.message.packet(s.version)) {
				s.broker.metrics.delivered.Inc()
			}
			return
		}
		if s.send(d) {
			return
		}
	}
	size := len(d.message.event.Payload)
	if d.replay && len(s.queue) < s.broker.cfg.MaxRetained+s.broker.cfg.MaxQueue {
		s.queue = append(s.queue, *d)
		return
	}
	if d.replay || s.queueLive >= s.broker.cfg.MaxQueue || s.queueBytes+size > s.broker.cfg.MaxQueueBytes {
		s.broker.drop(dropQueue)
		return
	}
	s.queue = append(s.queue, *d)
	s.queueLive++
	s.queueBytes += size
}

func (s *session) dequeued(d *delivery) {
	if !d.replay {
		s.queueLive--
		s.queueBytes -= len(d.message.event.Payload)
	}
}

// pump sends what waits, as far as the window and the connection have room.
func (s *session) pump() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pumpLocked()
}

func (s *session) pumpLocked() {
	for len(s.queue) > 0 && s.conn != nil && s.send(&s.queue[0]) {
		s.dequeued(&s.queue[0])
		s.queue[0] = delivery{}
		s.queue = s.queue[1:]
	}
	if len(s.queue) == 0 {
		s.queue = nil
	}
}

// send sends d now and reports whether it is settled: sent, or never to be.
func (s *session) send(d *delivery) bool {
	if !s.conn.hasRoom() || d.qos > 0 && len(s.inflight) >= s.window {
		return false
	}
	var id uint16
	if d.qos > 0 {
		id = s.nextID()
	}
	if s.write(d, id, false) && d.qos > 0 {
		s.inflight = append(s.inflight, outgoing{delivery: *d, id: id})
	}
	return true
}

// write encodes and queues a message and reports whether it was sent.
func (s *session) write(d *delivery, id uint16, dup bool) bool {
	e := &d.message.event
	p := publish{event: e, ids: d.ids, id: id, qos: d.qos, retain: d.retain, dup: dup}
	if d.message.expires() { // [MQTT-3.3.2-6]
		left := expiresIn(e, time.Now())
		if left <= 0 && !dup {
			s.broker.drop(dropExpired)
			return false
		}
		p.expiry = uint32(max(left, time.Second) / time.Second)
	}
	b := appendPublish(borrow(), s.version, &p)
	defer keep(b)
	if s.maxPacket > 0 && len(b) > s.maxPacket { // [MQTT-3.1.2-24]
		s.broker.drop(dropPacketSize)
		return false
	}
	if s.conn.enqueue(b) {
		s.broker.metrics.delivered.Inc()
	}
	return true
}

// expiresIn is the time that is left of a message that has an expiry.
func expiresIn(e *event.Event, now time.Time) time.Duration {
	return e.Arrival().Add(time.Duration(e.Properties.Expiry) * time.Second).Sub(now)
}

// nextID returns a packet identifier that is not in use [MQTT-2.2.1-3]; the window is smaller than their number.
func (s *session) nextID() uint16 {
	for {
		s.lastID++
		if s.lastID != 0 && !slices.ContainsFunc(s.inflight, func(o outgoing) bool { return o.id == s.lastID }) {
			return s.lastID
		}
	}
}

// acknowledged takes a PUBACK, PUBREC or PUBCOMP.
func (s *session) acknowledged(kind byte, id uint16, code byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.inflight, func(o outgoing) bool { return o.id == id })
	if i < 0 {
		if kind == typePubrec && s.conn != nil { // the other side must get rid of it [MQTT-4.3.3-7]
			s.conn.enqueue(ackPacket(nil, typePubrel, id, 0x92, s.version))
		}
		return
	}
	o := &s.inflight[i]
	if kind == typePubrec && code < 0x80 {
		o.received = true
		if s.conn != nil {
			s.conn.enqueue(ackPacket(nil, typePubrel, id, 0, s.version))
		}
		return
	}
	if (kind == typePuback) != (o.qos == 1) {
		return
	}
	s.inflight = slices.Delete(s.inflight, i, i+1)
	if len(s.inflight) == 0 {
		s.inflight = nil
	}
	s.pumpLocked()
}

func (s *session) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
}

func (s *session) subscriptions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.filters)
}

func (s *session) subscribed(filter string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.filters[filter]
	return ok
}

func (s *session) subscribe(filter string, sub subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filters == nil {
		s.filters = map[string]subscription{}
	}
	_, had := s.filters[filter]
	s.filters[filter] = sub
	s.broker.index.add(s, filter, sub)
	if had {
		return
	}
	s.broker.subscriptions.Add(1)
	if p := s.broker.cfg.Presence; p != nil {
		p.Subscribed(s.id, filter)
	}
}

func (s *session) unsubscribe(filter string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.filters[filter]; !ok {
		return
	}
	delete(s.filters, filter)
	s.broker.index.remove(s, filter)
	s.broker.subscriptions.Add(-1)
	if p := s.broker.cfg.Presence; p != nil && s.conn != nil {
		p.Unsubscribed(s.id, filter)
	}
}
