package chat_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"pulso/bridge/event"
	"pulso/bridge/view"
	"pulso/bridge/view/chat"
	"pulso/bridge/view/viewtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ view.View = (*chat.View)(nil)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newView(t testing.TB, c chat.Config) *chat.View {
	t.Helper()
	c.Now = func() time.Time { return start }
	v, err := chat.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var offset uint64

func say(channel, client, payload string) event.Decoded {
	offset++
	e := event.Decoded{JSON: json.Valid([]byte(payload))}
	e.Topic, e.Client, e.Payload, e.Time = chat.Prefix+channel, client, []byte(payload), start.UnixNano()
	e.Position = event.Position{Epoch: 1, Offset: offset}
	return e
}

func disconnect(client, reason string) event.Decoded {
	var e event.Decoded
	e.Kind, e.Client, e.Payload, e.Time = event.KindDisconnected, client, []byte(reason), start.UnixNano()
	return e
}

// A frame is what a client reads.
type frame struct {
	Chat *struct {
		Channels []string `json:"channels"`
		Messages []struct {
			Channel string `json:"channel"`
			From    string `json:"from"`
			Text    string `json:"text"`
			Source  string `json:"source"`
		} `json:"messages"`
		Present []struct {
			Channel string      `json:"channel"`
			Members [][2]string `json:"members"`
		} `json:"present"`
	} `json:"chat"`
}

// since returns the members of a frame in JSON, checked in both encodings.
func since(t viewtest.T, v *chat.View, filters []string, version uint64) ([]byte, uint64) {
	t.Helper()
	f, now := v.Since(filters, nil, version)
	return viewtest.Members(t, f), now
}

func read(t testing.TB, v *chat.View, filters []string, known uint64) (frame, uint64) {
	t.Helper()
	members, version := since(t, v, filters, known)
	var f frame
	if err := json.Unmarshal([]byte("{"+string(members)+"}"), &f); err != nil {
		t.Fatalf("%v: %s", err, members)
	}
	return f, version
}

