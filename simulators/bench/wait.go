package bench

import (
	"context"
	"time"
)

// fineTimers is how many publishers may wait with a system thread each.
const fineTimers = 64

// coarse is how far off the runtime's timers may be: it waits for them in whole milliseconds while nothing else happens.
const coarse = 1500 * time.Microsecond

// waitUntil returns at a moment of clock, or with the context's error. fine holds a system thread for the last part, to be there within
// a tenth of a millisecond.
func waitUntil(ctx context.Context, clock func() int64, moment int64, fine bool) error {
	d := time.Duration(moment - clock())

	if !fine || d > coarse {
		if fine {
			d -= coarse
		}

		if d > 0 {
			timer := time.NewTimer(d)
			defer timer.Stop()

			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}

		d = time.Duration(moment - clock())
	}

	if fine && d > 0 && ctx.Err() == nil {
		shortSleep(d)
	}

	return ctx.Err()
}
