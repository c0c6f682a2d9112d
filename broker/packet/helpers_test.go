package packet_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"pulso/broker/packet"
)

// Numbers that pack writes in more than one byte.
type (
	u16 uint16
	u32 uint32
	vbi int
)

// pack joins fields: an int is a byte, a string has its length before it, and bytes stand as they are.
func pack(fields ...any) []byte {
	b := []byte{}
	for _, f := range fields {
		switch f := f.(type) {
		case int:
			b = append(b, byte(f))
		case byte:
			b = append(b, f)
		case packet.Kind:
			b = append(b, byte(f)<<4)
		case u16:
			b = binary.BigEndian.AppendUint16(b, uint16(f))
		case u32:
			b = binary.BigEndian.AppendUint32(b, uint32(f))
		case vbi:
			for ; f >= 0x80; f >>= 7 {
				b = append(b, byte(f)|0x80)
			}
			b = append(b, byte(f))
		case string:
			b = binary.BigEndian.AppendUint16(b, uint16(len(f)))
			b = append(b, f...)
		case []byte:
			b = append(b, f...)
		}
	}
	return b
}

// props are properties with their length before them.
func props(fields ...any) []byte {
	b := pack(fields...)
	return append(pack(vbi(len(b))), b...)
}

// raw are bytes without a length before them.
func raw(s string) []byte { return []byte(s) }

// accepted is the code of a case that has no error.
const accepted = 0xff

// wantError fails unless err is what code and clause say: a reason code, and where a clause is named, that as well.
func wantError(t *testing.T, err error, code byte, clause string) {
	t.Helper()
	if code == accepted {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	var e *packet.Error
	switch {
	case err == nil:
		t.Fatalf("accepted, want an error with code 0x%02x", code)
	case !errors.As(err, &e):
		t.Fatalf("%T is no *packet.Error", err)
	case e.Code != code:
		t.Fatalf("code 0x%02x, want 0x%02x: %v", e.Code, code, err)
	case e.Detail == "" || !strings.Contains(e.Clause, clause):
		t.Fatalf("error %q of clause %q, want one of %q", e.Detail, e.Clause, clause)
	case packet.CodeOf(err) != code:
		t.Fatalf("CodeOf gives 0x%02x, want 0x%02x", packet.CodeOf(err), code)
	}
}

// Names that no packet may have, with the clause that forbids them, and some that look odd and are sound.
var badNames = []struct{ name, text, clause string }{
	{"U+0000", "to\x00p", "[MQTT-1.5.4-2]"},
	{"only U+0000", "\x00", "[MQTT-1.5.4-2]"},
	{"surrogate U+D800", "to\xed\xa0\x80", "[MQTT-1.5.4-1]"},
	{"surrogate U+DFFF", "to\xed\xbf\xbf", "[MQTT-1.5.4-1]"},
	{"overlong slash", "to\xc0\xaf", "[MQTT-1.5.4-1]"},
	{"beyond U+10FFFF", "to\xf4\x90\x80\x80", "[MQTT-1.5.4-1]"},
	{"cut rune", "to\xe2\x82", "[MQTT-1.5.4-1]"},
	{"lone continuation", "to\x80", "[MQTT-1.5.4-1]"},
	{"U+0001", "to\x01", "1.5.4"},
	{"line feed", "to\n", "1.5.4"},
	{"U+007F", "to\x7f", "1.5.4"},
	{"U+009F", "to\u009f", "1.5.4"},
	{"U+FFFF", "to\uffff", "1.5.4"},
	{"U+FDD0", "to\ufdd0", "1.5.4"},
	{"U+1FFFE", "to\U0001fffe", "1.5.4"},
}

var goodNames = []string{"a", " ", "A\U0002a6d4", "\ufeffmark", "é", "Ωμέγα", "\ufffd", "🚜/speed", "a b", strings.Repeat("x", 65535)}

// eachCut calls f with every proper prefix of b.
func eachCut(b []byte, f func(cut []byte)) {
	for n := range b {
		f(slices.Clip(b[:n]))
	}
}
