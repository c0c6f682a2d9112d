// Package series holds the rules by which readings become samples of time series, for those who keep them and those who send
// them elsewhere: what a series is called, which labels it has, and at which millisecond a sample counts.
//
// Nothing here may be used by two goroutines at one time.
package series

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"pulso/bridge/event"
)

// MaxFuture is how far ahead of the arrival a device's clock is believed. One sample of tomorrow would make those of all other
// devices late.
const MaxFuture = 10 * time.Minute

// A Sample is one value of a series.
type Sample struct {
	Labels labels.Labels
	// Time is in milliseconds since the Unix epoch.
	Time  int64
	Value float64
}

// Kinds are those of devices, by id.
type Kinds = map[string]string

// maxKinds bounds the devices whose kind is remembered, maxVariants the units and kinds of a series that are told apart.
const (
	maxKinds    = 100_000
	maxVariants = 8
)

// A Mapper makes samples of events in the log's order.
type Mapper struct {
	// Kinds are those that devices have told. They may be set before the first event.
	Kinds Kinds
	// Learned counts changes of Kinds, Lost the samples that were left out: too many came at one time, or their labels are too
	// long.
	Learned, Lost uint64

	series map[uint32]*mapped
}

// mapped is what is known of one series.
type mapped struct {
	of       *event.Series
	kind     string
	labels   labels.Labels // none: they are too long
	variants [][2]string
	times    Times
	value    float64 // of the newest sample
}

// NewMapper makes a Mapper that has seen nothing.
func NewMapper() *Mapper { return &Mapper{Kinds: Kinds{}, series: map[uint32]*mapped{}} }

// Samples calls add for each sample of an event, those of earlier times first.
func (m *Mapper) Samples(d *event.Decoded, add func(Sample)) {
	if d.DeviceKind != "" && d.Device != "" && m.Kinds[d.Device] != d.DeviceKind {
		if _, known := m.Kinds[d.Device]; known || len(m.Kinds) < maxKinds {
			m.Kinds[strings.Clone(d.Device)] = strings.Clone(d.DeviceKind)
			m.Learned++
		}
	}
	for _, s := range Earlier(d) {
		m.sample(d, s.Metric, s.Time, add)
	}
	for _, metric := range d.Metrics {
		m.sample(d, metric, cmp.Or(metric.Time, d.DeviceTime), add)
	}
}

// Earlier are an event's older samples in the order of their times.
func Earlier(d *event.Decoded) []event.Sample {
	byTime := func(a, b event.Sample) int { return int(max(min(a.Time-b.Time, 1), -1)) }
	if slices.IsSortedFunc(d.Earlier, byTime) {
		return d.Earlier
	}
	sorted := slices.Clone(d.Earlier)
	slices.SortStableFunc(sorted, byTime)
	return sorted
}

func (m *Mapper) sample(d *event.Decoded, metric event.Metric, at int64, add func(Sample)) {
	if math.IsNaN(metric.Value) || math.IsInf(metric.Value, 0) {
		return
	}
	if at == 0 || at > d.Time+int64(MaxFuture) {
		at = d.Time
	}
	s := m.find(metric.Series)
	if s.labels.IsEmpty() {
		m.Lost++
		return
	}
	taken := time.Unix(0, at).UnixMilli()
	if d.Retain && at != d.Time && taken == s.times.Newest.Last && metric.Value == s.value {
		return // a retained message that has come before
	}
	ms, placed := s.times.Place(taken)
	switch placed {
	case TooFast:
		m.Lost++
		return
	case InOrder, Moved:
		s.value = metric.Value
	case LateInOrder, LateMoved:
	}
	add(Sample{s.labels, ms, metric.Value})
}

// find returns what is known of a series, with its labels of now.
func (m *Mapper) find(of *event.Series) *mapped {
	s := m.series[of.ID]
	if s == nil {
		s = &mapped{times: NoTimes}
		m.series[of.ID] = s
	}
	if kind := m.Kinds[of.Device]; s.of != of || s.kind != kind {
		s.of, s.kind = of, kind
		unit := of.Unit
		if v := [2]string{unit, kind}; !slices.Contains(s.variants, v) {
			if len(s.variants) >= maxVariants {
				unit, kind = "", ""
			} else {
				s.variants = append(s.variants, v)
			}
		}
		var short bool
		if s.labels, short = Labels(of.Device, of.Topic, of.Name, unit, kind); !short {
			s.labels, _ = Labels(of.Device, of.Topic, of.Name, "", "")
		}
	}
	return s
}
