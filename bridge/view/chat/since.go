package chat

import (
	"cmp"
	"slices"

	"pulso/bridge/event"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// Since returns the field "chat" of a frame: the messages after version since in the channels that one of filters matches
// and whose topic a scope (nil: any) sees, all of these channels where one of them is new, and who is present where that
// changed; since 0 is a whole snapshot. Of screens, only those of the same scope are present. The frame
// is nil where there is nothing; nobody writes to it any more. The version is the one that it is up to date with.
func (v *View) Since(filters []string, scope event.Scope, since uint64) (*pulsov1.Frame, uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	selected := v.selected(filters, scope)
	c := &pulsov1.Chat{Messages: messages(selected, since)}
	if since == 0 || slices.ContainsFunc(selected, func(c *channel) bool { return c.created > since }) {
		c.Channels = make([]string, len(selected))
		for i, s := range selected {
			c.Channels[i] = s.name
		}
	}
	for _, s := range selected {
		if s.present > since {
			c.Present = append(c.Present, &pulsov1.ChatPresence{Channel: s.name, Members: v.members(s, scope)})
		}
	}
	if c.Channels == nil && c.Messages == nil && c.Present == nil {
		return nil, v.version
	}
	return &pulsov1.Frame{Chat: c}, v.version
}

// selected are the channels that one of filters matches and a scope sees, by name.
func (v *View) selected(filters []string, scope event.Scope) []*channel {
	var all []*channel
	for _, c := range v.channels {
		if event.MatchAny(filters, c.topic) && event.Sees(scope, c.topic) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *channel) int { return cmp.Compare(a.name, b.name) })
	return all
}

// Of the wire's words for where a message came from, and for what a member is.
const (
	sourceMQTT   = "mqtt"
	sourceScreen = "screen"
	kindDevice   = "device"
	kindScreen   = "screen"
)

// messages are what was said in channels after version since, in the order of the log; nil where nothing was.
func messages(channels []*channel, since uint64) []*pulsov1.ChatMessage {
	type said struct {
		*Message

		channel string
	}
	var all []said
	for _, c := range channels {
		for i := len(c.messages) - 1; i >= 0 && c.messages[i].version > since; i-- {
			all = append(all, said{&c.messages[i], c.name})
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b said) int { return cmp.Compare(a.Position.Offset, b.Position.Offset) })
	list := make([]*pulsov1.ChatMessage, len(all))
	for i, m := range all {
		list[i] = &pulsov1.ChatMessage{
			Position: m.Position.String(), Channel: m.channel, From: m.From, Text: m.Text, Time: wire.Millis(m.Time), Source: sourceMQTT,
		}
		if m.Screen {
			list[i].Source = sourceScreen
		}
	}
	return list
}
