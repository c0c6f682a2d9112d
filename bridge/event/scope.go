package event

import "context"

// A Scope is the topics that somebody may read. All that leaves the hub towards a reader is narrowed to them: messages, and what
// is made of them. The nil Scope sees everything.
//
// What a scope sees never changes. Whoever is given other rights gets another scope with another key, and begins anew: rooms
// are shared by key, and answers are remembered. Its methods are safe for concurrent use.
type Scope interface {
	// Key tells scopes apart: two with the same key see the same topics, for ever. It is short, and no secret stands in it.
	Key() string
	// Sees reports whether messages of a topic may be read. It is asked for each topic, and by some for each message: it
	// takes about 40 ns, and does not block. The topic is valid.
	Sees(topic string) bool
}

// Sees reports whether a scope, which may be nil, sees a topic. What has no topic is seen by nil alone.
func Sees(s Scope, topic string) bool {
	return s == nil || topic != "" && s.Sees(topic)
}

// SameScope reports whether two scopes, which may be nil, are one.
func SameScope(a, b Scope) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Key() == b.Key()
}

// Whole reports whether a text that was made of messages of several topics may be read: a scope sees all of them, and there is
// one at least.
func Whole(s Scope, topics []string) bool {
	if s == nil {
		return true
	}
	for _, t := range topics {
		if !Sees(s, t) {
			return false
		}
	}
	return len(topics) > 0
}

type scopeKey struct{}

// WithScope says what may be read by whom a request under the context is from. nil is everything.
func WithScope(ctx context.Context, s Scope) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// ScopeOf is what may be read under a context; nil, which is everything, where nobody has said.
func ScopeOf(ctx context.Context) Scope {
	s, _ := ctx.Value(scopeKey{}).(Scope)
	return s
}
