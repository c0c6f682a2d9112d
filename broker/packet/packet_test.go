package packet_test

import (
	"bytes"
	"fmt"
	"testing"

	"pulso/broker/packet"
)

func TestFixedHeader(t *testing.T) {
	for _, c := range []struct {
		name            string
		b               []byte
		version         byte
		size, remaining int
		code            byte
		clause          string
	}{
		{"empty", nil, 5, 0, 0, accepted, ""},
		{"type only", []byte{0x30}, 5, 0, 0, accepted, ""},
		{"zero", []byte{0xc0, 0}, 5, 2, 0, accepted, ""},
		{"127", []byte{0x30, 0x7f, 1, 2}, 5, 2, 127, accepted, ""},
		{"half of two bytes", []byte{0x30, 0x80}, 5, 0, 0, accepted, ""},
		{"128", []byte{0x30, 0x80, 1}, 5, 3, 128, accepted, ""},
		{"16,384", []byte{0x30, 0x80, 0x80, 1}, 5, 4, 16384, accepted, ""},
		{"2,097,152", []byte{0x30, 0x80, 0x80, 0x80, 1}, 5, 5, 2097152, accepted, ""},
		{"largest", []byte{0x30, 0xff, 0xff, 0xff, 0x7f}, 5, 5, packet.MaxRemaining, accepted, ""},
		{"largest before CONNECT", []byte{0x10, 0xff, 0xff, 0xff, 0x7f}, 0, 5, packet.MaxRemaining, accepted, ""},
		{"five bytes", []byte{0x30, 0x80, 0x80, 0x80, 0x80, 1}, 5, 0, 0, packet.ReasonMalformed, "1.5.5"},
		{"four bytes that go on", []byte{0x30, 0xff, 0xff, 0xff, 0xff}, 4, 0, 0, packet.ReasonMalformed, "1.5.5"},
		{"four bytes that go on before CONNECT", []byte{0x10, 0xff, 0xff, 0xff, 0xff}, 0, 0, 0, packet.ReasonMalformed, "1.5.5"},
		{"overlong 0", []byte{0x30, 0x80, 0}, 5, 0, 0, packet.ReasonMalformed, "[MQTT-1.5.5-1]"},
		{"overlong 127", []byte{0x30, 0xff, 0x80, 0x80, 0}, 5, 0, 0, packet.ReasonMalformed, "[MQTT-1.5.5-1]"},
		{"overlong 127 in MQTT 3.1.1", []byte{0x30, 0xff, 0x80, 0x80, 0}, 4, 5, 127, accepted, ""},
		{"overlong 0 before CONNECT", []byte{0x10, 0x80, 0}, 0, 3, 0, accepted, ""},
	} {
		t.Run(c.clause+" "+c.name, func(t *testing.T) {
			size, remaining, err := packet.FixedHeader(c.b, c.version)
			wantError(t, err, c.code, c.clause)
			if size != c.size || size > 0 && remaining != c.remaining {
				t.Fatalf("header of %d bytes, %d remaining; want %d and %d", size, remaining, c.size, c.remaining)
			}
		})
	}
}

func TestFixedHeaderOfEachBoundary(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 16383, 16384, 2097151, 2097152, packet.MaxRemaining} {
		b := pack(0x30, vbi(n))
		size, remaining, err := packet.FixedHeader(b, 5)
		if err != nil || size != len(b) || remaining != n {
			t.Errorf("%d: header of %d bytes, %d remaining, error %v", n, size, remaining, err)
		}
		eachCut(b, func(cut []byte) {
			if size, _, err := packet.FixedHeader(cut, 5); size != 0 || err != nil {
				t.Errorf("%d, cut after %d bytes: header of %d bytes, error %v", n, len(cut), size, err)
			}
		})
	}
}

