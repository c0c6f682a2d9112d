package app

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"pulso/bridge/gateway/rpc"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// A subscription is what a stream is asked for.
type subscription struct {
	Filters  []string `json:"filters"`
	Devices  []string `json:"devices,omitempty"`
	Form     string   `json:"form"`
	Delivery string   `json:"delivery,omitempty"`
	From     string   `json:"from,omitempty"`
	History  int      `json:"history,omitempty"`
	Viewers  bool     `json:"viewers,omitempty"`
}

func (s *subscription) command(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"id": 1, "subscribe": s})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A stream is a transport's connection: each call returns the next of what came.
type stream func() ([]byte, error)

// transports open streams as a side does.
var transports = map[string]func(t *testing.T, h *Hub, side string, s *subscription) stream{
	"ws": func(t *testing.T, h *Hub, side string, s *subscription) stream {
		t.Helper()
		return openSocket(t, h, side, "/ws", s.command(t), wire.JSON)
	},
	"ws binary": func(t *testing.T, h *Hub, side string, s *subscription) stream {
		t.Helper()
		return openSocket(t, h, side, "/ws", s.command(t), wire.Proto)
	},
	"sse": openEvents, "poll": openPoll, "rpc": openCall,
}

func openSocket(t *testing.T, h *Hub, side, path, command string, e wire.Encoding) stream {
	t.Helper()
	c := dialSide(t, h, side, path, e)
	if err := c.WriteMessage(websocket.TextMessage, []byte(command)); err != nil {
		t.Fatal(err)
	}
	return reading(c)
}

func dialSide(t *testing.T, h *Hub, side, path string, e wire.Encoding) *websocket.Conn {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocols[e]}}
	c, resp, err := dialer.DialContext(t.Context(), "ws://"+h.HTTPAddr()+path, http.Header{scopeHeader: {side}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // of a handshake: it is empty
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// reading reads messages, a line each.
func reading(c *websocket.Conn) stream {
	return func() ([]byte, error) {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, message, err := c.ReadMessage()
		return append(message, '\n'), err
	}
}

// request makes a request that lasts as long as the test.
func request(t *testing.T, h *Hub, side, method, path string, header map[string]string, body []byte) io.ReadCloser {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+h.HTTPAddr()+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(scopeHeader, side)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s %s", path, resp.Status, text)
	}
	return resp.Body
}

// pieces reads a body as it comes.
func pieces(body io.Reader) stream {
	return func() ([]byte, error) {
		piece := make([]byte, 64<<10)
		n, err := body.Read(piece)
		if n > 0 {
			err = nil
		}
		return piece[:n], err
	}
}

func openEvents(t *testing.T, h *Hub, side string, s *subscription) stream {
	t.Helper()
	q := url.Values{"filter": s.Filters, "device": s.Devices, "form": {s.Form}, "name": {s.Form + mark(side)}}
	for name, value := range map[string]string{"delivery": s.Delivery, "from": s.From} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if s.History > 0 {
		q.Set("history", strconv.Itoa(s.History))
	}
	q.Set("viewers", strconv.FormatBool(s.Viewers))
	return pieces(request(t, h, side, http.MethodGet, "/sse?"+q.Encode(), nil, nil))
}

func openPoll(t *testing.T, h *Hub, side string, s *subscription) stream {
	t.Helper()
	n, token := 0, ""
	return func() ([]byte, error) {
		n++
		header, commands := map[string]string{"Content-Type": "application/json"}, ""
		if n == 1 {
			commands = `,"commands":[` + s.command(t) + `]`
		} else {
			header["Pulso-Session"] = token
		}
		body := fmt.Appendf(nil, `{"n":%d,"wait":5000%s}`, n, commands)
		answer, err := io.ReadAll(request(t, h, side, http.MethodPost, "/api/v1/poll", header, body))
		if n == 1 {
			var begun struct {
				Session string `json:"session"`
			}
			err = errors.Join(err, json.Unmarshal(answer, &begun))
			token = begun.Session
		}
		return answer, err
	}
}

func openCall(t *testing.T, h *Hub, side string, s *subscription) stream {
	t.Helper()
	forms := map[string]pulsov1.Form{
		"events": pulsov1.Form_FORM_EVENTS, "values": pulsov1.Form_FORM_VALUES, "devices": pulsov1.Form_FORM_DEVICES,
		"topics": pulsov1.Form_FORM_TOPICS, "hub": pulsov1.Form_FORM_HUB, "chat": pulsov1.Form_FORM_CHAT,
	}
	deliveries := map[string]pulsov1.Delivery{"every": pulsov1.Delivery_DELIVERY_EVERY, "latest": pulsov1.Delivery_DELIVERY_LATEST}
	message, err := proto.Marshal(&pulsov1.SubscribeRequest{Subscribe: &pulsov1.Subscribe{
		Filters: s.Filters, Devices: s.Devices, Form: forms[s.Form], Delivery: deliveries[s.Delivery], From: s.From,
		History: uint32(s.History), Viewers: s.Viewers,
	}})
	if err != nil {
		t.Fatal(err)
	}
	envelope := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	body := request(t, h, side, http.MethodPost, rpc.Path+"Subscribe", map[string]string{"Content-Type": "application/connect+proto"}, envelope)
	return pieces(body)
}

// until reads until each of the words has come, and returns all that did.
func until(t *testing.T, what string, next stream, words []string) []byte {
	t.Helper()
	var all []byte
	missing := slices.Clone(words)
	for deadline := time.Now().Add(20 * time.Second); len(missing) > 0; {
		piece, err := next()
		all = append(all, piece...)
		missing = slices.DeleteFunc(missing, func(word string) bool { return bytes.Contains(all, []byte(word)) })
		if len(missing) > 0 && (err != nil || time.Now().After(deadline)) {
			t.Fatalf("%s: no %q came: %v; but %.600s", what, missing, err, all)
		}
	}
	return all
}

func suffixed(words []string, suffix string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w + suffix
	}
	return out
}

