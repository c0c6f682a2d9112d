package devices

import "pulso/bridge/event"

// Who reads with a scope sees a device if the scope sees every topic that the device has spoken on: what is told of it (its status, its
// values, when it last spoke) is made of all of them. Its name and kind are its own, wherever they were announced; texts that a
// registry has said of it (see [event.Decoded.Registry]) are told to who sees the registry's topic.

// A text is a textual state of a device.
type text struct {
	event.Text

	// registry is the topic of the registry that said it; empty: the device did.
	registry string
}

// unknownRegistry stands for the topic of texts that were saved without it. Nobody publishes there.
const unknownRegistry = "$unknown"

// toldTo reports whether who reads with a scope is told the text.
func (t *text) toldTo(scope event.Scope) bool {
	return t.registry == "" || event.Sees(scope, t.registry)
}

// text takes a text that the device, or a registry, has said.
func (v *View) text(d *device, t text, next uint64) {
	for i := range d.texts {
		if d.texts[i].Name != t.Name {
			continue
		}
		// What both say is the device's.
		if old := &d.texts[i]; old.Value != t.Value || old.registry != "" && t.registry == "" {
			old.Value, old.registry = t.Value, t.registry
			v.announce(d, next)
		}
		return
	}
	if len(d.texts) >= v.config.MaxTexts {
		v.refused.Texts++
		return
	}
	d.texts = append(d.texts, t)
	v.announce(d, next)
}

// seenBy reports whether a scope, which may be nil, sees the device. A device that has spoken on as many topics as are kept may
// have spoken on others, too, and is seen by no scope.
func (v *View) seenBy(d *device, scope event.Scope) bool {
	return scope == nil || len(d.topics) < v.config.MaxTopics && event.Whole(scope, d.topics)
}

// sawBy reports whether a reader with a scope and filters may know the device, of which these are the topics and the versions in which
// they came, if it has been told what changed up to a version, or to a later one: the device was seen until then, or from then on
// for a while.
func (v *View) sawBy(topics []string, came []uint64, filters []string, scope event.Scope, since uint64) bool {
	n := 0
	for n < len(topics) && n+1 < v.config.MaxTopics && event.Sees(scope, topics[n]) {
		n++
	}
	if n < len(topics) {
		ended := came[n]
		if ended <= since {
			return false
		}
		for n > 0 && came[n-1] == ended {
			n--
		}
	}
	return n > 0 && matchesAny(filters, topics[:n])
}

// textsFor are the texts that are told to who reads with a scope.
func (d *device) textsFor(scope event.Scope) []event.Text {
	out := make([]event.Text, 0, len(d.texts))
	for i := range d.texts {
		if d.texts[i].toldTo(scope) {
			out = append(out, d.texts[i].Text)
		}
	}
	return out
}

// SeesSeries reports whether who reads with a scope, which may be nil, sees a series: its topic, and its device. Of a device that is not
// known here nothing is told but what came on the topic.
func (v *View) SeesSeries(scope event.Scope, device, topic string) bool {
	if scope == nil {
		return true
	}
	if !event.Sees(scope, topic) {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	d := v.byID[device]
	return d == nil || v.seenBy(d, scope)
}