func TestMessages(t *testing.T) {
	v := newView(t, chat.Config{})
	v.Apply([]event.Decoded{
		say("general", "c1", `{"v":1,"from":"Ana","text":"hello \"you\""}`),
		say("general", "c1", `plain`),
		say("general", "c1", `{"v":2,"text":"x"}`),
		say("general", "c1", "\xff"),
		say("general", "c1", ``),
		say("a/b", "c1", `no channel`),
		say("other", "c1", strings.Repeat("ü", 5000)),
	})
	f, version := read(t, v, []string{"chat/+"}, 0)
	if !slices.Equal(f.Chat.Channels, []string{"general", "other"}) {
		t.Errorf("channels %v", f.Chat.Channels)
	}
	var got []string
	for _, m := range f.Chat.Messages {
		got = append(got, m.Channel+" "+m.From+": "+m.Text[:min(len(m.Text), 20)])
	}
	want := []string{
		`general Ana: hello "you"`, "general c1: plain", `general c1: {"v":2,"text":"x"}`, "general c1: \ufffd",
		"other c1: " + strings.Repeat("ü", 10),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if n := len(f.Chat.Messages[4].Text); n != chat.MaxTextBytes {
		t.Errorf("a text of %d bytes", n)
	}
	if f, _ = read(t, v, []string{"chat/+"}, version); f.Chat != nil {
		t.Errorf("nothing new, but %+v", f.Chat)
	}
	e := say("general", "s1", `{"v":1,"from":"Ben","text":"hi"}`)
	e.Source = event.SourceGateway
	v.Apply([]event.Decoded{e})
	f, _ = read(t, v, []string{"chat/general"}, version)
	if len(f.Chat.Messages) != 1 || f.Chat.Messages[0].Source != "screen" || f.Chat.Channels != nil || f.Chat.Present != nil {
		t.Errorf("%+v", f.Chat)
	}
}

func TestBounds(t *testing.T) {
	v := newView(t, chat.Config{MaxChannels: 2})
	for i := range 300 {
		v.Apply([]event.Decoded{say("busy", "c1", fmt.Sprint(i))})
	}
	f, _ := read(t, v, []string{"chat/#"}, 0)
	if m := f.Chat.Messages; len(m) != chat.MaxMessages || m[0].Text != "100" || m[199].Text != "299" {
		t.Errorf("%d messages from %s", len(m), m[0].Text)
	}
	v.Apply([]event.Decoded{say("second", "c1", "x"), say("busy", "c1", "x"), say("third", "c1", "x")})
	f, _ = read(t, v, []string{"chat/#"}, 0)
	if !slices.Equal(f.Chat.Channels, []string{"busy", "third"}) {
		t.Errorf("channels %v", f.Chat.Channels)
	}
}

func present(t testing.TB, v *chat.View, channel string) string {
	t.Helper()
	f, _ := read(t, v, []string{"chat/" + channel}, 0)
	if f.Chat == nil || len(f.Chat.Present) == 0 {
		return "none"
	}
	return fmt.Sprint(f.Chat.Present[0].Members)
}

func TestPresence(t *testing.T) {
	v := newView(t, chat.Config{})
	check := func(want string) {
		t.Helper()
		if got := present(t, v, "general"); got != want {
			t.Errorf("present %s, want %s", got, want)
		}
	}
	v.Join("s1", "Zoe", []string{"chat/general"}, nil)
	v.Join("s2", "Ana", []string{"chat/+"}, nil)
	v.Join("s3", "Eve", []string{"#", "chat/other"}, nil)
	check("[[Ana screen] [Zoe screen]]")
	v.Subscribed("boiler", "chat/general")
	v.Subscribed("spy", "#")
	v.Apply([]event.Decoded{say("general", "pump", "x")})
	check("[[Ana screen] [Zoe screen] [boiler device] [pump device]]")
	_, version := since(t, v, []string{"chat/general"}, 0)
	v.Apply([]event.Decoded{say("general", "pump", "again")})
	if f, _ := read(t, v, []string{"chat/general"}, version); f.Chat.Present != nil {
		t.Errorf("presence without a change: %+v", f.Chat.Present)
	}
	v.Apply([]event.Decoded{disconnect("pump", event.DisconnectedTakenOver)})
	v.Leave("s1")
	check("[[Ana screen] [boiler device] [pump device]]")
	v.Apply([]event.Decoded{disconnect("pump", "broken"), disconnect("boiler", "broken")})
	check("[[Ana screen] [boiler device]]")
	v.Unsubscribed("boiler", "chat/general")
	check("[[Ana screen]]")
	v.Subscribed("boiler", "chat/general")
	v.Subscribed("boiler", "chat/general")
	v.Unsubscribed("boiler", "chat/general")
	check("[[Ana screen]]")
	old := say("general", "ghost", "said before the restart")
	old.Time = start.Add(-time.Second).UnixNano()
	v.Apply([]event.Decoded{old})
	check("[[Ana screen]]")
	v.Join("s2", "Ann", []string{"chat/general"}, nil)
	check("[[Ann screen]]")
}

// TestFramesStayAsTheyAre: nothing that happens later shows in a frame that has been handed out.
func TestFramesStayAsTheyAre(t *testing.T) {
	v := newView(t, chat.Config{})
	v.Join("s1", "Zoe", []string{"chat/general"}, nil)
	for i := range chat.MaxMessages {
		v.Apply([]event.Decoded{say("general", "pump", fmt.Sprint(i))})
	}
	f, _ := v.Since([]string{"#"}, nil, 0)
	before := proto.CloneOf(f)
	v.Leave("s1")
	v.Join("s2", "Ana", []string{"chat/general"}, nil)
	for range 2 * chat.MaxMessages {
		v.Apply([]event.Decoded{say("general", "valve", "x"), say("new", "valve", "x")})
	}
	if later, _ := v.Since([]string{"#"}, nil, 0); proto.Equal(later, before) || !proto.Equal(f, before) {
		t.Errorf("now  %v\nthen %v\nlater %v", f, before, later)
	}
}

func TestMembersAreBounded(t *testing.T) {
	v := newView(t, chat.Config{MaxClients: 1})
	for i := range 300 {
		v.Join(fmt.Sprint(i), fmt.Sprintf("n%03d", i), []string{"chat/general"}, nil)
	}
	f, _ := read(t, v, []string{"chat/general"}, 0)
	if m := f.Chat.Present[0].Members; len(m) != chat.MaxMembers || m[0][0] != "n000" {
		t.Errorf("%d members", len(m))
	}
	v.Subscribed("a", "chat/x")
	v.Subscribed("b", "chat/x")
	if got := present(t, v, "x"); got != "[[a device]]" {
		t.Error(got)
	}
}

func TestRestartKeepsMessagesNotPresence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := make([]event.Decoded, rapid.IntRange(0, 30).Draw(t, "events"))
		for i := range all {
			all[i] = say(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "channel"), "c1", rapid.StringN(1, 5, -1).Draw(t, "text"))
		}
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		states := make([]string, 2)
		for i := range states {
			v, err := chat.New(chat.Config{MaxChannels: 2, Now: func() time.Time { return start.Add(time.Hour) }})
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				v.Apply(all)
			} else {
				v.Apply(all[:cut])
				var b bytes.Buffer
				if err := v.Save(&b); err != nil {
					t.Fatal(err)
				}
				if err := v.Restore(&b); err != nil {
					t.Fatal(err)
				}
				v.Apply(all[cut:])
			}
			members, _ := since(t, v, []string{"#"}, 0)
			states[i] = string(members)
		}
		if states[0] != states[1] {
			t.Fatalf("got\n%s\nwant\n%s", states[1], states[0])
		}
	})
}

