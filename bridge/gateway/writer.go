package gateway

import (
	"errors"
	"slices"

	"pulso/bridge/eventlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// write is the session's writing goroutine: it writes replies and frames as they become due, until the session ends.
func (s *Session) write() {
	var active []*room.Sub
	var messages [][]byte
	for {
		select {
		case <-s.done:
			return
		case <-s.wake:
		}
		for more := true; more; {
			var err error
			messages, active, err = s.takeItems(messages[:0], active)
			more = false
			for _, sub := range active {
				if err != nil {
					break
				}
				var again bool
				messages, again, err = sub.Next(messages, writeBudget)
				more = more || again
			}
			if err == nil {
				err = s.transport.Write(messages)
			}
			if err != nil {
				s.fail(err)
				return
			}
			clear(messages)
			select {
			case <-s.done:
				return
			default:
			}
		}
		if cap(messages) > maxReplies {
			messages = nil
		}
	}
}

// takeItems does what the reading goroutine asked for.
func (s *Session) takeItems(messages [][]byte, active []*room.Sub) ([][]byte, []*room.Sub, error) {
	s.mu.Lock()
	items := s.items
	s.items = nil
	s.mu.Unlock()
	if len(items) == 0 {
		return messages, active, nil
	}
	select {
	case s.space <- struct{}{}:
	default:
	}
	for _, i := range items {
		if i.leave != nil {
			active = slices.DeleteFunc(active, func(sub *room.Sub) bool { return sub == i.leave })
		}
		if i.begin != nil {
			var err error
			if messages, err = i.begin.Begin(messages, i.id); err != nil {
				return messages, active, err
			}
			active = append(active, i.begin)
		}
		if i.reply != nil {
			messages = append(messages, i.reply)
		}
	}
	return messages, active, nil
}

// fail ends a session that can't be written to, or whose log can't be read.
func (s *Session) fail(err error) {
	switch {
	case errors.Is(err, ErrSlow):
		s.gateway.cfg.Logger.Warn("closed a session that takes nothing", "session", s.id, "remote", s.remote)
		s.Close(wire.CloseSlow)
	case errors.Is(err, eventlog.ErrClosed):
		s.Close(wire.CloseShutdown)
	case errors.Is(err, ErrDisconnected):
		s.Close(wire.CloseInternal)
	default:
		s.gateway.cfg.Logger.Error("session failed", "session", s.id, "remote", s.remote, "error", err)
		s.Close(wire.CloseInternal)
	}
}
