package broker

import (
	"slices"
	"time"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// An outbox is the outgoing half of a session. A message leaves by one of two ways, and always in the log's order: live,
// from Deliver, through a small queue in memory; or, once that has no room or there is no connection, from the log. Then
// the session is behind, and next says from where on it is owed everything.
type outbox struct {
	window    int // messages in flight at most
	maxPacket int // bytes that the client takes in a packet; 0: any
	lastID    uint16
	inflight  []outgoing // oldest first
	resend    bool       // of them, some may be due that this connection has not been sent
	recalls   bool       // and the first of those must be recalled from the log
	taken     []release  // PUBREC that came and is not answered, oldest first [MQTT-4.6.0-4]

	queue      []delivery
	queueBytes int // payload of those
	replays    []*replay

	next    event.Position // everything before it has been handed over
	behind  bool           // what is from next on is in the log and not in the queue
	online  uint64         // offset at which the connection began: QoS 0 from before is not sent
	filling bool           // a goroutine reads for the session
	claims  claims         // of that goroutine
	changes uint64         // of subscriptions, so far
	asked   uint64         // changes, as of when that goroutine last asked what to read
	reads   int            // events that it reads at one go; 0: scanLimit
	passed  uint64         // events that retention dropped before the session got them
}

// An outgoing message has been sent, or is about to be, and is not acknowledged in full.
type outgoing struct {
	delivery // its message is nil once it has been sent: to send it again it is recalled from the log

	offset   event.Position // of the event; zero if it is a replay
	topic    string         // of a replay
	id       uint16
	received bool   // PUBREC has come: PUBREL is what is sent from now on
	sent     bool   // what is due has been sent on this connection
	tried    bool   // it may have been sent on an earlier one
	waits    uint64 // the revision that must survive before what is due may be sent; 0: none
}

// A replay is the retained messages that a new subscription gets (MQTT 5, 3.3.1.3), as far as they are still to be sent.
type replay struct {
	filter string
	from   string // the topic to go on with, or the one after it
	until  uint64 // offset: messages from there on come live
	sub    subscription
}

// offer hands over an event of the log, in its order. It never blocks.
func (s *session) offer(d *delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &d.message.event
	switch {
	case s.behind || e.Position.Offset < s.next.Offset || s.ended:
		return // it is in the log, or has been sent from there
	case s.conn == nil:
		if d.qos > 0 {
			s.fallBehind(e.Position)
		}
		return
	case len(s.queue) == 0 && !s.resend:
		if s.sendLive(d) {
			s.next = e.Next()
			return
		}
	}
	if s.conn == nil || len(s.queue) >= s.broker.cfg.MaxQueue || s.queueBytes+len(e.Payload) > s.broker.cfg.MaxQueueBytes {
		s.fallBehind(e.Position)
		return
	}
	s.next = e.Next()
	s.push(d)
	if d.qos > 0 { // the stored state must not begin behind it
		s.touch()
	}
}

// sendLive sends a message and reports whether it is settled.
func (s *session) sendLive(d *delivery) bool {
	if !d.shared() || s.maxPacket > 0 {
		return s.send(d)
	}
	if !s.hears(d.message.event.Topic) {
		return true
	}
	switch s.conn.put(d.message.packet(s.version), putLazily) {
	case putFull:
		return false
	case putTaken:
		s.broker.metrics.delivered.Inc()
		s.broker.watched.delivered(d.message.event.Position.Offset, s.id)
	case putGone:
	}
	return true
}

func (s *session) push(d *delivery) {
	s.queue = append(s.queue, *d)
	s.queueBytes += len(d.message.event.Payload)
}

// fallBehind leaves everything from a place on to the log.
func (s *session) fallBehind(from event.Position) {
	s.next = from
	s.setBehind(true)
	s.touch()
	s.refill()
}

func (s *session) setBehind(behind bool) {
	if s.behind != behind {
		s.behind = behind
		if behind {
			s.broker.behind.Add(1)
		} else {
			s.broker.behind.Add(-1)
		}
	}
}

// pump sends what waits, as far as the window and the connection have room.
func (s *session) pump() {
	s.mu.Lock()
	s.dispatch()
	s.mu.Unlock()
	s.pumpGroups()
}

// dispatch is pump with the lock held, for the session's own messages.
func (s *session) dispatch() {
	if s.conn == nil {
		return
	}
	if s.resend && !s.sendInflight() {
		s.refill()
		return
	}
	for len(s.queue) > 0 && s.send(&s.queue[0]) {
		s.queueBytes -= len(s.queue[0].message.event.Payload)
		s.queue[0] = delivery{}
		s.queue = s.queue[1:]
	}
	if len(s.queue) == 0 {
		s.queue = nil
	}
	s.refill()
}

// send sends d now and reports whether it is settled: sent, or never to be.
func (s *session) send(d *delivery) bool {
	if d.message.expires() && d.message.expiresIn(time.Now()) <= 0 { // [MQTT-3.3.2-5]
		s.broker.drop(dropExpired)
		return true
	}
	if d.qos < 2 && s.holds() || !s.conn.hasRoom() || d.qos > 0 && len(s.inflight) >= s.window {
		return false
	}
	if d.qos == 0 {
		s.write(d, 0, false)
		return true
	}
	o := outgoing{delivery: *d, id: s.nextID()}
	if d.replay != nil {
		o.topic = d.message.event.Topic
	} else {
		o.offset = d.message.event.Position
	}
	s.touch()
	if o.qos == 2 && s.kept() { // so that it is known after a crash under which identifier it was sent
		o.waits = s.revision
		s.inflight = append(s.inflight, o)
		s.broker.journal.hurry()
		return true
	}
	if s.write(d, o.id, false) {
		o.wasSent()
		s.inflight = append(s.inflight, o)
	}
	return true
}

// wasSent notes that a message has been sent, and lets go of its content where the log has it.
func (o *outgoing) wasSent() {
	o.sent = true
	if o.topic == "" {
		o.message = nil
	}
}

// holds reports whether the newest message in flight waits to be sent: others wait behind it, so that order is kept. But
// for QoS 2, which all waits alike.
func (s *session) holds() bool {
	n := len(s.inflight)
	return n > 0 && s.inflight[n-1].holds(s.stored)
}

func (o *outgoing) holds(stored uint64) bool { return !o.sent && !o.received && o.waits > stored }

// sendInflight sends what is due of what is in flight and reports whether it all was.
func (s *session) sendInflight() bool {
	sent := 0
	for i := range s.inflight {
		if s.inflight[i].sent {
			sent++
		}
	}
	for i := 0; i < len(s.inflight); i++ {
		o := &s.inflight[i]
		if o.sent || o.waits > s.stored {
			continue
		}
		if !s.conn.hasRoom() || !o.received && sent >= s.window {
			return false
		}
		if s.recalls = !o.received && o.message == nil; s.recalls {
			return false
		}
		sent++
		switch {
		case o.received:
			o.sent = true
			s.conn.answer(packet.AppendAck(nil, packet.Pubrel, o.id, 0, s.version))
		case s.write(&o.delivery, o.id, o.tried):
			o.wasSent()
		default:
			s.remove(i)
			sent--
			i--
		}
	}
	s.resend = false
	return true
}

// withdraw readies the outbox for being without a connection, and returns what goes back to shared subscriptions.
func (s *session) withdraw() (back []outgoing) {
	kept := s.inflight[:0]
	for i := range s.inflight {
		o := s.inflight[i]
		o.tried, o.sent = o.tried || o.sent, false
		switch {
		case o.group == nil || o.received:
		case o.qos == 1 || !o.tried: // (MQTT 5, 4.8.2: another member gets it)
			back = append(back, o)
			continue
		case s.expiry == 0: // [MQTT-4.8.2-5]
			s.broker.drop(dropShared)
			continue
		}
		kept = append(kept, o)
	}
	clear(s.inflight[len(kept):])
	s.inflight, s.resend, s.taken = kept, true, nil
	for i := len(s.queue) - 1; i >= 0; i-- {
		d := &s.queue[i]
		switch {
		case d.replay != nil:
			s.again(d.replay, d.message.event.Topic)
		case d.qos > 0:
			s.next = d.message.event.Position
			s.setBehind(true)
		default:
			s.broker.drop(dropQueue)
		}
	}
	s.queue, s.queueBytes = nil, 0
	return back
}

// again takes a replay up again from a topic on.
func (s *session) again(r *replay, from string) {
	r.from = from
	if !slices.Contains(s.replays, r) {
		s.replays = append(s.replays, r)
	}
}

// write encodes and queues a message and reports whether it was sent.
func (s *session) write(d *delivery, id uint16, dup bool) bool {
	if !s.hears(d.message.event.Topic) {
		return false
	}
	m := packet.Message{Event: &d.message.event, Identifiers: d.ids, ID: id, QoS: d.qos, Retain: d.retain, Dup: dup}
	if d.message.expires() { // [MQTT-3.3.2-6]
		m.Expiry = uint32(max(d.message.expiresIn(time.Now()), time.Second) / time.Second)
	}
	if s.maxPacket > 0 && packet.PublishSize(s.version, &m) > s.maxPacket { // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
		s.broker.drop(dropPacketSize)
		return false
	}
	b := packet.AppendPublish(borrow(), s.version, &m)
	defer keep(b)
	if s.conn.put(b, putMessage) == putTaken {
		s.broker.metrics.delivered.Inc()
		if d.qos == 0 && d.replay == nil {
			s.broker.watched.delivered(d.message.event.Position.Offset, s.id)
		}
	}
	return true
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
func (s *session) acknowledged(kind packet.Kind, id uint16, code byte) {
	if g, at := s.settle(kind, id, code); g != nil {
		g.settled(at)
	}
	s.pumpGroups()
}

// pumpGroups lets the shared subscriptions know that there is room.
func (s *session) pumpGroups() {
	s.mu.Lock()
	groups := s.groups
	s.mu.Unlock()
	for _, g := range groups {
		g.pump()
	}
}

// settle is the part of acknowledged that holds the lock. It returns the group whose message is settled.
func (s *session) settle(kind packet.Kind, id uint16, code byte) (*group, event.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.inflight, func(o outgoing) bool { return o.id == id && (o.sent || o.tried) })
	if i < 0 {
		if kind == packet.Pubrec && s.conn != nil { // the other side must get rid of it [MQTT-4.3.3-7]
			s.conn.answer(packet.AppendAck(nil, packet.Pubrel, id, codeUnknownID, s.version))
		}
		return nil, event.Position{}
	}
	o := &s.inflight[i]
	if kind == packet.Pubrec && o.qos == 2 && code < codeUnspecified {
		s.take(o)
		return nil, event.Position{}
	}
	if (kind == packet.Puback) != (o.qos == 1) || kind == packet.Pubcomp && !o.received {
		return nil, event.Position{}
	}
	g, at := o.group, o.offset
	if o.topic == "" && code < codeUnspecified {
		s.broker.watched.delivered(at.Offset, s.id)
	}
	s.remove(i)
	s.touch()
	s.dispatch()
	return g, at
}

// take acts on a PUBREC: from now on the message is the client's, and PUBREL is all that is sent. Where the session
// survives the process, so must that, before the client forgets the identifier.
func (s *session) take(o *outgoing) {
	if o.received {
		if o.waits <= s.stored && s.conn != nil { // it asks again
			s.conn.answer(packet.AppendAck(nil, packet.Pubrel, o.id, 0, s.version))
		}
		return
	}
	o.received = true
	o.message = nil
	s.touch()
	if !s.kept() {
		s.conn.answer(packet.AppendAck(nil, packet.Pubrel, o.id, 0, s.version))
		return
	}
	o.waits = s.revision
	s.taken = append(s.taken, release{id: o.id, revision: s.revision})
	s.broker.journal.hurry()
}

// answerTaken answers the PUBRECs that survive now.
func (s *session) answerTaken() {
	for len(s.taken) > 0 && s.taken[0].revision <= s.stored {
		if s.conn != nil {
			s.conn.answer(packet.AppendAck(nil, packet.Pubrel, s.taken[0].id, 0, s.version))
		}
		s.taken = s.taken[1:]
	}
}

// remove takes a message out of flight.
func (s *session) remove(i int) {
	if i == 0 {
		s.inflight[0] = outgoing{}
		s.inflight = s.inflight[1:]
	} else {
		s.inflight = slices.Delete(s.inflight, i, i+1)
	}
	if len(s.inflight) == 0 {
		s.inflight = nil
	}
}
