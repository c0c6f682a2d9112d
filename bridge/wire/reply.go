package wire

import (
	"strconv"

	"pulso/bridge/event"
)

func appendReply(dst []byte, id uint64, name string) []byte {
	dst = append(dst, `{"id":`...)
	dst = strconv.AppendUint(dst, id, 10)
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	return append(dst, `":{`...)
}

// Welcome appends the reply to a hello. now is in milliseconds since the Unix epoch.
func Welcome(dst []byte, id uint64, session, node, version string, now int64) []byte {
	dst = appendReply(dst, id, "welcome")
	dst = append(dst, `"session":`...)
	dst = AppendString(dst, session)
	dst = append(dst, `,"node":`...)
	dst = AppendString(dst, node)
	dst = append(dst, `,"version":`...)
	dst = AppendString(dst, version)
	dst = append(dst, `,"now":`...)
	dst = strconv.AppendInt(dst, now, 10)
	return append(dst, "}}"...)
}

// Subscribed appends the reply to a subscribe; reason is empty or [ReasonInsufficientState].
func Subscribed(dst []byte, id, room uint64, pos event.Position, recovered bool, reason string) []byte {
	dst = appendReply(dst, id, "subscribed")
	dst = append(dst, `"room":`...)
	dst = strconv.AppendUint(dst, room, 10)
	dst = append(dst, `,"position":"`...)
	dst = pos.Append(dst)
	dst = append(dst, `","recovered":`...)
	dst = strconv.AppendBool(dst, recovered)
	if reason != "" {
		dst = append(dst, `,"reason":`...)
		dst = AppendString(dst, reason)
	}
	return append(dst, "}}"...)
}

// Unsubscribed appends the reply to an unsubscribe.
func Unsubscribed(dst []byte, id, room uint64) []byte {
	dst = appendReply(dst, id, "unsubscribed")
	dst = append(dst, `"room":`...)
	dst = strconv.AppendUint(dst, room, 10)
	return append(dst, "}}"...)
}

// Published appends the reply to a publish: the position after the event.
func Published(dst []byte, id uint64, pos event.Position) []byte {
	dst = appendReply(dst, id, "published")
	dst = append(dst, `"position":"`...)
	dst = pos.Append(dst)
	return append(dst, `"}}`...)
}

// Pong appends the reply to a ping. now is in milliseconds since the Unix epoch.
func Pong(dst []byte, id uint64, now int64) []byte {
	dst = appendReply(dst, id, "pong")
	dst = append(dst, `"now":`...)
	dst = strconv.AppendInt(dst, now, 10)
	return append(dst, "}}"...)
}

// AppendError appends an error reply.
func AppendError(dst []byte, id uint64, e *Error) []byte {
	dst = appendReply(dst, id, "error")
	dst = append(dst, `"code":`...)
	dst = AppendString(dst, e.Code)
	dst = append(dst, `,"message":`...)
	dst = AppendString(dst, e.Message)
	dst = append(dst, `,"retry":`...)
	dst = strconv.AppendBool(dst, e.Retry)
	return append(dst, "}}"...)
}