// TestCheckFirst goes through all first bytes at all levels.
func TestCheckFirst(t *testing.T) {
	for _, version := range []byte{0, 3, 4, 5} {
		for first := range 256 {
			kind, flags := packet.KindOf(byte(first)), byte(first&0x0f)
			code, clause := byte(accepted), ""
			switch {
			case version == 0:
				if first != 0x10 {
					code, clause = packet.ReasonNotMQTT, "[MQTT-3.1.0-1]"
				}
			case kind == packet.Connect:
				code, clause = packet.ReasonProtocol, "[MQTT-3.1.0-2]"
			case kind == packet.Publish:
				switch {
				case flags&6 == 6:
					code, clause = packet.ReasonMalformed, "[MQTT-3.3.1-4]"
				case flags&8 != 0 && flags&6 == 0 && version > 3:
					code, clause = packet.ReasonMalformed, "[MQTT-3.3.1-2]"
				}
			case kind == packet.Pubrel, kind == packet.Subscribe, kind == packet.Unsubscribe:
				again := version == 3 && flags&6 == 2
				if flags != 2 && !again {
					code = packet.ReasonMalformed
					clause = map[packet.Kind]string{
						packet.Pubrel: "[MQTT-3.6.1-1]", packet.Subscribe: "[MQTT-3.8.1-1]", packet.Unsubscribe: "[MQTT-3.10.1-1]",
					}[kind]
				}
			case kind == packet.Puback, kind == packet.Pubrec, kind == packet.Pubcomp, kind == packet.Pingreq, kind == packet.Disconnect:
				if flags != 0 && version > 3 {
					code, clause = packet.ReasonMalformed, "[MQTT-2.1.3-1]"
				}
			case kind == packet.Auth && version == 5:
				if flags != 0 {
					code, clause = packet.ReasonMalformed, "[MQTT-3.15.1-1]"
				}
			case kind == packet.Auth:
				code, clause = packet.ReasonProtocol, "MQTT 3.1.1, 2.2.1"
			default: // what only a server sends, and type 0
				code, clause = packet.ReasonProtocol, "2.1.2"
			}
			t.Run(fmt.Sprintf("%s version %d first byte 0x%02x", clause, version, first), func(t *testing.T) {
				wantError(t, packet.CheckFirst(byte(first), version), code, clause)
			})
		}
	}
}

func TestCheckPingreq(t *testing.T) {
	wantError(t, packet.Check(0xc0, nil, 5), accepted, "")
	wantError(t, packet.Check(0xc0, []byte{0}, 5), packet.ReasonMalformed, "3.12")
	wantError(t, packet.Check(0xc0, []byte{0}, 4), packet.ReasonMalformed, "3.12")
}

func TestCheckOfServerPackets(t *testing.T) {
	for _, kind := range []packet.Kind{0, packet.Connack, packet.Suback, packet.Unsuback, packet.Pingresp} {
		wantError(t, packet.Check(byte(kind)<<4, []byte{0, 1}, 5), packet.ReasonProtocol, "2.1.2")
	}
}

func TestKindNames(t *testing.T) {
	for kind, name := range map[packet.Kind]string{0: "packet type 0", packet.Connect: "CONNECT", packet.Pubrel: "PUBREL", packet.Auth: "AUTH"} {
		if kind.String() != name {
			t.Errorf("%d is called %q, want %q", byte(kind), kind, name)
		}
	}
}

// TestReasonCodes holds the numbers against the text (MQTT 5, 2.4).
func TestReasonCodes(t *testing.T) {
	got := []byte{
		packet.ReasonMalformed, packet.ReasonProtocol, packet.ReasonVersion, packet.ReasonFilterInvalid, packet.ReasonTopicInvalid,
		packet.ReasonAliasInvalid, packet.ReasonQuota, packet.ReasonPayloadFormat, packet.ReasonNotMQTT,
	}
	if want := []byte{0x81, 0x82, 0x84, 0x8f, 0x90, 0x94, 0x97, 0x99, 0}; !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestErrorNamesItsClause(t *testing.T) {
	e := packet.Error{Clause: "[MQTT-3.3.1-4]", Detail: "PUBLISH with QoS 3"}
	if e.Error() != "[MQTT-3.3.1-4]: PUBLISH with QoS 3" {
		t.Errorf("%q", e.Error())
	}
	if e.Clause = ""; e.Error() != e.Detail {
		t.Errorf("%q", e.Error())
	}
}
