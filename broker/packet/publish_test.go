package packet_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pulso/bridge/event"
	"pulso/broker/packet"
)

var publishCases = []struct {
	name    string
	first   byte
	body    []byte
	version byte
	code    byte
	clause  string
}{
	{"QoS 0", 0x30, pack("topic", raw("payload")), 4, accepted, ""},
	{"QoS 0, MQTT 3.1", 0x30, pack("topic", raw("payload")), 3, accepted, ""},
	{"QoS 0, MQTT 5", 0x30, pack("topic", 0, raw("payload")), 5, accepted, ""},
	{"QoS 1", 0x32, pack("topic", u16(1), raw("payload")), 4, accepted, ""},
	{"QoS 1 again", 0x3a, pack("topic", u16(65535), raw("payload")), 4, accepted, ""},
	{"QoS 2 again, retained, MQTT 5", 0x3d, pack("topic", u16(1), 0, raw("payload")), 5, accepted, ""},
	{"retained, no payload [MQTT-3.3.1-6]", 0x31, pack("topic"), 4, accepted, ""},
	{"no payload, MQTT 5", 0x32, pack("topic", u16(1), 0), 5, accepted, ""},
	{"payload that is not text", 0x30, pack("topic", 0, raw("\xff\x00")), 5, accepted, ""},
	{"topic of the server", 0x30, pack("$SYS/x", 0), 5, accepted, ""},
	{"topic of one level separator", 0x30, pack("/"), 4, accepted, ""},
	{"topic of the most levels", 0x30, pack(strings.Repeat("/", event.MaxLevels-1)), 4, accepted, ""},

	{"QoS 3", 0x36, pack("topic", u16(1)), 4, packet.ReasonMalformed, "[MQTT-3.3.1-4]"},
	{"QoS 3, MQTT 3.1", 0x36, pack("topic", u16(1)), 3, packet.ReasonMalformed, "[MQTT-3.3.1-4]"},
	{"DUP with QoS 0", 0x38, pack("topic", 0), 5, packet.ReasonMalformed, "[MQTT-3.3.1-2]"},
	{"DUP with QoS 0, MQTT 3.1", 0x38, pack("topic"), 3, accepted, ""},

	{"no bytes", 0x30, nil, 4, packet.ReasonMalformed, "3.3.2"},
	{"one byte", 0x30, []byte{0}, 5, packet.ReasonMalformed, "3.3.2"},
	{"topic exceeds the packet", 0x30, []byte{0, 2, 'a'}, 4, packet.ReasonMalformed, "3.3.2.1"},
	{"no packet identifier", 0x32, pack("topic"), 4, packet.ReasonMalformed, "3.3.2.2"},
	{"packet identifier cut", 0x34, pack("topic", 1), 5, packet.ReasonMalformed, "3.3.2.2"},
	{"packet identifier 0 with QoS 1", 0x32, pack("topic", u16(0)), 4, packet.ReasonProtocol, "[MQTT-2.2.1-3]"},
	{"packet identifier 0 with QoS 2", 0x34, pack("topic", u16(0), 0), 5, packet.ReasonProtocol, "[MQTT-2.2.1-3]"},
	{"no properties [MQTT-2.2.2-1]", 0x30, pack("topic"), 5, packet.ReasonMalformed, ""},
	{"properties exceed the packet", 0x30, pack("topic", 3, 1, 0), 5, packet.ReasonMalformed, ""},
	{"property reaches into the payload", 0x30, pack("topic", 1, 2, raw("payload")), 5, packet.ReasonMalformed, ""},
	{"overlong property length", 0x30, pack("topic", 0x80, 0), 5, packet.ReasonMalformed, "[MQTT-1.5.5-1]"},

	{"+ in the topic [MQTT-3.3.2-2]", 0x30, pack("a/+/b"), 4, packet.ReasonMalformed, "[MQTT-4.7.0-1]"},
	{"# in the topic [MQTT-3.3.2-2]", 0x32, pack("a#", u16(1), 0), 5, packet.ReasonMalformed, "[MQTT-4.7.0-1]"},
	{"empty topic", 0x30, pack("", raw("payload")), 4, packet.ReasonMalformed, "[MQTT-4.7.3-1]"},
	{"nothing but an empty topic", 0x30, pack(""), 4, packet.ReasonMalformed, "[MQTT-4.7.3-1]"},
	{"empty topic without alias", 0x30, pack("", 0, raw("payload")), 5, packet.ReasonProtocol, "3.3.2.1"},
	{"empty topic with alias", 0x30, pack("", props(0x23, u16(9)), raw("payload")), 5, accepted, ""},
	{"alias 0", 0x30, pack("topic", props(0x23, u16(0))), 5, packet.ReasonAliasInvalid, "[MQTT-3.3.2-8]"},
	{"two aliases", 0x30, pack("topic", props(0x23, u16(1), 0x23, u16(2))), 5, packet.ReasonProtocol, "[MQTT-3.3.2-8]"},
	{"too many levels", 0x30, pack(strings.Repeat("/", event.MaxLevels), 0), 5, packet.ReasonTopicInvalid, ""},

	{"payload format 0", 0x30, pack("topic", props(1, 0), raw("\xff")), 5, accepted, ""},
	{"payload format 1", 0x30, pack("topic", props(1, 1), raw("grün")), 5, accepted, ""},
	{"payload format 1 without payload", 0x30, pack("topic", props(1, 1)), 5, accepted, ""},
	{"payload format 2", 0x30, pack("topic", props(1, 2)), 5, packet.ReasonProtocol, "3.3.2.3.2"},
	{"payload is not the UTF-8 it is said to be", 0x32, pack("topic", u16(1), props(1, 1), raw("\xff")), 5, packet.ReasonPayloadFormat, "3.3.2.3.2"},
	{"message expiry 0", 0x30, pack("topic", props(2, u32(0))), 5, accepted, ""},
	{"response topic with #", 0x30, pack("topic", props(8, "#")), 5, packet.ReasonProtocol, "[MQTT-3.3.2-14]"},
	{"response topic with +", 0x30, pack("topic", props(8, "a/+")), 5, packet.ReasonProtocol, "[MQTT-3.3.2-14]"},
	{"empty response topic", 0x30, pack("topic", props(8, "")), 5, packet.ReasonProtocol, "[MQTT-3.3.2-14]"},
	{"content type that is not UTF-8 [MQTT-3.3.2-19]", 0x30, pack("topic", props(3, "\xff")), 5, packet.ReasonMalformed, "[MQTT-1.5.4-1]"},
	{"correlation data that is not text", 0x30, pack("topic", props(9, "\x00\xff")), 5, accepted, ""},
	{"subscription identifier", 0x30, pack("topic", props(0x0b, 1)), 5, packet.ReasonProtocol, "[MQTT-3.3.4-6]"},
}

