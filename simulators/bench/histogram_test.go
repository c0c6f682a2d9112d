package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// Buckets follow each other without a hole, and none is wider than what it promises.
func TestBuckets(t *testing.T) {
	for v := int64(0); v < 1<<histogramHighest; v += 1 + v/777 {
		b := bucketOf(v)
		if b < 0 || b >= histogramBuckets {
			t.Fatalf("%d is in bucket %d", v, b)
		}

		top := topOf(b)
		if top < v || float64(top-v) > float64(v)/128 {
			t.Fatalf("%d is in bucket %d, which ends at %d", v, b, top)
		}

		if next := bucketOf(top + 1); top+1 < 1<<histogramHighest && next != b+1 {
			t.Fatalf("after bucket %d, which ends at %d, comes %d", b, top, next)
		}
	}
}

func TestQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))

	for _, n := range []int{1, 2, 10, 1000, 50_000} {
		h := &histogram{}
		all := make([]time.Duration, n)

		var wg sync.WaitGroup

		for i := range all {
			all[i] = time.Duration(math.Exp(random.NormFloat64()*3) * float64(time.Millisecond))
		}

		for part := range slices.Chunk(all, max(1, n/4)) {
			own := slices.Clone(part)

			wg.Go(func() {
				for _, d := range own {
					h.add(d)
				}
			})
		}

		wg.Wait()
		slices.Sort(all)

		c := h.take()
		if c.total != int64(n) {
			t.Fatalf("%d of %d counted", c.total, n)
		}

		for _, q := range []float64{.5, .9, .99, .999, 1} {
			want := all[max(int(math.Ceil(q*float64(n))), 1)-1]
			if got := c.at(q); got < want || float64(got) > float64(want)*(1+1./128)+1 {
				t.Errorf("of %d, quantile %v is %v, want %v", n, q, got, want)
			}
		}

		if c.at(1) != all[n-1] {
			t.Errorf("longest is %v, want %v", c.at(1), all[n-1])
		}
	}
}

func TestHistogramExtremes(t *testing.T) {
	h := &histogram{}
	if l := latencyOf(h.take()); l != nil {
		t.Errorf("nothing has a distribution: %+v", l)
	}

	h.add(-time.Second)
	h.add(48 * time.Hour)

	c := h.take()
	if c.total != 2 || c.at(.5) != 0 || c.at(1) != 48*time.Hour {
		t.Errorf("total %d, median %v, longest %v", c.total, c.at(.5), c.at(1))
	}

	h.add(time.Millisecond)

	since := h.take().since(c)
	if since.total != 1 || since.at(.5).Round(10*time.Microsecond) != time.Millisecond {
		t.Errorf("since then %d, %v", since.total, since.at(.5))
	}
}

func TestCurveRises(t *testing.T) {
	h := &histogram{}
	for i := range 10_000 {
		h.add(time.Duration(i) * time.Microsecond)
	}

	l := latencyOf(h.take())
	for i, p := range l.Curve {
		if i > 0 && (p[0] < l.Curve[i-1][0] || p[1] < l.Curve[i-1][1]) {
			t.Fatalf("row %d falls: %v after %v", i, p, l.Curve[i-1])
		}
	}

	if last := l.Curve[len(l.Curve)-1]; last[0] != 1 || last[1] != l.Max {
		t.Errorf("it ends at %v, the longest is %v", last, l.Max)
	}
}
