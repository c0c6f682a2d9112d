package decode

import (
	"maps"
	"strings"

	"pulso/bridge/event"
)

// maxUnits bounds the units that one device may announce.
const maxUnits = 256

// unitFacts are the units of a device's readings by their names, by the device.
var unitFacts = Facts[map[string]string]{Kind: "units"}

func (d *Decoder) unitsOf(device string) map[string]string {
	units, _ := recall[map[string]string](d, d.facts.byKey[factKey{unitFacts.Kind, device}])
	return units
}

// about is what registries say of a device, which may come before it speaks.
type about struct {
	Name string `json:"name,omitempty"`
	Kind string `json:"kind,omitempty"`
}

// aboutFacts are by the device.
var aboutFacts = Facts[about]{Kind: "device"}

func (d *Decoder) aboutOf(device string) about {
	known, _ := recall[about](d, d.facts.byKey[factKey{aboutFacts.Kind, device}])
	return known
}

// name gives the device the name and kind that a registry has said, where the message does not, and remembers those that a
// registry says. What an override says counts for more.
func (d *Decoder) name(s *Scope, out *Result) {
	said := about{Name: first(out.Name, s.about.Name), Kind: first(out.Kind, s.about.Kind)}
	if out.Registry && out.Device != "" && said != s.about {
		d.remember(factKey{aboutFacts.Kind, out.Device}, said, d.input.Time)
	}
	of := &s.topic.space.override
	out.Name, out.Kind = first(of.name, said.Name), first(of.kind, said.Kind)
}

// announce takes what a retained self-description says ("kind", "name", "units") into out and remembers the units. Such a
// message has no readings.
func (d *Decoder) announce(out *Result) {
	out.unread()
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
	d.remember(factKey{unitFacts.Kind, out.Device}, units, d.input.Time)
}

// Announced returns the units that a device has announced, by the names of its readings.
func (d *Decoder) Announced(device string) map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.unitsOf(device))
}
