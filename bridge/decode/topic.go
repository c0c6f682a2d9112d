package decode

import (
	"slices"
	"strings"

	"pulso/bridge/event"
)

// A statusWord is what the last level of a topic makes of a bare payload.
type statusWord uint8

const (
	notStatus statusWord = iota
	// maybeStatus: the level may carry a state of something else ("state", "status"): only plain words count.
	maybeStatus
	// surelyStatus: the level is about presence alone ("online", "LWT"): true and 1 count too.
	surelyStatus
)

// A topicInfo is what a topic alone tells, worked out once.
type topicInfo struct {
	// device is the id; empty where the topic names none.
	device string
	// byClient reports that the client id may name the device, and fallback does where the client id looks random.
	byClient bool
	fallback string
	// subject is what the topic says beyond the device, joined by full stops; bare is the name of a bare value: the
	// subject, or the last level where there is none.
	subject   string
	bare      string
	status    statusWord
	command   bool
	announces bool
	// describes reports that it tells what the device is, not what it measures ("$description").
	describes bool
	// names are those of the last message, in its order.
	names []*nameInfo
}

func (d *Decoder) topic(name string) *topicInfo {
	if t, found := d.topics.getString(name); found {
		return t
	}
	name = strings.Clone(name)
	t := newTopicInfo(name)
	d.topics.put(name, t)
	return t
}

// newTopicInfo applies the rules by which a topic names a device:
//
//   - "$…" and "chat/…" name none.
//   - The level after "device", "devices", "thing", "things", "gateway" or "gateways" is the device.
//   - Below a root of a known family ("tele", "shellies", "homie", …) the next level is, or as many as the family has.
//   - What follows a level that names a kind of part ("sensor", "relay", "light") belongs to the metric.
//   - Trailing words that say what kind of message it is ("state", "telemetry", "set") and then the metric (a known word,
//     or the last of three levels and more) are taken off; the last level that is left is the device.
//   - Where that is a bare number, the parent stays with it: "evcc/loadpoints/1".
//   - A topic of a single level is named by the client id, or by itself where the client id looks random.
//
// Empty levels are skipped. What lies behind the device is the subject, without the words that only say what kind of
// message it is.
func newTopicInfo(name string) *topicInfo {
	t := &topicInfo{}
	levels := make([]string, 0, 8)
	for level := range strings.SplitSeq(name, "/") {
		if level != "" {
			levels = append(levels, level)
		}
	}
	if len(levels) == 0 {
		t.byClient = true
		return t
	}
	last := strings.ToLower(levels[len(levels)-1])
	t.status = statusLevels[last]
	_, t.announces = announceWords[last]
	first, end := findDevice(levels)
	t.command = has(commandRoots, levels[0]) || has(replyWords, last) ||
		slices.ContainsFunc(levels[end:], func(level string) bool { return has(commandWords, level) })
	switch {
	case strings.HasPrefix(name, "$"), strings.EqualFold(levels[0], "chat"):
		t.status, t.command, t.announces = notStatus, false, false
	case len(levels) == 1:
		t.byClient, t.fallback = true, levels[0]
		t.subject = subjectOf(levels)
	default:
		t.device = strings.Join(levels[first:end], "/")
		t.subject = subjectOf(levels[end:])
		t.describes = last[0] == '$'
	}
	if t.bare = t.subject; t.bare == "" {
		t.bare = levels[len(levels)-1]
	}
	return t
}

// findDevice returns which levels name the device, of two and more.
func findDevice(levels []string) (first, end int) {
	if len(levels) == 1 {
		return 0, 1
	}
	for i, level := range levels[:len(levels)-1] {
		if has(markerWords, level) && !has(tailWords, levels[i+1]) {
			return i + 1, i + 2
		}
	}
	if depth, known := families[strings.ToLower(levels[0])]; known {
		if first, end, ok := familyDevice(levels, depth); ok {
			return first, end
		}
	}
	return genericDevice(levels)
}

// wholeTail as a family's depth means that all levels but the trailing words name the device.
const wholeTail = -1

