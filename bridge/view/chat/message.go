package chat

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"pulso/bridge/event"
)

// said is the payload of a message that says who speaks.
type said struct {
	V    int     `json:"v"`
	From string  `json:"from"`
	Text *string `json:"text"`
}

// parse reads a message. Whatever the payload is, something was said: bytes that are not UTF-8 become U+FFFD.
func parse(e *event.Decoded) Message {
	m := Message{Position: e.Position, Time: e.Time, Screen: e.Source == event.SourceGateway}
	var s said
	if e.JSON && e.Payload[0] == '{' && json.Unmarshal(e.Payload, &s) == nil && s.V == 1 && s.Text != nil {
		m.From, m.Text = clean(s.From, MaxNameBytes), clean(*s.Text, MaxTextBytes)
	} else {
		m.Text = clean(string(e.Payload[:min(len(e.Payload), MaxTextBytes+utf8.UTFMax)]), MaxTextBytes)
	}
	if m.From == "" {
		m.From = clean(e.Client, MaxNameBytes)
	}
	return m
}

// clean makes s valid UTF-8 of at most limit bytes that owns its memory.
func clean(s string, limit int) string {
	s = strings.Clone(strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.Clone(s[:limit])
}
