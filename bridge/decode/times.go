package decode

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// maxSkew is how far a device's clock may be from the arrival to be trusted.
const maxSkew = int64(24 * time.Hour)

// earliest is the year 2000: no device's clock that is set says less.
const earliest = int64(946_684_800 * time.Second)

// believable reports whether t may be when a message was made that arrived at arrival, both in nanoseconds. Where the
// arrival is not known (0), it may be any time from the year 2000 until now.
func believable(t, arrival int64) bool {
	if arrival == 0 {
		return t >= earliest && t <= time.Now().UnixNano()+maxSkew
	}
	return t > 0 && t >= arrival-maxSkew && t <= arrival+maxSkew
}

// timeOfNumber reads seconds, milliseconds, microseconds or nanoseconds since the Unix epoch, told apart by their
// magnitude, as nanoseconds; 0 if it is none of them. Each range begins in 2001 and ends before the next.
func timeOfNumber(v float64) int64 {
	switch {
	case v >= 1e9 && v < 1e11:
		whole, fraction := math.Modf(v)
		return int64(whole)*1e9 + int64(math.Round(fraction*1e6))*1e3
	case v >= 1e12 && v < 1e14:
		return int64(v*1e3) * 1e3
	case v >= 1e15 && v < 1e17:
		return int64(v) * 1e3
	case v >= 1e18 && v < 9e18:
		return int64(v)
	default:
		return 0
	}
}

// timeOfText reads a time with a zone as nanoseconds since the Unix epoch: RFC 3339's and ISO 8601's ("…T08:00:00Z",
// "20240501T080000Z", "2024-05-01 10:00:00 +0200", "… UTC"), RFC 1123's ("Wed, 01 May 2024 08:00:00 GMT"), or a number of
// digits; 0 if it is none of them.
func timeOfText(b []byte) int64 {
	if isDigits(string(b)) && len(b) <= len("1714564800123456789") { // plainNumber takes a long one for an id
		v, _ := strconv.ParseInt(string(b), 10, 64)
		return timeOfNumber(float64(v))
	}
	if v, ok := plainNumber(b); ok {
		return timeOfNumber(v)
	}
	const shortest, longest, day = len("20060102T150405Z"), len("2006-01-02T15:04:05.999999999+00:00") + 4, len("2006-01-02")
	if len(b) < shortest || len(b) > longest {
		return 0
	}
	layouts := []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999Z07", "2006-01-02T15:04Z07:00"}
	s := string(b)
	switch {
	case b[3] == ',': // no other names of zones: Go takes those that it does not know for UTC
		s = strings.Replace(s, " GMT", " +0000", 1)
		layouts = []string{time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 -0700"}
	case b[8] == 'T':
		layouts = []string{"20060102T150405.999999999Z0700", "20060102T150405.999999999Z07:00"}
	case b[day] == ' ':
		s = s[:day] + "T" + strings.Replace(strings.Replace(s[day+1:], " UTC", "Z", 1), " ", "", 1)
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixNano()
		}
	}
	return 0
}

// isClock reports whether a value is a clock rather than a quantity: milliseconds within a year before the arrival or
// a day after it, or whole seconds within a day of it. No quantity passes there but by design.
func isClock(v float64, arrival int64) bool {
	const year = 365 * 24 * 3600 * 1e3
	if arrival == 0 {
		return believable(timeOfNumber(v), 0) && v >= 1e12
	}
	now := float64(arrival) / 1e6
	const day = 24 * 3600 * 1e3
	return v >= 1e12 && v > now-year && v < now+day || v >= 1e9 && v == math.Trunc(v) && math.Abs(v*1e3-now) < day
}
