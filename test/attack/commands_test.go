package attack

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// pingProto is a ping with the id 1, in the binary form.
const pingProto = "\x08\x01\x32\x00"

// deep is a filter of 128 levels, as many as there may be, that no other has.
func deep(n int) string { return fmt.Sprintf("%d", n) + strings.Repeat("/", 127) }

// list is the JSON list of n strings.
func list(n int, item func(i int) string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf("%q", item(i))
	}
	return "[" + strings.Join(items, ",") + "]"
}

// A badCommand is one that is answered with a code.
type badCommand struct{ name, form, command, code string }

func (c badCommand) kind() int {
	if c.form == "proto" {
		return websocket.BinaryMessage
	}
	return websocket.TextMessage
}

func badCommands() []badCommand {
	long := func(i int) string { return strings.Repeat(fmt.Sprint(i), 32<<10+1) }
	short := func(i int) string { return fmt.Sprintf("a/%d", i) }
	return []badCommand{
		{"unknown field", "json", `{"id":1,"subscribe":{"filters":["a"],"speed":9}}`, "bad_command"},
		{"unknown command", "json", `{"id":1,"dance":{}}`, "bad_command"},
		{"no command", "json", `{"id":1}`, "bad_command"},
		{"null", "json", `null`, "bad_command"},
		{"two commands", "json", `{"id":1,"ping":{},"hello":{}}`, "bad_command"},
		{"wrong type", "json", `{"id":1,"subscribe":{"filters":"a"}}`, "bad_command"},
		{"a negative id", "json", `{"id":-1,"ping":{}}`, "bad_command"},
		{"a name too long", "json", `{"id":1,"hello":{"name":"` + strings.Repeat("n", 129) + `"}}`, "bad_command"},
		{"too much history", "json", `{"id":1,"subscribe":{"filters":["a"],"history":1001}}`, "bad_command"},
		{"too fast", "json", `{"id":1,"subscribe":{"filters":["a"],"rate":1001}}`, "bad_command"},
		{"a rate without end", "json", `{"id":1,"subscribe":{"filters":["a"],"rate":1e999}}`, "bad_command"},
		{"not UTF-8", "json", "{\"id\":1,\"hello\":{\"name\":\"\xff\"}}", "bad_json"},
		{"not JSON", "json", `{"id":1,"ping":{}`, "bad_json"},
		{"two objects", "json", `{"id":1,"ping":{}}{"id":1,"ping":{}}`, "bad_json"},
		{"brackets", "json", strings.Repeat("[", 500_000), "bad_json"},
		{"empty", "json", "", "bad_json"},
		{"257 filters", "json", `{"id":1,"subscribe":{"filters":` + list(257, short) + `}}`, "too_many"},
		{"257 devices", "json", `{"id":1,"subscribe":{"devices":` + list(257, short) + `}}`, "too_many"},
		{"20,000 filters", "json", `{"id":1,"subscribe":{"filters":` + list(20_000, short) + `}}`, "too_many"},
		{"more than 64 KiB", "json", `{"id":1,"subscribe":{"filters":` + list(2, long) + `}}`, "too_large"},
		{"129 levels", "json", `{"id":1,"subscribe":{"filters":["/` + deep(1) + `"]}}`, "invalid_filter"},
		{"a wildcard in a level", "json", `{"id":1,"subscribe":{"filters":["a+/b"]}}`, "invalid_filter"},
		{"a wildcard that is published to", "json", `{"id":1,"publish":{"topic":"a/#","payload":1}}`, "invalid_topic"},
		{"a topic of the hub", "json", `{"id":1,"publish":{"topic":"$SYS/a","payload":1}}`, "forbidden"},
		{"a room that is not there", "json", `{"id":1,"unsubscribe":{"room":18446744073709551615}}`, "not_subscribed"},
		{"a change of a room that is not there", "json", `{"id":1,"change":{"room":4711,"subscribe":{"filters":["a"]}}}`, "not_subscribed"},
		{"a position that is none", "json", `{"id":1,"subscribe":{"filters":["a"],"from":"yesterday"}}`, "invalid_position"},
		{"one byte more than a megabyte", "json", `{"id":1,"ping":{}}` + strings.Repeat(" ", 1<<20-17), "too_large"},
		{"half of a message", "proto", "\x08\x01\x32\x05", "bad_proto"},
		{"a field that never ends", "proto", strings.Repeat("\xff", 1000), "bad_proto"},
		{"an unknown field", "proto", pingProto + "\xfa\x07\x00", "bad_command"},
		{"an unknown field inside", "proto", "\x08\x01\x32\x03\xfa\x07\x00", "bad_command"},
		{"nothing", "proto", "", "bad_command"},
		{"groups", "proto", strings.Repeat("\x0b", 100_000), "bad_proto"},
		{"a form that is not there", "proto", "\x08\x01\x1a\x05\x0a\x01a\x10\x63", "bad_command"},
	}
}

