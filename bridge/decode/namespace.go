package decode

import (
	"maps"
	"strings"
)

// Namespaces says which first levels of topics are namespaces: tenants, who know nothing of each other. The ids of their devices
// begin with it, so that two of one name are two; and what is announced in one counts for topics in it only.
func (d *Decoder) Namespaces(names []string) {
	all := make(map[string]bool, len(names))
	for _, name := range names {
		all[name] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if maps.Equal(all, d.namespaces) {
		return
	}
	d.namespaces = all
	d.relearn()
}

// namespaceOf is the namespace of a topic or filter; empty: it is in none.
func (d *Decoder) namespaceOf(topic string) string {
	level, _, _ := strings.Cut(topic, "/")
	if d.namespaces[level] {
		return strings.Clone(level)
	}
	return ""
}

// own is a device's id in the topic's namespace.
func (t *topicInfo) own(device string) string {
	if t.namespace == "" || device == "" || strings.HasPrefix(device, t.namespace+"/") {
		return device
	}
	return t.namespace + "/" + device
}
