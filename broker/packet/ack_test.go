package packet_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pulso/broker/packet"
)

var acks = []packet.Kind{packet.Puback, packet.Pubrec, packet.Pubrel, packet.Pubcomp}

func TestAck(t *testing.T) {
	for _, c := range []struct {
		name    string
		body    []byte
		version byte
		code    byte
		clause  string
	}{
		{"two bytes", pack(u16(1)), 4, accepted, ""},
		{"two bytes, MQTT 3.1", pack(u16(65535)), 3, accepted, ""},
		{"two bytes, MQTT 5", pack(u16(1)), 5, accepted, ""},
		{"reason code", pack(u16(1), 0), 5, accepted, ""},
		{"property length", pack(u16(1), 0, 0), 5, accepted, ""},
		{"reason string and user property", pack(u16(1), 0, props(0x1f, "two\nlines", 0x26, "k", "v")), 5, accepted, ""},
		{"no bytes", nil, 5, packet.ReasonMalformed, "3.4.2"},
		{"one byte", []byte{1}, 4, packet.ReasonMalformed, "3.4.2"},
		{"three bytes", pack(u16(1), 0), 4, packet.ReasonMalformed, "3.4.2"},
		{"packet identifier 0", pack(u16(0)), 4, packet.ReasonProtocol, "2.2.1"},
		{"packet identifier 0, MQTT 5", pack(u16(0), 0), 5, packet.ReasonProtocol, "2.2.1"},
		{"unknown reason code", pack(u16(1), 0xff), 5, packet.ReasonProtocol, "[MQTT-3.4.2-1]"},
		{"properties exceed the packet", pack(u16(1), 0, 1), 5, packet.ReasonMalformed, ""},
		{"bytes after the properties", pack(u16(1), 0, 0, 0), 5, packet.ReasonMalformed, "2.1.4"},
		{"reason string twice", pack(u16(1), 0, props(0x1f, "", 0x1f, "")), 5, packet.ReasonProtocol, "3.4.2.2.2"},
		{"reason string that is not UTF-8", pack(u16(1), 0, props(0x1f, "\xff")), 5, packet.ReasonMalformed, "[MQTT-1.5.4-1]"},
		{"session expiry", pack(u16(1), 0, props(0x11, u32(1))), 5, packet.ReasonMalformed, "2.2.2.2"},
	} {
		for _, kind := range acks {
			t.Run(kind.String()+" "+c.clause+" "+c.name, func(t *testing.T) {
				id, _, err := packet.Ack(kind, c.body, c.version)
				wantError(t, err, c.code, c.clause)
				if (id == 0) != (err != nil) {
					t.Errorf("id %d, error %v", id, err)
				}
			})
		}
	}
}