// refused is how many commands have been counted under a code.
func (s *siege) refused(code string) int {
	return s.counted(`pulso_gateway_commands_refused_total{code="` + code + `"}`)
}

// Commands that are none: each is answered with its code and counted under it, and the session lives on.
func TestBadCommands(t *testing.T) {
	withstand(t, func(s *siege) {
		for _, c := range badCommands() {
			t.Run(c.name, func(t *testing.T) {
				before := s.refused(c.code)
				w, err := s.talk("pulso.v1." + c.form)
				if err != nil {
					t.Fatal(err)
				}
				if err := w.say(c.kind(), c.command); err != nil {
					t.Fatal(err)
				}
				_ = w.SetReadDeadline(time.Now().Add(5 * time.Second))
				if _, raw, err := w.ReadMessage(); err != nil || !strings.Contains(string(raw), c.code) {
					t.Errorf("answered with %q, %v", raw, err)
				}
				if n := s.refused(c.code); n != before+1 {
					t.Errorf("%d have been counted, and there were %d", n, before)
				}
				if err := w.say(c.kind(), map[string]string{"json": `{"id":1,"ping":{}}`, "proto": pingProto}[c.form]); err != nil {
					t.Fatal(err)
				}
				if _, raw, err := w.ReadMessage(); err != nil || strings.Contains(string(raw), "rror") {
					t.Errorf("a ping after it is answered with %q, %v", raw, err)
				}
				w.leave()
			})
		}
	})
}

// Sessions that end at once: in the wrong form, of a subprotocol that is not there, with commands far too large or bad all the time.
func TestSessionsThatEnd(t *testing.T) {
	withstand(t, func(s *siege) {
		if _, err := s.talk("pulso.v2.json"); !errors.Is(err, websocket.ErrBadHandshake) {
			t.Errorf("a wrong subprotocol: %v", err)
		}
		for _, c := range []struct {
			name, counted string
			kind, times   int
			message       string
			code          int
		}{
			{"binary", "wrong_form", websocket.BinaryMessage, 1, pingProto, 4503},
			{"17 MiB", "too_large", websocket.TextMessage, 1, strings.Repeat(" ", 17<<20), 4502},
			{"bad commands", "bad_commands", websocket.TextMessage, 20, `{"id":1,"dance":{}}`, 4500},
			{"a megabyte and more", "bad_commands", websocket.TextMessage, 20, strings.Repeat("x", 1<<20+1), 4500},
			{"invalid text", "bad_commands", websocket.TextMessage, 20, "\xff", 4500},
		} {
			t.Run(c.name, func(t *testing.T) {
				metric := `pulso_gateway_sessions_closed_total{code="` + c.counted + `"}`
				before := s.counted(metric)
				w, err := s.talk("pulso.v1.json")
				if err != nil {
					t.Fatal(err)
				}
				for range c.times {
					if w.say(c.kind, c.message) != nil {
						break // it has been ended in the middle of it
					}
				}
				if code := w.farewell(); code != c.code {
					t.Errorf("closed with %d, want %d", code, c.code)
				}
				if n := s.counted(metric); n != before+1 {
					t.Errorf("%d have been counted, and there were %d", n, before)
				}
			})
		}
	})
}

// Positions of another log and of the future are told so, and the session gets what comes.
func TestPositionsOfNowhere(t *testing.T) {
	withstand(t, func(s *siege) {
		w := s.mustTalk()
		r, err := w.ask(1, `{"id":1,"subscribe":{"filters":["here"]}}`)
		if err != nil {
			t.Fatal(err)
		}
		epoch, _, _ := strings.Cut(r.Subscribed.Position, ".")
		for _, from := range []string{"1.0", "1.1", "zzzzzzz.1", epoch + ".999999999", epoch + ".18446744073709551615"} {
			r, err := w.ask(2, fmt.Sprintf(`{"id":2,"subscribe":{"filters":["here"],"from":%q}}`, from))
			if err != nil || r.Subscribed.Recovered || r.Subscribed.Reason != "insufficient_state" {
				t.Errorf("from %s: %+v, %v", from, r, err)
			}
		}
		if r, err := w.ask(3, `{"id":3,"publish":{"topic":"here","payload":1,"qos":1}}`); err != nil || r.Error.Code != "" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
