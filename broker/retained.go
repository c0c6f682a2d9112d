package broker

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pulso/bridge/event"
)

// retained holds the last retained message of each topic. Deliver's goroutine and housekeeping write; readers hold
// nobody up.
type retained struct {
	maxCount, maxBytes int64

	topics       sync.Map // topic -> *message
	count, bytes atomic.Int64
	expiring     atomic.Int64 // those that have an expiry
	write        sync.Mutex   // serialises writers, so that the numbers are true
}

// keep retains e in place of what its topic had, or clears the topic if the payload is empty [MQTT-3.3.1-6]
// [MQTT-3.3.1-7]. It reports false if there is no room.
func (r *retained) keep(e *event.Event) bool {
	r.write.Lock()
	defer r.write.Unlock()
	old, had := r.load(e.Topic)
	if len(e.Payload) == 0 {
		if had {
			r.remove(old)
		}
		return true
	}
	if had { // even if there is no room for e: what is out of date must not be shown as current
		r.account(old, -1)
	}
	if r.count.Load() >= r.maxCount || r.bytes.Load()+weight(e) > r.maxBytes {
		r.topics.Delete(e.Topic)
		return false
	}
	m := &message{event: *e}
	m.event.Topic = strings.Clone(e.Topic)
	r.topics.Store(m.event.Topic, m)
	r.account(m, 1)
	return true
}

func (r *retained) load(topic string) (*message, bool) {
	v, ok := r.topics.Load(topic)
	if !ok {
		return nil, false
	}
	m, ok := v.(*message)
	return m, ok
}

func (r *retained) remove(m *message) {
	r.topics.Delete(m.event.Topic)
	r.account(m, -1)
}

func (r *retained) account(m *message, n int64) {
	r.count.Add(n)
	r.bytes.Add(n * weight(&m.event))
	if m.expires() {
		r.expiring.Add(n)
	}
}

func weight(e *event.Event) int64 { return int64(len(e.Topic) + len(e.Payload)) }

// match calls f for each retained message that filter matches.
func (r *retained) match(filter string, f func(*message)) {
	if !strings.ContainsAny(filter, "+#") {
		if m, ok := r.load(filter); ok {
			f(m)
		}
		return
	}
	r.topics.Range(func(_, v any) bool {
		if m, ok := v.(*message); ok && event.Match(filter, m.event.Topic) {
			f(m)
		}
		return true
	})
}

// expire removes the messages whose expiry has passed [MQTT-3.3.2-5]. One without an expiry stays.
func (r *retained) expire(now time.Time) {
	if r.expiring.Load() == 0 {
		return
	}
	r.topics.Range(func(_, v any) bool {
		m, ok := v.(*message)
		if !ok || !m.expires() || expiresIn(&m.event, now) > 0 {
			return true
		}
		r.write.Lock()
		defer r.write.Unlock()
		if current, ok := r.load(m.event.Topic); ok && current == m {
			r.remove(m)
		}
		return true
	})
}
