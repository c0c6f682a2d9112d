package bench

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations in buckets whose width grows with the value: 128 to each power of two, so that a bucket is at most
// 1/128 (0.8 %) wide of what it holds. Values from 0 to about 18 minutes are told apart, longer ones count as that. It takes 35 KiB,
// however much it counts. It may be used from any number of goroutines.
type histogram struct {
	buckets [histogramBuckets]atomic.Int64
	longest atomic.Int64 // nanoseconds
}

const (
	histogramBits    = 7  // of a value that its bucket keeps below the highest
	histogramHighest = 40 // bits of the largest value
	histogramBuckets = (histogramHighest - histogramBits + 1) << histogramBits
)

// add counts a duration; a negative one as 0.
func (h *histogram) add(d time.Duration) {
	v := min(max(int64(d), 0), 1<<histogramHighest-1)
	h.buckets[bucketOf(v)].Add(1)

	for {
		longest := h.longest.Load()
		if int64(d) <= longest || h.longest.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

func bucketOf(v int64) int {
	shift := max(bits.Len64(uint64(v))-histogramBits-1, 0)

	return shift<<histogramBits + int(v>>shift)
}

// topOf is the largest value that its bucket holds.
func topOf(bucket int) int64 {
	if bucket < 2<<histogramBits {
		return int64(bucket)
	}

	shift := bucket>>histogramBits - 1

	return (int64(bucket-shift<<histogramBits)+1)<<shift - 1
}

// take copies what has been counted.
func (h *histogram) take() *counts {
	c := &counts{longest: h.longest.Load()}
	for i := range h.buckets {
		n := h.buckets[i].Load()
		c.buckets[i] = n
		c.total += n
	}

	return c
}

// counts are a histogram's at one moment, or between two.
type counts struct {
	buckets [histogramBuckets]int64
	total   int64
	longest int64 // nanoseconds; exact, where it is of the whole time
}

// since returns what came after an earlier moment. Its longest is that of the bucket.
func (c *counts) since(earlier *counts) *counts {
	d := &counts{}
	for i := range c.buckets {
		n := c.buckets[i] - earlier.buckets[i]
		d.buckets[i] = n
		d.total += n

		if n > 0 {
			d.longest = min(topOf(i), c.longest)
		}
	}

	return d
}

// at returns the duration that the share q of all is no longer than, to within 0.8 % above; 1 is the longest.
func (c *counts) at(q float64) time.Duration {
	if c.total == 0 {
		return 0
	}

	rank := max(int64(math.Ceil(q*float64(c.total))), 1)
	if rank >= c.total {
		return time.Duration(c.longest)
	}

	for i, n := range &c.buckets {
		if rank -= n; rank <= 0 {
			return time.Duration(min(topOf(i), c.longest))
		}
	}

	return time.Duration(c.longest)
}
