// Package view runs read models built from the log: each applies the log's events in their order and answers questions
// about what they add up to.
//
// A [View] is the model, a [Runner] feeds it: from the pipeline's batches while it keeps up, from the log by its own
// position when it starts or falls behind. Views never hold the pipeline up. A view's state is saved beside the position
// that it stands at, so that a restart costs the events since then.
package view

import (
	"io"
	"time"

	"pulso/bridge/event"
)

// A View is a read model built from the log. Its Runner calls these methods from one goroutine; what else a view offers
// may be called from any.
type View interface {
	// Name names the view's snapshot file and metrics: lower-case letters.
	Name() string
	// Apply takes events in the log's order. It must not keep the slice, nor write to what it holds.
	Apply(batch []event.Decoded)
	// Save writes the state.
	Save(w io.Writer) error
	// Restore replaces the state by what Save wrote; by nothing where r is empty.
	Restore(r io.Reader) error
}

// A Ticker is a View that also changes with time. Its Runner calls Tick about once a second, from the goroutine of Apply,
// but not before it has caught up with the log.
type Ticker interface {
	Tick(now time.Time)
}
