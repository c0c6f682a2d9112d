package disklog

import (
	"time"

	"pulso/bridge/event"
)

// Seek narrows down where the first event that arrived at or after a time is: at from, or behind it and before to or at to.
// It reads nothing: what it knows are the times of the segments. Arrival times may step back with the machine's clock; then
// it is the first segment that reaches the time.
func (l *Log) Seek(at time.Time) (from, to event.Position) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	nano := at.UnixNano()
	for _, s := range l.segments {
		if s.last >= nano && s.end > s.base {
			from = l.position(s.base) // a segment is of one epoch
			return from, event.Position{Epoch: from.Epoch, Offset: s.end}
		}
	}
	next := l.position(l.next)
	return next, next
}