// TestAckReasonCodes goes through all of them (MQTT 5, 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1).
func TestAckReasonCodes(t *testing.T) {
	publish := []byte{0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
	release := []byte{0x00, 0x92}
	for _, kind := range acks {
		valid, clause := publish, map[packet.Kind]string{packet.Puback: "[MQTT-3.4.2-1]", packet.Pubrec: "[MQTT-3.5.2-1]"}[kind]
		if kind == packet.Pubrel || kind == packet.Pubcomp {
			valid, clause = release, map[packet.Kind]string{packet.Pubrel: "[MQTT-3.6.2-1]", packet.Pubcomp: "[MQTT-3.7.2-1]"}[kind]
		}
		for code := range 256 {
			t.Run(fmt.Sprintf("%s %s 0x%02x", clause, kind, code), func(t *testing.T) {
				id, got, err := packet.Ack(kind, pack(u16(258), code), 5)
				if slices.Contains(valid, byte(code)) {
					if err != nil || id != 258 || int(got) != code {
						t.Errorf("id %d, code 0x%02x, error %v", id, got, err)
					}
					return
				}
				wantError(t, err, packet.ReasonProtocol, clause)
			})
		}
	}
}

func TestAckTakesNoMemory(t *testing.T) {
	body := pack(u16(1), 0, props(0x1f, "reason", 0x26, "k", "v"))
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := packet.Ack(packet.Puback, body, 5); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAppendAck(t *testing.T) {
	for _, c := range []struct {
		kind          packet.Kind
		code, version byte
		want          []byte
	}{
		{packet.Puback, 0, 4, []byte{0x40, 2, 1, 2}},
		{packet.Puback, 0, 5, []byte{0x40, 2, 1, 2}},
		{packet.Pubrec, 0x90, 5, []byte{0x50, 3, 1, 2, 0x90}},
		{packet.Pubrec, 0x90, 4, []byte{0x50, 2, 1, 2}},
		{packet.Pubrel, 0, 3, []byte{0x62, 2, 1, 2}},
		{packet.Pubrel, 0x92, 5, []byte{0x62, 3, 1, 2, 0x92}},
		{packet.Pubcomp, 0x92, 5, []byte{0x70, 3, 1, 2, 0x92}},
	} {
		got := packet.AppendAck([]byte("x"), c.kind, 258, c.code, c.version)
		if !bytes.Equal(got[1:], c.want) || got[0] != 'x' {
			t.Errorf("%s: % x, want % x", c.kind, got[1:], c.want)
		}
		id, code, err := packet.Ack(packet.KindOf(c.want[0]), c.want[2:], c.version)
		if err != nil || id != 258 || c.version == 5 && code != c.code {
			t.Errorf("%s is read as id %d, code 0x%02x: %v", c.kind, id, code, err)
		}
	}
}

func TestDisconnect(t *testing.T) {
	expiry := packet.Disconnecting{SessionExpiry: 5, HasSessionExpiry: true}
	for _, c := range []struct {
		name    string
		body    []byte
		version byte
		want    packet.Disconnecting
		code    byte
		clause  string
	}{
		{"empty", nil, 4, packet.Disconnecting{}, accepted, ""},
		{"empty, MQTT 5", nil, 5, packet.Disconnecting{}, accepted, ""},
		{"with will", []byte{4}, 5, packet.Disconnecting{Code: 4}, accepted, ""},
		{"property length", []byte{0, 0}, 5, packet.Disconnecting{}, accepted, ""},
		{"session expiry", pack(0, props(0x11, u32(5))), 5, expiry, accepted, ""},
		{"session expiry 0", pack(0, props(0x11, u32(0))), 5, packet.Disconnecting{HasSessionExpiry: true}, accepted, ""},
		{"reason string and user property", pack(0, props(0x1f, "r", 0x26, "k", "v")), 5, packet.Disconnecting{}, accepted, ""},
		{"a byte", []byte{0}, 4, packet.Disconnecting{}, packet.ReasonMalformed, "MQTT 3.1.1, 3.14"},
		{"a byte, MQTT 3.1", []byte{0}, 3, packet.Disconnecting{}, packet.ReasonMalformed, "3.14"},
		{"properties exceed the packet", []byte{0, 1}, 5, packet.Disconnecting{}, packet.ReasonMalformed, ""},
		{"session expiry cut", pack(0, props(0x11, u16(0))), 5, packet.Disconnecting{}, packet.ReasonMalformed, ""},
		{"bytes after the properties", []byte{0, 0, 0}, 5, packet.Disconnecting{}, packet.ReasonMalformed, "2.1.4"},
		{"session expiry twice", pack(0, props(0x11, u32(5), 0x11, u32(5))), 5, packet.Disconnecting{}, packet.ReasonProtocol, "3.1.2.11.2"},
		{"topic alias", pack(0, props(0x23, u16(5))), 5, packet.Disconnecting{}, packet.ReasonMalformed, "2.2.2.2"},
	} {
		t.Run(c.clause+" "+c.name, func(t *testing.T) {
			got, err := packet.DecodeDisconnect(c.body, c.version)
			wantError(t, err, c.code, c.clause)
			if err == nil && got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// TestDisconnectReasonCodes goes through all of them (MQTT 5, 3.14.2.1).
func TestDisconnectReasonCodes(t *testing.T) {
	valid := []byte{0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99}
	for code := range 256 {
		t.Run(fmt.Sprintf("[MQTT-3.14.2-1] 0x%02x", code), func(t *testing.T) {
			d, err := packet.DecodeDisconnect([]byte{byte(code)}, 5)
			if !slices.Contains(valid, byte(code)) {
				wantError(t, err, packet.ReasonProtocol, "[MQTT-3.14.2-1]")
			} else if err != nil || int(d.Code) != code {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

func TestAuth(t *testing.T) {
	method := props(0x15, "SCRAM-SHA-1")
	for _, c := range []struct {
		name    string
		body    []byte
		version byte
		code    byte
		clause  string
	}{
		{"next step", pack(0x18, method), 5, accepted, ""},
		{"again", pack(0x19, props(0x15, "m", 0x16, "d", 0x1f, "r", 0x26, "k", "v")), 5, accepted, ""},
		{"of MQTT 3.1.1", pack(0x18, method), 4, packet.ReasonProtocol, "MQTT 3.1.1, 2.2.1"},
		{"empty, which is success", nil, 5, packet.ReasonProtocol, "[MQTT-3.15.2-1]"},
		{"success", pack(0, method), 5, packet.ReasonProtocol, "[MQTT-3.15.2-1]"},
		{"unknown reason code", pack(0x20, method), 5, packet.ReasonProtocol, "[MQTT-3.15.2-1]"},
		{"no properties", []byte{0x18}, 5, packet.ReasonMalformed, ""},
		{"no method", pack(0x18, props(0x16, "d")), 5, packet.ReasonProtocol, "3.15.2.2.2"},
		{"method twice", pack(0x18, props(0x15, "m", 0x15, "m")), 5, packet.ReasonProtocol, "3.1.2.11.9"},
		{"data twice", pack(0x18, props(0x15, "m", 0x16, "m", 0x16, "m")), 5, packet.ReasonProtocol, "3.1.2.11.10"},
		{"bytes after the properties", pack(0x18, method, 0), 5, packet.ReasonMalformed, "2.1.4"},
		{"properties exceed the packet", pack(0x18, 2, 0x15), 5, packet.ReasonMalformed, ""},
	} {
		t.Run(c.clause+" "+c.name, func(t *testing.T) {
			got, err := packet.DecodeAuth(c.body, c.version)
			wantError(t, err, c.code, c.clause)
			if (got == nil) != (err != nil) {
				t.Errorf("%+v with error %v", got, err)
			}
		})
	}
	body := pack(0x19, props(0x15, "m", 0x16, "\x00\xff"))
	got, err := packet.DecodeAuth(body, 5)
	clear(body)
	if want := (&packet.Authenticating{Method: "m", Data: []byte{0, 0xff}, Code: 0x19}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}
