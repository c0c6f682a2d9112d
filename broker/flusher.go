package broker

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxFlushers = 8
	// lazyWrites is how many lazy writes a flusher makes at once in each lazyPeriod; the connections beyond wait for its
	// end, and so gather what comes meanwhile. A write costs some microseconds whatever it carries: few subscribers get
	// each message at once, very many get fuller packets.
	lazyWrites = 100
	lazyPeriod = 10 * time.Millisecond
)

// flushers share the connections among them.
type flushers struct {
	all  []*flusher
	turn atomic.Uint32
}

func newFlushers() *flushers {
	f := &flushers{}
	for range min(runtime.GOMAXPROCS(0), maxFlushers) {
		f.all = append(f.all, &flusher{wake: make(chan struct{}, 1)})
	}
	return f
}

func (f *flushers) next() *flusher { return f.all[int(f.turn.Add(1))%len(f.all)] }

// A flusher writes what is queued on its connections.
type flusher struct {
	wake chan struct{}

	mu       sync.Mutex
	now      []*conn
	lazy     []*conn
	sleeping bool
	sated    bool // it has made its lazy writes of this period
}

func (f *flusher) add(c *conn, lazy bool) {
	f.mu.Lock()
	if lazy {
		f.lazy = append(f.lazy, c)
	} else {
		f.now = append(f.now, c)
	}
	wake := f.sleeping && (!lazy || !f.sated)
	if wake {
		f.sleeping = false
	}
	f.mu.Unlock()
	if wake {
		f.wake <- struct{}{}
	}
}

// take returns the connections that are due, or sleeps.
func (f *flusher) take(now, lazy []*conn, sated bool) (_, _ []*conn, idle bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, f.now = f.now, now[:0]
	if sated {
		lazy = lazy[:0]
	} else {
		lazy, f.lazy = f.lazy, lazy[:0]
	}
	idle = len(now)+len(lazy) == 0
	f.sleeping, f.sated = idle, sated
	return now, lazy, idle
}

// run works until ctx ends.
func (f *flusher) run(ctx context.Context) {
	var now, lazy []*conn
	var began time.Time // of the current period
	budget := 0
	period := time.NewTimer(lazyPeriod)
	defer period.Stop()
	for {
		if time.Since(began) >= lazyPeriod {
			began, budget = time.Now(), lazyWrites
		}
		var idle bool
		now, lazy, idle = f.take(now, lazy, budget <= 0)
		for _, c := range now {
			c.writeQueued()
		}
		for _, c := range lazy {
			c.writeQueued()
		}
		budget -= len(lazy)
		clear(now)
		clear(lazy)
		if !idle {
			continue
		}
		var over <-chan time.Time
		if budget <= 0 {
			period.Reset(lazyPeriod - time.Since(began))
			over = period.C
		}
		select {
		case <-f.wake:
		case <-over:
			f.awake()
		case <-ctx.Done():
			return
		}
	}
}

// awake takes note that the flusher woke by itself; a wake that has been sent meanwhile is taken.
func (f *flusher) awake() {
	f.mu.Lock()
	sleeping := f.sleeping
	f.sleeping = false
	f.mu.Unlock()
	if !sleeping {
		<-f.wake
	}
}
