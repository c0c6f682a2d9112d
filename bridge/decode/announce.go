package decode

import (
	"strings"

	"pulso/bridge/event"
)

// maxUnits bounds the units that one device may announce.
const maxUnits = 256

// An announcement is what a device said of itself, retained.
type announcement struct {
	units map[string]string
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
	if _, known := d.announced[out.Device]; !known && len(d.announced) >= d.maxAnnounced {
		d.metrics.refused.Inc()
		return
	}
	d.announced[out.Device] = &announcement{units: units}
}
