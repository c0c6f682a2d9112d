package history

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"pulso/bridge/event"
)

// cleanEvery is the least time between two rewritings of blocks that hold deleted samples.
const cleanEvery = time.Hour

// forgetDevice removes what a device has told before an event of the log (see [event.KindForget]), and tries again until
// that is done. It reports false when it has given up, because the view is being stopped. The lock is held, but not while
// the storage works.
//
// What goes is what is not newer than the device's newest sample at that place of the log. So reading the log again, which
// deletes again, takes nothing of what the device has told later.
func (v *View) forgetDevice(id string, e *event.Decoded) bool {
	until := milliseconds(e.Time)
	if d := v.devices[id]; d != nil && len(d.series) > 0 {
		until = math.MinInt64
		for _, s := range d.series {
			until = max(until, s.Newest.Last)
		}
	}
	v.forget(id)
	v.uncleaned = true
	for v.commit() {
		v.mu.Unlock()
		err := v.deleteUntil(id, until)
		stopped := err != nil && v.pause()
		v.mu.Lock()
		switch {
		case err == nil:
			return true
		case stopped:
			v.givenUp = err
			return false
		}
		v.logger.Error("the history of a device could not be deleted; trying again", "device", id, "error", err)
	}
	return false
}

// deleteUntil deletes the samples of a device up to a time.
func (v *View) deleteUntil(device string, until int64) error {
	ctx := context.Background()
	match, err := labels.NewMatcher(labels.MatchEqual, labelDevice, valid(device))
	if err == nil && v.db.Head().MinOOOTime() != math.MaxInt64 {
		// Late samples can only be deleted from blocks.
		err = v.db.CompactOOOHead(ctx)
	}
	if err == nil {
		err = v.db.Delete(ctx, math.MinInt64, until, match)
	}
	if err != nil {
		return fmt.Errorf("delete the history of %q: %w", device, err)
	}
	return nil
}

// pause waits before something is tried again, and reports whether the view was stopped meanwhile.
func (v *View) pause() (stopped bool) {
	timer := time.NewTimer(retryAfter)
	defer timer.Stop()
	select {
	case <-v.stop:
		return true
	case <-timer.C:
		return false
	}
}

// cleanNowAndThen rewrites blocks without what was deleted, in the background.
func (v *View) cleanNowAndThen(now time.Time) {
	if !v.uncleaned || now.Sub(v.cleanedAt) < cleanEvery {
		return
	}
	v.uncleaned, v.cleanedAt = false, now
	v.cleaning.Go(func() {
		if err := v.db.CleanTombstones(); err != nil {
			v.logger.Error("deleted samples could not be removed from the disk", "error", err)
			v.mu.Lock()
			v.uncleaned = true
			v.mu.Unlock()
		}
	})
}
