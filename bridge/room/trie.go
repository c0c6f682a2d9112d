package room

import (
	"cmp"
	"slices"
	"strings"
)

// A node is a place in the trie of filters. Levels that no other filter shares have no nodes of their own, so that there are
// at most two nodes a filter, however many levels it has. The zero value is an empty trie.
type node struct {
	path     string           // the levels from the parent to here, one or more
	children map[string]*node // by the first level of their path
	rooms    []*Room          // rooms with a filter that ends here
	all      []*Room          // rooms with a filter that ends in "#" here
}

// split is a filter without the "#" at its end, and whether it had one. "#" itself is no place below the root.
func split(filter string) (path string, all bool) {
	return strings.CutSuffix(filter, "/#")
}

func (n *node) insert(filter string, r *Room) {
	if filter == "#" {
		n.all = append(n.all, r)
		return
	}
	path, all := split(filter)
	at := n.reach(path)
	if all {
		at.all = append(at.all, r)
	} else {
		at.rooms = append(at.rooms, r)
	}
}

// reach is the node at a path below n. It is made if need be.
func (n *node) reach(path string) *node {
	for {
		level, _, _ := strings.Cut(path, "/")
		child := n.children[level]
		if child == nil {
			child = &node{path: path}
			n.put(child)
			return child
		}
		shared := common(child.path, path)
		if shared < len(child.path) {
			upper := &node{path: strings.Clone(child.path[:shared])} // the rest may be of a filter that goes before this
			child.path = child.path[shared+1:]
			upper.put(child)
			n.put(upper)
			child = upper
		}
		if shared == len(path) {
			return child
		}
		n, path = child, path[shared+1:]
	}
}

// put makes child a child of n, in the place of one that begins with the same level.
func (n *node) put(child *node) {
	if n.children == nil {
		n.children = make(map[string]*node, 1)
	}
	level, _, _ := strings.Cut(child.path, "/")
	n.children[level] = child
}

// common is the length of the levels with which both paths begin. They have the first in common.
func common(a, b string) int {
	end := 0
	for i := 0; ; i++ {
		endsA, endsB := i == len(a) || a[i] == '/', i == len(b) || b[i] == '/'
		switch {
		case endsA && endsB:
			if end = i; i == len(a) || i == len(b) {
				return end
			}
		case endsA || endsB || a[i] != b[i]:
			return end
		}
	}
}

// remove takes a room's filter out.
func (n *node) remove(filter string, r *Room) {
	if filter == "#" {
		n.all = without(n.all, r)
		return
	}
	path, all := split(filter)
	n.drop(path, all, r)
}

// drop takes a room out at a path below n, and the nodes that nothing needs any more.
func (n *node) drop(path string, all bool, r *Room) {
	level, _, _ := strings.Cut(path, "/")
	child := n.children[level]
	switch {
	case child == nil || !strings.HasPrefix(path, child.path):
		return
	case len(path) > len(child.path):
		child.drop(path[len(child.path)+1:], all, r)
	case all:
		child.all = without(child.all, r)
	default:
		child.rooms = without(child.rooms, r)
	}
	if len(child.rooms) > 0 || len(child.all) > 0 {
		return
	}
	switch len(child.children) {
	case 0:
		delete(n.children, level)
	case 1:
		for _, only := range child.children {
			only.path = child.path + "/" + only.path
			n.children[level] = only
		}
	}
}

func (n *node) empty() bool { return len(n.children) == 0 && len(n.rooms) == 0 && len(n.all) == 0 }

// without takes r out of rooms; their order is not kept.
func without(rooms []*Room, r *Room) []*Room {
	for i, x := range rooms {
		if x == r {
			last := len(rooms) - 1
			rooms[i], rooms[last] = rooms[last], nil
			return rooms[:last]
		}
	}
	return rooms
}

// match returns the rooms with a filter that matches topic, each once.
func (n *node) match(topic string) []*Room {
	out := n.walk(topic, topic != "" && topic[0] == '$', nil)
	// A filter stands in one place, so only rooms with several can have been met twice.
	if slices.ContainsFunc(out, func(r *Room) bool { return len(r.spec.Filters) > 1 }) {
		slices.SortFunc(out, func(a, b *Room) int { return cmp.Compare(a.id, b.id) })
		out = slices.Compact(out)
	}
	return out
}

// walk gathers matches below n; a first level that begins with "$" is not matched by wildcards [MQTT-4.7.2-1].
func (n *node) walk(topic string, reserved bool, out []*Room) []*Room {
	if !reserved {
		out = append(out, n.all...)
	}
	level, _, _ := strings.Cut(topic, "/")
	for _, name := range [...]string{level, "+"} {
		child := n.children[name]
		if child == nil || name == "+" && reserved {
			continue
		}
		rest, more, ok := follow(child.path, topic)
		switch {
		case !ok:
		case more:
			out = child.walk(rest, false, out)
		default:
			out = append(out, child.rooms...)
			out = append(out, child.all...) // "a/#" matches "a"
		}
	}
	return out
}

// follow goes a node's path along a topic, and returns what is left of the topic, if anything is. It is not ok if the topic leads
// elsewhere.
func follow(path, topic string) (rest string, more, ok bool) {
	at := 0 // in the topic
	for i := 0; ; i, at = i+1, at+1 {
		if i < len(path) && path[i] == '+' { // a whole level, as in every filter
			i++
			for at < len(topic) && topic[at] != '/' {
				at++
			}
		}
		switch {
		case i == len(path) && at == len(topic):
			return "", false, true
		case i == len(path):
			return topic[at+1:], true, topic[at] == '/'
		case at == len(topic) || path[i] != topic[at]:
			return "", false, false
		}
	}
}
