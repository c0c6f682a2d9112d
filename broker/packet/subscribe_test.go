package packet_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

// filters is the tail of a packet with n filters and what follows each.
func filters(n int, after ...any) []byte {
	b := []byte{}
	for range n {
		b = append(b, pack(append([]any{"f"}, after...)...)...)
	}
	return b
}

var filterCases = []struct {
	name    string
	kind    packet.Kind
	body    []byte
	version byte
	code    byte
	clause  string
}{
	{"QoS 0", packet.Subscribe, pack(u16(1), "f", 0), 4, accepted, ""},
	{"QoS 1, MQTT 3.1", packet.Subscribe, pack(u16(1), "f", 1), 3, accepted, ""},
	{"QoS 2 and 0", packet.Subscribe, pack(u16(65535), "f", 2, "g", 0), 4, accepted, ""},
	{"MQTT 5", packet.Subscribe, pack(u16(1), 0, "f", 0), 5, accepted, ""},
	{"all options", packet.Subscribe, pack(u16(1), 0, "f", 0x2e), 5, accepted, ""},
	{"all properties", packet.Subscribe, pack(u16(1), props(0x0b, 1, 0x26, "k", "v"), "f", 0), 5, accepted, ""},
	{"unsubscribe", packet.Unsubscribe, pack(u16(1), "f", "g"), 4, accepted, ""},
	{"unsubscribe, MQTT 5", packet.Unsubscribe, pack(u16(1), props(0x26, "k", "v"), "f"), 5, accepted, ""},
	{"most filters", packet.Subscribe, pack(u16(1), filters(packet.MaxFilters, 0)), 4, accepted, ""},
	{"most filters to leave", packet.Unsubscribe, pack(u16(1), 0, filters(packet.MaxFilters)), 5, accepted, ""},
	{"filter that is none: answered", packet.Subscribe, pack(u16(1), 0, "a#", 0), 5, accepted, ""},
	{"share name that is none: answered", packet.Subscribe, pack(u16(1), 0, "$share//a", 0), 5, accepted, ""},
	{"filter that is none to leave: answered", packet.Unsubscribe, pack(u16(1), "a#"), 4, accepted, ""},

	{"no bytes", packet.Subscribe, nil, 4, packet.ReasonMalformed, ""},
	{"packet identifier cut", packet.Unsubscribe, []byte{1}, 5, packet.ReasonMalformed, ""},
	{"packet identifier 0", packet.Subscribe, pack(u16(0), "f", 0), 4, packet.ReasonProtocol, "[MQTT-2.2.1-3]"},
	{"packet identifier 0 to leave", packet.Unsubscribe, pack(u16(0), 0, "f"), 5, packet.ReasonProtocol, "[MQTT-2.2.1-3]"},
	{"no filter", packet.Subscribe, pack(u16(1)), 4, packet.ReasonProtocol, "[MQTT-3.8.3-2]"},
	{"no filter, MQTT 5", packet.Subscribe, pack(u16(1), 0), 5, packet.ReasonProtocol, "[MQTT-3.8.3-2]"},
	{"no filter to leave", packet.Unsubscribe, pack(u16(1)), 4, packet.ReasonProtocol, "[MQTT-3.10.3-2]"},
	{"no properties [MQTT-2.2.2-1]", packet.Subscribe, pack(u16(1)), 5, packet.ReasonMalformed, ""},
	{"properties exceed the packet", packet.Subscribe, pack(u16(1), 9, "f", 0), 5, packet.ReasonMalformed, ""},
	{"length cut", packet.Subscribe, pack(u16(1), 0), 4, packet.ReasonMalformed, ""},
	{"filter cut", packet.Unsubscribe, pack(u16(1), u16(2), 'f'), 4, packet.ReasonMalformed, ""},
	{"no options", packet.Subscribe, pack(u16(1), "f"), 4, packet.ReasonMalformed, ""},
	{"no options, MQTT 5", packet.Subscribe, pack(u16(1), 0, "f"), 5, packet.ReasonMalformed, ""},
	{"no options of the second", packet.Subscribe, pack(u16(1), 0, "f", 0, "g"), 5, packet.ReasonMalformed, ""},
	{"a byte too many", packet.Subscribe, pack(u16(1), "f", 0, 0), 4, packet.ReasonMalformed, ""},
	{"empty filter", packet.Subscribe, pack(u16(1), "f", 0, "", 0), 4, packet.ReasonMalformed, "[MQTT-4.7.3-1]"},
	{"empty filter to leave", packet.Unsubscribe, pack(u16(1), 0, ""), 5, packet.ReasonMalformed, "[MQTT-4.7.3-1]"},
	{"too many filters", packet.Subscribe, pack(u16(1), filters(packet.MaxFilters+1, 0)), 4, packet.ReasonQuota, ""},
	{"too many filters to leave", packet.Unsubscribe, pack(u16(1), 0, filters(packet.MaxFilters+1)), 5, packet.ReasonQuota, ""},

	{"QoS 3", packet.Subscribe, pack(u16(1), "f", 3), 4, packet.ReasonMalformed, "MQTT 3.1.1 [MQTT-3-8.3-4]"},
	{"reserved bit", packet.Subscribe, pack(u16(1), "f", 4), 4, packet.ReasonMalformed, "MQTT 3.1.1 [MQTT-3-8.3-4]"},
	{"upmost reserved bit", packet.Subscribe, pack(u16(1), "f", 0x80), 3, packet.ReasonMalformed, "MQTT 3.1.1 [MQTT-3-8.3-4]"},
	{"QoS 3, MQTT 5", packet.Subscribe, pack(u16(1), 0, "f", 3), 5, packet.ReasonProtocol, "3.8.3.1"},
	{"retain handling 3", packet.Subscribe, pack(u16(1), 0, "f", 0x30), 5, packet.ReasonProtocol, "3.8.3.1"},
	{"reserved bit 6", packet.Subscribe, pack(u16(1), 0, "f", 0x40), 5, packet.ReasonMalformed, "[MQTT-3.8.3-5]"},
	{"reserved bit 7", packet.Subscribe, pack(u16(1), 0, "f", 0x80), 5, packet.ReasonMalformed, "[MQTT-3.8.3-5]"},
	{"No Local on a shared subscription", packet.Subscribe, pack(u16(1), 0, "$share/g/f", 4), 5, packet.ReasonProtocol, "[MQTT-3.8.3-4]"},
	{"No Local on what only looks shared", packet.Subscribe, pack(u16(1), 0, "$shared/g/f", 4), 5, accepted, ""},
	{"subscription identifier 0", packet.Subscribe, pack(u16(1), props(0x0b, 0), "f", 0), 5, packet.ReasonProtocol, "3.8.2.1.2"},
	{"largest subscription identifier", packet.Subscribe, pack(u16(1), props(0x0b, vbi(packet.MaxRemaining)), "f", 0), 5, accepted, ""},
	{"identifier of five bytes", packet.Subscribe, pack(u16(1), props(0x0b, 0x80, 0x80, 0x80, 0x80, 1), "f", 0), 5, packet.ReasonMalformed, "1.5.5"},
	{"overlong subscription identifier", packet.Subscribe, pack(u16(1), props(0x0b, 0x81, 0), "f", 0), 5, packet.ReasonMalformed, "[MQTT-1.5.5-1]"},
	{"two subscription identifiers", packet.Subscribe, pack(u16(1), props(0x0b, 1, 0x0b, 2), "f", 0), 5, packet.ReasonProtocol, "3.8.2.1.2"},
}

