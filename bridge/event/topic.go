package event

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of topics and filters.
const (
	// MaxTopicBytes is MQTT's own limit of a UTF-8 string [MQTT-1.5.4].
	MaxTopicBytes = 65535
	// MaxLevels bounds the levels of a topic or filter: more cost time without serving anyone.
	MaxLevels = 128
)

// Errors that [CheckTopic] and [CheckFilter] wrap.
var (
	ErrTopic  = errors.New("invalid topic")
	ErrFilter = errors.New("invalid filter")
)

// CheckTopic returns nil if s is a topic name that one may publish to [MQTT-4.7.1-1] [MQTT-4.7.3-1]: valid UTF-8
// without U+0000, 1 to MaxTopicBytes bytes, at most MaxLevels levels, no wildcard.
func CheckTopic(s string) error {
	if err := checkCommon(s, ErrTopic); err != nil {
		return err
	}
	if i := strings.IndexAny(s, "+#"); i >= 0 {
		return fmt.Errorf("%w %s: wildcard %q", ErrTopic, brief(s), s[i])
	}
	return nil
}

// CheckFilter returns nil if s is a topic filter [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1]: like a topic, but a whole
// level may be "+", and the last may be "#". Shared subscriptions are no filters: strip their prefix first.
func CheckFilter(s string) error {
	if err := checkCommon(s, ErrFilter); err != nil {
		return err
	}
	for rest, more := s, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		switch {
		case level == "+", !strings.ContainsAny(level, "+#"):
		case level == "#" && !more:
		case level == "#":
			return fmt.Errorf("%w %s: \"#\" must be the last level", ErrFilter, brief(s))
		default:
			return fmt.Errorf("%w %s: a wildcard must be a whole level, not %q", ErrFilter, brief(s), level)
		}
	}
	return nil
}

func checkCommon(s string, kind error) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: empty", kind)
	case len(s) > MaxTopicBytes:
		return fmt.Errorf("%w %s: %d bytes, at most %d", kind, brief(s), len(s), MaxTopicBytes)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w %s: not valid UTF-8", kind, brief(s))
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("%w %s: contains U+0000", kind, brief(s))
	case strings.Count(s, "/") >= MaxLevels:
		return fmt.Errorf("%w %s: %d levels, at most %d", kind, brief(s), strings.Count(s, "/")+1, MaxLevels)
	}
	return nil
}

func brief(s string) string { return fmt.Sprintf("%.80q", s) }

// Match reports whether a valid filter matches a valid topic. A leading "$" is matched only by a filter that begins with
// it [MQTT-4.7.2-1]; "a/#" matches "a" itself (MQTT 5, 4.7.1.2).
func Match(filter, topic string) bool {
	if topic == "" || filter == "" {
		return false
	}
	if topic[0] == '$' && filter[0] != '$' {
		return false
	}
	for {
		f, frest, fmore := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		t, trest, tmore := strings.Cut(topic, "/")
		if f != "+" && f != t {
			return false
		}
		switch {
		case !fmore && !tmore:
			return true
		case !tmore:
			return frest == "#"
		case !fmore:
			return false
		}
		filter, topic = frest, trest
	}
}

// MatchAny reports whether one of the filters matches topic.
func MatchAny(filters []string, topic string) bool {
	for _, f := range filters {
		if Match(f, topic) {
			return true
		}
	}
	return false
}
