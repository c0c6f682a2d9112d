package history

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// A Selection says which series are asked for, and from when to when.
type Selection struct {
	// Device, Topic and Fields are what the series must have; empty: any.
	Device, Topic string
	Fields        []string
	// From and To are the first and the last millisecond since the Unix epoch; To 0: the newest there is.
	From, To int64
	// Sees says which series of those may be read, by device and topic; nil: all. It is asked once for each.
	Sees func(device, topic string) bool
}

// Info names a series. Unit and Kind are the newest that its device has said.
type Info struct {
	Device, Topic, Field string
	// Name is the series' name in PromQL.
	Name, Unit, Kind string
}

// Queryable is the storage as PromQL's engine wants it. Its queriers see all that was applied before they began. They
// must be closed, and may be asked for until Close; then the error is ErrClosed.
func (v *View) Queryable() storage.Queryable {
	return storage.QueryableFunc(func(from, to int64) (storage.Querier, error) {
		if err := v.enter(); err != nil {
			return nil, err
		}
		defer v.leave()
		v.settle()
		return v.querier(from, to)
	})
}

// settle brings what was applied into the storage, where queries see it. What cannot be stored now is known to Err; what is
// stored can be read.
func (v *View) settle() {
	v.mu.Lock()
	defer v.mu.Unlock()
	_ = v.flush()
}

func (v *View) querier(from, to int64) (storage.Querier, error) {
	if err := v.enter(); err != nil {
		return nil, err
	}
	q, err := v.db.Querier(from, to)
	if err != nil {
		v.leave()
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return &querier{Querier: q, leave: sync.OnceFunc(v.leave)}, nil
}

// A querier holds the storage open until it is closed.
type querier struct {
	storage.Querier

	leave func()
}

// Close implements storage.Querier.
func (q *querier) Close() error {
	defer q.leave()
	return q.Querier.Close()
}

// clamp cuts a selection to the time of which there is anything; false if there is nothing in it.
func (v *View) clamp(s *Selection) bool {
	oldest, newest, some := v.bounds()
	if s.To == 0 {
		s.To = newest
	}
	s.From, s.To = max(s.From, oldest), min(s.To, newest)
	return some && s.From <= s.To
}

func (s *Selection) matchers() ([]*labels.Matcher, error) {
	var out []*labels.Matcher
	var errs []error
	add := func(t labels.MatchType, name, value string) {
		m, err := labels.NewMatcher(t, name, value)
		out, errs = append(out, m), append(errs, err)
	}
	if s.Device != "" {
		add(labels.MatchEqual, labelDevice, valid(s.Device))
	}
	if s.Topic != "" {
		add(labels.MatchEqual, labelTopic, valid(s.Topic))
	}
	switch len(s.Fields) {
	case 0:
		add(labels.MatchNotEqual, labelField, "")
	case 1:
		add(labels.MatchEqual, labelField, valid(s.Fields[0]))
	default:
		quoted := make([]string, len(s.Fields))
		for i, f := range s.Fields {
			quoted[i] = regexp.QuoteMeta(valid(f))
		}
		add(labels.MatchRegexp, labelField, strings.Join(quoted, "|"))
	}
	return out, errors.Join(errs...)
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// A found series is what the storage has of one series: mostly one variant.
type found struct {
	Info

	variants []storage.Series
}

// find returns what matches, in the order of device, topic and field.
func (v *View) findSeries(ctx context.Context, q storage.Querier, s Selection) ([]*found, error) {
	matchers, err := s.matchers()
	if err != nil {
		return nil, err
	}
	set := q.Select(ctx, false, &storage.SelectHints{Start: s.From, End: s.To}, matchers...)
	byKey := make(map[Info]*found)
	var out []*found
	for set.Next() {
		at := set.At()
		l := at.Labels()
		key := Info{Device: l.Get(labelDevice), Topic: l.Get(labelTopic), Field: l.Get(labelField), Name: l.Get(model.MetricNameLabel)}
		f := byKey[key]
		if f == nil && s.Sees != nil && !s.Sees(key.Device, key.Topic) {
			continue
		}
		if f == nil {
			if len(out) >= v.cfg.MaxQuerySeries {
				return nil, fmt.Errorf("%w: more than %d series", ErrTooMuch, v.cfg.MaxQuerySeries)
			}
			f = &found{Info: key}
			byKey[key] = f
			out = append(out, f)
		}
		f.variants = append(f.variants, at)
	}
	if err := set.Err(); err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	slices.SortFunc(out, func(a, b *found) int {
		return strings.Compare(a.Device+"\x00"+a.Topic+"\x00"+a.Field, b.Device+"\x00"+b.Topic+"\x00"+b.Field)
	})
	v.name(out)
	return out, nil
}

// name adds the newest units and kinds.
func (v *View) name(all []*found) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, f := range all {
		if d := v.devices[f.Device]; d != nil {
			if s := d.series[seriesKey{f.Topic, f.Field}]; s != nil && len(s.variants) > 0 {
				newest := s.variants[len(s.variants)-1]
				f.Unit, f.Kind = newest.unit, newest.kind
				continue
			}
		}
		for _, variant := range f.variants {
			l := variant.Labels()
			f.Unit, f.Kind = max(f.Unit, l.Get(labelUnit)), max(f.Kind, l.Get(labelKind))
		}
	}
}

// A cursor reads the samples of a series in the order of time, those of its variants as one.
type cursor struct {
	parts []chunkenc.Iterator
	// times are where the parts are; those that have ended are gone.
	times []int64
	time  int64
	value float64
	begun bool
	err   error
}

// cursor returns a cursor before the first sample. An earlier one may be given, to be used again.
func (f *found) cursor(c *cursor) *cursor {
	if c == nil {
		c = &cursor{}
	}
	old := c.parts[:cap(c.parts)]
	*c = cursor{parts: c.parts[:0], times: c.times[:0]}
	for i, s := range f.variants {
		var reuse chunkenc.Iterator
		if i < len(old) {
			reuse = old[i]
		}
		it := s.Iterator(reuse)
		if c.advance(it) {
			c.parts, c.times = append(c.parts, it), append(c.times, it.AtT())
		}
	}
	return c
}

// advance moves a part to its next number.
func (c *cursor) advance(it chunkenc.Iterator) bool {
	for {
		switch it.Next() {
		case chunkenc.ValFloat:
			return true
		case chunkenc.ValNone:
			c.err = errors.Join(c.err, it.Err())
			return false
		default: // no histogram was ever stored
		}
	}
}

// next moves to the next sample. Where two variants have one at the same time, it is one sample.
func (c *cursor) next() bool {
	for len(c.parts) > 0 && c.err == nil {
		first := 0
		for i := 1; i < len(c.times); i++ {
			if c.times[i] < c.times[first] {
				first = i
			}
		}
		t, value := c.parts[first].At()
		if c.advance(c.parts[first]) {
			c.times[first] = c.parts[first].AtT()
		} else {
			c.parts, c.times = slices.Delete(c.parts, first, first+1), slices.Delete(c.times, first, first+1)
		}
		if !c.begun || t > c.time {
			c.begun, c.time, c.value = true, t, value
			return true
		}
	}
	return false
}