func decodeFilters(kind packet.Kind, body []byte, version byte) (any, error) {
	if kind == packet.Subscribe {
		return packet.DecodeSubscribe(body, version)
	}
	return packet.DecodeUnsubscribe(body, version)
}

func TestFilters(t *testing.T) {
	for _, c := range filterCases {
		t.Run(c.kind.String()+" "+c.clause+" "+c.name, func(t *testing.T) {
			got, err := decodeFilters(c.kind, c.body, c.version)
			wantError(t, err, c.code, c.clause)
			if err != nil && !reflect.ValueOf(got).IsNil() {
				t.Error("both a result and an error")
			}
			if checked := packet.Check(byte(c.kind)<<4|2, c.body, c.version); (checked == nil) != (err == nil) {
				t.Errorf("Check gives %v, the decoder %v", checked, err)
			}
		})
	}
}

func TestFilterNames(t *testing.T) {
	for _, n := range badNames {
		t.Run(n.clause+" "+n.name, func(t *testing.T) { // [MQTT-3.8.3-1] [MQTT-3.10.3-1]
			_, err := packet.DecodeSubscribe(pack(u16(1), "f", 0, n.text, 0), 4)
			wantError(t, err, packet.ReasonMalformed, n.clause)
			_, err = packet.DecodeUnsubscribe(pack(u16(1), 0, "f", n.text), 5)
			wantError(t, err, packet.ReasonMalformed, n.clause)
		})
	}
}

