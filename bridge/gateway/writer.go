package gateway

import (
	"errors"

	"pulso/bridge/eventlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// minShare is how many bytes of frames each room of a session may write at a time, however many rooms share the budget.
const minShare = 16 << 10

// write is the session's writing goroutine: it writes replies and frames as they become due until the session ends, then
// the replies that still wait, and the farewell.
func (s *Session) write() {
	defer close(s.written)
	err := s.serve()
	if err == nil {
		err = s.transport.Write(s.lastReplies())
	}
	s.fail(err)
	s.transport.Close(s.code)
}

// serve returns nil when the session has been ended.
func (s *Session) serve() error {
	var active []*room.Sub
	var messages []*wire.Message
	for {
		select {
		case <-s.done:
			return nil
		case <-s.wake:
		}
		for more := true; more; {
			if s.ended() {
				return nil
			}
			var err error
			if messages, active, more, err = s.gather(messages[:0], active); err != nil {
				return err
			}
			if err := s.transport.Write(messages); err != nil {
				return err
			}
			clear(messages)
		}
		if cap(messages) > maxReplies {
			messages = nil
		}
	}
}

// gather appends what one write is to carry, and reports whether there is more.
func (s *Session) gather(messages []*wire.Message, active []*room.Sub) (_ []*wire.Message, _ []*room.Sub, more bool, err error) {
	if messages, active, more, err = s.takeItems(messages, active); err != nil {
		return messages, active, false, err
	}
	for _, sub := range active {
		var again bool
		if messages, again, err = sub.Next(messages, max(writeBudget/len(active), minShare)); err != nil {
			return messages, active, false, err
		}
		more = more || again
	}
	return messages, active, more, nil
}

// takeItems does what the reading goroutine asked for, as far as one write carries it.
func (s *Session) takeItems(messages []*wire.Message, active []*room.Sub) (_ []*wire.Message, _ []*room.Sub, more bool, err error) {
	for budget := writeBudget; budget > 0; {
		i, ok := s.pop()
		if !ok {
			return messages, active, false, nil
		}
		before := len(messages)
		if i.leave != nil {
			active = without(active, i.leave)
		}
		if i.begin != nil {
			if messages, err = i.begin.Begin(messages, i.id); err != nil {
				return messages, active, false, err
			}
			active = append(active, i.begin)
		}
		if i.reply != nil {
			messages = append(messages, i.reply)
		}
		for _, m := range messages[before:] {
			budget -= len(m.Bytes())
		}
	}
	return messages, active, true, nil
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
