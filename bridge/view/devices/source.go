package devices

import (
	"slices"
	"strconv"

	"pulso/bridge/wire"
)

// AppendSince appends the members "devices" and "status" of a frame with what changed after version since for the
// devices of which a topic matches one of filters; since 0 is a whole snapshot. It appends nothing where there is
// nothing, and returns the version that this is up to date with.
func (v *View) AppendSince(dst []byte, filters []string, since uint64) ([]byte, uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	selected := v.selected[:0]
	for d := v.changes.newest; d != nil && d.changed > since; d = d.older {
		if d.matches(filters) {
			selected = append(selected, d)
		}
	}
	v.selected = selected
	if len(selected) == 0 {
		return dst, v.version
	}
	start := len(dst)
	dst = append(dst, `"devices":[`...)
	empty := len(dst)
	for _, d := range slices.Backward(selected) {
		if d.announced > since {
			if len(dst) > empty {
				dst = append(dst, ',')
			}
			dst = d.appendRecord(dst)
		}
	}
	if len(dst) == empty {
		dst = dst[:start]
	} else {
		dst = append(dst, "],"...)
	}
	dst = append(dst, `"status":[`...)
	for i, d := range slices.Backward(selected) {
		dst = d.appendStatus(dst)
		if i > 0 {
			dst = append(dst, ',')
		}
	}
	clear(selected)
	return append(dst, ']'), v.version
}

func (d *device) appendRecord(dst []byte) []byte {
	dst = append(dst, `{"device":`...)
	dst = strconv.AppendUint(dst, uint64(d.number), 10)
	dst = append(dst, `,"id":`...)
	dst = wire.AppendString(dst, d.id)
	dst = append(dst, `,"kind":`...)
	dst = wire.AppendString(dst, d.kind)
	dst = append(dst, `,"name":`...)
	dst = wire.AppendString(dst, d.name)
	dst = append(dst, `,"first":`...)
	dst = strconv.AppendInt(dst, wire.Millis(d.first), 10)
	dst = append(dst, `,"topics":[`...)
	for i, t := range d.topics {
		dst = comma(dst, i)
		dst = wire.AppendString(dst, t)
	}
	dst = append(dst, `],"client":`...)
	dst = wire.AppendString(dst, d.client)
	dst = append(dst, `,"metrics":[`...)
	for i, value := range d.values {
		dst = comma(dst, i)
		dst = wire.AppendSeries(dst, value.Series)
	}
	dst = append(dst, `],"texts":[`...)
	for i, t := range d.texts {
		dst = append(comma(dst, i), '[')
		dst = wire.AppendString(dst, t.Name)
		dst = append(dst, ',')
		dst = wire.AppendString(dst, t.Value)
		dst = append(dst, ']')
	}
	return append(dst, "]}"...)
}

// appendStatus appends [device, status, time, rate, events, interval, value, undecodable].
func (d *device) appendStatus(dst []byte) []byte {
	dst = append(dst, '[')
	dst = strconv.AppendUint(dst, uint64(d.number), 10)
	dst = append(dst, `,"`...)
	dst = append(dst, statusNames[d.status]...)
	dst = append(dst, `",`...)
	dst = strconv.AppendInt(dst, wire.Millis(d.last), 10)
	dst = append(dst, ',')
	dst = strconv.AppendFloat(dst, d.rate, 'f', -1, 64)
	dst = append(dst, ',')
	dst = strconv.AppendUint(dst, d.events, 10)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, d.interval.Milliseconds(), 10)
	dst = append(dst, ',')
	if len(d.values) > 0 {
		dst = wire.AppendFloat(dst, d.values[0].Value)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, ',')
	dst = strconv.AppendUint(dst, d.undecodable, 10)
	return append(dst, ']')
}

func comma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}