func TestDecodeSubscribe(t *testing.T) {
	body := pack(u16(258), props(0x26, "k", "v", 0x0b, vbi(300)), "a/+", 0x00, "$share/g/b/#", 0x1a, "c", 0x25)
	got, err := packet.DecodeSubscribe(body, 5)
	want := &packet.Subscribing{
		ID: 258, Identifier: 300,
		Subscriptions: []packet.Subscription{
			{Filter: "a/+"},
			{Filter: "$share/g/b/#", QoS: 2, RetainAsPublished: true, RetainHandling: 1},
			{Filter: "c", QoS: 1, NoLocal: true, RetainHandling: 2},
		},
	}
	clear(body)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestDecodeUnsubscribe(t *testing.T) {
	body := pack(u16(258), "a/+", "$share/g/b/#", "a/+")
	got, err := packet.DecodeUnsubscribe(body, 4)
	clear(body)
	if want := (&packet.Unsubscribing{ID: 258, Filters: []string{"a/+", "$share/g/b/#", "a/+"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestCheckFilter(t *testing.T) {
	for _, c := range []struct {
		filter string
		code   byte
		clause string
	}{
		{"#", accepted, ""},
		{"+", accepted, ""},
		{"/", accepted, ""},
		{"a/+/#", accepted, ""},
		{"+/tennis/#", accepted, ""},
		{"$SYS/#", accepted, ""},
		{"$share", accepted, ""}, // no shared subscription: the prefix ends with a slash (MQTT 5, 4.8.2)
		{"$shared/a", accepted, ""},
		{"$share/g/#", accepted, ""},
		{"$share/g//", accepted, ""},
		{"$share/g/$SYS/+", accepted, ""},
		{strings.Repeat("/", event.MaxLevels-1), accepted, ""},
		{"$share/g/" + strings.Repeat("/", event.MaxLevels-1), accepted, ""},
		{"", packet.ReasonFilterInvalid, "[MQTT-4.7.3-1]"},
		{"a#", packet.ReasonFilterInvalid, "[MQTT-4.7.1-1]"},
		{"#/a", packet.ReasonFilterInvalid, "[MQTT-4.7.1-1]"},
		{"a/#/b", packet.ReasonFilterInvalid, "[MQTT-4.7.1-1]"},
		{"a/b#", packet.ReasonFilterInvalid, "[MQTT-4.7.1-1]"},
		{"a+", packet.ReasonFilterInvalid, "[MQTT-4.7.1-2]"},
		{"a/+b/c", packet.ReasonFilterInvalid, "[MQTT-4.7.1-2]"},
		{"++", packet.ReasonFilterInvalid, "[MQTT-4.7.1-2]"},
		{strings.Repeat("/", event.MaxLevels), packet.ReasonFilterInvalid, ""},
		{"$share/", packet.ReasonFilterInvalid, "[MQTT-4.8.2-1]"},
		{"$share//a", packet.ReasonFilterInvalid, "[MQTT-4.8.2-1]"},
		{"$share/g", packet.ReasonFilterInvalid, "[MQTT-4.8.2-2]"},
		{"$share/g/", packet.ReasonFilterInvalid, "[MQTT-4.8.2-2]"},
		{"$share/+/a", packet.ReasonFilterInvalid, "[MQTT-4.8.2-2]"},
		{"$share/g#/a", packet.ReasonFilterInvalid, "[MQTT-4.8.2-2]"},
		{"$share/g/a#", packet.ReasonFilterInvalid, "[MQTT-4.7.1-1]"},
	} {
		t.Run(c.clause+" "+c.filter[:min(len(c.filter), 30)], func(t *testing.T) {
			err := packet.CheckFilter(c.filter)
			wantError(t, err, c.code, c.clause)
			if e := (*packet.Error)(nil); errors.As(err, &e) && !e.Answerable {
				t.Error("ends the connection")
			}
		})
	}
}

func TestSplitShare(t *testing.T) {
	for _, c := range []struct {
		filter, group, rest string
		shared              bool
	}{
		{"a/b", "", "a/b", false},
		{"$share", "", "$share", false},
		{"$share/", "", "", true},
		{"$share/g", "g", "", true},
		{"$share/g/a/b", "g", "a/b", true},
		{"$share//a", "", "a", true},
	} {
		if group, rest, shared := packet.SplitShare(c.filter); group != c.group || rest != c.rest || shared != c.shared {
			t.Errorf("%s: %q, %q, %t", c.filter, group, rest, shared)
		}
	}
}

func TestCodeOfOtherErrors(t *testing.T) {
	if code := packet.CodeOf(errors.New("something else")); code != packet.ReasonMalformed {
		t.Errorf("0x%02x", code)
	}
}
