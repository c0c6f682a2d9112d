// Package meter bounds what somebody does in all connections together. A [Meter] counts for one key, such as an account's name; a
// [Chain] is the meters that one connection, session or request goes by: a thing passes if all of them let it.
//
// Rates are token buckets in the form of the generic cell rate algorithm (ITU-T I.371, annex A): what a period allows may come at
// once. Who can be made to wait is (see [Chain.Take]), who cannot is refused and told when to come again (see [Chain.Allow]).
package meter

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Kind is something that is bounded.
type Kind uint8

// The kinds there are.
const (
	// Connections at one time: MQTT connections, and sessions of the stream.
	Connections Kind = iota
	// Messages that are published, a second.
	Messages
	// Bytes of what is published, a second.
	Bytes
	// Subscriptions at one time: filters of MQTT sessions, and rooms of sessions of the stream.
	Subscriptions
	// Samples that questions read, a minute.
	Samples

	kinds
)

// names are those of the kinds, in files and metrics.
var names = [kinds]string{"connections", "messages", "bytes", "subscriptions", "samples"}

// String is the kind's name.
func (k Kind) String() string { return names[k] }

// Kinds are all, in their order.
func Kinds() []Kind { return []Kind{Connections, Messages, Bytes, Subscriptions, Samples} }

// period is the time that a rate is of; 0: it is no rate.
func (k Kind) period() time.Duration {
	switch k {
	case Messages, Bytes:
		return time.Second
	case Samples:
		return time.Minute
	default:
		return 0
	}
}

// Limits are the bounds, by kind; 0: there is none.
type Limits [kinds]int64

// maxCost bounds the time that one thing may cost, however large it is and however low the limit.
const maxCost = 10 * time.Minute

// A Meter counts for one key.
type Meter struct {
	table *Table
	key   string

	// rated and asked say that there is a limit of messages or bytes, and of samples: most have none, and shall not pay for it.
	rated, asked atomic.Bool

	mu      sync.Mutex
	of      func() Limits
	limits  Limits
	used    [kinds]int64         // of what is counted
	full    [kinds]time.Duration // when the bucket will be full
	changed chan struct{}        // closed when the limits change
	chains  int                  // that it is part of; under table.mu
}

// update takes the limits as they are now. A bucket whose limit has changed is full again.
func (m *Meter) update() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.of()
	if now == m.limits {
		return
	}
	for k := range now {
		if now[k] != m.limits[k] {
			m.full[k] = 0
		}
	}
	m.limits = now
	m.rated.Store(now[Messages] > 0 || now[Bytes] > 0)
	m.asked.Store(now[Samples] > 0)
	close(m.changed)
	m.changed = make(chan struct{})
}

// cost is the time that some of a kind cost, and what a bucket holds; 0 without a limit. m.mu is held.
func (m *Meter) cost(k Kind, n int64) (cost, burst time.Duration) {
	limit := m.limits[k]
	if limit <= 0 {
		return 0, 0
	}
	each := func(n int64) time.Duration {
		return time.Duration(min(float64(maxCost), float64(n)*float64(k.period())/float64(limit)))
	}
	return each(n), max(k.period(), each(1))
}

// take takes some of a kind, be it into debt, and returns how long to wait until there is none. m.mu is held.
func (m *Meter) take(now time.Duration, k Kind, n int64) time.Duration {
	cost, burst := m.cost(k, n)
	if burst == 0 {
		return 0
	}
	m.full[k] = max(m.full[k], now) + cost
	return max(0, m.full[k]-now-burst)
}

// debt is how long to wait until one of a kind can be had. m.mu is held.
func (m *Meter) debt(now time.Duration, k Kind) time.Duration {
	one, burst := m.cost(k, 1)
	if burst == 0 {
		return 0
	}
	return max(0, max(m.full[k], now)+one-now-burst)
}

// pace takes one message, and returns when the next may come, and what is closed when that no longer counts; nil: at once.
func (m *Meter) pace(bytes int) (wait time.Duration, changed <-chan struct{}) {
	m.mu.Lock()
	now := m.table.now()
	messages, size := m.take(now, Messages, 1), m.take(now, Bytes, int64(bytes))
	changed = m.changed
	m.mu.Unlock()
	if messages > 0 {
		m.table.note(Messages, m.key)
	}
	if size > 0 {
		m.table.note(Bytes, m.key)
	}
	return max(messages, size), changed
}

// allow takes one message if nothing of it is owed; else it says of what, and when to come again.
func (m *Meter) allow(bytes int) (Kind, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.table.now()
	if messages, size := m.debt(now, Messages), m.debt(now, Bytes); max(messages, size) > 0 {
		if messages >= size {
			return Messages, messages
		}
		return Bytes, size
	}
	m.take(now, Messages, 1)
	m.take(now, Bytes, int64(bytes))
	return 0, 0
}

// giveBack gives back what allow has taken.
func (m *Meter) giveBack(bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, _ := m.cost(Messages, 1)
	size, _ := m.cost(Bytes, int64(bytes))
	m.full[Messages] -= one
	m.full[Bytes] -= size
}

// hold counts one more of a kind, unless there are as many as may be; with force it does so anyway.
func (m *Meter) hold(k Kind, force bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if limit := m.limits[k]; !force && limit > 0 && m.used[k] >= limit {
		return false
	}
	m.used[k]++
	return true
}

func (m *Meter) drop(k Kind, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used[k] -= n
}

// rests reports whether nothing is owed: then there is nothing to remember.
func (m *Meter) rests(now time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, full := range m.full {
		if full > now {
			return false
		}
	}
	return true
}
