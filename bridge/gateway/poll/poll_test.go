package poll_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pulso/bridge/gateway"
	"pulso/bridge/gateway/gatewaytest"
	"pulso/bridge/gateway/poll"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An answer is what a poll is answered with.
type answer struct {
	N        int               `json:"n"`
	Session  string            `json:"session"`
	Messages []json.RawMessage `json:"messages"`
	Closed   struct {
		Code wire.CloseCode `json:"code"`
	} `json:"closed"`

	status  int
	raw     []byte
	problem web.Problem
}

func (a *answer) text() string { return string(bytes.Join(toBytes(a.Messages), []byte("\n"))) }

func toBytes(list []json.RawMessage) [][]byte {
	out := make([][]byte, len(list))
	for i, m := range list {
		out[i] = m
	}
	return out
}

type hub struct {
	*gatewaytest.Hub

	t testing.TB
}

func newHub(t testing.TB, cfg gatewaytest.Config) hub {
	t.Helper()
	return hub{gatewaytest.Start(t, cfg, gatewaytest.Poll().Service), t}
}

// poll posts a body; the answer is nil if the client gave up.
func (h hub) poll(ctx context.Context, token, body string) *answer {
	h.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+h.Addr+"/api/v1/poll", strings.NewReader(body))
	if err != nil {
		h.t.Error(err)
		return nil
	}
	if token != "" {
		req.Header.Set(web.SessionHeader, token)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		if ctx.Err() == nil {
			h.t.Error(err)
		}
		return nil
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode}
	if a.raw, err = io.ReadAll(resp.Body); err != nil {
		h.t.Error(err)
	}
	var into any = a
	if a.status != http.StatusOK {
		into = &a.problem
	}
	if err := json.Unmarshal(a.raw, into); err != nil {
		h.t.Errorf("%d %s: %v", a.status, a.raw, err)
	}
	return a
}

func (h hub) ask(token, body string) *answer {
	h.t.Helper()
	a := h.poll(context.Background(), token, body)
	if a == nil {
		h.t.FailNow()
	}
	return a
}

