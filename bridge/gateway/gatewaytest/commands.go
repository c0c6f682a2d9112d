package gatewaytest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pulso/bridge/gateway"
	"pulso/bridge/wire"
)

// forms subscribes in each form and delivery and sees what a device says.
func forms(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	h.Number(1)
	for _, what := range []string{"events every", "events latest", "values every", "values latest", "devices latest", "topics latest", "chat latest"} {
		form, delivery, _ := strings.Cut(what, " ")
		t.Run(what, func(t *testing.T) {
			p := h.dial(f)
			p.t = t
			filter := "devices/#"
			if form == "chat" {
				filter = "chat/+"
			}
			s := p.subscribe(fmt.Sprintf(`{"filters":[%q],"form":%q,"delivery":%q}`, filter, form, delivery))
			if s.Room == 0 || s.Position == "" || s.Recovered {
				t.Errorf("subscribed: %+v", s)
			}
			if what != "events every" {
				if m := p.next(); m.Snapshot == nil || m.Room != s.Room || m.Snapshot.size() == 0 {
					t.Errorf("snapshot: %+v", m)
				}
			}
			h.Number(2)
			h.Publish("chat/general", []byte("hello"))
			m := p.next()
			if m.Room != s.Room || m.Position == "" {
				t.Errorf("frame: %+v", m)
			}
			switch {
			case form == "events" && (len(m.Events) != 1 || string(m.Events[0].Payload) != `{"n":2}` ||
				m.Events[0].Device != "d1" || m.Events[0].Topic != telemetry):
				t.Errorf("events: %+v", m.Events)
			case form == "values" && (len(m.Values) != 1 || m.Values[0][2] != 2):
				t.Errorf("values: %+v", m.Values)
			case m.size() == 0:
				t.Errorf("%s: %+v", form, m)
			}
		})
	}
}

// size is how much a frame holds.
func (f *Frame) size() int {
	return len(f.Events) + len(f.Values) + len(f.Topics) + len(f.Activity) + len(f.Devices) + len(f.Status) + len(f.Chat)
}

// history asks for what was before.
func history(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	for n := range 5 {
		h.Number(n)
	}
	h.Publish("other/topic", []byte("line one\nline two\r\n"))
	h.Publish("other/topic", []byte("{\r\n\"pretty\":\r1,\n\"x\": 2}"))
	h.Publish("other/topic", []byte{0xff, 0, 13, 10})
	p := h.dial(f)
	p.subscribe(`{"filters":["#"],"history":3}`)
	m := p.next()
	if m.Snapshot == nil || len(m.Snapshot.Events) != 6 {
		t.Fatalf("%+v", m.Snapshot)
	}
	for i, e := range m.Snapshot.Events[:3] {
		if string(e.Payload) != fmt.Sprintf(`{"n":%d}`, 2+i) {
			t.Errorf("event %d: %s", i, e.Payload)
		}
	}
	text, pretty, raw := m.Snapshot.Events[3], m.Snapshot.Events[4], m.Snapshot.Events[5]
	if text.Text == nil || *text.Text != "line one\nline two\r\n" || !bytes.Equal(raw.Bytes, []byte{0xff, 0, 13, 10}) {
		t.Errorf("%+v, %+v", text, raw)
	}
	if got := strings.Join(strings.Fields(string(pretty.Payload)), ""); got != `{"pretty":1,"x":2}` {
		t.Errorf("%q", pretty.Payload)
	}
}

// badSubscriptions are refused, each on a connection of its own.
func badSubscriptions(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	many := strings.TrimSuffix(strings.Repeat(`"a",`, wire.MaxFilters+1), ",")
	for _, test := range []struct{ subscribe, code string }{
		{`{"filters":["a/#/b"]}`, wire.CodeInvalidFilter},
		{`{"filters":["a"],"form":"dances"}`, wire.CodeBadCommand},
		{`{"filters":["a"],"delivery":"some"}`, wire.CodeBadCommand},
		{`{"filters":["a"],"rate":-1}`, wire.CodeBadCommand},
		{`{"filters":["a"],"history":1001}`, wire.CodeBadCommand},
		{`{"filters":["a"],"from":"yesterday"}`, wire.CodeInvalidPosition},
		{`{"filters":["a"],"form":"chat"}`, wire.CodeInvalidFilter},
		{`{"form":"hub"}`, wire.CodeBadCommand}, // this hub has no such view
		{`{"filters":[` + many + `]}`, wire.CodeTooMany},
		{fmt.Sprintf(`{"filters":[%q,%q]}`, strings.Repeat("a", wire.MaxSelection/2), strings.Repeat("b", wire.MaxSelection/2+1)), wire.CodeTooLarge},
	} {
		if f.Single && len(test.subscribe) > 8<<10 {
			continue // a query of such length is refused by every server
		}
		if code := h.dial(f).refused(`"subscribe":` + test.subscribe); code != test.code {
			t.Errorf("%.80s: %q, want %s", test.subscribe, code, test.code)
		}
	}
}

