package app

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"pulso/access"
	"pulso/bridge/gateway/rpc"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// limit gives root limits of its own and waits until they hold.
func (g *guardedHub) limit(text string) {
	g.t.Helper()
	l, err := access.ParseLimits(text)
	if err != nil {
		g.t.Fatal(err)
	}
	g.edit(func(c *access.Content) { c.Account("root").Limits = l })
	deadline := time.Now().Add(10 * time.Second)
	for content := g.accounts.Content(); content.Account("root").Limits != l; content = g.accounts.Content() {
		if time.Now().After(deadline) {
			g.t.Fatal("the limits do not hold")
		}
		time.Sleep(10 * time.Millisecond)
	}
	grant, err := g.accounts.Login(g.t.Context(), access.Credentials{Token: g.tokens["root"]}, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	grant.Meter().Close() // whoever comes finds the limits as they are
}

// mqtt connects an account by its token.
func (g *guardedHub) mqtt(account, id string) (paho.Client, error) {
	g.t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + g.MQTTAddr()).SetClientID(id).SetUsername(account).
		SetPassword(g.tokens[account]).SetAutoReconnect(false).SetProtocolVersion(4))
	token := c.Connect()
	if !token.WaitTimeout(20 * time.Second) {
		g.t.Fatal("no CONNACK")
	}
	if token.Error() == nil {
		g.t.Cleanup(func() { c.Disconnect(0) })
	}
	return c, token.Error()
}

// answer is what a request with a token gets.
func (g *guardedHub) answer(account, method, path, body string) (status int, header http.Header, text string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.tokens[account])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		g.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(read)
}

// call begins a call and returns what comes of it, which must end.
func (g *guardedHub) call() string {
	g.t.Helper()
	message, err := proto.Marshal(&pulsov1.SubscribeRequest{Subscribe: &pulsov1.Subscribe{Filters: []string{"a"}, Form: pulsov1.Form_FORM_EVENTS}})
	if err != nil {
		g.t.Fatal(err)
	}
	envelope := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.url+rpc.Path+"Subscribe", bytes.NewReader(envelope))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.tokens["root"])
	req.Header.Set("Content-Type", "application/connect+proto")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

// refusedLater checks that a request of root's is refused with 429, a problem, and a time.
func (g *guardedHub) refusedLater(method, path, body string) {
	g.t.Helper()
	status, header, text := g.answer("root", method, path, body)
	after, err := strconv.Atoi(header.Get("Retry-After"))
	if status != http.StatusTooManyRequests || err != nil || after < 1 || header.Get("Content-Type") != "application/problem+json" ||
		!strings.Contains(text, `"too_many"`) {
		g.t.Errorf("%s %s: %d %v %s", method, path, status, header, text)
	}
}

