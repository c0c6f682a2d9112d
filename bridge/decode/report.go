package decode

import (
	"fmt"
	"time"

	"pulso/bridge/event"
)

// A Report is what people and programs are shown of a decoded message, as JSON.
type Report struct {
	// Device is null where nothing names one.
	Device *string `json:"device"`
	Name   string  `json:"name,omitempty"`
	Kind   string  `json:"kind,omitempty"`
	// Format is empty where none understood the payload; Problem says why.
	Format  string `json:"format"`
	Problem string `json:"problem,omitempty"`
	// Metrics, Texts and Units are by the name of the reading or text; Units also has those that the message announces.
	Metrics map[string]float64 `json:"metrics"`
	Texts   map[string]string  `json:"texts"`
	Units   map[string]string  `json:"units"`
	// Earlier is how many older readings the message has besides.
	Earlier int `json:"earlier,omitempty"`
	// Status is "online", "offline" or null.
	Status *string `json:"status"`
	// Timestamp is the device's own time (RFC 3339) where it is trusted, else null.
	Timestamp *string `json:"timestamp"`
	// Command reports that the message is addressed to the device.
	Command bool `json:"command,omitempty"`
	// Why are the reasons, in sentences.
	Why []string `json:"why"`
}

// Report decodes a message, with the reasons; see [Decoder.Explain].
func (d *Decoder) Report(in Input) Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.report(in)
}

// Review is [Decoder.Report] of a message of the past: nothing is learned from it.
func (d *Decoder) Review(in Input) Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trying = true
	r := d.report(in)
	d.trying = false
	return r
}

func (d *Decoder) report(in Input) Report {
	var out Result
	why := d.explain(in, &out)
	r := Report{
		Name: out.Name, Kind: out.Kind, Format: out.Format, Problem: out.Problem, Earlier: len(out.Earlier), Command: out.Command, Why: why,
		Metrics: make(map[string]float64, len(out.Readings)), Texts: make(map[string]string, len(out.Texts)), Units: map[string]string{},
	}
	if out.Device != "" {
		r.Device = &out.Device
	}
	for _, reading := range out.Readings {
		r.Metrics[reading.Name] = reading.Value
		if reading.Unit != "" {
			r.Units[reading.Name] = reading.Unit
		}
	}
	for _, t := range out.Texts {
		r.Texts[t.Name] = t.Value
	}
	for _, u := range out.Units {
		r.Units[u.Name] = u.Value
	}
	switch out.Status {
	case event.StatusOnline:
		r.Status = new("online")
	case event.StatusOffline:
		r.Status = new("offline")
	case event.StatusUnknown:
	}
	if out.DeviceTime != 0 {
		r.Timestamp = new(time.Unix(0, out.DeviceTime).UTC().Format(time.RFC3339Nano))
	}
	return r
}

// Try is [Decoder.Report] as it would be with other overrides. Nothing is learned from it. Its error is that of
// [Decoder.Override].
func (d *Decoder) Try(in Input, overrides []Override) (Report, error) {
	return d.try(in, overrides, false)
}

// TryAlone is [Decoder.Try] by the message alone: nothing counts that was announced before, by whomever.
func (d *Decoder) TryAlone(in Input, overrides []Override) (Report, error) {
	return d.try(in, overrides, true)
}

func (d *Decoder) try(in Input, overrides []Override, alone bool) (Report, error) {
	if at, err := d.checkOverrides(overrides); err != nil {
		return Report{}, fmt.Errorf("override %d: %w", at+1, err)
	}
	d.mu.Lock()
	kept := saved{d.overrides, d.topics, d.names, d.spaces, d.facts}
	d.overrides, d.trying = overrides, true
	d.topics, d.names, d.spaces = newCache[*topicInfo](1), newCache[*nameInfo](MaxReadings), make(map[spaceKey]*space)
	if alone {
		d.facts = newFacts(kept.facts.limit, kept.facts.byteLimit)
	}
	r := d.report(in)
	d.overrides, d.topics, d.names, d.spaces, d.facts = kept.overrides, kept.topics, kept.names, kept.spaces, kept.facts
	d.trying = false
	d.mu.Unlock()
	return r, nil
}

// saved is what Try puts aside.
type saved struct {
	overrides []Override
	topics    cache[*topicInfo]
	names     cache[*nameInfo]
	spaces    map[spaceKey]*space
	facts     facts
}
