package decode

import (
	"strings"

	"pulso/bridge/event"
)

// maxUnits bounds the units that one device may announce.
const maxUnits = 256

// An announcement is what a device said of itself, retained, and when, in nanoseconds since the Unix epoch: messages are
// read again out of order, and an older one must not replace what a newer one said.
type announcement struct {
	units map[string]string
	time  int64
}

// announce takes what a retained self-description says ("kind", "name", "units") into out and remembers the units. Such a
// message has no readings.
func (d *Decoder) announce(out *Result) {
	out.Readings = out.Readings[:0]
	units := make(map[string]string)
	kept := out.Texts[:0]
	for _, t := range out.Texts {
		path := t.Name
		name, isUnit := strings.CutPrefix(path, "units.")
		switch {
		case path == "kind" || path == "type" && out.Kind == "":
			out.Kind = t.Value
		case path == "name":
			out.Name = t.Value
		case isUnit && len(units) < maxUnits:
			units[name] = t.Value
		case !isUnit:
			kept = append(kept, event.Text{Name: path, Value: t.Value})
		}
	}
	out.Texts = kept
	if out.Device == "" || len(units) == 0 {
		return
	}
	if a := d.announcement(out.Device); a != nil && d.input.Time >= a.time {
		a.units, a.time = units, d.input.Time
	}
}

// announcement returns what is remembered of a device; nil if there is no room for it.
func (d *Decoder) announcement(device string) *announcement {
	a := d.announced[device]
	if a == nil {
		if len(d.announced) >= d.maxAnnounced {
			d.metrics.refused.Inc()
			return nil
		}
		a = &announcement{units: make(map[string]string)}
		d.announced[strings.Clone(device)] = a
	}
	return a
}

// Learn says what unit a device's readings of a name have, as if the device had announced it. It serves a hub that starts
// with series from before, whose announcement it will not hear again.
func (d *Decoder) Learn(device, name, unit string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a := d.announcement(device); a != nil && len(a.units) < maxUnits {
		a.units[name] = unit
	}
}
