package limit

import (
	"testing"
	"time"
)

func TestRest(t *testing.T) {
	t.Parallel()
	var r rest
	now := time.Unix(1000, 0)
	u := usage{bytes: 16 << 20, spare: 8 << 20}
	// after reports after how many quarters of a second memory is given back, 0 for not within those.
	after := func(quarters int, each int64) int {
		for n := range quarters {
			now = now.Add(250 * time.Millisecond)
			u.made += each
			if r.over(u, now) {
				return n + 1
			}
		}
		return 0
	}
	if n := after(100, 1<<20); n != 0 {
		t.Errorf("while it works: after %d", n)
	}
	if n := after(100, 1<<10); n != 12 {
		t.Errorf("at rest: after %d", n)
	}
	if n := after(200, 1<<10); n != 0 {
		t.Errorf("again within a minute: after %d", n)
	}
	if n := after(100, 1<<10); n == 0 {
		t.Error("not again after a minute")
	}
	u.spare = 2 << 20
	if n := after(500, 1<<10); n != 0 {
		t.Errorf("little to give: after %d", n)
	}
}