// subscriptions are all there is to ask for.
func subscriptions(from string) []subscription {
	var out []subscription
	both := []string{mark(sideLeft) + "-dev", mark(sideRight) + "-dev", mark(sideLeft) + "-end", mark(sideRight) + "-end"}
	for _, form := range []string{"events", "values"} {
		for _, delivery := range []string{"every", "latest"} {
			for _, devices := range [][]string{nil, both} {
				out = append(out, subscription{
					Filters: []string{"#"}, Devices: devices, Form: form, Delivery: delivery, History: 50, Viewers: true,
				}, subscription{
					Filters: []string{"#", "+/#"}, Devices: devices, Form: form, Delivery: delivery, From: from,
				}, subscription{
					Filters: []string{"#", "+/+/#"}, Devices: devices, Form: form, Delivery: delivery, From: "start", Viewers: true,
				})
			}
		}
	}
	for _, form := range []string{"devices", "topics"} {
		out = append(out, subscription{Filters: []string{"#"}, Form: form, Viewers: true})
	}
	return append(out, subscription{Filters: []string{"chat/#"}, Form: "chat", Viewers: true})
}

// ends are messages that stand behind everything: who has its own has had all before it.
func ends() (all []string) {
	for _, suffix := range []string{"-almost", "-end"} {
		for _, side := range []string{sideRight, sideLeft} {
			all = append(all, mark(side)+suffix)
		}
	}
	return all
}

