package topics

import (
	"slices"
	"strconv"

	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// AppendSince appends the members "topics" and "activity" of a frame with what changed after version since on topics that
// one of filters matches; since 0 is a whole snapshot. It appends nothing where there is nothing, and returns the version
// that this is up to date with.
func (v *View) AppendSince(dst []byte, filters []string, since uint64) ([]byte, uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	selected := v.selected[:0]
	for t := v.newest; t != nil && t.changed > since; t = t.older {
		if event.MatchAny(filters, t.name) {
			selected = append(selected, t)
		}
	}
	v.selected = selected
	if len(selected) == 0 {
		return dst, v.version
	}
	start := len(dst)
	dst = append(dst, `"topics":[`...)
	empty := len(dst)
	for _, t := range slices.Backward(selected) {
		if t.announced > since {
			if len(dst) > empty {
				dst = append(dst, ',')
			}
			dst = t.appendRecord(dst)
		}
	}
	if len(dst) == empty {
		dst = dst[:start]
	} else {
		dst = append(dst, "],"...)
	}
	dst = append(dst, `"activity":[`...)
	for i, t := range slices.Backward(selected) {
		dst = t.appendActivity(dst)
		if i > 0 {
			dst = append(dst, ',')
		}
	}
	clear(selected)
	return append(dst, ']'), v.version
}

// appendRecord appends [topic, name, device].
func (t *topic) appendRecord(dst []byte) []byte {
	dst = append(dst, '[')
	dst = strconv.AppendUint(dst, uint64(t.number), 10)
	dst = append(dst, ',')
	dst = wire.AppendString(dst, t.name)
	dst = append(dst, ',')
	dst = wire.AppendString(dst, t.device)
	return append(dst, ']')
}

// appendActivity appends [topic, time, events, rate, bytes, preview].
func (t *topic) appendActivity(dst []byte) []byte {
	dst = append(dst, '[')
	dst = strconv.AppendUint(dst, uint64(t.number), 10)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, wire.Millis(t.last), 10)
	dst = append(dst, ',')
	dst = strconv.AppendUint(dst, t.events, 10)
	dst = append(dst, ',')
	dst = wire.AppendFloat(dst, t.rate)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, int64(t.bytes), 10)
	dst = append(dst, ',')
	dst = wire.AppendString(dst, string(t.preview))
	return append(dst, ']')
}
