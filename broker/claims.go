package broker

// Bounds of what is remembered for one session that is behind.
const (
	maxClaims             = 1024
	maxClaimSubscriptions = 1 << 16 // of all topics
)

// claims remember which subscriptions of a session match the topics that it reads in the log, for as long as no
// subscription changes. They belong to the goroutine that reads for the session.
type claims struct {
	generation    uint64
	topics        map[string]*claim
	subscriptions int // of all topics
}

// A claim is what a session may have of one topic.
type claim struct {
	subscriptions []subscription
	merged        target // of them all
	latest        uint64 // offset from which all of them count
}

// to returns the claim of a session to a topic.
func (c *claims) to(s *session, topic string) *claim {
	x := &s.broker.index
	g := x.generation.Load()
	if found := c.topics[topic]; found != nil && g == c.generation {
		return found
	}
	found := &claim{subscriptions: x.of(s, topic), merged: target{session: s, subscription: nothing}}
	for _, sub := range found.subscriptions {
		found.latest = max(found.latest, sub.since)
		found.merged.merge(sub)
	}
	c.subscriptions += len(found.subscriptions)
	if c.topics == nil || g != c.generation || len(c.topics) >= maxClaims || c.subscriptions > maxClaimSubscriptions {
		*c = claims{generation: g, topics: map[string]*claim{}, subscriptions: len(found.subscriptions)}
	}
	c.topics[topic] = found
	return found
}

// target returns how a session gets the event at an offset, by the subscriptions that were there before it; without a session
// if there were none.
func (c *claim) target(s *session, offset uint64) target {
	if len(c.subscriptions) == 0 {
		return target{}
	}
	if offset >= c.latest {
		return c.merged
	}
	t := target{subscription: nothing}
	for _, sub := range c.subscriptions {
		if sub.since <= offset {
			t.session = s
			t.merge(sub)
		}
	}
	return t
}
