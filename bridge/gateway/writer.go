package gateway

import (
	"errors"

	"pulso/bridge/eventlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

const (
	// writeBudget is how many bytes of frames one write carries at most, about.
	writeBudget = 256 << 10
	// minShare is how many bytes of frames each room of a session may write at a time, however many rooms share the budget.
	minShare = 16 << 10
)

// A writing is what is going on with the writing side of a session. One goroutine at a time has it: a flusher, or one of the
// session's own for as long as there is something to do that may take time: a reply, the log to be read, a client that does
// not take everything at once, the farewell.
type writing byte

const (
	resting writing = iota
	queued          // a flusher will see to it
	busy            // somebody is at it
	again           // somebody is at it, and there is more
	parted          // the farewell has been said
)

// Wake sees to it that what is due is written. It never blocks.
func (s *Session) Wake() {
	s.mu.Lock()
	was := s.writing
	switch was {
	case resting:
		s.writing = queued
	case busy:
		s.writing = again
	case queued, again, parted:
	}
	s.mu.Unlock()
	if was == resting {
		s.flusher.add(s)
	}
}

// begin takes the writing side, unless the farewell has been said.
func (s *Session) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing == parted {
		return false
	}
	s.writing = busy
	return true
}

// calm reports whether there is nothing but frames of rooms to write.
func (s *Session) calm() bool { return s.waiting() == 0 && !s.ended() }

// rest gives the writing side back.
func (s *Session) rest() {
	s.mu.Lock()
	more := s.writing == again
	if s.writing = resting; more {
		s.writing = queued
	}
	s.mu.Unlock()
	if more {
		s.flusher.add(s)
	}
}

// serve writes what is due until nothing is, or until the session ends: then the replies that still wait, and the farewell.
func (s *Session) serve() {
	err := s.writeDue()
	if err == nil && !s.ended() {
		s.rest()
		return
	}
	if err == nil {
		err = s.transport.Write(s.lastReplies())
	}
	s.fail(err)
	s.transport.Close(s.code)
	s.mu.Lock()
	s.writing = parted
	s.mu.Unlock()
	close(s.written)
	s.gateway.wg.Done()
}

// writeDue returns nil when nothing is due or the session has been ended.
func (s *Session) writeDue() error {
	var messages []*wire.Message
	for more := true; more; {
		if s.ended() {
			return nil
		}
		var err error
		if messages, more, err = s.gather(messages[:0]); err != nil {
			return err
		}
		if err := s.transport.Write(messages); err != nil {
			return err
		}
		clear(messages)
	}
	return nil
}

// gather appends what one write is to carry, and reports whether there is more.
func (s *Session) gather(messages []*wire.Message) (_ []*wire.Message, more bool, err error) {
	if messages, more, err = s.takeItems(messages); err != nil {
		return messages, false, err
	}
	for _, sub := range s.active {
		var rest bool
		if messages, rest, err = sub.Next(messages, max(writeBudget/len(s.active), minShare)); err != nil {
			return messages, false, err
		}
		more = more || rest
	}
	return messages, more, nil
}

// takeItems does what the reading goroutine asked for, as far as one write carries it.
func (s *Session) takeItems(messages []*wire.Message) (_ []*wire.Message, more bool, err error) {
	for budget := writeBudget; budget > 0; {
		i, ok := s.pop()
		if !ok {
			return messages, false, nil
		}
		before := len(messages)
		if i.leave != nil {
			s.active = without(s.active, i.leave)
		}
		if i.begin != nil {
			if messages, err = i.begin.Begin(messages, i.id); err != nil {
				return messages, false, err
			}
			s.active = append(s.active, i.begin)
		}
		if i.reply != nil {
			messages = append(messages, i.reply)
		}
		for _, m := range messages[before:] {
			budget -= len(m.Bytes())
		}
	}
	return messages, true, nil
}

func without(subs []*room.Sub, sub *room.Sub) []*room.Sub {
	for i, x := range subs {
		if x == sub {
			copy(subs[i:], subs[i+1:])
			subs[len(subs)-1] = nil
			return subs[:len(subs)-1]
		}
	}
	return subs
}

// lastReplies are the replies that wait when the session ends.
func (s *Session) lastReplies() []*wire.Message {
	var replies []*wire.Message
	for {
		i, ok := s.pop()
		if !ok {
			return replies
		}
		if i.reply != nil {
			replies = append(replies, i.reply)
		}
	}
}

// fail ends a session that can't be written to, or whose log can't be read.
func (s *Session) fail(err error) {
	logger := s.gateway.cfg.Logger
	switch {
	case err == nil:
	case errors.Is(err, ErrSlow):
		if s.finish(wire.CloseSlow, wire.CloseSlow.Info().Name) {
			logger.Warn("closed a session that takes nothing", "session", s.id, "remote", s.client.Remote)
		}
	case errors.Is(err, ErrDisconnected):
		s.finish(0, "client")
	case errors.Is(err, eventlog.ErrClosed):
		s.Close(wire.CloseShutdown)
	default:
		if s.finish(wire.CloseInternal, wire.CloseInternal.Info().Name) {
			logger.Error("session failed", "session", s.id, "remote", s.client.Remote, "error", err)
		}
	}
}
