package disklog

import (
	"pulso/bridge/event"
)

// scanRecords is how many records one Scan looks at, at most.
const scanRecords = 1 << 15

// Scan implements [eventlog.Log].
func (l *Log) Scan(from event.Position, want func(topic string) bool, limit int) (found []event.Event, next event.Position, err error) {
	if _, err := l.checkOpen(from); err != nil {
		return nil, event.Position{}, err
	}
	r := l.reader(limit)
	defer l.readers.Put(r)
	r.want, r.look = want, scanRecords
	offset := from.Offset
	for r.hasRoom() && r.look > 0 && err == nil {
		v, viewErr := l.view(offset)
		if err = viewErr; err == nil && v.segment == nil {
			break
		}
		if err == nil {
			offset, err = l.readSegment(r, v, offset)
		}
	}
	found = r.take()
	if err != nil && offset == from.Offset {
		return nil, event.Position{}, err
	}
	return found, l.position(offset), nil
}
