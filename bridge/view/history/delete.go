package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"pulso/bridge/event"
	"pulso/internal/replace"
)

const (
	// maxDeleted bounds the deleted devices that are remembered, so that reading the log again does not bring them back.
	maxDeleted = 10_000
	// cleanEvery is the least time between two rewritings of blocks that hold deleted samples.
	cleanEvery = time.Hour
)

// Delete removes all samples of a device. No query returns them any more; from the disk they go within some hours. If the device
// speaks again, its history begins anew. Its error is the context's, or that the disk has failed: then it may be called
// again.
func (v *View) Delete(ctx context.Context, device string) error {
	if err := v.enter(); err != nil {
		return err
	}
	defer v.leave()
	until, err := v.forgetDevice(device)
	if err != nil {
		return fmt.Errorf("delete the history of %q: %w", device, err)
	}
	match, err := labels.NewMatcher(labels.MatchEqual, labelDevice, device)
	if err == nil {
		err = v.db.Delete(ctx, math.MinInt64, until, match)
	}
	if err != nil {
		return fmt.Errorf("delete the history of %q: %w", device, err)
	}
	return nil
}

// forgetDevice forgets the device's series, for good, and returns the time of the newest sample that there may be.
func (v *View) forgetDevice(device string) (until int64, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.flush(); err != nil {
		return 0, err
	}
	v.forget(device)
	if len(v.deleted) >= maxDeleted {
		v.forgetOldestDeletion()
	}
	v.deleted[device] = v.position
	v.uncleaned = true
	_, newest, _ := v.bounds()
	return newest, v.writeDeleted()
}

// forgetOldestDeletion makes room for another. The oldest is that of another log, or the one at the lowest offset.
func (v *View) forgetOldestDeletion() {
	oldest, found := "", false
	for device, at := range v.deleted {
		before := v.deleted[oldest]
		if !found || at.Epoch != v.position.Epoch || before.Epoch == v.position.Epoch && at.Offset < before.Offset {
			oldest, found = device, true
		}
	}
	delete(v.deleted, oldest)
}

func (v *View) writeDeleted() error {
	if !v.keep {
		return nil
	}
	data, err := json.Marshal(v.deleted)
	if err != nil {
		return err
	}
	return replace.File(filepath.Join(v.dir, deletedFile), data)
}

func (v *View) readDeleted() error {
	data, err := os.ReadFile(filepath.Join(v.dir, deletedFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &v.deleted); err != nil {
		return fmt.Errorf("read %s: %w", deletedFile, err)
	}
	if v.deleted == nil {
		v.deleted = make(map[string]event.Position)
	}
	return nil
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