// An answer that was lost is given again byte for byte, and its commands are not run again.
func TestALostAnswerComesAgain(t *testing.T) {
	h := newHub(t, gatewaytest.Config{})
	first := h.ask("", `{"n":1,"commands":[{"id":1,"subscribe":{"filters":["a"]}}],"wait":0}`)
	if first.N != 1 || len(first.Session) != 22 || !strings.Contains(first.text(), `"subscribed"`) {
		t.Fatalf("%d %s", first.status, first.raw)
	}
	const publish = `{"n":2,"commands":[{"id":2,"publish":{"topic":"a","payload":{"once":true},"qos":1}}],"wait":2000}`
	two := h.ask(first.Session, publish)
	h.Publish("a", []byte(`"more"`))
	for range 3 {
		if again := h.ask(first.Session, publish); !bytes.Equal(again.raw, two.raw) {
			t.Errorf("%s became %s", two.raw, again.raw)
		}
	}
	all := two.text()
	for n := 3; !strings.Contains(all, `"more"`); n++ {
		all += h.ask(first.Session, fmt.Sprintf(`{"n":%d,"wait":1000}`, n)).text()
	}
	if strings.Count(all, `{"once":true}`) != 1 || strings.Count(all, `"published"`) != 1 {
		t.Errorf("published more than once: %s", all)
	}
	if n := h.Counted("pulso_gateway_sessions_opened_total", "poll"); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// A poll whose client was cut off while it waited comes again, and finds what came meanwhile.
func TestAPollThatIsCutOff(t *testing.T) {
	h := newHub(t, gatewaytest.Config{})
	token := h.ask("", `{"n":1,"commands":[{"id":1,"subscribe":{"filters":["a"]}}],"wait":1000}`).Session
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if a := h.poll(ctx, token, `{"n":2,"wait":20000}`); a != nil {
		t.Fatalf("answered with %s", a.raw)
	}
	h.Publish("a", []byte(`"meanwhile"`))
	if a := h.ask(token, `{"n":2,"wait":20000}`); !strings.Contains(a.text(), `"meanwhile"`) {
		t.Errorf("%s", a.raw)
	}
}

// A second poll takes the place of the one that waits.
func TestTwoPollsAtOnce(t *testing.T) {
	h := newHub(t, gatewaytest.Config{})
	token := h.ask("", `{"n":1,"commands":[{"id":1,"subscribe":{"filters":["a"]}}],"wait":1000}`).Session
	var wg sync.WaitGroup
	answers := make(chan *answer, 8)
	for range cap(answers) {
		wg.Go(func() { answers <- h.poll(context.Background(), token, `{"n":2,"wait":20000}`) })
	}
	for len(answers) < cap(answers)-1 { // all but the last
		time.Sleep(time.Millisecond)
	}
	h.Publish("a", []byte(`"for one"`))
	wg.Wait()
	close(answers)
	served := 0
	for a := range answers {
		if a.status == http.StatusOK {
			served++
			if !strings.Contains(a.text(), `"for one"`) {
				t.Errorf("%s", a.raw)
			}
		} else if a.problem.Code != wire.CodeTooMany || a.problem.Close != 0 {
			t.Errorf("%d %s", a.status, a.raw)
		}
	}
	if served != 1 {
		t.Errorf("%d were served", served)
	}
}

func TestRefusals(t *testing.T) {
	h := newHub(t, gatewaytest.Config{})
	token := h.ask("", `{"n":1,"wait":0}`).Session
	for _, test := range []struct {
		token, body, code string
		status            int
	}{
		{token, ``, wire.CodeBadJSON, http.StatusBadRequest},
		{token, `{"n":2,"speed":1}`, wire.CodeBadJSON, http.StatusBadRequest},
		{token, `{"n":2}{}`, wire.CodeBadJSON, http.StatusBadRequest},
		{token, `{"n":-1}`, wire.CodeBadJSON, http.StatusBadRequest},
		{token, `{}`, wire.CodeBadCommand, http.StatusBadRequest},
		{token, `{"n":3}`, wire.CodeBadCommand, http.StatusBadRequest},
		{token, `{"n":2,"commands":[` + strings.Repeat("1,", 64) + `1]}`, wire.CodeTooMany, http.StatusBadRequest},
		{token, strings.Repeat(" ", 2<<20), wire.CodeTooLarge, http.StatusRequestEntityTooLarge},
		{"", `{"n":2}`, "lost", http.StatusNotFound},
		{token + "x", `{"n":1}`, "lost", http.StatusNotFound},
	} {
		if a := h.ask(test.token, test.body); a.status != test.status || a.problem.Code != test.code {
			t.Errorf("%.40s: %d %s", test.body, a.status, a.raw)
		}
	}
	// Commands that are none are answered as everywhere, and twenty of them are the end.
	if a := h.ask(token, `{"n":2,"commands":["x",{"id":7,"dance":{}}],"wait":1000}`); strings.Count(a.text(), `"error"`) != 2 {
		t.Errorf("%s", a.raw)
	}
	a := h.ask(token, `{"n":3,"commands":[`+strings.TrimSuffix(strings.Repeat(`{"id":7},`, 20), ",")+`],"wait":1000}`)
	for n := 4; a.Closed.Code == 0 && a.status == http.StatusOK; n++ {
		a = h.ask(token, fmt.Sprintf(`{"n":%d,"wait":1000}`, n))
	}
	if a.Closed.Code != wire.CloseBadCommands {
		t.Errorf("%d %s", a.status, a.raw)
	}
	h.Eventually("no session is left", func() bool { return h.Gateway.Sessions() == 0 })
}

func TestSilence(t *testing.T) {
	h := newHub(t, gatewaytest.Config{Limits: gatewaytest.Limits{Silence: 200 * time.Millisecond}})
	token := h.ask("", `{"n":1,"wait":0}`).Session
	if a := h.ask(token, `{"n":2,"wait":700}`); a.status != http.StatusOK || a.Closed.Code != 0 { // who waits is not silent
		t.Errorf("%d %s", a.status, a.raw)
	}
	h.Eventually("the silent one is closed", func() bool { return h.Closed("silent") == 1 && h.Gateway.Sessions() == 0 })
	if a := h.ask(token, `{"n":3,"wait":0}`); a.Closed.Code != wire.CloseSilent {
		t.Errorf("%d %s", a.status, a.raw)
	}
}

// Who takes its time gets all there is, in answers of a bounded size; what waits for it in memory is bounded.
func TestAnswersAreBounded(t *testing.T) {
	h := newHub(t, gatewaytest.Config{})
	token := h.ask("", `{"n":1,"commands":[{"id":1,"subscribe":{"filters":["a"],"rate":1000}}],"wait":1000}`).Session
	const events = 300
	for i := range events {
		h.Publish("a", fmt.Appendf(nil, `[%d,%q]`, i, strings.Repeat("x", 16<<10)))
	}
	next := 0
	for n := 2; next < events; n++ {
		a := h.ask(token, fmt.Sprintf(`{"n":%d,"wait":5000}`, n))
		if a.status != http.StatusOK || len(a.raw) > 1<<20 {
			t.Fatalf("answer %d: status %d, %d bytes", n, a.status, len(a.raw))
		}
		for _, raw := range a.Messages {
			m, err := gatewaytest.FromJSON(raw)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range m.Events {
				if !bytes.HasPrefix(e.Payload, fmt.Appendf(nil, "[%d,", next)) {
					t.Fatalf("event %d is %.20s", next, e.Payload)
				}
				next++
			}
		}
	}
}

// Commands that cannot be run yet wait for those before them, and only so many do.
func TestCommandsThatWaitAreBounded(t *testing.T) {
	h := newHub(t, gatewaytest.Config{})
	token := h.ask("", `{"n":1,"commands":[{"id":1,"subscribe":{"filters":["a"],"rate":1000}}],"wait":1000}`).Session
	for range 40 { // more than waits for the client: replies wait behind it
		h.Publish("a", fmt.Appendf(nil, "%q", strings.Repeat("x", 32<<10)))
	}
	pings := `[` + strings.TrimSuffix(strings.Repeat(`{"id":2,"ping":{}},`, 64), ",") + `]`
	pongs, refused := 0, 0
	n := 2
	for range 40 {
		a := h.ask(token, fmt.Sprintf(`{"n":%d,"commands":%s,"wait":0}`, n, pings))
		if a.status == http.StatusTooManyRequests {
			refused++
			a = h.ask(token, fmt.Sprintf(`{"n":%d,"wait":1000}`, n))
		}
		pongs += strings.Count(a.text(), `"pong"`)
		n++
	}
	for want := (40 - refused) * 64; pongs < want; n++ {
		got := strings.Count(h.ask(token, fmt.Sprintf(`{"n":%d,"wait":5000}`, n)).text(), `"pong"`)
		if pongs += got; got == 0 && pongs < want {
			t.Logf("poll %d brought none", n)
		}
	}
}

// The gateway's end is everybody's, whether they poll at that moment or not.
func TestStop(t *testing.T) {
	h := newHub(t, gatewaytest.Config{})
	waiting := h.ask("", `{"n":1,"wait":0}`).Session
	resting := h.ask("", `{"n":1,"wait":0}`).Session
	var wg sync.WaitGroup
	wg.Go(func() {
		if a := h.poll(context.Background(), waiting, `{"n":2,"wait":20000}`); a == nil || a.Closed.Code != wire.CloseShutdown {
			t.Errorf("the one that waits: %+v", a)
		}
	})
	if err := h.Gateway.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if a := h.ask(resting, `{"n":2}`); a.Closed.Code != wire.CloseShutdown {
		t.Errorf("the one that rests: %d %s", a.status, a.raw)
	}
	if a := h.ask("", `{"n":1}`); a.status != http.StatusServiceUnavailable || a.problem.Close != wire.CloseShutdown {
		t.Errorf("a new one: %d %s", a.status, a.raw)
	}
}

func TestNoRoom(t *testing.T) {
	h := newHub(t, gatewaytest.Config{Gateway: gateway.Config{Admit: func() bool { return false }}})
	if a := h.ask("", `{"n":1}`); a.status != http.StatusServiceUnavailable || a.problem.Close != wire.CloseOverloaded || !a.problem.Retry {
		t.Errorf("%d %s", a.status, a.raw)
	}
}

// A poll waits longer than the server lets others take.
func TestPollsOutliveTheServersTimeouts(t *testing.T) {
	g := newHub(t, gatewaytest.Config{}).Gateway
	handler := poll.New(poll.Config{Gateway: g})
	const short = 200 * time.Millisecond
	server := &http.Server{Handler: handler, ReadHeaderTimeout: short, ReadTimeout: short, WriteTimeout: short}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() { _ = server.Serve(l) })
	wg.Go(func() { _ = handler.Run(ctx) })
	h := hub{&gatewaytest.Hub{Addr: l.Addr().String()}, t}
	if a := h.ask("", `{"n":1,"wait":800}`); a.status != http.StatusOK || a.N != 1 {
		t.Errorf("%d %s", a.status, a.raw)
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	cancel()
	_ = server.Close()
	wg.Wait()
}