func TestRestoreRefusesDamage(t *testing.T) {
	for _, state := range []string{"[", `{"version":9}`} {
		if err := newView(t, chat.Config{}).Restore(strings.NewReader(state)); err == nil {
			t.Errorf("%s: no error", state)
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("c1", []byte(`{"v":1,"from":"Ana","text":"hello"}`))
	f.Add("\xff", []byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, client string, payload []byte) {
		v := newView(t, chat.Config{})
		v.Apply([]event.Decoded{say("general", client, string(payload))})
		read(t, v, []string{"chat/+"}, 0)
	})
}

// An only scope sees one channel, and general.
type only string

func (o only) Key() string            { return string(o) }
func (o only) Sees(topic string) bool { return topic == "chat/"+string(o) || topic == "chat/general" }

// TestScopedChat: channels that are not seen are not there, neither to read nor to be in; of screens, those of one scope see each other.
func TestScopedChat(t *testing.T) {
	v := newView(t, chat.Config{})
	v.Join("s1", "Zoe", []string{"chat/+", "chat/b"}, only("a"))
	v.Join("s2", "Ana", []string{"chat/+"}, nil)
	v.Join("s3", "Eve", []string{"chat/+"}, only("b"))
	v.Join("s4", "Bob", []string{"chat/general"}, only("a"))
	if n := v.Channels(); n != 1 {
		t.Errorf("%d channels: one was made by who does not see it", n)
	}
	v.Apply([]event.Decoded{say("a", "pump", "in a"), say("b", "pump", "in b"), say("general", "pump", "for all")})
	for _, c := range []struct {
		scope event.Scope
		want  string
	}{
		{only("a"), `[a general] [in a for all] a: [Zoe pump] general: [Bob Zoe pump]`},
		{only("b"), `[b general] [in b for all] b: [Eve pump] general: [Eve pump]`},
		{nil, `[a b general] [in a in b for all] a: [Ana pump] b: [Ana pump] general: [Ana pump]`},
	} {
		f, _ := v.Since([]string{"chat/+"}, c.scope, 0)
		var said []string
		for _, m := range f.GetChat().GetMessages() {
			said = append(said, m.GetText())
		}
		got := fmt.Sprint(f.GetChat().GetChannels(), " ", said)
		for _, p := range f.GetChat().GetPresent() {
			var names []string
			for _, m := range p.GetMembers() {
				names = append(names, m.GetName())
			}
			got += fmt.Sprint(" ", p.GetChannel(), ": ", names)
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.scope, got, c.want)
		}
	}
}
