package main

import (
	"io"
	"os"
	"strings"
	"unicode"
)

// isTerminal reports whether f is one.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progressOutput is where commands write what a person reads while they run.
func progressOutput() (io.Writer, error) { return os.Stdout, nil }

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
