package decode

import (
	"encoding/binary"
	"fmt"
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
	// epoch is the decoder's when it was last found to hold.
	epoch uint64
	// device is the id; empty where the topic names none.
	device string
	// namespace is the first level of a topic of a namespace: no device of another is meant, whatever is said. Empty: none.
	namespace string
	// byClient reports that the client id may name the device, and fallback does where the client id looks random.
	byClient bool
	fallback string
	// kind and name are what is known of the device by a scheme, by discovery or by an override.
	kind, name string
	role       Role
	// vague reports that discovery may name the device better.
	vague  bool
	status statusWord
	// online and offline are the words that it has for presence; empty: the common ones.
	online, offline string
	decode          Func
	announces       bool
	// space and prefix are what the keys of names begin with: whose rules count, and what the topic says beyond the device;
	// barePrefix is that of a bare value.
	space              *space
	prefix, barePrefix []byte
	// names are those of the last message, in its order.
	names []*nameInfo
	// units and about are what has been announced of the device, as of factsAt.
	units   map[string]string
	about   about
	factsAt uint64
}

// A space is a set of rules by which names are read.
type space struct {
	number   uint32
	scheme   *scheme
	override overriding
	told     map[string]Key
}

// spaceKey is what makes a space: told is the topic whose discovery counts.
type spaceKey struct {
	scheme          *scheme
	overrides, told string
}

// formatName is what the scheme's own decoding is called.
func (s *space) formatName() string {
	if s.scheme == nil {
		return ""
	}
	return s.scheme.Name
}

func (d *Decoder) topic(name string, ref *event.Ref) *topicInfo {
	if t, found := event.Slot[*topicInfo](ref, event.SlotDecoder); found && t.epoch == d.epoch {
		return t
	}
	if t, found := d.topics.getString(name); found {
		t.epoch = d.epoch
		ref.Keep(event.SlotDecoder, t)
		return t
	}
	name = strings.Clone(name)
	t := d.newTopicInfo(name, nil)
	d.topics.put(name, t)
	ref.Keep(event.SlotDecoder, t)
	return t
}

// newTopicInfo asks the overrides, what has been told of the topic, the schemes, and at last the common rules. why takes
// the reasons; nil: nothing does.
func (d *Decoder) newTopicInfo(name string, why *[]string) *topicInfo {
	override, which := d.overridingOf(name)
	because := func(format string, args ...any) {
		if why != nil {
			*why = append(*why, fmt.Sprintf(format, args...))
		}
	}
	levels := splitLevels(name)
	t, key, subject := &topicInfo{epoch: d.epoch}, spaceKey{overrides: which}, ""
	found := false
	for _, s := range d.schemes {
		if override.scheme != nil && s != override.scheme || override.format != nil || len(levels) == 0 {
			continue
		}
		var a Address
		if a, found = s.match(levels); found {
			key.scheme, subject = s, a.Subject
			t.take(&a)
			because("the topic is one of %s's", s.Name)
			break
		}
	}
	if !found {
		key.scheme = override.scheme
		t.common(name, levels, &subject)
		if t.device != "" {
			because("the topic is of no known family: by common rules the device is %q", t.device)
		} else {
			because("the topic is of no known family")
		}
	}
	told := d.told(name)
	if told.says() {
		key.told = name
		subject = t.tell(&told, found, subject)
		because("discovery has announced the topic")
	}
	if override.device != "" {
		t.device, _ = fillLevels(override.device, strings.Split(name, "/"))
		t.byClient = t.device == ""
	}
	t.name, t.kind = first(override.name, t.name), first(override.kind, t.kind)
	if which != "" {
		because("overrides %scount", which)
	}
	if override.format != nil {
		t.decode = nil
	}
	t.space = d.space(key, override, told.Keys)
	if len(d.namespaces) > 0 {
		t.namespace = d.namespaceOf(name)
		t.device = t.own(t.device)
	}
	bare := subject
	if bare == "" && len(levels) > 0 {
		bare = levels[len(levels)-1]
	}
	t.prefix, t.barePrefix = t.space.prefix(subject), t.space.prefix(bare)
	return t
}

// space returns the space of a key, numbering a new one.
func (d *Decoder) space(key spaceKey, override overriding, told map[string]Key) *space {
	if s := d.spaces[key]; s != nil && key.told == "" {
		return s
	}
	if len(d.spaces) > d.topics.limit {
		d.relearn()
	}
	d.numbered++
	s := &space{number: d.numbered, scheme: key.scheme, override: override, told: told}
	d.spaces[key] = s
	return s
}

