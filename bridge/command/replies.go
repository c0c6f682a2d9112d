package command

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// maxReplies bounds the topics on which one command's answer is looked for.
const maxReplies = 8

// A reply is one topic on which an answer may come.
type reply struct {
	topic string
	// match says whether a payload is the answer; nil: any is.
	match func(payload []byte) bool
}

// suffixes are the last levels of topics that take commands, and by what the answer's topic ends instead; "" is the topic
// above. Zigbee2MQTT and Homie answer above /set, Shelly's first generation above /command, ESPHome in /state.
var suffixes = map[string][]string{
	"set":     {"", "state", "status", "telemetry", "get"},
	"command": {"state", "", "status", "telemetry"},
	"cmd":     {"state", "status", "", "telemetry"},
	"api":     {"g", "v", "c"}, // WLED
	"col":     {"c"},
}

// Replies returns the topics on which the answer to a command on a topic is looked for, by the customs of the families that
// are known; none where there is no custom.
//
//	Tasmota      cmnd/X/POWER  → stat/X/RESULT with POWER, stat/X/POWER
//	Zigbee2MQTT  …/X/set       → …/X, with what was set
//	Shelly       X/rpc         → SRC/rpc with the command's id (generation 2); …/command → the topic above (generation 1)
//	Homie        …/set         → the topic above
//	ESPHome      …/command     → …/state
//	OpenEVSE     X/rapi/in/$CC → X/rapi/out
//	WLED         X/api, X/col  → X/g, X/v, X/c
//	others       …/set, …/command, …/cmd → …/state, …/status, …/telemetry, the topic above
func Replies(topic string, payload []byte) []string {
	list := replies(topic, payload)
	topics := make([]string, 0, len(list))
	for _, r := range list {
		topics = append(topics, r.topic)
	}
	return topics
}

func replies(topic string, payload []byte) (list []reply) {
	levels := strings.Split(topic, "/")
	last := len(levels) - 1
	if at := slices.Index(levels[:last], "cmnd"); at >= 0 {
		said := slices.Clone(levels)
		said[at] = "stat"
		name := said[last]
		list = append(list, reply{topic: strings.Join(said, "/")})
		said[last] = "RESULT"
		return append(list, reply{strings.Join(said, "/"), func(p []byte) bool { return hasKey(p, name) }})
	}
	if levels[last] == "rpc" {
		var call struct {
			Source string          `json:"src"`
			ID     json.RawMessage `json:"id"`
		}
		if json.Unmarshal(payload, &call) != nil || call.Source == "" || len(call.Source) > 128 || strings.ContainsAny(call.Source, "#+\x00") {
			return nil
		}
		id := string(call.ID)
		return []reply{{call.Source + "/rpc", func(p []byte) bool { return id == "" || scalarAt(p, "id") == strings.Trim(id, `"`) }}}
	}
	if last >= 2 && levels[last-2] == "rapi" && levels[last-1] == "in" {
		return []reply{{topic: strings.Join(levels[:last-1], "/") + "/out"}}
	}
	if last == 0 {
		return nil
	}
	above := strings.Join(levels[:last], "/")
	wanted := scalars(payload)
	for _, suffix := range suffixes[levels[last]] {
		to := above
		if suffix != "" {
			to += "/" + suffix
		}
		list = append(list, reply{to, func(p []byte) bool { return agrees(wanted, p) }})
	}
	return list
}

// expected is the reply that a request asks for itself.
func expected(e *Expect) reply {
	r := reply{topic: e.Topic}
	if e.Field != "" {
		r.match = func(p []byte) bool {
			got, found := member(p, e.Field)
			return found && (e.Value == nil || strings.EqualFold(got, *e.Value))
		}
	} else if e.Value != nil {
		r.match = func(p []byte) bool { return strings.EqualFold(strings.TrimSpace(string(p)), *e.Value) }
	}
	return r
}

// hasKey reports whether a JSON object has a member, whatever its case; Tasmota says POWER for POWER1 where there is one.
func hasKey(payload []byte, name string) bool {
	for key := range object(payload) {
		if strings.EqualFold(key, name) || strings.EqualFold(strings.TrimRight(key, "0123456789"), strings.TrimRight(name, "0123456789")) {
			return true
		}
	}
	return false
}

func object(payload []byte) (members map[string]json.RawMessage) {
	if json.Unmarshal(payload, &members) != nil {
		return nil
	}
	return members
}

// scalars are the texts, numbers and truths of a JSON object; nil where it is none.
func scalars(payload []byte) map[string]string {
	var found map[string]string
	for key, raw := range object(payload) {
		if text, ok := scalar(raw); ok {
			if found == nil {
				found = map[string]string{}
			}
			found[key] = text
		}
	}
	return found
}

func scalar(raw json.RawMessage) (string, bool) {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

func scalarAt(payload []byte, key string) string {
	text, _ := scalar(object(payload)[key])
	return text
}

// member finds a scalar of a JSON object by a path with dots.
func member(payload []byte, path string) (text string, found bool) {
	name, rest, more := strings.Cut(path, ".")
	raw, found := object(payload)[name]
	switch {
	case !found:
		return "", false
	case more:
		return member(raw, rest)
	}
	if text, ok := scalar(raw); ok {
		return text, true
	}
	return string(raw), true
}

// agrees reports whether a state is what was wanted: it has at least one of the members that were set, and those that it has
// are as they were set. A toggle agrees with anything. Where no object was sent, every payload agrees.
func agrees(wanted map[string]string, state []byte) bool {
	if wanted == nil {
		return true
	}
	some := false
	for key, raw := range object(state) {
		want, set := wanted[key]
		if !set {
			continue
		}
		got, ok := scalar(raw)
		if !ok || !strings.EqualFold(got, want) && !strings.EqualFold(want, "toggle") {
			return false
		}
		some = true
	}
	return some
}
