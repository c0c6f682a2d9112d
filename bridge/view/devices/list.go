package devices

import (
	"slices"
	"strings"

	"pulso/bridge/event"
)

// A Query asks for a page of devices.
type Query struct {
	// Text is what id, name or kind must contain, in upper or lower case; empty: anything.
	Text string
	// Status is the device's; nil: any.
	Status *Status
	// After is the id behind which the page begins; empty: the first.
	After string
	// Limit is how many devices the page has at most. It has fewer where they have more than MaxValues values together, but
	// always one.
	Limit, MaxValues int
	// Scope is what the asker may read; nil is everything.
	Scope event.Scope
}

// List returns a page of devices in the order of their ids, and whether there are more.
func (v *View) List(q Query) (page []Device, more bool) {
	text := strings.ToLower(q.Text)
	v.mu.Lock()
	defer v.mu.Unlock()
	byID := func(d *device, id string) int { return strings.Compare(d.id, id) }
	first := make([]*device, 0, min(q.Limit, len(v.all))+2) // the first ones by id, and one more
	for _, d := range v.all {
		if d.id <= q.After && q.After != "" || q.Status != nil && d.status != *q.Status || !d.contains(text) || !v.seenBy(d, q.Scope) {
			continue
		}
		if len(first) > q.Limit {
			if d.id > first[q.Limit].id {
				continue
			}
			first = first[:q.Limit]
		}
		at, _ := slices.BinarySearchFunc(first, d.id, byID)
		first = slices.Insert(first, at, d)
	}
	values := 0
	for i, d := range first {
		if values += len(d.values); i == q.Limit || i > 0 && values > q.MaxValues {
			return page, true
		}
		page = append(page, d.copy(q.Scope))
	}
	return page, false
}

// contains reports whether id, name or kind contain a text, which is in lower case.
func (d *device) contains(text string) bool {
	return text == "" || strings.Contains(strings.ToLower(d.id), text) || strings.Contains(strings.ToLower(d.name), text) ||
		strings.Contains(strings.ToLower(d.kind), text)
}

// ParseStatus is the inverse of [Status.String].
func ParseStatus(s string) (Status, bool) {
	i := slices.Index(statusNames[:], s)
	return Status(max(i, 0)), i >= 0
}
