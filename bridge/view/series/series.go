// Package series holds the rules by which readings become samples of time series, for all who keep or send them: what a
// series is called, which labels it has, and at which millisecond a sample counts.
//
// Name: the last key of the metric's path that is no index, as [Name] writes it. Labels: device, topic, field (the whole
// path), unit, kind (the device's); empty ones are absent. Time: the device's where it is to be trusted, else arrival.
//
// A [Mapper] is used by one goroutine at a time.
package series

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pulso/bridge/event"
)

// The labels of a series besides its name.
const (
	Device = "device"
	Topic  = "topic"
	Field  = "field"
	Unit   = "unit"
	Kind   = "kind"
)

// nameless is the name of a path without letters or digits.
const nameless = "value"

// Name is the name of the series of a metric: the last key of its path that is no index, in lower-case snake_case that PromQL
// takes without quotes ("BME280.Temperature" is temperature, "phases.0.voltageRMS" is voltage_rms).
func Name(path string) string {
	key := path
	for rest := path; ; {
		i := strings.LastIndexAny(rest, "./[")
		last := strings.Trim(rest[i+1:], "[] ")
		if strings.ContainsFunc(last, func(c rune) bool { return c < '0' || c > '9' }) {
			key = last
			break
		}
		if i < 0 {
			break
		}
		rest = rest[:i]
	}
	return snake(key)
}

// snake writes words in lower case with underscores between them.
func snake(key string) string {
	var b strings.Builder
	runes := []rune(key)
	gap := false // something that is not written stands before
	for i, c := range runes {
		letter := c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c))
		if !letter {
			gap = true
			continue
		}
		// A word begins with a capital behind a small letter, or before one.
		word := i > 0 && unicode.IsUpper(c) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if b.Len() > 0 && (gap || word) {
			b.WriteByte('_')
		}
		if b.Len() == 0 && unicode.IsDigit(c) {
			b.WriteByte('_')
		}
		gap = false
		b.WriteRune(unicode.ToLower(c))
	}
	if b.Len() == 0 {
		return nameless
	}
	return b.String()
}

// Labels are the name and labels of a series; kind is its device's, empty where that is not known.
func Labels(s *event.Series, kind string) labels.Labels {
	b := labels.NewScratchBuilder(6)
	for name, value := range map[string]string{
		model.MetricNameLabel: Name(s.Name), Device: s.Device, Topic: s.Topic, Field: s.Name, Unit: s.Unit, Kind: kind,
	} {
		if value != "" {
			b.Add(name, value)
		}
	}
	b.Sort()
	return b.Labels()
}

// A Sample is one value of a series.
type Sample struct {
	Labels labels.Labels
	// Time is in milliseconds since the Unix epoch.
	Time  int64
	Value float64
}

// maxMoved is how many milliseconds a sample is moved on at most to have a time of its own.
const maxMoved = 1000

// maxKinds bounds the devices whose kind is remembered.
const maxKinds = 100_000

// A Mapper makes samples of events in the log's order. Two samples of one series that fall into one millisecond are moved on by
// a millisecond each, so that none is lost; the same events give the same samples, whoever maps them.
type Mapper struct {
	kinds  map[string]string // of devices that have told it
	series map[uint32]*mapped

	// Lost is how many samples were left out because too many came in one millisecond.
	Lost uint64
}

// mapped is what is known of one series.
type mapped struct {
	of     *event.Series
	kind   string
	labels labels.Labels
	// newest are the times of the newest sample, late those of the last that came behind a newer one.
	newest, late moved
}

// moved is the time of a sample as it was said, and that which it got.
type moved struct{ said, got int64 }

// take gives a sample that is said to be of ms a time that no other of its run has, or says that there is none.
func (t *moved) take(ms int64) bool {
	if ms < t.said || ms > t.got {
		t.said, t.got = ms, ms
		return true
	}
	if t.got+1-ms > maxMoved {
		return false
	}
	t.got++
	return true
}

// NewMapper makes a Mapper that has seen nothing.
func NewMapper() *Mapper {
	return &Mapper{kinds: map[string]string{}, series: map[uint32]*mapped{}}
}

// Kinds is what the Mapper knows of devices' kinds, sorted by device: pairs of device and kind. Learn takes it.
func (m *Mapper) Kinds() [][2]string {
	out := make([][2]string, 0, len(m.kinds))
	for _, device := range slices.Sorted(maps.Keys(m.kinds)) {
		out = append(out, [2]string{device, m.kinds[device]})
	}
	return out
}

// Learn tells a device's kind.
func (m *Mapper) Learn(device, kind string) {
	if _, known := m.kinds[device]; kind != "" && device != "" && (known || len(m.kinds) < maxKinds) {
		m.kinds[strings.Clone(device)] = strings.Clone(kind)
	}
}

// Samples calls add for each sample of an event, those of earlier times first.
func (m *Mapper) Samples(d *event.Decoded, add func(Sample)) {
	if d.DeviceKind != "" && m.kinds[d.Device] != d.DeviceKind {
		m.Learn(d.Device, d.DeviceKind)
	}
	for _, s := range d.Earlier {
		m.sample(s.Metric, s.Time, add)
	}
	at := d.Time
	if d.DeviceTime != 0 {
		at = d.DeviceTime
	}
	for _, metric := range d.Metrics {
		m.sample(metric, at, add)
	}
}

func (m *Mapper) sample(metric event.Metric, at int64, add func(Sample)) {
	s := m.series[metric.Series.ID]
	if s == nil {
		s = &mapped{}
		m.series[metric.Series.ID] = s
	}
	if kind := m.kinds[metric.Series.Device]; s.of != metric.Series || s.kind != kind {
		s.of, s.kind, s.labels = metric.Series, kind, Labels(metric.Series, kind)
	}
	ms := at / 1e6
	t := &s.newest
	if ms < s.newest.said {
		t = &s.late
	}
	if !t.take(ms) {
		m.Lost++
		return
	}
	add(Sample{s.labels, t.got, metric.Value})
}
