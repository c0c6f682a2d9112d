package room

import (
	"cmp"
	"slices"
	"strings"
)

// A node is a level of the trie of filters. The zero value is an empty trie.
type node struct {
	children map[string]*node
	rooms    []*Room // rooms with a filter that ends here
	all      []*Room // rooms with a filter that ends in "#" here
}

func (n *node) insert(filter string, r *Room) {
	for {
		level, rest, more := strings.Cut(filter, "/")
		if level == "#" {
			n.all = append(n.all, r)
			return
		}
		child := n.children[level]
		if child == nil {
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			child = new(node)
			n.children[level] = child
		}
		n = child
		if !more {
			n.rooms = append(n.rooms, r)
			return
		}
		filter = rest
	}
}

// remove takes a room's filter out and reports whether the node is empty then.
func (n *node) remove(filter string, r *Room) bool {
	level, rest, more := strings.Cut(filter, "/")
	if level == "#" {
		n.all = without(n.all, r)
		return n.empty()
	}
	child := n.children[level]
	if child == nil {
		return false
	}
	var empty bool
	if more {
		empty = child.remove(rest, r)
	} else {
		child.rooms = without(child.rooms, r)
		empty = child.empty()
	}
	if empty {
		delete(n.children, level)
	}
	return n.empty()
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
	level, rest, more := strings.Cut(topic, "/")
	for _, name := range [...]string{level, "+"} {
		child := n.children[name]
		if child == nil || name == "+" && reserved {
			continue
		}
		if more {
			out = child.walk(rest, false, out)
			continue
		}
		out = append(out, child.rooms...)
		out = append(out, child.all...) // "a/#" matches "a"
	}
	return out
}
