package sse

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"pulso/bridge/wire"
)

// closeID begins the id of a farewell after which a client is not to come back. It comes as Last-Event-ID where it does.
const closeID = "close."

// appendMessage appends a message as one event, with its position as id if there is one and it is wanted. The binary form comes
// in base64.
func appendMessage(dst []byte, m *wire.Message, id bool) []byte {
	if pos := m.Position(); id && !pos.IsZero() {
		dst = append(dst, "id: "...)
		dst = append(pos.Append(dst), '\n')
	}
	if m.Encoding() == wire.Proto {
		dst = append(dst, "data: "...)
		return append(base64.StdEncoding.AppendEncode(dst, m.Bytes()), "\n\n"...)
	}
	return appendData(dst, m.Bytes())
}

// appendData appends the data of an event and ends the event. A line break, CR, LF or both, ends a line of data: the
// client puts LF between the lines.
func appendData(dst, data []byte) []byte {
	for {
		dst = append(dst, "data: "...)
		i := lineBreak(data)
		if i < 0 {
			dst = append(dst, data...)
			return append(dst, "\n\n"...)
		}
		dst = append(dst, data[:i]...)
		dst = append(dst, '\n')
		if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			i++
		}
		data = data[i+1:]
	}
}

// lineBreak is where the first line of data ends; -1 if it is the only one. Nearly always it is.
func lineBreak(data []byte) int {
	i := bytes.IndexByte(data, '\n')
	head := data
	if i >= 0 {
		head = data[:i]
	}
	if j := bytes.IndexByte(head, '\r'); j >= 0 {
		return j
	}
	return i
}

// appendRetry appends how long the client waits before it comes back, in milliseconds.
func appendRetry(dst []byte, millis int64) []byte {
	dst = append(dst, "retry: "...)
	return append(strconv.AppendInt(dst, millis, 10), "\n\n"...)
}

// appendSession appends the first event of a session.
func appendSession(dst []byte, token string) []byte {
	dst = append(dst, "event: session\ndata: {\"session\":"...)
	dst = wire.AppendString(dst, token)
	return append(dst, "}\n\n"...)
}

// appendClose appends the farewell.
func appendClose(dst []byte, code wire.CloseCode) []byte {
	if !code.ComesBack() {
		dst = append(dst, "id: "+closeID...)
		dst = append(strconv.AppendUint(dst, uint64(code), 10), '\n')
	}
	dst = append(dst, "event: close\ndata: {\"code\":"...)
	dst = strconv.AppendUint(dst, uint64(code), 10)
	dst = append(dst, `,"name":`...)
	dst = wire.AppendString(dst, code.Info().Name)
	return append(dst, "}\n\n"...)
}
