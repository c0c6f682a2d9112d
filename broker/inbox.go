package broker

import (
	"slices"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// An inbox is the incoming half of a session: the QoS 2 messages whose identifiers the client still holds.
type inbox struct {
	received     map[uint16]receiving
	receivedUpTo uint64    // offset up to which received reflects the log
	releases     []release // PUBREL that came and is not answered, oldest first
}

// receiving is how far a QoS 2 message has come.
type receiving byte

const (
	receivingWaits   receiving = iota // for the log
	receivingUnasked                  // waits, but came over a connection that has ended: this one has not asked
	receivingStored                   // PUBREC has been sent: the same identifier is the same message [MQTT-4.3.3-10]
)

// A release is a PUBREL whose PUBCOMP waits until a revision survives: else the client might use the identifier for
// another message, which would be taken for this one after a crash.
type release struct {
	id       uint16
	revision uint64
	unasked  bool // it came over a connection that has ended, and has not come over this one
}

// disown notes that what waits for an answer was asked over an earlier connection. It is answered over this one only if
// it is asked again: a client that got an answer to either would use the identifier for another message and take the
// second answer for that one's.
func (b *inbox) disown() {
	for id, state := range b.received {
		if state == receivingWaits {
			b.received[id] = receivingUnasked
		}
	}
	for i := range b.releases {
		b.releases[i].unasked = true
	}
}

// receive takes note of a QoS 2 message and reports whether it is new. One that is sent again is answered, if its
// answer is not on its way already.
func (s *session) receive(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, known := s.received[id]
	if !known {
		if s.received == nil {
			s.received = map[uint16]receiving{}
		}
		s.received[id] = receivingWaits
		return true
	}
	switch {
	case state == receivingUnasked:
		s.received[id] = receivingWaits
	case state == receivingStored && s.conn != nil:
		s.conn.answer(packet.AppendAck(nil, packet.Pubrec, id, 0, s.version))
	}
	return false
}

// accept takes note that a QoS 2 message is in the log, and answers it; or that it never will be.
func (s *session) accept(id uint16, after event.Position, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if err != nil {
		delete(s.received, id)
		return
	}
	asked := s.received[id] == receivingWaits
	s.received[id] = receivingStored
	s.receivedUpTo = max(s.receivedUpTo, after.Offset)
	s.touch()
	if asked && s.conn != nil {
		s.conn.answer(packet.AppendAck(nil, packet.Pubrec, id, 0, s.version))
	}
}

// release acts on a PUBREL: the identifier is free again (MQTT 5, 4.3.3).
func (s *session) release(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.releases, func(r release) bool { return r.id == id }); i >= 0 {
		s.releases[i].unasked = false // the answer waits
		return
	}
	state, known := s.received[id]
	switch {
	case !known:
		s.conn.answer(packet.AppendAck(nil, packet.Pubcomp, id, codeUnknownID, s.version))
		return
	case state != receivingStored:
		return // nothing was sent that it could answer
	}
	delete(s.received, id)
	s.touch()
	if !s.kept() {
		s.complete(id)
		return
	}
	s.releases = append(s.releases, release{id: id, revision: s.revision})
	s.broker.journal.hurry()
}

// answerReleases answers the PUBRELs that survive now.
func (s *session) answerReleases() {
	for len(s.releases) > 0 && s.releases[0].revision <= s.stored {
		if !s.releases[0].unasked {
			s.complete(s.releases[0].id)
		}
		s.releases = s.releases[1:]
	}
}

func (s *session) complete(id uint16) {
	if s.conn != nil {
		s.conn.link.answered()
		s.conn.answer(packet.AppendAck(nil, packet.Pubcomp, id, 0, s.version))
	}
}