// positions resumes from positions that are none, and such as can be no more or not yet.
func positions(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	first := h.Number(1)
	last := h.Number(2)
	for _, from := range []string{"x", ".", "1.", ".1", "-1.1", "1.1.1", "zzzzzzzzzzzzzzzzzzzzz.1", "1.18446744073709551616", " 1.1"} {
		if code := h.dial(f).refused(fmt.Sprintf(`"subscribe":{"filters":["#"],"from":%q}`, from)); code != wire.CodeInvalidPosition {
			t.Errorf("from %q: %q", from, code)
		}
	}
	foreign := first
	foreign.Epoch++
	if s := h.dial(f).subscribe(fmt.Sprintf(`{"filters":["#"],"from":%q}`, foreign)); s.Recovered || s.Reason != wire.ReasonInsufficientState {
		t.Errorf("a position of another log: %+v", s)
	}
	if s := h.dial(f).subscribe(`{"filters":["#"],"from":"start"}`); !s.Recovered {
		t.Errorf("from the start: %+v", s)
	}
	// What the log has not reached yet is as little of it as another log's.
	future := last
	future.Offset += 2
	ahead := h.dial(f)
	if s := ahead.subscribe(fmt.Sprintf(`{"filters":["#"],"from":%q}`, future)); s.Recovered || s.Reason != wire.ReasonInsufficientState {
		t.Errorf("a position in the future: %+v", s)
	}
	h.Number(3)
	if m := ahead.next(); len(m.Events) != 1 || string(m.Events[0].Payload) != `{"n":3}` {
		t.Errorf("after a position in the future: %+v", m)
	}
}

// conversation is what a session is for, in short.
func conversation(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	p := h.dial(f)
	w := p.ask(`"hello":{"client":"test/1","name":"Ana"}`).Welcome
	if w == nil || w.Node != "node" || w.Version != "test" || w.Session == "" || w.Now == 0 {
		t.Fatalf("welcome: %+v", w)
	}
	one := p.subscribe(`{"filters":["a","b"]}`)
	if again := p.subscribe(`{"filters":["b","a","b"]}`); again.Room != one.Room {
		t.Errorf("rooms %d and %d for the same", one.Room, again.Room)
	}
	two := p.subscribe(`{"filters":["a"]}`)
	h.Publish("a", []byte("1"))
	seen := map[uint64]int{}
	for len(seen) < 2 {
		m := p.next()
		seen[m.Room] += len(m.Events)
	}
	if seen[one.Room] != 1 || seen[two.Room] != 1 {
		t.Errorf("events by room: %v", seen)
	}
	if m := p.ask(`"ping":{}`); m.Pong == nil || m.Pong.Now == 0 {
		t.Errorf("pong: %+v", m)
	}
	if m := p.ask(`"painted":{"counts":[0,1]}`); m.Pong == nil {
		t.Errorf("after a report of what was painted: %+v", m)
	}
	if m := p.ask(fmt.Sprintf(`"unsubscribe":{"room":%d}`, one.Room)); m.Unsubscribed == nil || m.Unsubscribed.Room != one.Room {
		t.Errorf("unsubscribed: %+v", m)
	}
	if code := p.refused(fmt.Sprintf(`"unsubscribe":{"room":%d}`, one.Room)); code != wire.CodeNotSubscribed {
		t.Errorf("unsubscribed again: %q", code)
	}
	h.Publish("a", []byte("2"))
	if m := p.next(); m.Room != two.Room || len(m.Events) != 1 {
		t.Errorf("after unsubscribing: %+v", m)
	}
	if m := p.ask(`"ping":{}`); m.Pong == nil || len(p.stash) != 0 {
		t.Errorf("%+v, and before it %+v", m, p.stash)
	}
}

