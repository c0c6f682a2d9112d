// Package memlog is the log engine for tests, demonstrations and hubs whose past may go with them: it keeps events in
// memory, bounded by bytes, number and age.
//
// It is not durable: Append treats durable batches like any other, and nothing survives the end of the process. All else
// is as [eventlog.Log] promises. There is no goroutine; retention is applied with each Append and Trim.
package memlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// eventOverhead is what an event takes in bytes besides its contents: the entry, and its share of the topic index.
const eventOverhead = 160

// Bounds of one Scan: how many events it looks at, at most, and how many at a time.
const (
	scanEvents = 1 << 14
	scanPart   = 512
)

// ErrConfig is wrapped by the error of New.
var ErrConfig = errors.New("invalid configuration")

// A Config bounds a log. What is over a bound goes, the oldest first.
type Config struct {
	// MaxBytes bounds the memory in bytes, estimated; 0: 64 MiB.
	MaxBytes int64
	// MaxEvents bounds their number; 0: 1,000,000.
	MaxEvents int
	// MaxAge bounds the age of events by their Time; 0 or negative: no bound.
	MaxAge time.Duration
	// MaxEventBytes bounds one event, contents and properties, in bytes; 0: [eventlog.DefaultEventBytes].
	MaxEventBytes int
	// Metrics gets the log's metrics; nil: they are not registered.
	Metrics prometheus.Registerer
}

func (c Config) withDefaults() (Config, error) {
	if c.MaxBytes == 0 {
		c.MaxBytes = 64 << 20
	}
	if c.MaxEvents == 0 {
		c.MaxEvents = 1_000_000
	}
	if c.MaxEventBytes == 0 {
		c.MaxEventBytes = eventlog.DefaultEventBytes
	}
	if c.MaxBytes < 0 || c.MaxEvents < 0 || c.MaxEventBytes < 0 {
		return c, fmt.Errorf("%w: a bound of the log in memory is negative", ErrConfig)
	}
	return c, nil
}

// A Log is an [eventlog.Log] in memory.
type Log struct {
	cfg     Config
	epoch   uint64
	metrics *metrics
	signal  eventlog.Signal

	mu     sync.RWMutex
	ring   ring
	topics map[string]*offsets
	bytes  int64
	closed bool
}

var _ eventlog.Log = (*Log)(nil)

// New returns an empty log. Errors: [ErrConfig], or that the metrics are registered already.
func New(c Config) (*Log, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Log{cfg: c, epoch: eventlog.NewEpoch(), topics: make(map[string]*offsets)}
	l.metrics = newMetrics(l)
	if err := l.metrics.register(c.Metrics); err != nil {
		return nil, err
	}
	return l, nil
}

// Append implements [eventlog.Log].
func (l *Log) Append(batch []event.Event, _ bool) error {
	payload := 0
	for i := range batch {
		if n := size(&batch[i]); n > l.cfg.MaxEventBytes {
			return fmt.Errorf("%w: event %d of the batch, %d bytes, at most %d",
				eventlog.ErrTooLarge, i, n, l.cfg.MaxEventBytes)
		}
		payload += len(batch[i].Payload)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return eventlog.ErrClosed
	}
	slab := make([]byte, 0, payload)
	for i := range batch {
		e := &batch[i]
		e.Position = l.position(l.ring.next)
		held := *e
		held.Payload = nil
		if n := len(e.Payload); n > 0 {
			slab = append(slab, e.Payload...)
			held.Payload = slab[len(slab)-n:][:n:n]
		}
		held.Properties = clone(e.Properties)
		l.add(held)
	}
	l.trim()
	l.metrics.events.Add(float64(len(batch)))
	l.signal.Wake()
	return nil
}

// add puts an event at the end; mu is held.
func (l *Log) add(e event.Event) {
	l.bytes += int64(size(&e)) + eventOverhead
	if e.Topic != "" {
		of := l.topics[e.Topic]
		if of == nil {
			of = &offsets{}
			l.topics[e.Topic] = of
		}
		of.push(l.ring.next)
	}
	l.ring.push(e)
}

// trim drops the oldest events as far as the bounds ask for; mu is held.
func (l *Log) trim() {
	oldest := int64(0)
	if l.cfg.MaxAge > 0 {
		oldest = time.Now().Add(-l.cfg.MaxAge).UnixNano()
	}
	for n := l.ring.len(); n > 0; n = l.ring.len() {
		e := l.ring.at(l.ring.first)
		aged := l.cfg.MaxAge > 0 && e.Time < oldest
		if !aged && n <= l.cfg.MaxEvents && l.bytes <= l.cfg.MaxBytes {
			return
		}
		l.bytes -= int64(size(e)) + eventOverhead
		if e.Topic != "" && l.topics[e.Topic].pop() {
			delete(l.topics, e.Topic)
		}
		l.ring.pop()
		l.metrics.trimmed.Inc()
	}
}

