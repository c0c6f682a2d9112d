// Package mqtt5 holds the server to every normative statement of MQTT 5 that can be seen from the wire. It runs the real
// binary and knows only its ports. The table in clauses_test.go lists all statements of the standard's appendix B, each with
// its test or with why there is none.
package mqtt5

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pulso/test/conformance/wire"
	"pulso/test/internal/hub"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of the time of these tests is waiting for intervals of whole seconds, which costs no processor.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("24")
	}
	os.Exit(hub.Main(m))
}

// TestConformance runs the test of each statement, all against one hub.
func TestConformance(t *testing.T) {
	t.Parallel()
	h := hub.Start(t, hub.Flags("--log-sync=os"))
	for _, c := range clauses {
		if c.test != nil {
			t.Run(c.id, func(t *testing.T) {
				t.Parallel()
				c.test(&suite{T: t, hub: h})
			})
		}
	}
}

// TestSections runs the tests of what the standard says without a number, all against one hub.
func TestSections(t *testing.T) {
	t.Parallel()
	h := hub.Start(t, hub.Flags("--log-sync=os"))
	for _, c := range sections {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(&suite{T: t, hub: h})
		})
	}
}

// A suite is what one test has: a hub, which it shares with others, and topics and client ids of its own.
type suite struct {
	*testing.T

	hub *hub.Hub
}

// own is the part of names that is this test's alone.
func (s *suite) own() string {
	return strings.ReplaceAll(s.Name()[strings.IndexByte(s.Name(), '/')+1:], "/", "_")
}

// topic is a topic of this test.
func (s *suite) topic(rest string) string { return "conformance/" + s.own() + "/" + rest }

// id is a client id of this test.
func (s *suite) id(rest string) string { return s.own() + "-" + rest }

func (s *suite) dial() *wire.Client {
	s.Helper()
	return wire.Dial(s, s.hub.MQTT)
}

// open connects and wants to be accepted.
func (s *suite) open(connect *wire.Connect) *wire.Client {
	s.Helper()
	return wire.Open(s, s.hub.MQTT, connect)
}

// client connects with a clean start and no session to remain. Its client id is this test's.
func (s *suite) client(name string, props ...wire.Property) *wire.Client {
	s.Helper()
	return s.open(&wire.Connect{ClientID: s.id(name), Props: props})
}

// lasting connects with a clean start and a session that remains for ten minutes.
func (s *suite) lasting(name string, props ...wire.Property) *wire.Client {
	s.Helper()
	return s.client(name, append(props, wire.Num(wire.SessionExpiry, 600))...)
}

// resume connects to the session that lasting made, which has to exist.
func (s *suite) resume(name string, props ...wire.Property) *wire.Client {
	s.Helper()
	c := s.open(&wire.Connect{
		ClientID: s.id(name), Resume: true,
		Props: append(props, wire.Num(wire.SessionExpiry, 600)),
	})
	if !c.Connack.Present {
		s.Fatalf("the session of %s is gone", s.id(name))
	}
	return c
}

// publisher connects a client that a test publishes with.
func (s *suite) publisher() *wire.Client {
	s.Helper()
	return s.client("publisher")
}

// malformed are the codes for what the standard calls malformed or a protocol error without naming a code: servers may
// take the one for the other [MQTT-5 4.13.1].
var malformed = []byte{0x81, 0x82}

// breaks wants a packet of a connected client to end the connection: DISCONNECT with one of the codes (none: malformed). That a
// server says why is what the standard recommends [MQTT-5 4.13.1], and what this one promises.
func (s *suite) breaks(what string, packet wire.Sender, codes ...byte) {
	s.Helper()
	if len(codes) == 0 {
		codes = malformed
	}
	s.Run(what, func(t *testing.T) {
		t.Helper()
		c := wire.Open(t, s.hub.MQTT, &wire.Connect{})
		c.Send(packet)
		c.ExpectDisconnect(codes...)
	})
}

// refuses wants a CONNECT to end the connection, with no answer or a CONNACK with one of the codes (none: malformed).
func (s *suite) refuses(what string, connect wire.Sender, codes ...byte) {
	s.Helper()
	if len(codes) == 0 {
		codes = malformed
	}
	s.Run(what, func(t *testing.T) {
		t.Helper()
		c := wire.Dial(t, s.hub.MQTT)
		c.Send(connect)
		c.ExpectRefused(codes...)
	})
}

// wait lets time pass that the protocol counts, in seconds.
func wait(seconds float64) { time.Sleep(time.Duration(seconds * float64(time.Second))) }

// payloads are the payloads of messages.
func payloads(messages []*wire.Received) []string {
	var all []string
	for _, m := range messages {
		all = append(all, m.Payload)
	}
	return all
}

// equal wants two slices to be the same.
func equal[T comparable](s *suite, what string, got, want []T) {
	s.Helper()
	if !slices.Equal(got, want) {
		s.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// bad are strings that are no UTF-8 [MQTT-1.5.4-1].
var bad = map[string]string{
	"surrogate":     "a\xed\xa0\x80",
	"overlong":      "a\xc0\xaf",
	"cut off":       "a\xe2\x82",
	"beyond U+10FF": "a\xf4\x90\x80\x80",
	"stray":         "a\x80b",
}

// inStrings tries a string in each place where a client sends one: the server has to close the connection.
func (s *suite) inStrings(text string) {
	s.refuses("client id", &wire.Connect{ClientID: text}, 0x81, 0x82, 0x85)
	s.refuses("will topic", &wire.Connect{Will: &wire.Will{Topic: text}}, 0x81, 0x82, 0x90)
	s.refuses("user name", &wire.Connect{User: &text}, 0x81, 0x82, 0x86)
	s.refuses("user property of CONNECT", &wire.Connect{Props: wire.Properties{wire.User("n", text)}})
	s.refuses("content type of a will", &wire.Connect{Will: &wire.Will{Topic: "t", Props: wire.Properties{wire.Text(wire.ContentType, text)}}})
	s.breaks("topic", &wire.Publish{Topic: text}, 0x81, 0x82, 0x90)
	s.breaks("response topic", &wire.Publish{Topic: "t", Props: wire.Properties{wire.Text(wire.ResponseTopic, text)}}, 0x81, 0x82, 0x90)
	s.breaks("content type", &wire.Publish{Topic: "t", Props: wire.Properties{wire.Text(wire.ContentType, text)}})
	s.breaks("user property", &wire.Publish{Topic: "t", Props: wire.Properties{wire.User(text, "v")}})
	s.breaks("filter", &wire.Subscribe{ID: 1, Filters: []wire.Filter{{Filter: text}}}, 0x81, 0x82, 0x8f)
	s.breaks("filter of UNSUBSCRIBE", &wire.Unsubscribe{ID: 1, Filters: []string{text}}, 0x81, 0x82, 0x8f)
	s.breaks("reason string", &wire.Disconnect{Code: 4, Props: wire.Properties{wire.Text(wire.ReasonString, text)}})
}
