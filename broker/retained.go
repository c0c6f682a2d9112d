package broker

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/btree"

	"pulso/bridge/event"
	"pulso/broker/limit"
)

const (
	replayPage  = 64   // retained messages that a subscription gets at one go
	replayVisit = 4096 // and those that are looked at for it
)

// retained holds the last retained message of each topic, ordered by topic, so that a subscription is answered page by
// page with nothing to remember but a topic. Deliver's goroutine and housekeeping write.
type retained struct {
	maxCount, maxBytes int64

	mu           sync.RWMutex
	topics       btree.Map[string, *message]
	count, bytes atomic.Int64
	expiring     atomic.Int64 // those that have an expiry
}

// keep retains e in place of what its topic had, or clears the topic if the payload is empty [MQTT-3.3.1-6]
// [MQTT-3.3.1-7]. It reports false if there is no room, or if a new topic is not welcome: the topic then has none.
func (r *retained) keep(e *event.Event, welcome bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, had := r.topics.Get(e.Topic)
	if len(e.Payload) == 0 {
		if had {
			r.remove(old)
		}
		return true
	}
	if had { // even if there is no room for e: what is out of date must not be shown as current
		r.account(old, -1)
	}
	if !had && !welcome || r.count.Load() >= r.maxCount || r.bytes.Load()+weight(e) > r.maxBytes {
		r.topics.Delete(e.Topic)
		return false
	}
	m := &message{event: *e}
	m.event.Topic = strings.Clone(e.Topic)
	r.topics.Set(m.event.Topic, m)
	r.account(m, 1)
	return true
}

func (r *retained) get(topic string) (*message, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.topics.Get(topic)
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

// page returns some retained messages from before an offset that a filter matches, from a topic on, and the topic to go on
// with if there may be more. However many there are, a page costs a bounded time.
func (r *retained) page(filter, from string, until uint64) (found []*message, next string, more bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	wild := strings.IndexAny(filter, "+#")
	if wild < 0 {
		if m, ok := r.topics.Get(filter); ok && m.event.Position.Offset < until {
			found = append(found, m)
		}
		return found, "", false
	}
	// Only topics with what stands before the first wildcard can match; "a/#" matches "a", too.
	prefix := strings.TrimSuffix(filter[:wild], "/")
	visited := 0
	r.topics.Ascend(max(from, prefix), func(topic string, m *message) bool {
		if !strings.HasPrefix(topic, prefix) {
			return false
		}
		if visited++; visited > replayVisit || len(found) == replayPage {
			next, more = topic, true
			return false
		}
		if m.event.Position.Offset < until && event.Match(filter, topic) {
			found = append(found, m)
		}
		return true
	})
	return found, next, more
}

// expire removes the messages whose expiry has passed [MQTT-3.3.2-5], and returns their topics. One without an expiry
// stays.
func (r *retained) expire(now time.Time) []string {
	if r.expiring.Load() == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone []*message
	r.topics.Scan(func(_ string, m *message) bool {
		if m.expires() && m.expiresIn(now) <= 0 {
			gone = append(gone, m)
		}
		return true
	})
	topics := make([]string, 0, len(gone))
	for _, m := range gone {
		r.remove(m)
		topics = append(topics, m.event.Topic)
	}
	return topics
}

// retain keeps a retained message, and has the store keep it.
func (b *Broker) retain(e *event.Event) {
	_, had := b.retained.get(e.Topic)
	if !b.retained.keep(e, had || b.allows(limit.NewRetained)) {
		b.drop(dropRetained)
	}
	b.journal.retained(e.Topic)
}
