package packet_test

import (
	"reflect"
	"strings"
	"testing"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// connect311 is a CONNECT of MQTT 3.1.1, connect5 one of MQTT 5 without properties.
func connect311(flags int, fields ...any) []byte {
	return pack("MQTT", 4, flags, u16(10), pack(fields...))
}

func connect31(flags int, fields ...any) []byte {
	return pack("MQIsdp", 3, flags, u16(10), pack(fields...))
}

func connect5(flags int, fields ...any) []byte {
	return pack("MQTT", 5, flags, u16(10), 0, pack(fields...))
}

func connect5props(fields ...any) []byte { return pack("MQTT", 5, 2, u16(10), props(fields...), "p") }

func willProps(fields ...any) []byte {
	return pack("MQTT", 5, 6, u16(10), 0, "p", props(fields...), "t", "payload")
}

var connectCases = []struct {
	name   string
	body   []byte
	code   byte
	clause string
}{
	{"smallest of MQTT 3.1", connect31(0, "p"), accepted, ""},
	{"smallest of MQTT 3.1.1", connect311(2, "p"), accepted, ""},
	{"smallest of MQTT 5", connect5(2, "p"), accepted, ""},
	{"will, user and password, MQTT 3.1", connect31(0xce, "p", "t", "m", "u", "w"), accepted, ""},
	{"will, user and password, MQTT 3.1.1", connect311(0xee, "p", "t", "m", "u", "w"), accepted, ""},
	{"will, user and password, MQTT 5", connect5(0xd6, "p", 0, "t", "m", "u", "w"), accepted, ""},

	{"no bytes", nil, packet.ReasonNotMQTT, "[MQTT-3.1.2-1]"},
	{"name cut", []byte{0, 4, 'M', 'Q'}, packet.ReasonNotMQTT, "[MQTT-3.1.2-1]"},
	{"short name", pack("MQT", 4, 2, u16(10), "p"), packet.ReasonNotMQTT, "[MQTT-3.1.2-1]"},
	{"long name", pack("MQTTT", 4, 2, u16(10), "p"), packet.ReasonNotMQTT, "[MQTT-3.1.2-1]"},
	{"empty name", pack("", 4, 2, u16(10), "p"), packet.ReasonNotMQTT, "[MQTT-3.1.2-1]"},
	{"name in lower case", pack("mqtt", 4, 2, u16(10), "p"), packet.ReasonNotMQTT, "[MQTT-3.1.2-1]"},
	{"no level", pack("MQTT"), packet.ReasonMalformed, ""},
	{"level 2", pack("MQIsdp", 2, 2, u16(10), "p"), packet.ReasonVersion, "[MQTT-3.1.2-2]"},
	{"level 6", pack("MQTT", 6, 2, u16(10), 0, "p"), packet.ReasonVersion, "[MQTT-3.1.2-2]"},
	{"level 3 with the new name", pack("MQTT", 3, 2, u16(10), "p"), packet.ReasonVersion, "[MQTT-3.1.2-2]"},
	{"level 4 with the old name", pack("MQIsdp", 4, 2, u16(10), "p"), packet.ReasonVersion, "[MQTT-3.1.2-2]"},
	{"level of a bridge", pack("MQTT", 0x84, 2, u16(10), "p"), packet.ReasonVersion, "[MQTT-3.1.2-2]"},
	{"level 0", pack("MQTT", 0), packet.ReasonVersion, "[MQTT-3.1.2-2]"},

	{"reserved flag, MQTT 3.1.1", connect311(3, "p"), packet.ReasonMalformed, "[MQTT-3.1.2-3]"},
	{"reserved flag, MQTT 5", connect5(3, "p"), packet.ReasonMalformed, "[MQTT-3.1.2-3]"},
	{"reserved flag, which MQTT 3.1 leaves unused", connect31(3, "p"), accepted, ""},
	{"will QoS 1 without a will", connect311(0x0a, "p"), packet.ReasonMalformed, "[MQTT-3.1.2-11]"},
	{"will QoS 2 without a will", connect5(0x12, "p"), packet.ReasonMalformed, "[MQTT-3.1.2-11]"},
	{"will QoS without a will, which MQTT 3.1 disregards", connect31(0x1a, "p"), accepted, ""},
	{"will QoS 3", connect311(0x1e, "p", "t", "m"), packet.ReasonMalformed, "[MQTT-3.1.2-12]"},
	{"will QoS 3, MQTT 3.1", connect31(0x1e, "p", "t", "m"), packet.ReasonMalformed, "[MQTT-3.1.2-12]"},
	{"will retain without a will", connect5(0x22, "p"), packet.ReasonMalformed, "[MQTT-3.1.2-13]"},
	{"will retain without a will, MQTT 3.1.1", connect311(0x22, "p"), packet.ReasonMalformed, "[MQTT-3.1.2-13]"},
	{"will retain without a will, which MQTT 3.1 disregards", connect31(0x22, "p"), accepted, ""},
	{"password without user, MQTT 3.1.1", connect311(0x42, "p", "w"), packet.ReasonMalformed, "[MQTT-3.1.2-22]"},
	{"password without user, MQTT 3.1", connect31(0x42, "p", "w"), packet.ReasonMalformed, "[MQTT-3.1.2-22]"},
	{"password without user, MQTT 5, 3.1.2.9", connect5(0x42, "p", "w"), accepted, ""},

	{"no client identifier field [MQTT-3.1.3-3]", connect311(2), packet.ReasonMalformed, ""},
	{"will flag without will [MQTT-3.1.2-9]", connect311(6, "p"), packet.ReasonMalformed, ""},
	{"will flag without will payload [MQTT-3.1.2-9]", connect311(6, "p", "t"), packet.ReasonMalformed, ""},
	{"will flag without will properties [MQTT-3.1.2-9]", pack("MQTT", 5, 6, u16(1), 0, "p"), packet.ReasonMalformed, ""},
	{"user flag without user [MQTT-3.1.2-17]", connect311(0x82, "p"), packet.ReasonMalformed, ""},
	{"user flag without user, MQTT 3.1, 3.1", connect31(0x82, "p"), accepted, ""},
	{"user and password flags without either, MQTT 3.1, 3.1", connect31(0xc2, "p"), accepted, ""},
	{"password flag without password, MQTT 3.1, 3.1", connect31(0xc2, "p", "u"), accepted, ""},
	{"user cut, MQTT 3.1", connect31(0x82, "p", 0), packet.ReasonMalformed, ""},
	{"password flag without password [MQTT-3.1.2-19]", connect5(0xc2, "p", "u"), packet.ReasonMalformed, ""},
	{"user without user flag [MQTT-3.1.2-16]", connect311(2, "p", "u"), packet.ReasonMalformed, "2.1.4"},
	{"password without password flag [MQTT-3.1.2-18]", connect5(0x82, "p", "u", "w"), packet.ReasonMalformed, "2.1.4"},
	{"bytes after the end", connect5(2, "p", 0), packet.ReasonMalformed, "2.1.4"},

	{"empty client identifier [MQTT-3.1.3-6]", connect311(2, ""), accepted, ""},
	{"empty client identifier, MQTT 5", connect5(0, ""), accepted, ""},
	{"client identifier of 24 characters, MQTT 3.1", connect31(2, "123456789012345678901234"), accepted, ""},
	{"empty user", connect311(0x82, "p", ""), accepted, ""},
	{"empty password (MQTT 5, 3.1.3.6)", connect5(0xc2, "p", "u", ""), accepted, ""},
	{"password that is not text (MQTT 5, 3.1.3.6)", connect311(0xc2, "p", "u", "to\x00\xff"), accepted, ""},
	{"empty will payload (MQTT 5, 3.1.3.4)", connect5(6, "p", 0, "t", ""), accepted, ""},
	{"will payload that is not text", connect5(6, "p", 0, "t", "\xff\x00"), accepted, ""},
	{"empty will topic", connect311(6, "p", "", "m"), packet.ReasonMalformed, "[MQTT-4.7.3-1]"},
	{"will topic with +", connect311(6, "p", "a/+", "m"), packet.ReasonMalformed, "[MQTT-4.7.0-1]"},
	{"will topic with #", connect5(6, "p", 0, "#", "m"), packet.ReasonMalformed, "[MQTT-4.7.0-1]"},
	{"will topic of too many levels", connect5(6, "p", 0, strings.Repeat("/", event.MaxLevels), "m"), packet.ReasonTopicInvalid, ""},
	{"will topic of the most levels", connect5(6, "p", 0, strings.Repeat("/", event.MaxLevels-1), "m"), accepted, ""},

	{"properties cut", pack("MQTT", 5, 2, u16(10), 5, 0x11), packet.ReasonMalformed, ""},
	{"no property length [MQTT-2.2.2-1]", pack("MQTT", 5, 2, u16(10)), packet.ReasonMalformed, ""},
	{"overlong property length", pack("MQTT", 5, 2, u16(10), 0x80, 0, "p"), packet.ReasonMalformed, "[MQTT-1.5.5-1]"},
	{"property length of five bytes", pack("MQTT", 5, 2, u16(10), 0x80, 0x80, 0x80, 0x80, 1, "p"), packet.ReasonMalformed, "1.5.5"},
	{
		"all properties", connect5props(0x11, u32(1), 0x21, u16(1), 0x27, u32(1), 0x22, u16(0), 0x19, 1, 0x17, 0, 0x26, "k", "v",
			0x26, "k", "v", 0x15, "m", 0x16, "d"), accepted, "",
	},
	{"receive maximum 0", connect5props(0x21, u16(0)), packet.ReasonProtocol, "3.1.2.11.3"},
	{"maximum packet size 0", connect5props(0x27, u32(0)), packet.ReasonProtocol, "3.1.2.11.4"},
	{"request response information 2", connect5props(0x19, 2), packet.ReasonProtocol, "3.1.2.11.6"},
	{"request problem information 2", connect5props(0x17, 2), packet.ReasonProtocol, "3.1.2.11.7"},
	{"authentication data without a method", connect5props(0x16, "d"), packet.ReasonProtocol, "3.1.2.11.10"},
	{"authentication data before its method", connect5props(0x16, "d", 0x15, "m"), accepted, ""},
	{"empty authentication method and data", connect5props(0x15, "", 0x16, ""), accepted, ""},
	{"line feed in a user property", connect5props(0x26, "k", "two\nlines"), accepted, ""},
	{"U+0000 in a user property", connect5props(0x26, "k", "\x00"), packet.ReasonMalformed, "[MQTT-1.5.4-2]"},
	{"user property that is not UTF-8 [MQTT-1.5.7-1]", connect5props(0x26, "\xff", "v"), packet.ReasonMalformed, "[MQTT-1.5.4-1]"},

	{"will with all properties", willProps(0x18, u32(5), 1, 1, 2, u32(9), 3, "text", 8, "r", 9, "c", 0x26, "k", "v"), accepted, ""},
	{"will delay twice", willProps(0x18, u32(5), 0x18, u32(5)), packet.ReasonProtocol, "3.1.3.2.2"},
	{"will payload format 2", willProps(1, 2), packet.ReasonProtocol, "3.3.2.3.2"},
	{"will response topic with a wildcard", willProps(8, "a/#"), packet.ReasonProtocol, "[MQTT-3.3.2-14]"},
	{"will with a topic alias", willProps(0x23, u16(1)), packet.ReasonMalformed, "2.2.2.2"},
	{"will with a subscription identifier", willProps(0x0b, 1), packet.ReasonMalformed, "2.2.2.2"},
	{
		"will payload that is not the UTF-8 it is said to be", pack("MQTT", 5, 6, u16(10), 0, "p", props(1, 1), "t", "\xff"),
		packet.ReasonPayloadFormat, "3.1.3.2.3",
	},
}

func TestConnect(t *testing.T) {
	for _, c := range connectCases {
		t.Run(c.clause+" "+c.name, func(t *testing.T) {
			got, err := packet.DecodeConnect(c.body)
			wantError(t, err, c.code, c.clause)
			version, err2 := packet.CheckConnect(c.body)
			if version != got.Version || (err == nil) != (err2 == nil) {
				t.Errorf("CheckConnect gives %d and %v, DecodeConnect %d and %v", version, err2, got.Version, err)
			}
			if c.code == accepted {
				eachCut(c.body, func(cut []byte) {
					if got, err := packet.DecodeConnect(cut); err == nil && got.Version != 3 {
						t.Errorf("accepted when cut after %d of %d bytes", len(cut), len(c.body))
					}
				})
			}
		})
	}
}

func TestConnectNames(t *testing.T) {
	for _, n := range badNames {
		for field, body := range map[string][]byte{
			"client identifier [MQTT-3.1.3-4]": connect5(2, n.text), "will topic [MQTT-3.1.3-11]": connect311(6, "p", n.text, "m"),
			"user [MQTT-3.1.3-12]": connect311(0x82, "p", n.text), "response topic [MQTT-3.3.2-13]": willProps(8, n.text),
		} {
			t.Run(field+" "+n.name, func(t *testing.T) {
				_, err := packet.DecodeConnect(body)
				wantError(t, err, packet.ReasonMalformed, n.clause)
			})
		}
	}
	for _, n := range goodNames {
		c, err := packet.DecodeConnect(connect5(0x86, n, 0, n, n, n))
		if err != nil || c.ClientID != n || c.User != n || c.Will.Topic != n || string(c.Will.Payload) != n {
			t.Errorf("name %.20q: %v", n, err)
		}
	}
}

func TestDecodeConnect(t *testing.T) {
	body := pack("MQTT", 5, 0xec, u16(300),
		props(0x11, u32(7), 0x21, u16(20), 0x27, u32(1000), 0x22, u16(9), 0x19, 1, 0x17, 0, 0x15, "SCRAM", 0x16, "\x00\x01"), "client",
		props(0x18, u32(5), 1, 1, 2, u32(0), 3, "text/plain", 8, "reply", 9, "\xfe", 0x26, "k", "v1", 0x26, "k", "v2"),
		"will/topic", "will payload", "user", "pass")
	got, err := packet.DecodeConnect(body)
	if err != nil {
		t.Fatal(err)
	}
	want := &packet.Connecting{
		ClientID: "client", User: "user", Password: []byte("pass"), AuthMethod: "SCRAM", AuthData: []byte{0, 1},
		SessionExpiry: 7, MaximumPacket: 1000, ReceiveMaximum: 20, AliasMaximum: 9, KeepAlive: 300, Version: 5,
		HasUser: true, HasPassword: true, HasAuthMethod: true, RequestResponse: true,
		Will: &packet.Will{
			Topic: "will/topic", Payload: []byte("will payload"), Delay: 5, QoS: 1, Retain: true,
			Properties: &event.Properties{
				HasContentType: true, ContentType: "text/plain", ResponseTopic: "reply", CorrelationData: []byte{0xfe}, HasExpiry: true, UTF8: true,
				User: []event.UserProperty{{Name: "k", Value: "v1"}, {Name: "k", Value: "v2"}},
			},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, will %+v\nwant %+v, will %+v", got, got.Will, want, want.Will)
	}
	clear(body)
	if !reflect.DeepEqual(got, want) {
		t.Error("the result shares memory with the packet")
	}
}

func TestConnectDefaults(t *testing.T) {
	for _, body := range [][]byte{connect31(2, "p"), connect311(2, "p"), connect5(2, "p")} {
		c, err := packet.DecodeConnect(body)
		want := &packet.Connecting{
			ClientID: "p", KeepAlive: 10, Version: c.Version, CleanStart: true, ReceiveMaximum: 65535, RequestProblem: true,
		}
		if err != nil || !reflect.DeepEqual(c, want) {
			t.Errorf("%+v, want %+v", c, want)
		}
	}
}

func TestConnectEmptyFields(t *testing.T) {
	c, err := packet.DecodeConnect(connect5(0xc6, "p", 0, "t", "", "", ""))
	if err != nil || !c.HasUser || !c.HasPassword || c.User != "" || len(c.Password) > 0 || c.Will == nil || len(c.Will.Payload) > 0 {
		t.Errorf("%+v: %v", c, err)
	}
	c, err = packet.DecodeConnect(connect31(0xc2, "p", "u"))
	if err != nil || !c.HasUser || c.HasPassword {
		t.Errorf("MQTT 3.1, password missing: %+v: %v", c, err)
	}
	c, err = packet.DecodeConnect(connect31(0xc2, "p"))
	if err != nil || c.HasUser || c.HasPassword {
		t.Errorf("MQTT 3.1, user and password missing: %+v: %v", c, err)
	}
}

// TestPropertyTable goes through all identifiers in all places (MQTT 5, 2.2.2.2): where they may stand, how often, and
// that they are not cut.
func TestPropertyTable(t *testing.T) {
	places := map[string]func(fields ...any) error{
		"CONNECT":     func(f ...any) error { _, err := packet.DecodeConnect(connect5props(f...)); return err },
		"will":        func(f ...any) error { _, err := packet.DecodeConnect(willProps(f...)); return err },
		"PUBLISH":     func(f ...any) error { return packet.Check(0x30, pack("t", props(f...)), 5) },
		"PUBACK":      func(f ...any) error { return packet.Check(0x40, pack(u16(1), 0, props(f...)), 5) },
		"PUBREC":      func(f ...any) error { return packet.Check(0x50, pack(u16(1), 0, props(f...)), 5) },
		"PUBREL":      func(f ...any) error { return packet.Check(0x62, pack(u16(1), 0, props(f...)), 5) },
		"PUBCOMP":     func(f ...any) error { return packet.Check(0x70, pack(u16(1), 0, props(f...)), 5) },
		"SUBSCRIBE":   func(f ...any) error { return packet.Check(0x82, pack(u16(1), props(f...), "t", 0), 5) },
		"UNSUBSCRIBE": func(f ...any) error { return packet.Check(0xa2, pack(u16(1), props(f...), "t"), 5) },
		"DISCONNECT":  func(f ...any) error { return packet.Check(0xe0, pack(0, props(f...)), 5) },
		"AUTH":        func(f ...any) error { return packet.Check(0xf0, pack(0x18, props(append(f, 0x15, "m")...)), 5) },
	}
	const acks = "PUBACK PUBREC PUBREL PUBCOMP "
	table := map[int]struct {
		value []any
		in    string
	}{
		0x01: {[]any{0}, "PUBLISH will"}, 0x02: {[]any{u32(0)}, "PUBLISH will"}, 0x03: {[]any{""}, "PUBLISH will"},
		0x08: {[]any{"r"}, "PUBLISH will"}, 0x09: {[]any{""}, "PUBLISH will"}, 0x0b: {[]any{1}, "SUBSCRIBE"},
		0x11: {[]any{u32(0)}, "CONNECT DISCONNECT"}, 0x12: {[]any{"x"}, ""}, 0x13: {[]any{u16(1)}, ""},
		0x16: {[]any{"d"}, "AUTH"}, 0x17: {[]any{0}, "CONNECT"}, 0x18: {[]any{u32(0)}, "will"}, 0x19: {[]any{0}, "CONNECT"},
		0x1a: {[]any{"x"}, ""}, 0x1c: {[]any{"x"}, "DISCONNECT"}, 0x1f: {[]any{""}, acks + "DISCONNECT AUTH"},
		0x21: {[]any{u16(1)}, "CONNECT"}, 0x22: {[]any{u16(0)}, "CONNECT"}, 0x23: {[]any{u16(1)}, "PUBLISH"},
		0x24: {[]any{0}, ""}, 0x25: {[]any{0}, ""}, 0x27: {[]any{u32(1)}, "CONNECT"}, 0x28: {[]any{0}, ""},
		0x29: {[]any{0}, ""}, 0x2a: {[]any{0}, ""},
	}
	for place, check := range places {
		t.Run(place, func(t *testing.T) {
			for id := range 256 {
				if id == 0x15 || id == 0x16 && place == "CONNECT" || id == 0x26 {
					continue // these have tests of their own
				}
				entry, known := table[id]
				once := append([]any{id}, entry.value...)
				twice := append(append([]any{}, once...), once...)
				code, clause := packet.ReasonMalformed, "2.2.2.2"
				if known && strings.Contains(" "+entry.in+" ", " "+place+" ") {
					wantError(t, check(once...), accepted, "")
					wantError(t, check(twice...), packet.ReasonProtocol, "")
					if place != "AUTH" { // where the method would be taken for the value
						wantError(t, check(id), packet.ReasonMalformed, "")
					}
					continue
				}
				if id == 0x0b && place == "PUBLISH" {
					code, clause = packet.ReasonProtocol, "[MQTT-3.3.4-6]"
				}
				wantError(t, check(once...), code, clause)
			}
			wantError(t, check(0x26, "k", "v", 0x26, "k", "v", 0x26, "", ""), accepted, "")
			wantError(t, check(0x80, 0), packet.ReasonMalformed, "2.2.2.2") // an identifier of two bytes
			if place != "AUTH" {
				wantError(t, check(0x26, "k"), packet.ReasonMalformed, "")
			}
			many := []any{}
			for range packet.MaxUserProperties {
				many = append(many, 0x26, "", "")
			}
			wantError(t, check(many...), accepted, "")
			wantError(t, check(append(many, 0x26, "", "")...), packet.ReasonQuota, "")
		})
	}
}
