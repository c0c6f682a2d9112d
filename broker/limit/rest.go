package limit

import "time"

// Bounds of a rest.
const (
	// calmFor is for how long a process that is at rest has been so, and calmBytes how little it allocates a second then.
	calmFor   = 3 * time.Second
	calmBytes = 256 << 10
	// worthBytes, and one part in worthPart of what is in use, is how much must be spare to be given back.
	worthBytes = 4 << 20
	worthPart  = 8
	// restEvery is how often memory is given back.
	restEvery = time.Minute
)

// A rest finds the time to give memory back to the system. After a burst, as of a thousand screens that come at once, Go keeps
// what was garbage for the next one; a process that does nothing at the moment can afford to look for it.
type rest struct {
	since time.Time // when it became calm
	made  int64     // bytes allocated until the last look
	seen  time.Time // when that was
	last  time.Time // when memory was given back
}

// over reports whether now is the time.
func (r *rest) over(u usage, now time.Time) bool {
	elapsed := now.Sub(r.seen)
	busy := r.seen.IsZero() || float64(u.made-r.made) > calmBytes*elapsed.Seconds()
	r.made, r.seen = u.made, now
	if busy {
		r.since = now
	}
	if now.Sub(r.since) < calmFor || now.Sub(r.last) < restEvery || u.spare < max(worthBytes, u.bytes/worthPart) {
		return false
	}
	r.last = now
	return true
}
