package wire

import (
	"strconv"

	"google.golang.org/protobuf/proto"

	"pulso/bridge/event"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// reply makes a Message of the proto's.
func (e Encoding) reply(m *pulsov1.Message, pos event.Position) *Message {
	buf, err := proto.MarshalOptions{}.MarshalAppend(begin(64), m)
	if err != nil { // text that is not UTF-8, which no caller has
		buf = begin(0)
	}
	return e.message(buf, pos)
}

// beginJSON begins the reply to a command; two closing braces end it.
func beginJSON(id uint64, name string) []byte {
	buf := append(begin(160), `{"id":`...)
	buf = strconv.AppendUint(buf, id, 10)
	buf = append(buf, `,"`...)
	buf = append(buf, name...)
	return append(buf, `":{`...)
}

func (e Encoding) endJSON(buf []byte, pos event.Position) *Message {
	return e.message(append(buf, "}}"...), pos)
}

// Welcome is the reply to a hello. now is in milliseconds since the Unix epoch.
func (e Encoding) Welcome(id uint64, session, node, version string, now int64) *Message {
	if e == Proto {
		return e.reply(&pulsov1.Message{Id: id, Message: &pulsov1.Message_Welcome{Welcome: &pulsov1.Welcome{
			Session: session, Node: node, Version: version, Now: now,
		}}}, event.Position{})
	}
	buf := append(beginJSON(id, "welcome"), `"session":`...)
	buf = AppendString(buf, session)
	buf = append(buf, `,"node":`...)
	buf = AppendString(buf, node)
	buf = append(buf, `,"version":`...)
	buf = AppendString(buf, version)
	buf = append(buf, `,"now":`...)
	return e.endJSON(strconv.AppendInt(buf, now, 10), event.Position{})
}

// Subscribed is the reply to a subscribe; reason is empty or [ReasonInsufficientState].
func (e Encoding) Subscribed(id, room uint64, pos event.Position, recovered bool, reason string) *Message {
	if e == Proto {
		return e.reply(&pulsov1.Message{Id: id, Message: &pulsov1.Message_Subscribed{Subscribed: &pulsov1.Subscribed{
			Room: room, Position: pos.String(), Recovered: recovered, Reason: reason,
		}}}, pos)
	}
	buf := append(beginJSON(id, "subscribed"), `"room":`...)
	buf = strconv.AppendUint(buf, room, 10)
	return e.endJSON(appendEntryJSON(buf, pos, recovered, reason), pos)
}

// Changed is the reply to a change: the subscription is in room now, no longer in from.
func (e Encoding) Changed(id, from, room uint64, pos event.Position, recovered bool, reason string) *Message {
	if e == Proto {
		return e.reply(&pulsov1.Message{Id: id, Message: &pulsov1.Message_Changed{Changed: &pulsov1.Changed{
			From: from, Room: room, Position: pos.String(), Recovered: recovered, Reason: reason,
		}}}, pos)
	}
	buf := append(beginJSON(id, "changed"), `"from":`...)
	buf = strconv.AppendUint(buf, from, 10)
	buf = append(buf, `,"room":`...)
	buf = strconv.AppendUint(buf, room, 10)
	return e.endJSON(appendEntryJSON(buf, pos, recovered, reason), pos)
}

// appendEntryJSON appends how a subscription begins in a room.
func appendEntryJSON(buf []byte, pos event.Position, recovered bool, reason string) []byte {
	buf = append(buf, `,"position":"`...)
	buf = pos.Append(buf)
	buf = append(buf, `","recovered":`...)
	buf = strconv.AppendBool(buf, recovered)
	if reason != "" {
		buf = append(buf, `,"reason":`...)
		buf = AppendString(buf, reason)
	}
	return buf
}

// Unsubscribed is the reply to an unsubscribe.
func (e Encoding) Unsubscribed(id, room uint64) *Message {
	if e == Proto {
		return e.reply(&pulsov1.Message{Id: id, Message: &pulsov1.Message_Unsubscribed{
			Unsubscribed: &pulsov1.Unsubscribed{Room: room},
		}}, event.Position{})
	}
	buf := append(beginJSON(id, "unsubscribed"), `"room":`...)
	return e.endJSON(strconv.AppendUint(buf, room, 10), event.Position{})
}

// Published is the reply to a publish: the position after the event. It says nothing of where a stream is.
func (e Encoding) Published(id uint64, pos event.Position) *Message {
	if e == Proto {
		return e.reply(&pulsov1.Message{Id: id, Message: &pulsov1.Message_Published{
			Published: &pulsov1.Published{Position: pos.String()},
		}}, event.Position{})
	}
	buf := append(beginJSON(id, "published"), `"position":"`...)
	return e.endJSON(append(pos.Append(buf), '"'), event.Position{})
}

// Pong is the reply to a ping. now is in milliseconds since the Unix epoch.
func (e Encoding) Pong(id uint64, now int64) *Message {
	if e == Proto {
		return e.reply(&pulsov1.Message{Id: id, Message: &pulsov1.Message_Pong{Pong: &pulsov1.Pong{Now: now}}}, event.Position{})
	}
	buf := append(beginJSON(id, "pong"), `"now":`...)
	return e.endJSON(strconv.AppendInt(buf, now, 10), event.Position{})
}

// Error is the reply to a command that failed.
func (e Encoding) Error(id uint64, err *Error) *Message {
	if e == Proto {
		return e.reply(&pulsov1.Message{Id: id, Message: &pulsov1.Message_Error{Error: &pulsov1.Error{
			Code: err.Code, Message: validText(err.Message), Retry: err.Retry,
		}}}, event.Position{})
	}
	buf := append(beginJSON(id, "error"), `"code":`...)
	buf = AppendString(buf, err.Code)
	buf = append(buf, `,"message":`...)
	buf = AppendString(buf, err.Message)
	buf = append(buf, `,"retry":`...)
	return e.endJSON(strconv.AppendBool(buf, err.Retry), event.Position{})
}
