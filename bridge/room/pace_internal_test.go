package room

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	t.Parallel()
	p := newPacer()
	now := time.Unix(1, 0)
	after := func(seconds int, late time.Duration) time.Duration {
		for range seconds * 10 {
			now = now.Add(100 * time.Millisecond)
			p.observe(late, now)
		}
		return p.stretch(20 * time.Millisecond)
	}
	if got := after(5, 100*time.Microsecond); got != 20*time.Millisecond {
		t.Errorf("at ease: %v", got)
	}
	if got := after(3, 8*time.Millisecond); got < 40*time.Millisecond {
		t.Errorf("three seconds overloaded: %v", got)
	}
	if got := after(60, 30*time.Millisecond); got != maxStretch*20*time.Millisecond {
		t.Errorf("at worst: %v", got)
	}
	if got, worst := after(5, 2*time.Millisecond), maxStretch*20*time.Millisecond; got != worst {
		t.Errorf("neither late nor at ease: %v, it was %v", got, worst)
	}
	if got := after(20, 100*time.Microsecond); got != 20*time.Millisecond {
		t.Errorf("recovered: %v", got)
	}
	after(60, 30*time.Millisecond)
	now = now.Add(time.Minute)
	if p.observe(0, now); p.stretch(time.Second) != time.Second {
		t.Errorf("after a minute of silence: %v", p.stretch(time.Second))
	}
	if p.factor = 10; p.stretch(maxInterval) != maxInterval {
		t.Errorf("beyond the longest interval: %v", p.stretch(maxInterval))
	}
}
