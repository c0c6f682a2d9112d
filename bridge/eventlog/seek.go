package eventlog

import (
	"errors"
	"time"

	"pulso/bridge/event"
)

// Seek returns the place of the first event that arrived at or after a time; the log's end where there is none. It reads one
// event for each halving of what is searched: an engine with a method Seek, which knows the times of its pieces, searches
// one piece. Where the machine's clock was set back, it is one of the places that fit. Errors as of [Log.Read].
func Seek(log interface {
	Bounds() (first, next event.Position)
	Read(from event.Position, limit int) ([]event.Event, error)
}, at time.Time,
) (event.Position, error) {
	from, to := log.Bounds()
	if pieces, ok := log.(interface {
		Seek(at time.Time) (from, to event.Position)
	}); ok {
		from, to = pieces.Seek(at)
	}
	for low, high := from.Offset, to.Offset; low < high; {
		middle := event.Position{Epoch: from.Epoch, Offset: low + (high-low)/2}
		found, err := log.Read(middle, 1)
		var trimmed *TrimmedError
		switch {
		case errors.As(err, &trimmed):
			low = max(middle.Offset+1, trimmed.First.Offset)
			from.Offset = min(low, high)
		case err != nil:
			return event.Position{}, err
		case len(found) > 0 && found[0].Time < at.UnixNano():
			low = middle.Offset + 1
			from.Offset = low
		default:
			high = middle.Offset
		}
	}
	return from, nil
}
