package bridge

import "pulso/bridge/event"

// Past is the log as the rooms read it: decoded.
type Past struct {
	Bridge *Bridge
	// FindTopics finds the known topics of filters and devices (none: all) that a scope (nil: any) sees, up to limit, and says if
	// there are more.
	FindTopics func(filters, devices []string, scope event.Scope, limit int) ([]string, bool)
}

// Read returns up to limit decoded events from a position on; none at the log's end. It may return fewer at any time. Those
// who read the same share the events, and the work. Errors as of eventlog.Log.
func (p Past) Read(from event.Position, limit int) ([]event.Decoded, error) {
	first, next := p.Bounds()
	events, hit, err := p.Bridge.chunks.get(from, first, next, limit)
	if hit {
		p.Bridge.metrics.pastMemory.Inc()
	} else {
		p.Bridge.metrics.pastLog.Inc()
	}
	return events, err
}

// readLog reads the log and decodes.
func (b *Bridge) readLog(from event.Position, limit int) ([]event.Decoded, error) {
	events, err := b.cfg.Log.Read(from, limit)
	if err != nil {
		return nil, err
	}
	return b.Decode(events), nil
}

// Last returns up to limit decoded events of a topic before a position, oldest first.
func (p Past) Last(topic string, before event.Position, limit int) ([]event.Decoded, error) {
	events, err := p.Bridge.cfg.Log.Last(topic, before, limit)
	if err != nil {
		return nil, err
	}
	return p.Bridge.Decode(events), nil
}

// Bounds returns the oldest position held and the position after the newest event.
func (p Past) Bounds() (first, next event.Position) { return p.Bridge.cfg.Log.Bounds() }

// Topics finds known topics.
func (p Past) Topics(filters, devices []string, scope event.Scope, limit int) ([]string, bool) {
	return p.FindTopics(filters, devices, scope, limit)
}
