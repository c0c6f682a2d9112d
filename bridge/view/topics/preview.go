package topics

import (
	"unicode"
	"unicode/utf8"
)

const (
	// maxPreview is how many characters of a payload are shown.
	maxPreview = 120
)

// begin is the part of a payload that a preview is made of, copied into dst. It is made for each message, the preview only
// for those that are shown.
func begin(dst, payload []byte) []byte {
	end := min(maxPreview, len(payload))
	for _, c := range payload[:end] {
		if c >= utf8.RuneSelf { // characters may be longer
			end = min(maxPreview*utf8.UTFMax, len(payload))
			break
		}
	}
	return append(dst[:0], payload[:end]...)
}

// appendPreview appends the beginning of a payload as valid UTF-8 of at most maxPreview characters. What cannot be shown
// becomes a space, or U+FFFD where it is not text at all.
func appendPreview(dst, payload []byte) []byte {
	for range maxPreview {
		if len(payload) == 0 {
			break
		}
		if c := payload[0]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				c = ' '
			}
			dst = append(dst, c)
			payload = payload[1:]
			continue
		}
		r, size := utf8.DecodeRune(payload)
		if unicode.Is(unicode.C, r) {
			r = ' '
		}
		dst = utf8.AppendRune(dst, r)
		payload = payload[size:]
	}
	return dst
}
