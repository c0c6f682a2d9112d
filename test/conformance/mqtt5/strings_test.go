package mqtt5

import (
	"strings"
	"testing"

	"pulso/test/conformance/wire"
)

func stringsWellFormed(s *suite) {
	for what, text := range bad {
		s.Run(what, func(t *testing.T) { (&suite{T: t, hub: s.hub}).inStrings(text) })
	}
}

func stringsWithoutNull(s *suite) { s.inStrings("a\x00b") }

func stringsKeepBOM(s *suite) {
	const mark = "\ufeff"
	sub := s.client("a")
	sub.Subscribe(s.topic("+"), 0)
	plain := s.client("b")
	plain.Subscribe(s.topic("x"), 0)
	s.publisher().Publish(&wire.Publish{
		Topic: s.topic(mark + "x"), Payload: "1", QoS: 1,
		Props: wire.Properties{wire.User(mark+"n", mark+"v"), wire.Text(wire.ContentType, mark)},
	})
	got := sub.ReceiveMessage(s.topic(mark+"x"), "1")
	equal(s, "user properties", got.Props.Users(), []string{mark + "n", mark + "v"})
	if got.Props.Text(wire.ContentType) != mark {
		s.Errorf("got %v", got)
	}
	plain.ExpectNoMessage()
}

// shortestVarInt has the server send packets whose remaining length needs one, two and three bytes, just so. The client
// refuses any that could be shorter.
func shortestVarInt(s *suite) {
	sub, topic := s.client("a"), s.topic("x")
	sub.Subscribe(topic, 0)
	overhead := 2 + len(topic) + 1
	for _, length := range []int{126, 127, 128, 129, 16_382, 16_383, 16_384, 16_385} {
		payload := strings.Repeat("x", length-overhead)
		sub.Publish(&wire.Publish{Topic: topic, Payload: payload})
		sub.ReceiveMessage(topic, payload)
	}
}

func pairsWellFormed(s *suite) {
	for what, text := range bad {
		s.breaks("name "+what, &wire.Publish{Topic: "t", Props: wire.Properties{wire.User(text, "v")}})
		s.breaks("value "+what, &wire.Publish{Topic: "t", Props: wire.Properties{wire.User("n", text)}})
	}
	s.breaks("name with U+0000", &wire.Subscribe{
		ID: 1, Filters: []wire.Filter{{Filter: "t"}}, Props: wire.Properties{wire.User("a\x00", "v")},
	})
	s.breaks("value with U+0000", &wire.Unsubscribe{ID: 1, Filters: []string{"t"}, Props: wire.Properties{wire.User("n", "\x00")}})
	s.refuses("value in a will", &wire.Connect{
		Will: &wire.Will{Topic: "t", Props: wire.Properties{wire.User("n", "\xed\xa0\x80")}},
	})
}

func clientIDString(s *suite) {
	for what, text := range bad {
		s.refuses(what, &wire.Connect{ClientID: text}, 0x81, 0x82, 0x85)
	}
}

func willTopicString(s *suite) {
	for what, text := range bad {
		s.refuses(what, &wire.Connect{Will: &wire.Will{Topic: text}}, 0x81, 0x82, 0x90)
	}
}

func userNameString(s *suite) {
	for what, text := range bad {
		s.refuses(what, &wire.Connect{User: &text}, 0x81, 0x82, 0x86)
	}
}

func responseTopicString(s *suite) {
	for what, text := range bad {
		s.breaks(what, &wire.Publish{Topic: "t", Props: wire.Properties{wire.Text(wire.ResponseTopic, text)}}, 0x81, 0x82, 0x90)
	}
}

func contentTypeString(s *suite) {
	for what, text := range bad {
		s.breaks(what, &wire.Publish{Topic: "t", Props: wire.Properties{wire.Text(wire.ContentType, text)}})
	}
}

func filterString(s *suite) {
	for what, text := range bad {
		s.breaks(what, &wire.Subscribe{ID: 1, Filters: []wire.Filter{{Filter: text}}}, 0x81, 0x82, 0x8f)
	}
}

func unsubscribeString(s *suite) {
	for what, text := range bad {
		s.breaks(what, &wire.Unsubscribe{ID: 1, Filters: []string{text}}, 0x81, 0x82, 0x8f)
	}
}

func nullInTopics(s *suite) {
	s.breaks("topic", &wire.Publish{Topic: "a\x00"}, 0x81, 0x82, 0x90)
	s.breaks("filter", &wire.Subscribe{ID: 1, Filters: []wire.Filter{{Filter: "\x00"}}}, 0x81, 0x82, 0x8f)
	s.breaks("filter of UNSUBSCRIBE", &wire.Unsubscribe{ID: 1, Filters: []string{"a/\x00"}}, 0x81, 0x82, 0x8f)
	s.refuses("will", &wire.Connect{Will: &wire.Will{Topic: "a\x00"}}, 0x81, 0x82, 0x90)
}

func reservedFlags(s *suite) {
	id := wire.U16(1)
	for _, wrong := range []struct {
		typ  wire.Type
		rest []byte
	}{
		{wire.PUBACK, id},
		{wire.PUBREC, id},
		{wire.PUBREL, id},
		{wire.PUBCOMP, id},
		{wire.SUBSCRIBE, wire.Cat(id, []byte{0}, wire.Str("t"), []byte{0})},
		{wire.UNSUBSCRIBE, wire.Cat(id, []byte{0}, wire.Str("t"))},
		{wire.PINGREQ, nil},
		{wire.DISCONNECT, nil},
	} {
		for _, flip := range []byte{1, 2, 4, 8} {
			s.breaks(wrong.typ.String(), wire.Raw(wire.Packet(wrong.typ.First()^flip, wrong.rest)))
		}
	}
	connect := (&wire.Connect{}).Bytes(0)
	connect[0] |= 2
	s.refuses("CONNECT", wire.Raw(connect))
}
