package sse_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"pulso/bridge/gateway"
	"pulso/bridge/gateway/sse"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// tokenOf reads a session's first events.
func tokenOf(t *testing.T, r *reply) string {
	t.Helper()
	r.want("retry: ")
	e := r.want("event: session\ndata: ")
	var session struct {
		Session string `json:"session"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(e, "event: session\ndata: ")), &session); err != nil || len(session.Session) != 22 {
		t.Fatalf("%q: %v", e, err)
	}
	return session.Session
}

func TestStream(t *testing.T) {
	for _, secure := range []bool{false, true} {
		h := newHub(t, settings{tls: secure})
		r := h.do("GET", "/sse?filter=a&filter=b/%23", "")
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/event-stream" || r.Header.Get("Cache-Control") != "no-store" ||
			r.Header.Get("X-Accel-Buffering") != "no" || (r.ProtoMajor == 2) != secure {
			t.Fatalf("%s %v", r.Status, r.Header)
		}
		r.want("retry: 2000\n")
		r.want("id: " + h.start() + "\ndata: {\"id\":1,\"subscribed\":")
		one := h.publish("a", []byte("{\"x\":\r\n1,\r\"y\":\n2}"))
		if e := r.want("id: " + one.String() + "\ndata: {\"room\":1,"); strings.Count(e, "\ndata: ") != 4 {
			t.Errorf("a payload of four lines: %q", e)
		}
		two := h.publish("b/c", []byte("2"))
		r.want("id: " + two.String() + "\ndata: {")
		for _, again := range []*reply{
			h.do("GET", "/sse?filter=a&filter=b/%23&from=start", "", "Last-Event-ID", one.String()),
			h.do("GET", "/sse?filter=a&filter=b/%23&from=start&lastEventId="+one.String(), ""),
			h.do("GET", "/sse?filter=a&filter=b/%23&from="+one.String(), ""),
		} {
			again.want("retry: ")
			again.want("id: " + one.String() + "\ndata: {\"id\":1,\"subscribed\":")
			if e := again.want("id: " + two.String() + "\ndata: {"); !strings.Contains(e, `"payload":2`) {
				t.Errorf("resumed: %q", e)
			}
		}
	}
}

func (h *hub) start() string {
	_, next := h.log.Bounds()
	return next.String()
}

// What comes together at one position has its id at its end: who is cut off in between gets all of it again.
func TestASnapshotIsWholeOrNotAtAll(t *testing.T) {
	h := newHub(t, settings{})
	h.publish("a", []byte("1"))
	r := h.do("GET", "/sse?filter=a&form=values&delivery=latest", "")
	r.want("retry: ")
	r.want("data: {\"id\":1,\"subscribed\":")
	r.want("id: " + h.start() + "\ndata: {\"room\":1,\"snapshot\":")
}

func TestRefusals(t *testing.T) {
	h := newHub(t, settings{})
	for _, test := range []struct {
		method, path, code string
		status             int
	}{
		{"POST", "/sse", wire.CodeBadCommand, http.StatusMethodNotAllowed},
		{"HEAD", "/sse", "", http.StatusMethodNotAllowed},
		{"GET", "/sse?filter=%23/a", wire.CodeInvalidFilter, http.StatusBadRequest},
		{"GET", "/sse?filter=a&speed=3", wire.CodeBadCommand, http.StatusBadRequest},
		{"GET", "/sse?filter=a&rate=fast", wire.CodeBadCommand, http.StatusBadRequest},
		{"GET", "/sse?filter=a&history=1.5", wire.CodeBadCommand, http.StatusBadRequest},
		{"GET", "/sse?filter=a&viewers=maybe", wire.CodeBadCommand, http.StatusBadRequest},
		{"GET", "/sse?filter=a&form=events&form=values", wire.CodeBadCommand, http.StatusBadRequest},
		{"GET", "/sse?filter=a&from=x", wire.CodeInvalidPosition, http.StatusBadRequest},
		{"GET", "/sse?filter=a&%zz", wire.CodeBadCommand, http.StatusBadRequest},
		{"GET", "/sse?form=hub", wire.CodeBadCommand, http.StatusBadRequest},
		{"GET", "/sse?name=" + strings.Repeat("x", 129), wire.CodeBadCommand, http.StatusBadRequest},
		{"GET", "/sse?" + strings.Repeat("filter=a&", 257), wire.CodeTooMany, http.StatusBadRequest},
		{"GET", "/api/v1/session", wire.CodeBadCommand, http.StatusMethodNotAllowed},
		{"POST", "/api/v1/session", wire.CodeBadCommand, http.StatusBadRequest},
		{"GET", "/api/v1/publish?topic=a", wire.CodeBadCommand, http.StatusMethodNotAllowed},
		{"POST", "/api/v1/publish", wire.CodeInvalidTopic, http.StatusBadRequest},
		{"POST", "/api/v1/publish?topic=a/%2B", wire.CodeInvalidTopic, http.StatusBadRequest},
		{"POST", "/api/v1/publish?topic=$SYS/a", wire.CodeForbidden, http.StatusForbidden},
		{"POST", "/api/v1/publish?topic=a&qos=2", wire.CodeBadCommand, http.StatusBadRequest},
		{"POST", "/api/v1/publish?topic=a&when=now", wire.CodeBadCommand, http.StatusBadRequest},
	} {
		r := h.do(test.method, test.path, "")
		var p web.Problem
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil && test.method != "HEAD" {
			t.Errorf("%s %.60s: %v", test.method, test.path, err)
		}
		if r.StatusCode != test.status || p.Code != test.code || r.Header.Get("Content-Type") != "application/problem+json" ||
			test.code != "" && (p.Status != test.status || p.Detail == "") {
			t.Errorf("%s %.60s: %s, %+v", test.method, test.path, r.Status, p)
		}
	}
	eventually(t, "no session is left", func() bool { return h.gateway.Sessions() == 0 })
	if n := h.counted("pulso_sse_refused_total", wire.CodeInvalidFilter); n != 1 {
		t.Errorf("%d counted", n)
	}
}

func TestSession(t *testing.T) {
	h := newHub(t, settings{})
	r := h.do("GET", "/sse?name=Ana", "")
	token := tokenOf(t, r)
	two := `[{"id":1,"subscribe":{"filters":["a"]}},{"id":2,"ping":{}}]`
	if p := h.do("POST", "/api/v1/session", two, web.SessionHeader, token); p.StatusCode != http.StatusAccepted {
		t.Fatal(p)
	}
	r.want("data: {\"id\":1,\"subscribed\":") // in a session, no event has an id
	r.want("data: {\"id\":2,\"pong\":")
	if p := h.do("POST", "/api/v1/session", `{"id":3,"publish":{"topic":"a","payload":1}}`, web.SessionHeader, token); p.StatusCode != http.StatusAccepted {
		t.Fatal(p)
	}
	r.want("data: {")
	r.want("data: {")
	for body, status := range map[string]int{
		"[":                                    http.StatusBadRequest,
		"[" + strings.Repeat("1,", 64) + "1]":  http.StatusBadRequest,
		strings.Repeat(" ", wire.MaxMessage+1): http.StatusRequestEntityTooLarge,
		"nonsense":                             http.StatusAccepted, // the stream says what is wrong
	} {
		if p := h.do("POST", "/api/v1/session", body, web.SessionHeader, token); p.StatusCode != status {
			t.Errorf("%.20s: %v", body, p)
		}
	}
	r.want("data: {\"id\":0,\"error\":{\"code\":\"bad_json\"")
	for _, guess := range []string{"x", token[:21], token + "A", strings.ToLower(token)} {
		p := h.do("POST", "/api/v1/session", `{"id":1,"ping":{}}`, web.SessionHeader, guess)
		if text := p.String(); p.StatusCode != http.StatusNotFound || !strings.Contains(text, `"code":"lost"`) || !strings.Contains(text, `"close":4005`) {
			t.Errorf("token %q: %s", guess, text)
		}
	}
	_ = r.Body.Close()
	eventually(t, "the token is worth nothing any more", func() bool {
		return h.do("POST", "/api/v1/session", `{"id":1,"ping":{}}`, web.SessionHeader, token).StatusCode == http.StatusNotFound
	})
	eventually(t, "counted as the client's doing", func() bool { return h.counted("pulso_gateway_sessions_closed_total", "client") == 1 })
}

// A client that is not to come back hears so again when an EventSource comes back by itself.
func TestNoWayBack(t *testing.T) {
	h := newHub(t, settings{})
	r := h.do("GET", "/sse", "")
	token := tokenOf(t, r)
	list := "[" + strings.Repeat(`{"nonsense":1},`, 19) + `{"nonsense":1}]`
	if p := h.do("POST", "/api/v1/session", list, web.SessionHeader, token); p.StatusCode != http.StatusAccepted {
		t.Fatal(p)
	}
	all := r.rest()
	if !strings.HasSuffix(all, "id: close.4500\nevent: close\ndata: {\"code\":4500,\"name\":\"bad_commands\"}\n\n") || strings.Count(all, `"error"`) != 20 {
		t.Errorf("%q", all)
	}
	if again := h.do("GET", "/sse", "", "Last-Event-ID", "close.4500"); again.StatusCode != http.StatusNoContent {
		t.Error(again)
	}
}

// An EventSource comes back only after a stream has ended: it gets one when there is no room. Others get the status.
func TestNoRoom(t *testing.T) {
	h := newHub(t, settings{gateway: gateway.Config{Admit: func() bool { return false }}})
	r := h.do("GET", "/sse?filter=a", "", "Accept", "text/event-stream")
	if all := r.rest(); r.StatusCode != http.StatusOK || all != "retry: 10000\n\nevent: close\ndata: {\"code\":4002,\"name\":\"overloaded\"}\n\n" {
		t.Errorf("%s %q", r.Status, all)
	}
	r = h.do("GET", "/sse?filter=a", "")
	if text := r.String(); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" ||
		!strings.Contains(text, `"code":"overloaded"`) {
		t.Errorf("%s %v", text, r.Header)
	}
}

// A stream lives on beyond the server's times for requests and answers, and is kept alive by comments.
func TestStreamsOutliveTheServersTimeouts(t *testing.T) {
	for _, secure := range []bool{false, true} {
		const short = 300 * time.Millisecond
		h := newHub(t, settings{tls: secure, sse: sse.Config{KeepAlive: 100 * time.Millisecond}, server: func(s *http.Server) {
			s.ReadTimeout, s.ReadHeaderTimeout, s.WriteTimeout, s.IdleTimeout = short, short, short, short
		}})
		r := h.do("GET", "/sse?filter=a", "")
		r.want("retry: ")
		r.want("id: ")
		for range 10 {
			r.want(":\n")
		}
		pos := h.publish("a", []byte("1"))
		for e := ":\n"; e == ":\n"; {
			if e = r.event(); e != ":\n" && !strings.HasPrefix(e, "id: "+pos.String()) {
				t.Errorf("%q", e)
			}
		}
	}
}

// Who takes nothing is closed as slow, over HTTP/2, too, and counted so.
func TestSlow(t *testing.T) {
	for _, secure := range []bool{false, true} {
		h := newHub(t, settings{tls: secure, sse: sse.Config{WriteTimeout: 200 * time.Millisecond}})
		r := h.do("GET", "/sse?filter=a&rate=1000", "")
		r.want("retry: ")
		r.want("id: ")
		payload := fmt.Appendf(nil, "%q", strings.Repeat("x", 1<<20))
		for range 24 {
			h.publish("a", payload)
		}
		eventually(t, "it is closed", func() bool {
			return h.counted("pulso_gateway_sessions_closed_total", "slow") == 1 && h.gateway.Sessions() == 0
		})
	}
}

func TestPublish(t *testing.T) {
	h := newHub(t, settings{})
	r := h.do("GET", "/sse?filter=%23", "")
	r.want("retry: ")
	r.want("id: ")
	p := h.do("POST", "/api/v1/publish?topic=a/b&qos=1&retain=true", "\xff\x00bytes")
	text := p.rest()
	want := h.start()
	if p.StatusCode != http.StatusOK || text != "{\"position\":\""+want+"\"}\n" || p.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %q", p.Status, text)
	}
	r.want("id: " + want)
	if p := h.do("POST", "/api/v1/publish?topic=a", strings.Repeat("x", wire.MaxMessage+1)); p.StatusCode != http.StatusRequestEntityTooLarge {
		t.Error(p)
	}
	if p := h.do("POST", "/api/v1/publish?topic=a", strings.Repeat("x", wire.MaxMessage)); p.StatusCode != http.StatusOK {
		t.Error(p)
	}
}

// Only so many large bodies are held at a time; small ones pass.
func TestLargeBodiesAreBounded(t *testing.T) {
	h := newHub(t, settings{})
	var held []net.Conn
	for range 70 {
		c, err := net.Dial("tcp", h.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		held = append(held, c)
		const head = "POST /api/v1/publish?topic=a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
		if _, err := io.WriteString(c, head+strings.Repeat("x", 65<<10)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "six are refused", func() bool { return h.counted("pulso_web_publishes_refused_total", wire.CodeUnavailable) == 6 })
	if p := h.do("POST", "/api/v1/publish?topic=a", "small"); p.StatusCode != http.StatusOK {
		t.Error(p)
	}
	if p := h.do("POST", "/api/v1/publish?topic=a", strings.Repeat("x", 100<<10)); p.StatusCode != http.StatusServiceUnavailable ||
		p.Header.Get("Retry-After") == "" {
		t.Error(p)
	}
	for _, c := range held {
		_ = c.Close()
	}
	eventually(t, "there is room again", func() bool {
		p := h.do("POST", "/api/v1/publish?topic=a", strings.Repeat("x", 100<<10))
		_, _ = io.Copy(io.Discard, p.Body)
		return p.StatusCode == http.StatusOK
	})
}

// The binary form comes in base64, whatever stands in it; commands are JSON as ever.
func TestTheBinaryFormInBase64(t *testing.T) {
	h := newHub(t, settings{})
	r := h.do("GET", "/sse?encoding=proto", "")
	token := tokenOf(t, r)
	message := func() *pulsov1.Message {
		t.Helper()
		b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(r.want("data: "), "data: "), "\n"))
		if err != nil {
			t.Fatal(err)
		}
		m := &pulsov1.Message{}
		if err := proto.Unmarshal(b, m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if posted := h.do("POST", "/api/v1/session", `{"id":5,"subscribe":{"filters":["a"]}}`, web.SessionHeader, token); posted.StatusCode != http.StatusAccepted {
		t.Fatal(posted.Status)
	}
	if m := message(); m.GetId() != 5 || m.GetSubscribed().GetRoom() != 1 {
		t.Errorf("%v", m)
	}
	payload := "\"a\r\nb\""
	h.publish("a", []byte(payload))
	if m := message(); m.GetRoom() != 1 || m.GetFrame().GetEvents()[0].GetPayload() != payload {
		t.Errorf("%v", m)
	}
	if bad := h.do("GET", "/sse?encoding=xml", ""); bad.StatusCode != http.StatusBadRequest {
		t.Error(bad.Status)
	}
}
