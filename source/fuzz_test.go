package source

import (
	"bufio"
	"bytes"
	"testing"
)

// Whatever a broker sends, reading it ends, takes no more memory than a packet may have, and does not panic.
func FuzzRead(f *testing.F) {
	f.Add([]byte{0x32, 7, 0, 1, 'a', 0, 1, 0, 'x'}, true)
	f.Add([]byte{0x20, 9, 0, 0, 6, 0x21, 0, 10, 0x22, 0, 10}, true)
	f.Add([]byte{0x90, 4, 0, 1, 0, 1}, true)
	f.Add([]byte{0x31, 0xff, 0x7f, 0, 1, 'a', 0, 0}, false)
	f.Add([]byte{0x30, 12, 0, 1, 'a', 7, 0x26, 0, 1, 'k', 0, 1, 'v', 'x'}, true)
	f.Fuzz(func(t *testing.T, data []byte, five bool) {
		var c codec = mqtt3{}
		if five {
			c = mqtt5{}
		}
		in := bufio.NewReader(bytes.NewReader(data))
		for {
			const limit = 64
			p, err := readFrame(in, limit)
			if err != nil {
				return
			}
			if len(p.body) > limit && !p.tooLarge {
				t.Fatalf("%d bytes", len(p.body))
			}
			switch p.kind() {
			case typePublish:
				m, err := decodeMessage(c, &p)
				if err == nil && (m.qos > 1 || (m.qos == 1) != (m.id != 0)) {
					t.Fatalf("%+v", m)
				}
			case typeConnack:
				if w, err := c.connack(p.body); err == nil {
					_ = c.text(w.code)
				}
			case typeSuback, typeUnsuback:
				_, _ = c.reasons(p.body)
			default:
				_, _ = identifier(p.body)
				_ = c.reason(p.kind(), p.body)
			}
		}
	})
}
