package broker

import (
	"sync"

	"pulso/bridge/event"
)

const (
	// maxNames bounds the topics that are remembered, in each of two generations.
	maxNames = 1 << 16
	// longestName is the longest topic that is.
	longestName = 256
)

// topicNames remember topics that may be published to, so that a topic that comes again is neither copied nor judged again, and
// is the same [event.Ref] for all that follows. When the young generation is full it becomes the old one, and what is
// used moves back: topics in use stay. Its methods may be called from any goroutine.
type topicNames struct {
	mu         sync.RWMutex
	young, old map[string]*event.Ref
}

// find returns the Ref of a topic that is remembered; nil if it is not.
func (n *topicNames) find(topic []byte) *event.Ref {
	n.mu.RLock()
	r := n.young[string(topic)]
	var old *event.Ref
	if r == nil {
		old = n.old[string(topic)]
	}
	n.mu.RUnlock()
	if r == nil && old != nil {
		return n.put(old)
	}
	return r
}

// add remembers a topic that has been judged. It returns nil for one that is too long.
func (n *topicNames) add(topic string) *event.Ref {
	if len(topic) > longestName {
		return nil
	}
	return n.put(&event.Ref{Topic: topic})
}

// put returns the Ref that counts, which is another's where that came first.
func (n *topicNames) put(r *event.Ref) *event.Ref {
	n.mu.Lock()
	defer n.mu.Unlock()
	if first := n.young[r.Topic]; first != nil {
		return first
	}
	if len(n.young) >= maxNames || n.young == nil {
		n.young, n.old = make(map[string]*event.Ref), n.young
	}
	n.young[r.Topic] = r
	return r
}
