package broker

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A subscription is what a session asked for with one filter.
type subscription struct {
	identifier        int // 0: none
	qos               byte
	noLocal           bool
	retainAsPublished bool
}

// An index finds the sessions that get the messages of a topic: a trie of filters, level by level. It stands beside
// mochi's, which copies maps at each level and merges overlapping subscriptions so that one with No Local silences the
// others.
type index struct {
	generation atomic.Uint64 // grows with each change

	mu   sync.RWMutex
	root node
}

type node struct {
	children    map[string]*node
	subscribers map[*session]subscription
	groups      map[string]map[*session]subscription // of shared subscriptions
}

// splitShare separates the group of a shared subscription from its filter (MQTT 5, 4.8.2); others have none.
func splitShare(filter string) (group, rest string) {
	if shared, ok := strings.CutPrefix(filter, "$share/"); ok {
		group, rest, _ = strings.Cut(shared, "/")
		return group, rest
	}
	return "", filter
}

// add adds a subscription with a valid filter, or replaces it [MQTT-3.8.4-3].
func (x *index) add(s *session, filter string, sub subscription) {
	group, filter := splitShare(filter)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.generation.Add(1)
	n := &x.root
	for level := range strings.SplitSeq(filter, "/") {
		child := n.children[level]
		if child == nil {
			child = &node{}
			if n.children == nil {
				n.children = map[string]*node{}
			}
			n.children[level] = child
		}
		n = child
	}
	if group == "" {
		if n.subscribers == nil {
			n.subscribers = map[*session]subscription{}
		}
		n.subscribers[s] = sub
		return
	}
	if n.groups == nil {
		n.groups = map[string]map[*session]subscription{}
	}
	if n.groups[group] == nil {
		n.groups[group] = map[*session]subscription{}
	}
	n.groups[group][s] = sub
}

// remove removes a subscription, and the levels that nobody needs any more.
func (x *index) remove(s *session, filter string) {
	group, filter := splitShare(filter)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.generation.Add(1)
	x.root.remove(s, group, strings.Split(filter, "/"))
}

func (n *node) remove(s *session, group string, levels []string) {
	if len(levels) == 0 {
		if group == "" {
			delete(n.subscribers, s)
			return
		}
		delete(n.groups[group], s)
		if len(n.groups[group]) == 0 {
			delete(n.groups, group)
		}
		return
	}
	child := n.children[levels[0]]
	if child == nil {
		return
	}
	child.remove(s, group, levels[1:])
	if len(child.children)+len(child.subscribers)+len(child.groups) == 0 {
		delete(n.children, levels[0])
	}
}

// A match is who gets the messages of one topic.
type match struct {
	targets []target
	groups  [][]target // of each group, one gets the message
	turn    int
}

// A target is one session with all its subscriptions that match, merged: it gets one copy of a message (MQTT 5, 3.3.4).
type target struct {
	subscription

	session *session
	ids     []int
}

// find returns who gets the messages of a topic.
func (x *index) find(topic string) *match {
	x.mu.RLock()
	defer x.mu.RUnlock()
	f := finder{match: &match{}, at: map[*session]int{}}
	f.walk(&x.root, topic, true, !strings.HasPrefix(topic, "$"))
	return f.match
}

type finder struct {
	match *match
	at    map[*session]int // index in match.targets
}

// walk visits what is below n for the rest of a topic; more says that there is a rest. wildcards is false for the first
// level of topics that begin with "$" [MQTT-4.7.2-1].
func (f *finder) walk(n *node, rest string, more, wildcards bool) {
	if wildcards {
		if all := n.children["#"]; all != nil { // it matches the level above, too
			f.collect(all)
		}
	}
	if !more {
		f.collect(n)
		return
	}
	level, rest, more := strings.Cut(rest, "/")
	if child := n.children[level]; child != nil {
		f.walk(child, rest, more, true)
	}
	if wildcards {
		if child := n.children["+"]; child != nil {
			f.walk(child, rest, more, true)
		}
	}
}

func (f *finder) collect(n *node) {
	for s, sub := range n.subscribers {
		i, ok := f.at[s]
		if !ok {
			i = len(f.match.targets)
			f.at[s] = i
			f.match.targets = append(f.match.targets, target{session: s, subscription: subscription{noLocal: true}})
		}
		f.match.targets[i].merge(sub)
	}
	for _, members := range n.groups {
		group := make([]target, 0, len(members))
		for s, sub := range members {
			t := target{session: s, subscription: subscription{noLocal: true}}
			t.merge(sub)
			group = append(group, t)
		}
		slices.SortFunc(group, func(a, b target) int { return strings.Compare(a.session.id, b.session.id) })
		f.match.groups = append(f.match.groups, group)
	}
}

// merge adds a subscription: the highest QoS [MQTT-3.3.4-2], every identifier [MQTT-3.3.4-4], and No Local only where
// all have it.
func (t *target) merge(sub subscription) {
	t.qos = max(t.qos, sub.qos)
	t.noLocal = t.noLocal && sub.noLocal
	t.retainAsPublished = t.retainAsPublished || sub.retainAsPublished
	if sub.identifier > 0 {
		t.ids = append(t.ids, sub.identifier)
	}
}