// publish publishes in every way and sees it come back as it was.
func publish(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	p := h.dial(f)
	p.subscribe(`{"filters":["p/#"]}`)
	for i, test := range []struct{ body, json, text, raw string }{
		{body: `"payload":{"on": true}`, json: `{"on": true}`},
		{body: `"payload":null,"qos":1`, json: `null`},
		{body: `"payload_text":"hällo\nworld","retain":true`, text: "hällo\nworld"},
		{body: `"payload_base64":"/wAK"`, raw: "\xff\x00\n"},
		{body: `"payload_base64":"/wAK","qos":1`, raw: "\xff\x00\n"},
	} {
		var seen, done bool
		id := p.send(fmt.Sprintf(`"publish":{"topic":"p/%d",%s}`, i, test.body))
		for !seen || !done {
			m := p.next()
			done = done || m.ID == uint64(id) && m.Published != nil && m.Published.Position != ""
			for _, e := range m.Events {
				seen = true
				if e.Topic != fmt.Sprintf("p/%d", i) || string(e.Payload) != test.json || string(e.Bytes) != test.raw ||
					(test.text != "") != (e.Text != nil) || e.Text != nil && *e.Text != test.text {
					t.Errorf("%s came as %+v", test.body, e)
				}
			}
			if m.Error != nil {
				t.Fatalf("%s: %+v", test.body, m.Error)
			}
		}
	}
}

// badCommands are answered, and the session lives on.
func badCommands(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	p := h.dial(f)
	for _, test := range []struct{ command, code string }{
		{`"ping":{},"hello":{}`, wire.CodeBadCommand},
		{`"dance":{}`, wire.CodeBadCommand},
		{`"subscribe":{"filters":["a"],"speed":3}`, wire.CodeBadCommand},
		{`"unsubscribe":{"room":4711}`, wire.CodeNotSubscribed},
		{`"change":{"room":4711,"subscribe":{"filters":["a"]}}`, wire.CodeNotSubscribed},
		{`"publish":{"topic":"a/+","payload":1}`, wire.CodeInvalidTopic},
		{`"publish":{"topic":"$SYS/x","payload":1}`, wire.CodeForbidden},
		{`"publish":{"topic":"a"}`, wire.CodeBadCommand},
		{`"painted":{"counts":[` + strings.Repeat("0,", wire.MaxPaintedCounts) + `0]}`, wire.CodeBadCommand},
		{`"publish":{"topic":"a","payload":1,"qos":2}`, wire.CodeBadCommand},
	} {
		if code := p.refused(test.command); code != test.code {
			t.Errorf("%s: %q, want %s", test.command, code, test.code)
		}
		if m := p.ask(`"ping":{}`); m.Pong == nil {
			t.Fatalf("after %s: %+v", test.command, m)
		}
	}
	large := fmt.Sprintf(`"publish":{"topic":"a","payload_text":%q}`, strings.Repeat("x", wire.MaxMessage-80))
	if m := p.ask(large); m.Published == nil {
		t.Errorf("a command that just fits: %+v", m.Error)
	}
}

// manyBadCommands in a row end a session.
func manyBadCommands(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{}, f.Service)
	p := h.dial(f)
	for id := range 20 {
		if err := p.Send(fmt.Sprintf(`{"id":%d,"nonsense":1}`, id+1)); err != nil {
			break // it has been ended already
		}
	}
	if code := p.farewell(); code != wire.CloseBadCommands {
		t.Errorf("close code %d", code)
	}
	h.Eventually("the session is gone", func() bool { return h.Gateway.Sessions() == 0 && h.Closed("bad_commands") == 1 })
}

func tooMany(t *testing.T, f Factory) {
	t.Helper()
	h := Start(t, Config{Gateway: gateway.Config{MaxSubscriptions: 2}}, f.Service)
	p := h.dial(f)
	p.subscribe(`{"filters":["a"]}`)
	p.subscribe(`{"filters":["b"]}`)
	if code := p.refused(`"subscribe":{"filters":["c"]}`); code != wire.CodeTooMany {
		t.Errorf("the third of two: %q", code)
	}
}
