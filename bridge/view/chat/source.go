package chat

import (
	"cmp"
	"slices"
	"strconv"

	"pulso/bridge/wire"
)

// AppendSince appends the member "chat" of a frame: the messages after version since in the channels that one of filters
// matches, all channels where one of them is new, and who is present where that changed; since 0 is a whole snapshot. It
// appends nothing where there is nothing, and returns the version that this is up to date with.
func (v *View) AppendSince(dst []byte, filters []string, since uint64) ([]byte, uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	selected := v.selected(filters)
	start := len(dst)
	dst = append(dst, `"chat":{`...)
	empty := len(dst)
	if since == 0 || slices.ContainsFunc(selected, func(c *channel) bool { return c.created > since }) {
		dst = append(dst, `"channels":[`...)
		for i, c := range selected {
			dst = wire.AppendString(comma(dst, i), c.name)
		}
		dst = append(dst, ']')
	}
	dst = appendMessages(dst, empty, selected, since)
	dst = v.appendPresent(dst, empty, selected, since)
	if len(dst) == empty {
		return dst[:start], v.version
	}
	return append(dst, '}'), v.version
}

// appendMessages appends "messages", in the order of the log.
func appendMessages(dst []byte, empty int, channels []*channel, since uint64) []byte {
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
		return dst
	}
	slices.SortFunc(all, func(a, b said) int { return cmp.Compare(a.Position.Offset, b.Position.Offset) })
	dst = key(dst, empty, `"messages":[`)
	for i, m := range all {
		dst = append(comma(dst, i), `{"position":"`...)
		dst = m.Position.Append(dst)
		dst = append(dst, `","channel":`...)
		dst = wire.AppendString(dst, m.channel)
		dst = append(dst, `,"from":`...)
		dst = wire.AppendString(dst, m.From)
		dst = append(dst, `,"text":`...)
		dst = wire.AppendString(dst, m.Text)
		dst = append(dst, `,"time":`...)
		dst = strconv.AppendInt(dst, wire.Millis(m.Time), 10)
		if m.Screen {
			dst = append(dst, `,"source":"screen"}`...)
		} else {
			dst = append(dst, `,"source":"mqtt"}`...)
		}
	}
	return append(dst, ']')
}

// appendPresent appends "present" for the channels whose members changed.
func (v *View) appendPresent(dst []byte, empty int, channels []*channel, since uint64) []byte {
	first := true
	for _, c := range channels {
		if c.present <= since {
			continue
		}
		if first {
			dst = key(dst, empty, `"present":[`)
		} else {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, `{"channel":`...)
		dst = wire.AppendString(dst, c.name)
		dst = append(dst, `,"members":[`...)
		for i, m := range v.members(c) {
			dst = append(comma(dst, i), '[')
			dst = wire.AppendString(dst, m.GetName())
			if m.GetKind() == kindScreen {
				dst = append(dst, `,"screen"]`...)
			} else {
				dst = append(dst, `,"device"]`...)
			}
		}
		dst = append(dst, "]}"...)
	}
	if first {
		return dst
	}
	return append(dst, ']')
}

// key begins a member of an object that began at empty.
func key(dst []byte, empty int, begin string) []byte {
	if len(dst) > empty {
		dst = append(dst, ',')
	}
	return append(dst, begin...)
}

func comma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}
