package history

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"pulso/bridge/event"
	rules "pulso/bridge/view/series"
)

// A table knows the series that there are, and what reading the log again needs to know of them. It is guarded by the
// View's lock.
type table struct {
	maxSeries, maxDeviceSeries int

	devices map[string]*device
	// series is how many there are.
	series int
	// handles finds a series by the number of its event.Series.
	handles []handle
	// generation grows when series are forgotten: handles of an older one are looked up again.
	generation uint64
	refused    refusals
	stored     stored
}

// A device has a kind, which it may tell at any time, and series.
type device struct {
	id, kind string
	series   map[seriesKey]*series
}

type seriesKey struct{ topic, field string }

// A series is one metric of a device on one topic, whatever unit and kind are said of it.
type series struct {
	rules.Times

	device *device
	key    seriesKey
	// variants are what the storage has it as; the newest is the last.
	variants []*variant
	// value is the latest sample's.
	value float64
	// stored is the time of the newest sample that the storage had at the start.
	stored int64
}

// A variant is a series of the storage.
type variant struct {
	unit, kind string
	labels     labels.Labels
	ref        storage.SeriesRef
}

// A handle is the way from an event.Series to the series and its variant; without a series, it was refused for a reason.
type handle struct {
	of         *event.Series
	series     *series
	variant    *variant
	kind       string
	generation uint64
	reason     Reason
}

// maxVariants bounds the units and kinds of a series that are told apart. After that many, its samples carry neither.
const maxVariants = 8

// A Reason is why a sample was not kept.
type Reason string

// The reasons.
const (
	// ReasonSeries is that there are as many series as there may be in all.
	ReasonSeries Reason = "series"
	// ReasonDevice is that the device has as many series as it may have.
	ReasonDevice Reason = "device"
	// ReasonLength is that the series' names are too long.
	ReasonLength Reason = "length"
	// ReasonRate is that the series has had more than a thousand samples a second for so long that the milliseconds after it
	// are taken for ten minutes.
	ReasonRate Reason = "rate"
	// ReasonAge is that the sample is older than late ones may be.
	ReasonAge Reason = "age"
	// ReasonStorage is that the storage does not take it, for a reason that it logs.
	ReasonStorage Reason = "storage"
)

// A RefusedSeries is a series that is not kept.
type RefusedSeries struct {
	Device, Topic, Field string
	Reason               Reason
	// Time is when it was refused, in milliseconds since the Unix epoch.
	Time int64
}

// Refused is what was not kept since the start.
type Refused struct {
	// Samples counts them by reason.
	Samples map[Reason]uint64
	// Series are examples: the newest hundred that were refused as a whole.
	Series []RefusedSeries
}

// maxRefusedSeries bounds the examples.
const maxRefusedSeries = 100

type refusals struct {
	samples map[Reason]uint64
	series  []RefusedSeries
}

func (r *refusals) note(s RefusedSeries) {
	if len(r.series) >= maxRefusedSeries {
		r.series = slices.Delete(r.series, 0, 1)
	}
	r.series = append(r.series, s)
}

// Refused says what was not kept, and why.
func (v *View) Refused() Refused {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := Refused{Samples: make(map[Reason]uint64, len(v.refused.samples)), Series: slices.Clone(v.refused.series)}
	maps.Copy(out.Samples, v.refused.samples)
	return out
}

func newTable(c *Config) table {
	return table{
		maxSeries: c.MaxSeries, maxDeviceSeries: c.MaxDeviceSeries, devices: make(map[string]*device),
		refused: refusals{samples: make(map[Reason]uint64)}, generation: 1,
	}
}

// forgetAll empties the table.
func (t *table) forgetAll() {
	t.devices, t.series, t.handles = make(map[string]*device), 0, nil
	t.generation++
}

// forget removes a device and its series.
func (t *table) forget(id string) {
	if d := t.devices[id]; d != nil {
		t.series -= len(d.series)
		delete(t.devices, id)
		t.generation++
	}
}

// learn takes note of a device's kind.
func (t *table) learn(id, kind string) {
	if d := t.device(id); d != nil {
		d.kind = kind
	}
}

// device returns the device, which may be new; nil if there are as many as there may be.
func (t *table) device(id string) *device {
	d := t.devices[id]
	if d == nil && len(t.devices) < t.maxSeries {
		d = &device{id: id, series: make(map[seriesKey]*series)}
		t.devices[id] = d
	}
	return d
}

// find returns the handle of a series, whose series is nil if it is refused.
func (t *table) find(s *event.Series, now int64) *handle {
	if int(s.ID) >= len(t.handles) {
		t.handles = append(t.handles, make([]handle, int(s.ID)+1-len(t.handles))...)
		t.handles = t.handles[:cap(t.handles)]
	}
	h := &t.handles[s.ID]
	if h.of == s && h.generation == t.generation && (h.series == nil || h.kind == h.series.device.kind) {
		return h
	}
	*h = handle{of: s, generation: t.generation}
	if h.series, h.reason = t.resolve(s); h.series != nil {
		h.kind = h.series.device.kind
		h.variant = h.series.variant(s.Unit, h.kind)
		if t.stored.newest != nil {
			h.series.stored = t.stored.until(h.series)
		}
	} else {
		t.refused.note(RefusedSeries{Device: s.Device, Topic: s.Topic, Field: s.Name, Reason: h.reason, Time: now})
	}
	return h
}

// resolve finds or makes a series; nil and the reason if there may be no more.
func (t *table) resolve(s *event.Series) (*series, Reason) {
	d, key := t.device(s.Device), seriesKey{s.Topic, s.Name}
	if d == nil {
		return nil, ReasonSeries
	}
	if found := d.series[key]; found != nil {
		return found, ""
	}
	_, short := rules.Labels(s.Device, s.Topic, s.Name, "", "")
	switch {
	case !short:
		return nil, ReasonLength
	case t.series >= t.maxSeries:
		return nil, ReasonSeries
	case s.Device != "" && len(d.series) >= t.maxDeviceSeries:
		return nil, ReasonDevice
	}
	made := &series{device: d, key: key, Times: rules.NoTimes, stored: math.MinInt64}
	d.series[key] = made
	t.series++
	return made, ""
}

// variant returns what the storage is to have the series as. A unit or kind that is not said is the one that was.
func (s *series) variant(unit, kind string) *variant {
	if n := len(s.variants); n > 0 {
		unit, kind = cmp.Or(unit, s.variants[n-1].unit), cmp.Or(kind, s.variants[n-1].kind)
	}
	return s.exactly(unit, kind)
}

func (s *series) exactly(unit, kind string) *variant {
	for i, v := range s.variants {
		if v.unit == unit && v.kind == kind {
			s.variants = append(slices.Delete(s.variants, i, i+1), v)
			return v
		}
	}
	l, short := rules.Labels(s.device.id, s.key.topic, s.key.field, unit, kind)
	if unit+kind != "" && (!short || len(s.variants) >= maxVariants) {
		return s.exactly("", "")
	}
	v := &variant{unit: unit, kind: kind, labels: l}
	s.variants = append(s.variants, v)
	return v
}