// prefix is what the keys of names begin with.
func (s *space) prefix(subject string) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, spaceBytes+len(subject)+1), s.number)
	return append(append(b, subject...), subjectEnd)
}

// spaceBytes is the length of a space's number in a key.
const spaceBytes = 4

func splitLevels(topic string) []string {
	levels := make([]string, 0, 8)
	for level := range strings.SplitSeq(topic, "/") {
		if level != "" {
			levels = append(levels, level)
		}
	}
	return levels
}

// take takes what a scheme says of the topic.
func (t *topicInfo) take(a *Address) {
	t.device, t.kind, t.role, t.decode = a.Device, a.Kind, a.Role, a.Decode
	t.byClient, t.vague = a.Device == "", a.Vague
	switch a.Role {
	case RoleState, RoleRegistry:
		t.status = maybeStatus
	case RoleStatus:
		t.status = surelyStatus
	case RoleReading, RoleCommand, RoleQuiet:
	}
}

// tell takes what discovery has said of the topic; ofScheme reports that it is one of a scheme's. It returns the subject,
// which is none where it was guessed for another device.
func (t *topicInfo) tell(told *Told, ofScheme bool, subject string) string {
	if !told.Weak || !ofScheme || t.vague {
		t.device = first(told.Device, t.device)
	}
	t.online, t.offline = told.Online, told.Offline
	t.name, t.kind = first(told.Name, t.name), first(told.Kind, t.kind)
	t.byClient = t.device == ""
	t.announces = false
	if told.Role != RoleReading {
		t.role = told.Role
		t.status = notStatus
		t.take(&Address{Device: t.device, Kind: t.kind, Role: told.Role, Decode: t.decode})
	}
	if told.Device != "" && !told.Weak && !ofScheme {
		return ""
	}
	return subject
}

// common applies the rules by which a topic of no known family names a device:
//
//   - "$…" and "chat/…" name none, nor does [event.ResponseTopic], where all devices answer commands.
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
func (t *topicInfo) common(name string, levels []string, subject *string) {
	if len(levels) == 0 {
		t.byClient = true
		return
	}
	last := strings.ToLower(levels[len(levels)-1])
	t.status = statusLevels[last]
	_, t.announces = announceWords[last]
	start, end := findDevice(levels)
	if has(commandRoots, levels[0]) || has(replyWords, last) ||
		slices.ContainsFunc(levels[end:], func(level string) bool { return has(commandWords, level) }) {
		t.role = RoleCommand
	}
	switch {
	case strings.HasPrefix(name, "$"), strings.EqualFold(levels[0], "chat"):
		t.status, t.role, t.announces = notStatus, RoleReading, false
	case name == event.ResponseTopic:
		t.status, t.role, t.announces = notStatus, RoleCommand, false
	case len(levels) == 1:
		t.byClient, t.fallback = true, levels[0]
		*subject = subjectOf(levels)
	default:
		t.device = strings.Join(levels[start:end], "/")
		*subject = subjectOf(levels[end:])
		if last[0] == '$' {
			t.role = RoleRegistry
		}
	}
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
	for i := start + 1; i < end; i++ {
		if has(commandWords, levels[i]) {
			end = i
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

// ownerKeys are the keys by which a payload says whose it is, the most telling first.
var ownerKeys = [...]string{"deviceid", "device_id", "devid", "deveui", "dev_eui", "imei", "serialnumber", "serial_number", "serialno", "serial", "sn", "mac"}

// nameByPayload names the device of a topic of a single level by an id at the root of the payload.
func (s *Scope) nameByPayload(out *Result) {
	for _, key := range ownerKeys {
		for _, t := range out.Texts {
			path := strings.TrimPrefix(t.Name, s.topic.fallback+".")
			if strings.EqualFold(path, key) && path != s.topic.fallback {
				s.SetDevice(out, t.Value)
				return
			}
		}
	}
}

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
func statusOf(topic *topicInfo, in *Input, out *Result) event.Status {
	level := topic.status
	if level == notStatus {
		return event.StatusUnknown
	}
	switch word := trim(in.Payload); {
	case len(word) == 0:
	case string(word) == topic.online:
		out.nothing()
		return event.StatusOnline
	case string(word) == topic.offline:
		out.nothing()
		return event.StatusOffline
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