func TestPublish(t *testing.T) {
	for _, c := range publishCases {
		t.Run(c.clause+" "+c.name, func(t *testing.T) {
			var p packet.Published
			err := p.Decode(c.first, c.body, c.version)
			wantError(t, err, c.code, c.clause)
			if checked := packet.Check(c.first, c.body, c.version); (checked == nil) != (err == nil) {
				t.Errorf("Check gives %v, Decode %v", checked, err)
			}
			if c.code != accepted {
				return
			}
			head := len(c.body) - len(p.Payload)
			for n := range head {
				if err := p.Decode(c.first, c.body[:n:n], c.version); err == nil {
					t.Errorf("accepted when cut after %d of the %d bytes before the payload", n, head)
				}
			}
		})
	}
}

func TestPublishNames(t *testing.T) {
	var p packet.Published
	for _, n := range badNames {
		t.Run(n.clause+" "+n.name, func(t *testing.T) {
			wantError(t, p.Decode(0x30, pack(n.text), 4), packet.ReasonMalformed, n.clause)
			wantError(t, p.Decode(0x30, pack("t", props(8, n.text)), 5), packet.ReasonMalformed, n.clause)
		})
	}
	for _, n := range goodNames {
		if err := p.Decode(0x30, pack(n, props(8, n), raw("x")), 5); err != nil || string(p.Topic) != n || p.Properties().ResponseTopic != n {
			t.Errorf("name %.20q: %v", n, err)
		}
	}
}

