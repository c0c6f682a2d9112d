package promapi

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// slots bound how many requests read the history at one time, and how many wait to.
type slots struct {
	free    chan struct{}
	queue   int64
	waiting atomic.Int64
}

func newSlots(count, queue int) *slots {
	return &slots{free: make(chan struct{}, count), queue: int64(queue)}
}

// take waits for a slot until ctx ends. release gives it back; it is never nil, and calling it again does nothing.
func (s *slots) take(ctx context.Context) (release func(), err error) {
	release = sync.OnceFunc(func() { <-s.free })
	select {
	case s.free <- struct{}{}:
		return release, nil
	default:
	}
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > s.queue {
		return func() {}, &failure{kindUnavailable, fmt.Errorf("%d queries are waiting already", s.queue)}
	}
	select {
	case s.free <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		return func() {}, &failure{kindTimeout, fmt.Errorf("the query waited for others to end: %w", context.Cause(ctx))}
	}
}

func (s *slots) running() int { return len(s.free) }
