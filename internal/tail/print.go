package tail

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Colours of a terminal.
const (
	faint = "\x1b[2m"
	blue  = "\x1b[34m"
	green = "\x1b[32m"
	red   = "\x1b[31m"
	plain = "\x1b[0m"
)

func (t *tail) printPretty(e *streamEvent) {
	fmt.Fprintf(t.out, "%s%s%s %s%s%s", faint, time.UnixMilli(e.Time).Format("15:04:05.000"), plain, blue, clean(e.Topic), plain)
	if e.Will {
		fmt.Fprintf(t.out, " %swill%s", red, plain)
	}
	for _, r := range t.result.Readings {
		fmt.Fprintf(t.out, " %s=%s%v%s%s", clean(r.Name), green, r.Value, clean(r.Unit), plain)
	}
	for _, x := range t.result.Texts {
		fmt.Fprintf(t.out, " %s=%s", clean(x.Name), clean(x.Value))
	}
	if len(t.result.Readings)+len(t.result.Texts) == 0 {
		fmt.Fprintf(t.out, " %s", clean(string(e.bytes())))
	}
	if e.Error != "" {
		fmt.Fprintf(t.out, " %s%s%s", red, clean(e.Error), plain)
	}
	fmt.Fprintln(t.out)
}

// longestText is what is shown of a device's text in a terminal.
const longestText = 200

// clean makes a device's text harmless for a terminal: what is no graphic character becomes a full stop.
func clean(s string) string {
	if len(s) > longestText {
		s = s[:longestText] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '.'
		}
		return r
	}, s)
}
