package history

import (
	"container/heap"
	"context"
	"fmt"
	"time"

	"pulso/access/meter"
)

// walkWindow is how much time Walk reads at once: the storage holds the whereabouts of all samples in it in memory.
const walkWindow = int64(6 * time.Hour / time.Millisecond)

// A Point is one sample of a Walk.
type Point struct {
	// Series is the same pointer for all samples of a series within one window of some hours; its content is the same always.
	Series *Info
	// Time is in milliseconds since the Unix epoch.
	Time  int64
	Value float64
}

// Walk hands over all samples of a selection in the order of time, those of one time in the order of device, topic and field.
// Memory is bounded by the number of series, not of samples. Errors: the visitor's as it is, ErrTooMuch for too many
// series, ErrClosed, the context's, or that the disk has failed.
func (v *View) Walk(ctx context.Context, s Selection, visit func(Point) error) error {
	if err := v.enter(); err != nil {
		return err
	}
	defer v.leave()
	v.settle() //nolint:contextcheck // What was applied is stored, whoever gives up asking.
	if !v.clamp(&s) {
		return nil
	}
	for from := s.From; from <= s.To; from += walkWindow {
		window := s
		window.From, window.To = from, min(s.To, from+walkWindow-1)
		if err := v.walkWindow(ctx, window, visit); err != nil {
			return err
		}
	}
	return nil
}

func (v *View) walkWindow(ctx context.Context, s Selection, visit func(Point) error) error {
	q, err := v.querier(s.From, s.To)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }() // it has only read
	all, err := v.findSeries(ctx, q, s)
	if err != nil {
		return err
	}
	var h walkers
	for i, f := range all {
		w := walker{info: &f.Info, order: i, cursor: f.cursor(nil)}
		if w.cursor.next() {
			h = append(h, w)
		} else if w.cursor.err != nil {
			return fmt.Errorf("history of %q: %w", f.Field, w.cursor.err)
		}
	}
	heap.Init(&h)
	n := 0
	defer func() { meter.Of(ctx).Read(n) }()
	for ; len(h) > 0; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		w := &h[0]
		if err := visit(Point{Series: w.info, Time: w.cursor.time, Value: w.cursor.value}); err != nil {
			return err
		}
		if w.cursor.next() {
			heap.Fix(&h, 0)
			continue
		}
		if w.cursor.err != nil {
			return fmt.Errorf("history of %q: %w", w.info.Field, w.cursor.err)
		}
		heap.Pop(&h)
	}
	return nil
}

// A walker is a series that a Walk is in.
type walker struct {
	info   *Info
	order  int
	cursor *cursor
}

// walkers are a heap by time.
type walkers []walker

// Len implements heap.Interface.
func (w *walkers) Len() int { return len(*w) }

// Less implements heap.Interface.
func (w *walkers) Less(i, j int) bool {
	if a, b := (*w)[i].cursor.time, (*w)[j].cursor.time; a != b {
		return a < b
	}
	return (*w)[i].order < (*w)[j].order
}

// Swap implements heap.Interface.
func (w *walkers) Swap(i, j int) { (*w)[i], (*w)[j] = (*w)[j], (*w)[i] }

// Push implements heap.Interface.
func (w *walkers) Push(x any) {
	if one, ok := x.(walker); ok {
		*w = append(*w, one)
	}
}

// Pop implements heap.Interface.
func (w *walkers) Pop() any {
	last := len(*w) - 1
	one := (*w)[last]
	*w = (*w)[:last]
	return one
}
