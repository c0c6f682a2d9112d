package broker

import (
	"math"
	"strings"
	"sync"
	"sync/atomic"

	"pulso/bridge/event"
)

// A subscription is what a session asked for with one filter.
type subscription struct {
	group             *group // of a shared subscription
	since             uint64 // offset: earlier events are none of its business
	identifier        int    // 0: none
	qos               byte
	retainHandling    byte
	noLocal           bool
	retainAsPublished bool
}

func (s *subscription) ids() []int {
	if s.identifier == 0 {
		return nil
	}
	return []int{s.identifier}
}

// An index finds the sessions and groups that get the messages of a topic: a trie of filters, level by level.
type index struct {
	generation atomic.Uint64 // grows with each change

	mu   sync.RWMutex
	root node
}

type node struct {
	children    map[string]*node
	subscribers map[*session]subscription
	groups      map[string]*group // of shared subscriptions, by name
}

// add adds a subscription with a valid filter, or replaces it [MQTT-3.8.4-3].
func (x *index) add(s *session, filter string, sub subscription) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.generation.Add(1)
	n := x.node(filter)
	if n.subscribers == nil {
		n.subscribers = map[*session]subscription{}
	}
	n.subscribers[s] = sub
}

// addGroup adds a shared subscription.
func (x *index) addGroup(g *group) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.generation.Add(1)
	n := x.node(g.key.filter)
	if n.groups == nil {
		n.groups = map[string]*group{}
	}
	n.groups[g.key.name] = g
}

// node returns the node of a filter, made if there is none.
func (x *index) node(filter string) *node {
	n := &x.root
	for level := range strings.SplitSeq(filter, "/") {
		child := n.children[level]
		if child == nil {
			child = &node{}
			if n.children == nil {
				n.children = map[string]*node{}
			}
			n.children[strings.Clone(level)] = child
		}
		n = child
	}
	return n
}

// remove removes a subscription, and the levels that nobody needs any more.
func (x *index) remove(s *session, filter string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.generation.Add(1)
	x.root.remove(strings.Split(filter, "/"), func(n *node) { delete(n.subscribers, s) })
}

// removeGroup removes a shared subscription.
func (x *index) removeGroup(g *group) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.generation.Add(1)
	x.root.remove(strings.Split(g.key.filter, "/"), func(n *node) { delete(n.groups, g.key.name) })
}

func (n *node) remove(levels []string, what func(*node)) {
	if len(levels) == 0 {
		what(n)
		return
	}
	child := n.children[levels[0]]
	if child == nil {
		return
	}
	child.remove(levels[1:], what)
	if len(child.children)+len(child.subscribers)+len(child.groups) == 0 {
		delete(n.children, levels[0])
	}
}

// nothing is the subscription that others are merged into.
var nothing = subscription{since: math.MaxUint64, noLocal: true}

// A match is who gets the messages of one topic.
type match struct {
	targets []target
	groups  []*group // of each, one member gets the message
}

// A target is one session with all its subscriptions that match, merged: it gets one copy of a message (MQTT 5, 3.3.4).
type target struct {
	subscription

	session     *session
	identifiers []int
}

// silences reports whether the session does not get an event because it is its own [MQTT-3.8.3-3].
func (t *target) silences(e *event.Event) bool {
	return t.noLocal && e.Client == t.session.id && e.Source == event.SourceMQTT
}

// delivery is a message for the target.
func (t *target) delivery(m *message) delivery {
	return delivery{
		message: m, ids: t.identifiers, qos: min(t.qos, m.event.QoS),
		retain: m.event.Retain && t.retainAsPublished, // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
	}
}

// find returns who gets the messages of a topic.
func (x *index) find(topic string) *match {
	found, at := &match{}, map[*session]int{} // at: index in found.targets
	x.visit(topic, func(n *node) {
		for s, sub := range n.subscribers {
			i, ok := at[s]
			if !ok {
				i = len(found.targets)
				at[s] = i
				found.targets = append(found.targets, target{session: s, subscription: nothing})
			}
			found.targets[i].merge(sub)
		}
		for _, g := range n.groups {
			found.groups = append(found.groups, g)
		}
	})
	return found
}

// of returns the subscriptions of a session that match a topic, but for the shared ones.
func (x *index) of(s *session, topic string) (subs []subscription) {
	x.visit(topic, func(n *node) {
		if sub, ok := n.subscribers[s]; ok {
			subs = append(subs, sub)
		}
	})
	return subs
}

// visit calls a function with the node of each filter that matches a topic, and no other.
func (x *index) visit(topic string, what func(*node)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.root.visit(topic, true, !strings.HasPrefix(topic, "$"), what)
}

// visit visits what is below n for the rest of a topic; more says that there is a rest. wildcards is false for the first
// level of topics that begin with "$" [MQTT-4.7.2-1].
func (n *node) visit(rest string, more, wildcards bool, what func(*node)) {
	if wildcards {
		if all := n.children["#"]; all != nil { // it matches the level above, too
			what(all)
		}
	}
	if !more {
		what(n)
		return
	}
	level, rest, more := strings.Cut(rest, "/")
	if child := n.children[level]; child != nil {
		child.visit(rest, more, true, what)
	}
	if wildcards {
		if child := n.children["+"]; child != nil {
			child.visit(rest, more, true, what)
		}
	}
}

// merge adds a subscription: what is the business of one is that of all, the highest QoS [MQTT-3.3.4-2], every identifier
// [MQTT-3.3.4-4], and No Local only where all have it.
func (t *target) merge(sub subscription) {
	t.since = min(t.since, sub.since)
	t.qos = max(t.qos, sub.qos)
	t.noLocal = t.noLocal && sub.noLocal
	t.retainAsPublished = t.retainAsPublished || sub.retainAsPublished
	if sub.identifier > 0 {
		t.identifiers = append(t.identifiers, sub.identifier)
	}
}
