package packet

import "unicode/utf8"

// What a name contains, as bits.
const (
	classWild    = 1 << iota // "+" or "#"
	classNull                // U+0000
	classControl             // U+0001 to U+001F, U+007F to U+009F, or a non-character
	classMulti               // what is not ASCII
	classBroken              // what is not UTF-8
)

var classes = func() (c [256]byte) {
	for b := range 0x20 {
		c[b] = classControl
	}
	for b := 0x80; b < 0x100; b++ {
		c[b] = classMulti
	}
	c[0], c['+'], c['#'], c[0x7f] = classNull, classWild, classWild, classControl
	return c
}()

// classify says what a name contains, 0 for ASCII without anything special, and counts its slashes. In the result,
// classMulti is left out where the text is sound.
func classify(name []byte) (class byte, slashes int) {
	for _, b := range name {
		class |= classes[b]
		if b == '/' {
			slashes++
		}
	}
	if class&classMulti != 0 {
		class = class&^classMulti | classifyRunes(name)
	}
	return class, slashes
}

func classifyRunes(name []byte) (class byte) {
	for len(name) > 0 {
		r, size := utf8.DecodeRune(name)
		switch {
		case r == utf8.RuneError && size == 1:
			return class | classBroken
		case r >= 0x80 && r < 0xa0, r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe:
			class |= classControl
		}
		name = name[size:]
	}
	return class
}

// badName is the error of a name that is not sound: well-formed UTF-8 without surrogates [MQTT-1.5.4-1] and without
// U+0000 [MQTT-1.5.4-2]. Control characters and non-characters a server may refuse (MQTT 5, 1.5.4); in a name, which
// ends up in logs, on screens and in other people's programs, this one does.
func badName(class byte, what string) error {
	switch {
	case class&classBroken != 0:
		return malformed("[MQTT-1.5.4-1]", "%s is not UTF-8", what)
	case class&classNull != 0:
		return malformed("[MQTT-1.5.4-2]", "%s contains U+0000", what)
	case class&classControl != 0:
		return malformed("MQTT 5, 1.5.4", "%s contains a control character or a non-character", what)
	}
	return malformed("[MQTT-4.7.0-1]", "%s contains a wildcard", what)
}
