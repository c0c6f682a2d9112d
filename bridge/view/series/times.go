package series

import "math"

// A Run is a stretch of milliseconds that are all taken, First to Last.
type Run struct{ First, Last int64 }

// NoRun is a Run of none.
var NoRun = Run{math.MaxInt64, math.MinInt64}

// Times are those that samples of one series have got: Newest is the latest samples' run, Late that of samples which came after
// newer ones. Two samples of a series at one time are both kept: the second is moved on by a millisecond, and so are those
// after it. The same samples in the same order get the same times.
type Times struct{ Newest, Late Run }

// NoTimes are those of a series without samples.
var NoTimes = Times{NoRun, NoRun}

// MaxAhead is how far in milliseconds a sample may be moved on.
const MaxAhead = 10 * 60 * 1000

// A Placing is what became of a sample's time.
type Placing uint8

// What may become of it.
const (
	// InOrder: it is newer than all before, and has its own time.
	InOrder Placing = iota
	// Moved: it has been moved on to be newer than all before.
	Moved
	// LateInOrder and LateMoved: the same of one that came after newer ones.
	LateInOrder
	LateMoved
	// TooFast: the milliseconds after it are taken for ten minutes.
	TooFast
)

// Place gives a sample taken at the given millisecond its time.
func (t *Times) Place(at int64) (int64, Placing) {
	if at > t.Newest.Last {
		t.Newest = Run{at, at}
		return at, InOrder
	}
	r, plain, pushed := &t.Newest, InOrder, Moved
	if at < t.Newest.First {
		r, plain, pushed = &t.Late, LateInOrder, LateMoved
	}
	switch {
	case at < r.First || at > r.Last:
		*r = Run{at, at}
		return at, plain
	case r.Last+1-at > MaxAhead:
		return 0, TooFast
	default:
		r.Last++
		return r.Last, pushed
	}
}