func TestPublishAnswerable(t *testing.T) {
	for _, body := range [][]byte{
		pack(strings.Repeat("/", 500), u16(7), props(0x23, u16(3)), raw("payload")),
		pack("topic", u16(7), props(1, 1, 0x23, u16(3)), raw("\xff")),
	} {
		var p packet.Published
		err := p.Decode(0x34, body, 5)
		e, _ := err.(*packet.Error) //nolint:errorlint // Decode returns it as it is.
		if e == nil || !e.Answerable || p.ID != 7 || p.QoS != 2 || p.Alias != 3 || len(p.Topic) == 0 || len(p.Payload) == 0 {
			t.Errorf("%v, and %+v", err, p)
		}
	}
	for _, c := range publishCases {
		var p packet.Published
		e, _ := p.Decode(c.first, c.body, c.version).(*packet.Error) //nolint:errorlint // Decode returns it as it is.
		if e != nil && e.Answerable != (c.code == packet.ReasonTopicInvalid || c.code == packet.ReasonPayloadFormat) {
			t.Errorf("%s: answerable is %t", c.name, e.Answerable)
		}
	}
}

func TestPublishFields(t *testing.T) {
	body := pack("a/b", u16(513), props(0x26, "k", "v1", 1, 1, 2, u32(60), 0x23, u16(4), 3, "text", 8, "r", 9, "\xfe", 0x26, "k", "v2"),
		raw("payload"))
	var p packet.Published
	if err := p.Decode(0x3b, body, 5); err != nil {
		t.Fatal(err)
	}
	if string(p.Topic) != "a/b" || string(p.Payload) != "payload" || p.ID != 513 || p.Alias != 4 || p.QoS != 1 || !p.Dup || !p.Retain {
		t.Errorf("got %+v", p)
	}
	if &p.Payload[0] != &body[len(body)-7] || cap(p.Topic) != len(p.Topic) {
		t.Error("the slices do not alias the packet, or reach beyond their field")
	}
	want := &event.Properties{
		HasContentType: true, ContentType: "text", ResponseTopic: "r", CorrelationData: []byte{0xfe}, Expiry: 60, HasExpiry: true, UTF8: true,
		User: []event.UserProperty{{Name: "k", Value: "v1"}, {Name: "k", Value: "v2"}},
	}
	got := p.Properties()
	clear(body)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("properties %+v, want %+v", got, want)
	}
	if err := p.Decode(0x30, pack("x"), 4); err != nil || p.Properties() != nil || p.Alias != 0 || p.ID != 0 || p.Dup || len(p.Payload) > 0 {
		t.Errorf("something is left of the packet before: %+v, %v", p, err)
	}
}

func TestPublishWithoutLastingProperties(t *testing.T) {
	for _, fields := range [][]any{{}, {0x23, u16(1)}, {1, 0}, {1, 0, 0x23, u16(1)}} {
		var p packet.Published
		if err := p.Decode(0x30, pack("t", props(fields...)), 5); err != nil || p.Properties() != nil {
			t.Errorf("%v: %+v, %v", fields, p.Properties(), err)
		}
	}
	var p packet.Published
	if err := p.Decode(0x30, pack("t", props(2, u32(0))), 5); err != nil || !p.Properties().HasExpiry {
		t.Errorf("an expiry of 0 is lost: %v", err)
	}
}

func TestPublishTakesNoMemory(t *testing.T) {
	var p packet.Published
	for _, c := range []struct {
		body    []byte
		version byte
	}{
		{pack("site/line/4/temperature", u16(9), raw("21.5")), 4},
		{pack("site/line/4/temperature", u16(9), 0, raw("21.5")), 5},
		{pack("grün/Ωμέγα", u16(9), props(1, 1, 2, u32(1), 3, "t", 8, "r", 9, "c", 0x23, u16(1), 0x26, "k", "v"), raw("ü")), 5},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := p.Decode(0x32, c.body, c.version); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("version %d: %v allocations", c.version, n)
		}
	}
}