func familyDevice(levels []string, depth int) (first, end int, ok bool) {
	first = 1
	for first < len(levels)-1 && (strings.EqualFold(levels[first], levels[0]) || isDigits(levels[first]) && depth == 1 && len(levels[first]) == 1) {
		first++
	}
	end = first + depth
	if depth == wholeTail {
		end = len(levels)
		for end > first+1 && has(tailWords, levels[end-1]) {
			end--
		}
	}
	if end > len(levels) || has(tailWords, levels[first]) {
		return 0, 0, false
	}
	return first, end, true
}

func genericDevice(levels []string) (first, end int) {
	start := 0
	for start < len(levels)-1 && has(containerWords, levels[start]) {
		start++
	}
	end = len(levels)
	for i := start + 1; i < end; i++ {
		if has(partWords, levels[i]) && !has(containerWords, levels[i-1]) {
			return i - 1, i
		}
	}
	for end > start+1 && isTail(levels[end-1]) {
		end--
	}
	last := levels[end-1]
	numbered := end < len(levels) && isShortNumber(last)
	if end-start >= 2 && !numbered && (end >= 3 || has(metricWords, last) || has(pluralWords, last)) {
		end--
	}
	first = end - 1
	if first > 0 && isShortNumber(levels[first]) {
		first--
		for first > 0 && has(pluralWords, levels[first]) {
			first--
		}
	}
	return first, end
}

// subjectOf joins what lies behind the device, without the words that only say what kind of message it is.
func subjectOf(levels []string) string {
	end := len(levels)
	for end > 0 && isTail(levels[end-1]) {
		end--
	}
	first := 0
	for first < end && has(prefixWords, levels[first]) {
		first++
	}
	return strings.ReplaceAll(strings.Join(levels[first:end], "."), "\x00", "\uFFFD")
}

func isTail(level string) bool { return level[0] == '$' || has(tailWords, level) }

func has(words map[string]struct{}, level string) bool {
	const longestWord = 24
	if len(level) > longestWord {
		return false
	}
	_, found := words[strings.ToLower(level)]
	return found
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// isShortNumber reports whether a level is an index rather than an id.
func isShortNumber(s string) bool { return len(s) <= 3 && isDigits(s) }

// clientDevice is the device of a topic that names none: the client id, unless it looks made up for the occasion.
func clientDevice(client, topicLevel string) string {
	if client == "" || looksRandom(client) {
		return topicLevel
	}
	return client
}

// looksRandom reports whether a client id is one that a library or tool made up.
func looksRandom(client string) bool {
	lower := strings.ToLower(client)
	for _, prefix := range randomPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	hex := 0
	for i := range len(lower) {
		switch c := lower[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
			hex++
		case c != '-':
			return false
		}
	}
	const randomDigits = 16
	return hex >= randomDigits
}

// statusOf reads presence from a message on a topic about it. A bare word of presence is no reading besides.
func statusOf(level statusWord, in *Input, out *Result) event.Status {
	if level == notStatus {
		return event.StatusUnknown
	}
	if out.Format != jsonName || len(in.Payload) > 0 && in.Payload[0] != '{' {
		status := statusOfWord(trim(in.Payload), level)
		if status != event.StatusUnknown {
			out.Readings, out.Texts = out.Readings[:0], out.Texts[:0]
		}
		return status
	}
	for _, t := range out.Texts {
		if has(statusKeys, lastKey(t.Name)) {
			if status := statusOfWord([]byte(t.Value), maybeStatus); status != event.StatusUnknown {
				return status
			}
		}
	}
	for _, r := range out.Readings {
		if statusLevels[strings.ToLower(lastKey(r.Name))] == surelyStatus {
			if r.Value != 0 {
				return event.StatusOnline
			}
			return event.StatusOffline
		}
	}
	return event.StatusUnknown
}

func statusOfWord(word []byte, level statusWord) event.Status {
	const longestWord = 16
	if len(word) > longestWord {
		return event.StatusUnknown
	}
	switch strings.ToLower(string(word)) {
	case "online", "connected", "alive", "ready":
		return event.StatusOnline
	case "offline", "disconnected", "dead", "lost":
		return event.StatusOffline
	case "true", "1", "yes", "on":
		if level == surelyStatus {
			return event.StatusOnline
		}
	case "false", "0", "no", "off":
		if level == surelyStatus {
			return event.StatusOffline
		}
	}
	return event.StatusUnknown
}
