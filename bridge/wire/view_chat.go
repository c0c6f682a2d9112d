package wire

import (
	"strconv"

	pulsov1 "pulso/internal/gen/pulso/v1"
)

// appendChatJSON appends what is said in chat as an object. Channels that are none differ from channels that are not told:
// those are nil.
func appendChatJSON(dst []byte, c *pulsov1.Chat) []byte {
	dst = append(dst, '{')
	empty := len(dst)
	if channels := c.GetChannels(); channels != nil {
		dst = append(dst, `"channels":[`...)
		for i, name := range channels {
			dst = AppendString(appendComma(dst, i), name)
		}
		dst = append(dst, ']')
	}
	if messages := c.GetMessages(); len(messages) > 0 {
		dst = appendKey(dst, len(dst)-empty, `"messages":[`)
		for i, m := range messages {
			dst = appendChatMessageJSON(appendComma(dst, i), m)
		}
		dst = append(dst, ']')
	}
	if present := c.GetPresent(); len(present) > 0 {
		dst = appendKey(dst, len(dst)-empty, `"present":[`)
		for i, p := range present {
			dst = appendPresenceJSON(appendComma(dst, i), p)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendChatMessageJSON(dst []byte, m *pulsov1.ChatMessage) []byte {
	dst = appendText(dst, `{"position":`, m.GetPosition())
	dst = appendText(dst, `,"channel":`, m.GetChannel())
	dst = appendText(dst, `,"from":`, m.GetFrom())
	dst = appendText(dst, `,"text":`, m.GetText())
	dst = strconv.AppendInt(append(dst, `,"time":`...), m.GetTime(), 10)
	return append(appendText(dst, `,"source":`, m.GetSource()), '}')
}

// appendPresenceJSON appends an object with members as rows [name, kind].
func appendPresenceJSON(dst []byte, p *pulsov1.ChatPresence) []byte {
	dst = appendText(dst, `{"channel":`, p.GetChannel())
	dst = append(dst, `,"members":[`...)
	for i, m := range p.GetMembers() {
		dst = AppendString(append(appendComma(dst, i), '['), m.GetName())
		dst = append(AppendString(append(dst, ','), m.GetKind()), ']')
	}
	return append(dst, "]}"...)
}
