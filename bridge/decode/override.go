package decode

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pulso/bridge/event"
)

// MaxOverrides bounds the overrides of a Decoder.
const MaxOverrides = 10_000

// An Override says what is known better than the decoder can know it, for the topics that its filter matches. Where
// several match, each says what those before it leave open.
type Override struct {
	// Filter is an MQTT topic filter.
	Filter string `json:"filter" yaml:"filter"`
	// Format names the format or scheme by which payloads are read; "none": they are not read at all; empty: as found.
	Format string `json:"format,omitempty" yaml:"format,omitempty"`
	// Device is the device's id, in which "{1}" stands for the topic's first level; empty: as found.
	Device string `json:"device,omitempty" yaml:"device,omitempty"`
	// Name and Kind are the device's for people; empty: as found.
	Name string `json:"name,omitempty" yaml:"name,omitempty"`
	Kind string `json:"kind,omitempty" yaml:"kind,omitempty"`
	// Fields say what is in the payload, by the reading's or text's name as it is without the override.
	Fields map[string]Field `json:"fields,omitempty" yaml:"fields,omitempty"`
}

// A Field is what an Override says of one value.
type Field struct {
	// As is "metric", "text" or "hidden"; empty: as found.
	As string `json:"as,omitempty" yaml:"as,omitempty"`
	// Name is what it is to be called; empty: as found.
	Name string `json:"name,omitempty" yaml:"name,omitempty"`
	// Unit as a person reads it; empty: as found.
	Unit string `json:"unit,omitempty" yaml:"unit,omitempty"`
	// Scale is what its numbers are multiplied by; 0 is 1.
	Scale float64 `json:"scale,omitempty" yaml:"scale,omitempty"`
}

// FormatNone as an Override's Format means that the payloads are not read.
const FormatNone = "none"

// noneFormat understands everything, as nothing.
type noneFormat struct{}

func (noneFormat) Name() string { return FormatNone }

func (noneFormat) Decode(*Scope, *Input, *Result) (bool, error) { return true, nil }

// classOfField are the values of Field.As.
var classOfField = map[string]KeyClass{"": ClassCommon, "metric": ClassMetric, "text": ClassText, "hidden": ClassHidden}

// CheckOverrides returns which override is wrong, by its index, and what of it; nil where none is. They are checked as for
// a Decoder with the default formats and schemes.
func CheckOverrides(overrides []Override) (at int, err error) {
	d, err := New(Config{})
	if err != nil {
		return 0, err
	}
	return d.checkOverrides(overrides)
}

func (d *Decoder) checkOverrides(overrides []Override) (at int, err error) {
	if len(overrides) > MaxOverrides {
		return MaxOverrides, fmt.Errorf("%d overrides, at most %d are allowed", len(overrides), MaxOverrides)
	}
	for i := range overrides {
		if err := d.check(&overrides[i]); err != nil {
			return i, err
		}
	}
	return 0, nil
}

// Override replaces the overrides. From then on messages are read by the new ones; what was read before is not read again.
// Its error names the override and the key that is wrong, and then nothing has changed.
func (d *Decoder) Override(overrides []Override) error {
	if at, err := d.checkOverrides(overrides); err != nil {
		return fmt.Errorf("override %d: %w", at+1, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.overrides = slices.Clone(overrides)
	d.relearn()
	return nil
}

// FormatNames are the names that an Override's Format may have, in their order.
func (d *Decoder) FormatNames() []string {
	names := make([]string, 0, 1+len(d.formats)+len(d.schemes))
	names = append(names, FormatNone)
	for _, f := range d.formats {
		names = append(names, f.Name())
	}
	for _, s := range d.schemes {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// relearn forgets what was worked out of topics and names.
func (d *Decoder) relearn() {
	d.topics, d.names = newCache[*topicInfo](d.topics.limit), newCache[*nameInfo](d.names.limit)
	clear(d.spaces)
	d.epoch++
}

func (d *Decoder) check(o *Override) error {
	if err := event.CheckFilter(o.Filter); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	if _, _, known := d.find(o.Format); !known && o.Format != "" {
		return fmt.Errorf("format: there is no format %.40q", o.Format)
	}
	for key, text := range map[string]string{"device": o.Device, "name": o.Name, "kind": o.Kind} {
		if len(text) > MaxNameBytes {
			return fmt.Errorf("%s: %d bytes, at most %d are allowed", key, len(text), MaxNameBytes)
		}
	}
	if _, err := fillLevels(o.Device, nil); err != nil {
		return fmt.Errorf("device: %w", err)
	}
	if len(o.Fields) > MaxReadings {
		return fmt.Errorf("fields: %d of them, at most %d are allowed", len(o.Fields), MaxReadings)
	}
	for name, f := range o.Fields {
		if _, known := classOfField[f.As]; !known {
			return fmt.Errorf("fields: %.40q: as: %.40q is none of metric, text and hidden", name, f.As)
		}
		if len(name) > MaxNameBytes || len(f.Name) > MaxNameBytes || len(f.Unit) > MaxNameBytes {
			return fmt.Errorf("fields: %.40q: a name or unit is longer than %d bytes", name, MaxNameBytes)
		}
	}
	return nil
}

// find returns the format or scheme of a name.
func (d *Decoder) find(name string) (Format, *scheme, bool) {
	if name == FormatNone {
		return noneFormat{}, nil, true
	}
	for _, f := range d.formats {
		if f.Name() == name {
			return f, nil, true
		}
	}
	for _, s := range d.schemes {
		if s.Name == name {
			return nil, s, true
		}
	}
	return nil, nil, false
}

// overriding is what all overrides that match a topic say together.
type overriding struct {
	device, name, kind string
	format             Format
	scheme             *scheme
	fields             map[string]Field
}

// overridingOf returns what the overrides say of a topic; which is the numbers of those that match, as a key.
func (d *Decoder) overridingOf(topic string) (o overriding, which string) {
	var numbers []byte
	format := ""
	for i := range d.overrides {
		given := &d.overrides[i]
		if !event.Match(given.Filter, topic) {
			continue
		}
		numbers = append(strconv.AppendInt(numbers, int64(i), 10), ' ')
		o.device, o.name, o.kind = first(o.device, given.Device), first(o.name, given.Name), first(o.kind, given.Kind)
		format = first(format, given.Format)
		for name, f := range given.Fields {
			if o.fields == nil {
				o.fields = make(map[string]Field)
			}
			said := o.fields[name]
			said.As, said.Name, said.Unit = first(said.As, f.As), first(said.Name, f.Name), first(said.Unit, f.Unit)
			if said.Scale == 0 {
				said.Scale = f.Scale
			}
			o.fields[name] = said
		}
	}
	if format != "" {
		o.format, o.scheme, _ = d.find(format)
	}
	return o, string(numbers)
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// fillLevels puts the levels of a topic for "{1}", "{2}" and so on. A level that the topic does not have is the empty text.
func fillLevels(template string, levels []string) (string, error) {
	var b strings.Builder
	for rest := template; ; {
		before, after, found := strings.Cut(rest, "{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		inner, behind, closed := strings.Cut(after, "}")
		n, err := strconv.Atoi(inner)
		if !closed || err != nil || n < 1 || n > event.MaxLevels {
			return "", fmt.Errorf("%.40q: braces hold the number of a level, from 1", template)
		}
		if n <= len(levels) {
			b.WriteString(levels[n-1])
		}
		rest = behind
	}
}
