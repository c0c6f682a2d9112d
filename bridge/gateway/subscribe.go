package gateway

import (
	"errors"

	"pulso/bridge/room"
	"pulso/bridge/wire"
)

func (s *Session) subscribe(id uint64, c *wire.Subscribe) *wire.Error {
	if len(s.subs) >= s.gateway.cfg.MaxSubscriptions {
		return wire.Errorf(wire.CodeTooMany, "this session has %d subscriptions: that is the most one may have", len(s.subs))
	}
	if !s.meter.Subscribe(false) {
		return &wire.Error{Code: wire.CodeTooMany, Message: "the account has as many subscriptions as it may", Retry: true}
	}
	s.counted++
	defer s.recount()
	return s.join(id, c, nil)
}

// recount gives back what the meter has counted of rooms that the session is not in, be it that it has left them, did not come in, or
// was in them already.
func (s *Session) recount() {
	for ; s.counted > len(s.subs); s.counted-- {
		s.meter.Unsubscribe()
	}
}

// sub is the session's place in a room, nil if it has none.
func (s *Session) sub(number uint64) *room.Sub {
	for _, sub := range s.subs {
		if sub.Room() == number {
			return sub
		}
	}
	return nil
}

// change takes a subscription into another room.
func (s *Session) change(id uint64, c *wire.Change) *wire.Error {
	before := s.sub(c.Room)
	if before == nil {
		return notSubscribed(c.Room)
	}
	defer s.recount()
	return s.join(id, c.Subscribe, before)
}

// join makes the session a member of a room, in the place of another one where before is not nil.
func (s *Session) join(id uint64, c *wire.Subscribe, before *room.Sub) *wire.Error {
	rooms := s.gateway.cfg.Rooms
	sub, err := rooms.Join(
		room.Spec{Filters: c.Filters, Devices: c.Devices, Form: c.Form, Delivery: c.Delivery, Rate: c.Rate, Scope: s.client.Scope},
		room.Options{
			Encoding: s.client.Encoding, From: c.From, FromStart: c.FromStart, History: c.History, Follow: before, Viewers: c.Viewers,
			Viewer: room.Viewer{Session: s.id, Name: s.name, Transport: s.client.Transport},
		}, s)
	if err != nil {
		e := wire.Errorf(wire.CodeTooMany, "%v", err)
		if errors.Is(err, room.ErrNoSource) {
			return wire.Errorf(wire.CodeBadCommand, "subscribe.form %s: %v", c.Form, err)
		}
		e.Retry = true
		return e
	}
	if hear := s.gateway.cfg.OnSubscribe; hear != nil && s.client.Person != nil {
		hear(s.client.Person, c)
	}
	if before != nil {
		s.leave(before)
	}
	if old := s.sub(sub.Room()); old != nil { // the same room again: the new subscription takes the old one's place
		s.leave(old)
		s.push(item{leave: old})
	}
	s.push(item{leave: before, begin: sub, id: id})
	s.subs = append(s.subs, sub)
	if c.Form == wire.FormChat {
		if s.chats == nil {
			s.chats = make(map[uint64][]string)
		}
		s.chats[sub.Room()] = c.Filters
	}
	s.tellPresence()
	return nil
}

// leave takes the session out of a room. The writing side is yet to be told.
func (s *Session) leave(sub *room.Sub) {
	s.gateway.cfg.Rooms.Leave(sub)
	s.subs = without(s.subs, sub)
	delete(s.chats, sub.Room())
}

func (s *Session) unsubscribe(id, number uint64) *wire.Error {
	sub := s.sub(number)
	if sub == nil {
		return notSubscribed(number)
	}
	s.leave(sub)
	s.recount()
	s.tellPresence()
	s.push(item{leave: sub, reply: s.client.Encoding.Unsubscribed(id, number)})
	return nil
}

func notSubscribed(number uint64) *wire.Error {
	return wire.Errorf(wire.CodeNotSubscribed, "this session is not subscribed to room %d", number)
}
