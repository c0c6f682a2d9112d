package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pulso/bridge/eventlog"
)

// Err returns nil while messages are stored, else why they are not: an error that wraps [eventlog.ErrFull] while they wait
// for room, [eventlog.ErrFailed] once the log takes no more, or that the log has been at one commit for long.
func (b *Bridge) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.trouble != nil {
		return b.trouble
	}
	if took := time.Since(b.since); !b.since.IsZero() && took > stuckAfter {
		return fmt.Errorf("the log has stored nothing for %s", took.Round(time.Second))
	}
	return nil
}

// store appends a batch. While there is no room it tries again, until ctx ends.
func (b *Bridge) store(ctx context.Context, t *batch) error {
	err := b.append(t)
	if !errors.Is(err, eventlog.ErrFull) || ctx.Err() != nil {
		return err
	}
	began := time.Now()
	b.metrics.noRoom.Inc()
	b.cfg.Logger.Error("no room to store messages: they wait, and senders are held back; free some space on the disk",
		"error", err, "messages", len(t.events))
	timer := time.NewTimer(firstRetry)
	defer timer.Stop()
	for pause := firstRetry; errors.Is(err, eventlog.ErrFull); {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return err
		}
		pause = min(2*pause, lastRetry)
		timer.Reset(pause)
		err = b.append(t)
	}
	if err == nil {
		b.cfg.Logger.Warn("messages are stored again",
			"waited", time.Since(began).Round(time.Millisecond), "messages", len(t.events)+b.Queued())
	}
	return err
}

// append appends a batch, once, and notes what Err says.
func (b *Bridge) append(t *batch) error {
	start := time.Now()
	b.mu.Lock()
	b.since = start
	b.mu.Unlock()
	err := b.cfg.Log.Append(t.events, t.durable)
	b.metrics.commit.Observe(time.Since(start).Seconds())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = time.Time{}
	if !errors.Is(err, eventlog.ErrTooLarge) { // which is the message's fault
		b.trouble = err
	}
	return err
}

// refused counts messages that the log did not take and tells the operator, at most once a second.
func (b *Bridge) refused(count int, err error) {
	b.metrics.refused.Add(float64(count))
	b.silently += count
	now := time.Now()
	if now.Sub(b.complained) < time.Second {
		return
	}
	what := []any{"count", b.silently, "error", err}
	if errors.Is(err, eventlog.ErrFailed) {
		what = append(what, "remedy", "see to the disk and restart the hub: until then it stores nothing")
	}
	b.cfg.Logger.Error("messages not stored", what...)
	b.complained, b.silently = now, 0
}