// Read implements [eventlog.Log].
func (l *Log) Read(from event.Position, limit int) ([]event.Event, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.check(from); err != nil {
		return nil, err
	}
	if from.Offset < l.ring.first {
		return nil, &eventlog.TrimmedError{From: from, First: l.position(l.ring.first)}
	}
	end, bytes := from.Offset, 0
	for end < l.ring.next && end-from.Offset < uint64(max(0, limit)) && bytes < eventlog.ReadBytes {
		bytes += len(l.ring.at(end).Payload)
		end++
	}
	if end == from.Offset {
		return nil, nil
	}
	events := make([]event.Event, 0, end-from.Offset)
	for offset := from.Offset; offset < end; offset++ {
		events = append(events, *l.ring.at(offset))
	}
	return events, nil
}

// Scan implements [eventlog.Log]. It looks at one event after another: there is an index of each topic's events, but none
// of topics in the log's order.
func (l *Log) Scan(from event.Position, want func(topic string) bool, limit int) (found []event.Event, next event.Position, err error) {
	next, bytes := from, 0
	for looked := 0; looked < scanEvents && len(found) < limit && bytes < eventlog.ReadBytes; {
		some, err := l.Read(next, scanPart)
		if looked > 0 && errors.As(err, new(*eventlog.TrimmedError)) {
			return found, next, nil // the next Scan says so
		}
		if err != nil {
			return nil, event.Position{}, err
		}
		if len(some) == 0 {
			break
		}
		for i := range some { // want is not called with the log locked
			next = some[i].Next()
			if !want(some[i].Topic) {
				continue
			}
			found = append(found, some[i])
			if bytes += len(some[i].Payload); len(found) == limit || bytes >= eventlog.ReadBytes {
				break
			}
		}
		looked += len(some)
	}
	return found, next, nil
}

// Last implements [eventlog.Log].
func (l *Log) Last(topic string, before event.Position, limit int) ([]event.Event, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	end := l.ring.next
	if l.closed {
		return nil, eventlog.ErrClosed
	}
	if !before.IsZero() {
		if err := l.check(before); err != nil {
			return nil, err
		}
		end = before.Offset
	}
	of := l.topics[topic]
	if of == nil {
		return nil, nil
	}
	found, bytes := of.below(end), 0
	first := len(found)
	for first > 0 && len(found)-first < limit && bytes < eventlog.ReadBytes {
		first--
		bytes += len(l.ring.at(found[first]).Payload)
	}
	events := make([]event.Event, 0, len(found)-first)
	for _, offset := range found[first:] {
		events = append(events, *l.ring.at(offset))
	}
	return events, nil
}

// Bounds implements [eventlog.Log].
func (l *Log) Bounds() (first, next event.Position) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.position(l.ring.first), l.position(l.ring.next)
}

// Wait implements [eventlog.Log].
func (l *Log) Wait(ctx context.Context, from event.Position) error {
	for {
		changed := l.signal.C()
		l.mu.RLock()
		err, next := l.check(from), l.ring.next
		l.mu.RUnlock()
		if err != nil || from.Offset < next {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Trim implements [eventlog.Log].
func (l *Log) Trim() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return eventlog.ErrClosed
	}
	l.trim()
	return nil
}

// Close implements [eventlog.Log]. The events are gone after it.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return eventlog.ErrClosed
	}
	l.closed = true
	l.ring.events, l.topics = nil, nil
	l.ring.first = l.ring.next
	l.signal.Wake()
	l.metrics.unregister(l.cfg.Metrics)
	return nil
}

func (l *Log) position(offset uint64) event.Position {
	return event.Position{Epoch: l.epoch, Offset: offset}
}

// check returns ErrClosed, or ErrEpoch unless p is a place that this log has reached; mu is held.
func (l *Log) check(p event.Position) error {
	switch {
	case l.closed:
		return eventlog.ErrClosed
	case p.Epoch != l.epoch || p.Offset > l.ring.next:
		return fmt.Errorf("%w: %q, the log is at %s", eventlog.ErrEpoch, p, l.position(l.ring.next))
	}
	return nil
}

// size is what an event's contents take, in bytes.
func size(e *event.Event) int {
	n := len(e.Topic) + len(e.Client) + len(e.Payload)
	if p := e.Properties; p != nil {
		n += len(p.ContentType) + len(p.ResponseTopic) + len(p.CorrelationData)
		for _, u := range p.User {
			n += len(u.Name) + len(u.Value)
		}
	}
	return n
}

// clone copies what the caller may use again.
func clone(p *event.Properties) *event.Properties {
	if p == nil {
		return nil
	}
	c := *p
	if p.CorrelationData != nil {
		c.CorrelationData = append([]byte{}, p.CorrelationData...)
	}
	c.User = append([]event.UserProperty(nil), p.User...)
	return &c
}