// What all connections of an account are, by every way, is bounded; others come in.
func TestAccountConnections(t *testing.T) {
	g := runGuarded(t)
	g.limit("connections=2")
	first, err := g.mqtt("root", "one")
	if err != nil {
		t.Fatal(err)
	}
	second := g.stream(g.tokens["root"])
	if _, err := g.mqtt("root", "three"); err == nil || !strings.Contains(err.Error(), "Unavailable") {
		t.Errorf("a third, by MQTT: %v", err)
	}
	if code := closeCode(g.stream(g.tokens["root"])); code != 4002 {
		t.Errorf("a third, by WebSocket: %d", code)
	}
	if status, _, text := g.answer("root", http.MethodPost, "/api/v1/poll", `{"n":1,"commands":[{"id":1,"hello":{}}]}`); status != 503 {
		t.Errorf("a third, by polling: %d %s", status, text)
	}
	if status, _, text := g.answer("root", http.MethodGet, "/sse?filter=a", ""); !strings.Contains(text, "4002") {
		t.Errorf("a third, by SSE: %d %s", status, text)
	}
	if text := g.call(); !strings.Contains(text, "resource_exhausted") {
		t.Errorf("a third, by a call: %s", text)
	}
	if _, err := g.mqtt("root", "one"); err != nil { // in its own place
		t.Errorf("the same client again: %v", err)
	}
	eventually(t, "the first was taken over", func() bool { return !first.IsConnectionOpen() })
	if _, err := g.mqtt("hall", "h"); err != nil {
		t.Errorf("another account: %v", err)
	}
	g.limit("connections=1") // nobody is cut off
	if err := second.WriteJSON(map[string]any{"id": 1, "ping": map[string]any{}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := second.ReadMessage(); err != nil {
		t.Errorf("a lowered limit: %v", err)
	}
	g.limit("connections=3")
	if _, err := g.mqtt("root", "four"); err != nil {
		t.Errorf("a raised limit: %v", err)
	}
}

// Messages of all connections of an account are slowed by MQTT, without loss, and refused where nobody can wait; others go on.
func TestAccountMessages(t *testing.T) {
	g := runGuarded(t)
	g.limit("messages=10")
	one, err := g.mqtt("root", "one")
	if err != nil {
		t.Fatal(err)
	}
	two, err := g.mqtt("root", "two")
	if err != nil {
		t.Fatal(err)
	}
	other, err := g.mqtt("hall", "other")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var tokens []paho.Token
	for i := range 30 {
		tokens = append(tokens, one.Publish(fmt.Sprint("a/", i), 1, false, "x"), two.Publish(fmt.Sprint("b/", i), 1, false, "x"))
	}
	var others []paho.Token
	for i := range 100 {
		others = append(others, other.Publish(fmt.Sprint("hall/", i), 1, false, "x"))
	}
	for _, token := range others {
		settle(t, token)
	}
	if tokens[len(tokens)-1].WaitTimeout(0) && tokens[len(tokens)-2].WaitTimeout(0) {
		t.Errorf("another account's 100 messages took %v: it waited for the first", time.Since(began))
	}
	g.refusedLater(http.MethodPost, "/api/v1/publish?topic=a", "x")
	g.refusedLater(http.MethodPost, "/api/v1/commands", `{"device":"lamp","topic":"lamp/in","payload":1}`)
	ws := g.stream(g.tokens["root"])
	if err := ws.WriteJSON(map[string]any{"id": 1, "publish": map[string]any{"topic": "a", "payload": "x"}}); err != nil {
		t.Fatal(err)
	}
	if code, retry := streamError(t, ws); code != "too_many" || !retry {
		t.Errorf("on the stream: %q, %v", code, retry)
	}
	for _, token := range tokens { // all are acknowledged
		settle(t, token)
	}
	if took := time.Since(began); took < 4*time.Second {
		t.Errorf("60 messages at 10 a second took %v", took)
	}
	g.limit("")
	if status, _, text := g.answer("root", http.MethodPost, "/api/v1/publish?topic=a", "x"); status != http.StatusOK {
		t.Errorf("without limits: %d %s", status, text)
	}
	g.limit("bytes=100")
	if status, _, text := g.answer("root", http.MethodPost, "/api/v1/publish?topic=a", strings.Repeat("x", 2000)); status != http.StatusOK {
		t.Errorf("the first of many bytes: %d %s", status, text)
	}
	g.refusedLater(http.MethodPost, "/api/v1/publish?topic=a", "x")
}

// streamError reads the next answer of a stream.
func streamError(t *testing.T, ws *websocket.Conn) (code string, retry bool) {
	t.Helper()
	var answer struct {
		Error struct {
			Code  string `json:"code"`
			Retry bool   `json:"retry"`
		} `json:"error"`
	}
	if err := ws.ReadJSON(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Error.Code, answer.Error.Retry
}

// Filters and rooms of all connections of an account are bounded; those that are there stay.
func TestAccountSubscriptions(t *testing.T) {
	g := runGuarded(t)
	g.limit("subscriptions=2")
	c, err := g.mqtt("root", "one")
	if err != nil {
		t.Fatal(err)
	}
	subscribe := func(c paho.Client, filter string) byte {
		token, _ := c.Subscribe(filter, 0, nil).(*paho.SubscribeToken)
		token.WaitTimeout(20 * time.Second)
		return token.Result()[filter]
	}
	if code := subscribe(c, "a"); code != 0 {
		t.Fatalf("%#x", code)
	}
	ws := g.stream(g.tokens["root"])
	room := func(filter string) (string, bool) {
		t.Helper()
		if err := ws.WriteJSON(map[string]any{"id": 1, "subscribe": map[string]any{"filters": []string{filter}, "form": "events"}}); err != nil {
			t.Fatal(err)
		}
		return streamError(t, ws)
	}
	if code, _ := room("x"); code != "" {
		t.Fatalf("%q", code)
	}
	if code := subscribe(c, "b"); code != 0x80 {
		t.Errorf("a third, by MQTT: %#x", code)
	}
	if code, retry := room("y"); code != "too_many" || !retry {
		t.Errorf("a third, on the stream: %q", code)
	}
	if code := subscribe(c, "a"); code != 0 { // the same again
		t.Errorf("%#x", code)
	}
	hall, err := g.mqtt("hall", "h")
	if err != nil {
		t.Fatal(err)
	}
	if code := subscribe(hall, "hall/#"); code != 0 {
		t.Errorf("another account: %#x", code)
	}
	settle(t, c.Unsubscribe("a"))
	if code := subscribe(c, "b"); code != 0 {
		t.Errorf("in the place of another: %#x", code)
	}
	_ = ws.Close()
	eventually(t, "the stream's place is free", func() bool { return subscribe(c, "c") == 0 })
}

// Questions beyond what an account may read are refused until it is made up for; those of others are answered.
func TestAccountQuestions(t *testing.T) {
	g := runGuarded(t)
	c, err := g.mqtt("root", "one")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		settle(t, c.Publish("lamp/telemetry", 1, false, fmt.Sprintf(`{"temperature":%d}`, i)))
	}
	history := "/api/v1/history?device=lamp"
	eventually(t, "there is a history", func() bool {
		_, _, text := g.answer("root", http.MethodGet, history, "")
		return strings.Contains(text, "temperature")
	})
	for _, path := range []string{
		history, "/api/v1/events?topic=lamp/telemetry", "/api/v1/events?filter=lamp/%23", "/asyncapi.json", "/api/v1/schema/learn?filter=lamp/%23",
		"/api/v1/export?device=lamp", "/api/v1/export?what=events&filter=lamp/telemetry",
		"/api/v1/query?query=" + "sum_over_time(%7B__name__%3D~%22.%2B%22%7D%5B1h%5D)",
	} {
		g.limit("")
		g.limit("samples=5")
		if status, _, text := g.answer("root", http.MethodGet, path, ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
		g.refusedLater(http.MethodGet, history, "")
		g.refusedLater(http.MethodGet, "/api/v1/query?query=up", "")
		if status, _, text := g.answer("ben", http.MethodGet, path, ""); status != http.StatusOK {
			t.Errorf("%s, by another: %d %s", path, status, text)
		}
	}
	g.limit("")
	g.limit("samples=5")
	past, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+g.HTTPAddr()+fmt.Sprintf("/ws/past?from=%d", time.Now().UnixMilli()),
		http.Header{"Authorization": {"Bearer " + g.tokens["root"]}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	_ = past.Close()
	g.refusedLater(http.MethodGet, history, "")
}

// People see on their page which limits hold for them, administrators everybody's own.
func TestAccountPageShowsLimits(t *testing.T) {
	g := runGuarded(t)
	g.limit("messages=12345")
	b := g.browser()
	b.login("root", personPassword, "/")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/account", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<code>connections=50000</code>", "<code>messages=12345</code> <code>", "<td><code>messages=12345</code></td>"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
