package limit

import "time"

// A clock counts time from when it was made; it is a time.Time to stay on the monotonic clock.
type clock time.Time

func newClock() clock { return clock(time.Now()) }

// now is the time that has passed, never negative.
func (c clock) now() time.Duration { return time.Since(time.Time(c)) }

// A bucket is a token bucket in the form of the generic cell rate algorithm (ITU-T I.371, annex A): all that it has to
// remember is when it will be full again. Its zero value is full.
type bucket struct{ full time.Duration }

// take takes what costs that much time to refill, from a bucket that holds what refills within burst. It may go into
// debt, and returns how long to wait until there is none.
func (b *bucket) take(now, cost, burst time.Duration) time.Duration {
	b.full = max(b.full, now) + cost
	return max(0, b.full-now-burst)
}

// allow takes as take does, unless that would mean debt: then it takes nothing and returns false.
func (b *bucket) allow(now, cost, burst time.Duration) bool {
	full := max(b.full, now) + cost
	if full-now > burst {
		return false
	}
	b.full = full
	return true
}
