package event_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pulso/bridge/event"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		filter, topic string
		want          bool
	}{
		// MQTT 5, 4.7.1.2.
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/#", "sport", true},
		{"sport/#", "sports", false},
		{"#", "sport/tennis", true},
		// 4.7.1.3.
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"+/tennis/#", "sport/tennis", true},
		// 4.7.2.
		{"#", "$SYS/broker", false},
		{"+/monitor/Clients", "$SYS/monitor/Clients", false},
		{"$SYS/#", "$SYS/broker", true},
		{"$SYS/#", "$SYS", true},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
		{"a/#", "a/$b", true},
		// 4.7.3: case counts, "/" is not nothing, and space is a character.
		{"ACCOUNTS", "Accounts", false},
		{"finance", "/finance", false},
		{"a//b", "a//b", true},
		{"a/+/b", "a//b", true},
		{"Accounts payable", "Accounts payable", true},
		{"a/b", "a", false},
		{"a", "a/b", false},
		{"a/b/#", "a", false},
		{"#", "", false},
		{"", "a", false},
	} {
		if got := event.Match(test.filter, test.topic); got != test.want {
			t.Errorf("Match(%q, %q) = %v", test.filter, test.topic, got)
		}
	}
	if event.MatchAny([]string{"a", "b"}, "c") || !event.MatchAny([]string{"a", "c"}, "c") || event.MatchAny(nil, "c") {
		t.Error("MatchAny")
	}
}

func TestCheckTopicAndFilter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text          string
		topic, filter bool
	}{
		{"a", true, true},
		{"/", true, true},
		{"a//b/", true, true},
		{"sensor one/°C", true, true},
		{"$SYS/x", true, true},
		{"+", false, true},
		{"#", false, true},
		{"a/+/b/#", false, true},
		{"a/#/b", false, false},
		{"a#", false, false},
		{"a/b#", false, false},
		{"a+/b", false, false},
		{"+a", false, false},
		{"##", false, false},
		{"", false, false},
		{"a\x00b", false, false},
		{"a\xff", false, false},
		{"\xed\xa0\x80", false, false}, // U+D800 [MQTT-1.5.4-1]
		{strings.Repeat("x", 65535), true, true},
		{strings.Repeat("x", 65536), false, false},
		{strings.Repeat("/", 127), true, true},
		{strings.Repeat("/", 128), false, false},
	} {
		if err := event.CheckTopic(test.text); (err == nil) != test.topic || err != nil && !errors.Is(err, event.ErrTopic) {
			t.Errorf("CheckTopic(%.40q): %v", test.text, err)
		}
		err := event.CheckFilter(test.text)
		if (err == nil) != test.filter || err != nil && !errors.Is(err, event.ErrFilter) {
			t.Errorf("CheckFilter(%.40q): %v", test.text, err)
		}
		if err != nil && len(err.Error()) > 600 {
			t.Errorf("CheckFilter(%.40q): %d bytes of error", test.text, len(err.Error()))
		}
	}
}

// modelMatch is Match as the specification tells it, level by level.
func modelMatch(filter, topic []string) bool {
	switch {
	case len(filter) == 1 && filter[0] == "#":
		return true
	case len(filter) == 0 || len(topic) == 0:
		return len(filter) == len(topic)
	case filter[0] != "+" && filter[0] != topic[0]:
		return false
	default:
		return modelMatch(filter[1:], topic[1:])
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a/+/#", "a/b/c")
	f.Add("$SYS/#", "$SYS")
	f.Add("+/#", "/")
	f.Add("#", "$a/b")
	f.Fuzz(func(t *testing.T, filter, topic string) {
		if event.CheckFilter(filter) != nil || event.CheckTopic(topic) != nil {
			return
		}
		want := modelMatch(strings.Split(filter, "/"), strings.Split(topic, "/"))
		if topic[0] == '$' && strings.ContainsAny(filter[:1], "+#") {
			want = false
		}
		if got := event.Match(filter, topic); got != want {
			t.Fatalf("Match(%q, %q) = %v", filter, topic, got)
		}
		if !event.Match(topic, topic) {
			t.Fatalf("%q does not match itself", topic)
		}
	})
}

func TestPosition(t *testing.T) {
	t.Parallel()
	for _, p := range []event.Position{{Epoch: 1}, {Epoch: 26043, Offset: 1042}, {Epoch: 1<<64 - 1, Offset: 1<<64 - 1}} {
		if got, err := event.ParsePosition(p.String()); err != nil || got != p {
			t.Errorf("%v became %v, %v", p, got, err)
		}
		b, err := json.Marshal(p)
		var got event.Position
		if err != nil || json.Unmarshal(b, &got) != nil || got != p {
			t.Errorf("%v became %s, %v", p, b, got)
		}
	}
	if s := (event.Position{Epoch: 26043, Offset: 1042}).String(); s != "k3f.1042" {
		t.Error(s)
	}
	var zero event.Position
	if !zero.IsZero() || zero.String() != "" || zero.UnmarshalText(nil) != nil {
		t.Error("the zero position")
	}
	for _, s := range []string{
		"", ".", "k3f", "k3f.", ".1", "0.1", "K3F.1", "k3f.01", "0k3f.1", "k3f.+1", "k3f.-1", "k3f.1 ", "k3f.18446744073709551616", "k3f.1.2",
	} {
		if p, err := event.ParsePosition(s); !errors.Is(err, event.ErrPosition) {
			t.Errorf("%q is %v, %v", s, p, err)
		}
	}
	e := event.Event{Position: event.Position{Epoch: 2, Offset: 5}, Time: 7, Kind: event.KindWill}
	if e.Next() != (event.Position{Epoch: 2, Offset: 6}) || !e.Arrival().Equal(time.Unix(0, 7)) || !e.Kind.IsMessage() || event.KindConnected.IsMessage() {
		t.Errorf("%+v", e)
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("k3f.1042")
	f.Add("0.0")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := event.ParsePosition(s)
		if (err == nil) != (p.String() == s && s != "") {
			t.Fatalf("%q is %v, %v", s, p, err)
		}
	})
}
