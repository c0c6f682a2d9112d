package topics

import (
	"unicode"
	"unicode/utf8"
)

// maxPreview is how many characters of a payload are shown.
const maxPreview = 120

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
