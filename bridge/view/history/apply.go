package history

import (
	"cmp"
	"context"
	"errors"
	"math"
	"time"

	"github.com/prometheus/prometheus/storage"

	"pulso/bridge/event"
	rules "pulso/bridge/view/series"
)

// A sample waits for the storage.
type sample struct {
	to    *variant
	time  int64
	value float64
}

const (
	// commitSamples is how many samples wait at most, commitAfter for how long while events come. Queries do not wait: they
	// bring what is pending into the storage themselves.
	commitSamples = 4096
	commitAfter   = 100 * time.Millisecond
	// retryAfter is how long a commit that failed is waited with.
	retryAfter = time.Second
)

// Apply implements view.View. While the disk is full it waits, see [View.Stop].
func (v *View) Apply(batch []event.Decoded) {
	if len(batch) == 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.givenUp != nil {
		return
	}
	if len(v.pending) == 0 {
		v.since = time.Now()
	}
	for i := range batch {
		if device, ok := batch[i].Forgets(); ok {
			if !v.forgetDevice(device, &batch[i]) {
				return
			}
			continue
		}
		v.take(&batch[i])
		if len(v.pending) >= commitSamples && !v.commit() {
			return
		}
	}
	if len(v.pending) > 0 && time.Since(v.since) >= commitAfter {
		v.commit()
	}
}

// Tick implements view.Ticker.
func (v *View) Tick(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stored.newest = nil // the end of the log was reached: whatever comes now is new
	if v.givenUp == nil {
		v.commit()
	}
	v.cleanNowAndThen(now)
}

// take gives the readings of an event their times and series.
func (v *View) take(d *event.Decoded) {
	if d.DeviceKind != "" {
		v.learn(d.Device, d.DeviceKind)
	}
	for _, e := range rules.Earlier(d) {
		v.add(d, e.Metric, e.Time)
	}
	for _, m := range d.Metrics {
		v.add(d, m, cmp.Or(m.Time, d.DeviceTime))
	}
}

// add gives one reading its time and series. at is the device's time in nanoseconds, 0 for none.
func (v *View) add(d *event.Decoded, m event.Metric, at int64) {
	if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
		return
	}
	if at == 0 || at > d.Time+int64(rules.MaxFuture) {
		at = d.Time
	}
	arrival := milliseconds(d.Time)
	h := v.find(m.Series, arrival)
	s := h.series
	if s == nil {
		v.refused.samples[h.reason]++
		return
	}
	taken := milliseconds(at)
	if d.Retain && at != d.Time && taken == s.Newest.Last && m.Value == s.value {
		v.figures.merged.Add(1) // a retained message that has come before
		return
	}
	t, placed := s.Place(taken)
	if placed == rules.TooFast {
		v.refused.samples[ReasonRate]++
		return
	}
	if placed == rules.Moved || placed == rules.LateMoved {
		v.figures.moved.Add(1)
	}
	if placed == rules.InOrder || placed == rules.Moved {
		s.value = m.Value
		if v.stored.has(s, t) {
			v.figures.merged.Add(1)
			return
		}
	}
	v.pending = append(v.pending, sample{to: h.variant, time: t, value: m.Value})
}

// milliseconds rounds nanoseconds down.
func milliseconds(ns int64) int64 { return time.Unix(0, ns).UnixMilli() }

// commit brings what is pending into the storage, and tries again until it is there. It reports false when it has given
// up, because the view is being stopped. The lock is held, but not while it waits.
func (v *View) commit() bool {
	for {
		err := v.flush()
		if err == nil {
			return true
		}
		v.mu.Unlock()
		stopped := v.pause()
		v.mu.Lock()
		if stopped {
			v.givenUp, v.pending = err, nil
			return false
		}
	}
}

// flush brings what is pending into the storage. After an error all of it is still pending.
func (v *View) flush() error {
	if len(v.pending) == 0 {
		return v.givenUp
	}
	var done [3]uint64 // stored, merged, too old
	a := v.db.Appender(context.Background())
	for i := range v.pending {
		p := &v.pending[i]
		ref, err := a.Append(p.to.ref, p.to.labels, p.time, p.value)
		switch {
		case err == nil:
			p.to.ref = ref
			done[0]++
		case errors.Is(err, storage.ErrOutOfOrderSample), errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
			done[1]++
		case errors.Is(err, storage.ErrTooOldSample), errors.Is(err, storage.ErrOutOfBounds):
			done[2]++
		default:
			v.refused.samples[ReasonStorage]++
			v.logger.Warn("a sample is not taken", "labels", p.to.labels.String(), "error", err)
		}
	}
	if err := a.Commit(); err != nil {
		return v.failed(err)
	}
	if v.trouble != nil {
		v.trouble = nil
		v.logger.Info("samples can be stored again")
	}
	v.figures.stored.Add(done[0])
	v.figures.merged.Add(done[1])
	v.refused.samples[ReasonAge] += done[2]
	clear(v.pending)
	v.pending = v.pending[:0]
	v.since = time.Now()
	return nil
}

// failed takes note of a commit that failed.
func (v *View) failed(err error) error {
	v.figures.failed.Add(1)
	if v.trouble == nil {
		v.logger.Error("samples cannot be stored; trying again", "error", err)
	}
	v.trouble = err
	return err
}