var messages = []packet.Message{
	{Event: &event.Event{Topic: "a"}},
	{Event: &event.Event{Topic: "a/b", Payload: []byte("payload")}, QoS: 1, ID: 1, Retain: true},
	{Event: &event.Event{Topic: "a/b", Payload: bytes.Repeat([]byte{0xff}, 70_000)}, QoS: 2, ID: 65535, Dup: true},
	{
		Event: &event.Event{Topic: "Ωμέγα", Payload: []byte("é"), Properties: &event.Properties{
			HasContentType: true, ContentType: "text", ResponseTopic: "r", CorrelationData: []byte{0}, Expiry: 9, HasExpiry: true, UTF8: true,
			User: []event.UserProperty{{Name: "k", Value: "v"}, {Name: "", Value: ""}},
		}},
		QoS: 1, ID: 7, Expiry: 9,
	},
	{Event: &event.Event{Topic: "x", Properties: &event.Properties{HasExpiry: true}}, Expiry: 0},
	{Event: &event.Event{Topic: "x", Properties: &event.Properties{User: []event.UserProperty{{Name: strings.Repeat("n", 65535), Value: "v"}}}}},
}

func TestAppendPublishIsWhatDecodeReads(t *testing.T) {
	for i := range messages {
		for _, version := range []byte{3, 4, 5} {
			roundTrip(t, version, &messages[i])
		}
	}
}

// roundTrip fails unless m, encoded, is decoded as what it was.
func roundTrip(t *testing.T, version byte, m *packet.Message) {
	t.Helper()
	prefix := []byte("before")
	b := packet.AppendPublish(prefix, version, m)
	if !bytes.HasPrefix(b, prefix) {
		t.Fatal("what was there before is lost")
	}
	b = b[len(prefix):]
	if len(b) != packet.PublishSize(version, m) {
		t.Errorf("%d bytes, and PublishSize says %d", len(b), packet.PublishSize(version, m))
	}
	size, remaining, err := packet.FixedHeader(b, 5)
	if err != nil || size+remaining != len(b) {
		t.Fatalf("header of %d bytes and %d more in a packet of %d: %v", size, remaining, len(b), err)
	}
	if err := packet.CheckFirst(b[0], version); err != nil {
		t.Error(err)
	}
	var p packet.Published
	if err := p.Decode(b[0], b[size:], version); err != nil {
		t.Fatal(err)
	}
	if string(p.Topic) != m.Event.Topic || !bytes.Equal(p.Payload, m.Event.Payload) || p.ID != m.ID || p.QoS != m.QoS ||
		p.Retain != m.Retain || p.Dup != m.Dup {
		t.Errorf("got %+v of %+v", p, m)
	}
	want := m.Event.Properties
	if version < 5 {
		want = nil
	}
	if got := p.Properties(); !reflect.DeepEqual(got, want) {
		t.Errorf("properties %+v, want %+v", got, want)
	}
}

func TestAppendPublishIdentifiers(t *testing.T) {
	m := packet.Message{Event: &event.Event{Topic: "t"}, Identifiers: []int{1, 128, packet.MaxRemaining}}
	want := pack(0x30, 15, "t", props(0x0b, 1, 0x0b, vbi(128), 0x0b, vbi(packet.MaxRemaining)))
	want[1] = byte(len(want) - 2)
	if b := packet.AppendPublish(nil, 5, &m); !bytes.Equal(b, want) {
		t.Errorf("% x, want % x", b, want)
	}
	if b := packet.AppendPublish(nil, 4, &m); !bytes.Equal(b, pack(0x30, 3, "t")) {
		t.Errorf("% x", b)
	}
}

func TestAppendPublishCutsWhatHasNoRoom(t *testing.T) {
	m := packet.Message{Event: &event.Event{Topic: "t", Properties: &event.Properties{HasContentType: true, ContentType: strings.Repeat("x", 70_000)}}}
	b := packet.AppendPublish(nil, 5, &m)
	if len(b) != packet.PublishSize(5, &m) {
		t.Fatalf("%d bytes, and PublishSize says %d", len(b), packet.PublishSize(5, &m))
	}
	size, _, _ := packet.FixedHeader(b, 5)
	var p packet.Published
	if err := p.Decode(b[0], b[size:], 5); err != nil || len(p.Properties().ContentType) != 65535 {
		t.Error(err)
	}
}