// watch has somebody of each side watch what others watch, under a name that tells the side.
func watch(t *testing.T, h *Hub, all []subscription) {
	t.Helper()
	for _, side := range []string{sideLeft, sideRight} {
		for _, s := range all {
			s.From, s.History = "", 0
			c := dialSide(t, h, side, "/ws", wire.JSON)
			for _, command := range []string{fmt.Sprintf(`{"id":9,"hello":{"name":"watcher %s"}}`, mark(side)), s.command(t)} {
				if err := c.WriteMessage(websocket.TextMessage, []byte(command)); err != nil {
					t.Fatal(err)
				}
			}
			for {
				_, message, err := c.ReadMessage()
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(message, []byte(`"subscribed"`)) {
					break
				}
			}
		}
	}
}

// TestNoStreamLeaks takes everything that there is over every transport, from snapshots, as it comes, and from the log.
func TestNoStreamLeaks(t *testing.T) {
	for name, open := range transports {
		t.Run(name, func(t *testing.T) {
			h := runScoped(t)
			_, begin := h.log.Bounds()
			seed(t, h)
			all := subscriptions(begin.String())
			watch(t, h, all)
			type reader struct {
				side, what string
				next       stream
				chat       bool
			}
			var readers []reader
			for _, side := range []string{sideLeft, sideRight, sideAll} {
				for i := range all {
					what := fmt.Sprintf("%q: %+v", side, all[i])
					readers = append(readers, reader{side, what, open(t, h, side, &all[i]), all[i].Form == "chat"})
				}
			}
			for _, m := range ends() {
				keep(t, h, say("devices/"+m+"/telemetry", m, `{"`+m+`":1}`), say("chat/"+m[:len(mark(sideLeft))], m, m))
			}
			for _, r := range readers {
				got := until(t, r.what, r.next, append(suffixed(owned(r.side), "-end"), owned(r.side)...))
				if leak := leaks(r.side, got); leak != "" {
					t.Errorf("%s is told …%q…", r.what, leak)
				}
			}
		})
	}
}

// TestHubFormNamesNobody: who reads with a scope gets figures.
func TestHubFormNamesNobody(t *testing.T) {
	for name, open := range transports {
		t.Run(name, func(t *testing.T) {
			h := runScoped(t)
			seed(t, h)
			for _, side := range []string{sideLeft, sideAll} {
				words := []string{"test"} // the version
				if side == sideAll {
					words = []string{mark(sideLeft), mark(sideRight), hiddenMark}
				}
				got := until(t, side, open(t, h, side, &subscription{Filters: []string{"#"}, Form: "hub"}), words)
				if leak := leaks(side, got); leak != "" || side == sideLeft && strings.Contains(string(got), mark(side)) {
					t.Errorf("the figures of %q name somebody: %.500s", side, got)
				}
			}
		})
	}
}

// TestThePastLeaksNothing takes everything from hubs of the past.
func TestThePastLeaksNothing(t *testing.T) {
	h := runScoped(t)
	before := time.Now()
	seed(t, h)
	for _, m := range ends() {
		keep(t, h, say("devices/"+m+"/telemetry", m, `{"`+m+`":1}`), say("chat/"+m[:len(mark(sideLeft))], m, m))
	}
	for _, side := range []string{sideLeft, sideRight, sideAll} {
		for _, s := range append(subscriptions(""), subscription{Filters: []string{"#"}, Form: "hub"}) {
			for from, at := range map[string]time.Time{"lived through": before, "come after": time.Now()} {
				t.Run(fmt.Sprintf("%s %s %+v", side, from, s), func(t *testing.T) {
					eventually(t, "a place in the past", func() bool { return len(h.past.slots) < maxPasts })
					next := openSocket(t, h, side, fmt.Sprintf("/ws/past?from=%d&speed=60", at.UnixMilli()), s.command(t), wire.JSON)
					words := suffixed(owned(side), "-end")
					stateless := s.Form == "events" && s.Delivery == "every" && s.History == 0 && s.From == ""
					if from == "come after" && stateless || s.Form == "hub" {
						words = []string{`"position"`}
					}
					if leak := leaks(side, until(t, "the past", next, words)); leak != "" {
						t.Errorf("told …%q…", leak)
					}
				})
			}
		}
	}
}
