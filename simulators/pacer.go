package simulators

import (
	"context"
	"sync"
	"time"
)

// pacer spaces events evenly: each wait returns one interval after the one before it.
type pacer struct {
	interval time.Duration

	mu   sync.Mutex
	next time.Time
}

// newPacer returns a pacer for perSecond events a second; 0 means no limit.
func newPacer(perSecond float64) *pacer {
	if perSecond <= 0 {
		return &pacer{}
	}

	return &pacer{interval: time.Duration(float64(time.Second) / perSecond)}
}

// wait returns at the caller's turn, or with the context's error.
func (p *pacer) wait(ctx context.Context) error {
	if p.interval == 0 {
		return ctx.Err()
	}

	p.mu.Lock()
	now := time.Now()
	turn := p.next

	if turn.Before(now) {
		turn = now
	}

	p.next = turn.Add(p.interval)
	p.mu.Unlock()

	return sleep(ctx, time.Until(turn))
}

// sleep waits for d or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}

	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
