package view

import (
	"sync"
	"time"

	"pulso/bridge/event"
)

const (
	// groupDelay is for how long batches gather: the first that comes after it takes those before it along.
	groupDelay = 25 * time.Millisecond
	// groupRest is when what nothing came after is offered. It is seldom needed, and a timer costs as much as many batches.
	groupRest = 100 * time.Millisecond
	// groupBatches and groupEvents are how many wait at most: less than fits into a Runner's queue.
	groupBatches = 32
	groupEvents  = 2048
)

// A Group offers batches to Runners some at a time. Waking each Runner for each commit takes the processor from those who
// have to be quick: screens and devices, who have had the batch already. Offer and Flush may be called from any goroutine.
type Group struct {
	runners []*Runner

	mu      sync.Mutex
	pending [][]event.Decoded
	events  int
	since   time.Time // when the first of them came
	armed   bool      // a timer will flush
}

// NewGroup returns a Group of Runners.
func NewGroup(runners []*Runner) *Group { return &Group{runners: runners} }

// Offer takes a batch of the log's newest events, which nobody may write to any more. It never blocks.
func (g *Group) Offer(batch []event.Decoded) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if len(g.pending) == 0 {
		g.since = now
	}
	g.pending = append(g.pending, batch)
	g.events += len(batch)
	switch {
	case len(g.pending) >= groupBatches, g.events >= groupEvents, now.Sub(g.since) >= groupDelay:
		g.flush()
	case !g.armed:
		g.armed = true
		time.AfterFunc(groupRest, g.rest)
	}
}

// rest flushes what nothing has come after.
func (g *Group) rest() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed = false
	g.flush()
}

// Flush offers what waits.
func (g *Group) Flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flush()
}

func (g *Group) flush() {
	for _, r := range g.runners {
		for _, batch := range g.pending {
			r.Offer(batch)
		}
	}
	clear(g.pending)
	g.pending, g.events = g.pending[:0], 0
}
