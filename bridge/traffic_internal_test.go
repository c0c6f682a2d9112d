package bridge

import (
	"testing"
	"time"

	"pulso/bridge/event"
)

// The way from a device counts where its clock tells it, and is not made up elsewhere.
func TestLag(t *testing.T) {
	const now = int64(1_763_830_000_500_000_000)
	ms := int64(time.Millisecond)
	for name, test := range map[string]struct {
		sent, want int64
	}{
		"known":                {now - 30*ms, 30 * ms},
		"no time":              {0, 0},
		"whole seconds":        {now - 500*ms, 0},
		"a clock ahead":        {now + 30*ms, 0},
		"kept for a long time": {now - 61_000*ms, 0},
	} {
		ns, known := lag(&event.Decoded{Event: event.Event{Time: now}, DeviceTime: test.sent})
		if known != (test.want > 0) || known && ns != test.want {
			t.Errorf("%s: %d, %t", name, ns, known)
		}
	}
}

func TestLatenciesAreBounded(t *testing.T) {
	var l latencies
	for i := range int64(3 * maxLatencies) {
		l.add(i)
	}
	if p50, p99 := l.take(); len(l.list) != 0 || p50 < 2*maxLatencies || p99 < p50 {
		t.Errorf("%d, %d", p50, p99)
	}
	if p50, p99 := l.take(); p50 != 0 || p99 != 0 {
		t.Errorf("of nothing: %d, %d", p50, p99)
	}
}
