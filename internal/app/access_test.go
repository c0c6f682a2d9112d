package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	dto "github.com/prometheus/client_model/go"

	"pulso/access"
	"pulso/access/audit"
	"pulso/access/gate"
	"pulso/access/jwt"
	"pulso/test/conformance/wire"
)

const personPassword = "correct horse battery"

// A guardedHub is a hub with accounts: root administers, ben views, plug is a device, and hall is a service that may see and publish below hall/.
type guardedHub struct {
	*Hub

	t      testing.TB
	url    string
	path   string // of the accounts
	secret string // of plug
	tokens map[string]string
}

func runGuarded(t testing.TB, prepare ...func(*Hub)) *guardedHub {
	t.Helper()
	return runGuardedLogging(t, slog.New(slog.DiscardHandler), prepare...)
}

// runGuardedLogging is runGuarded for a hub that says what happens.
func runGuardedLogging(t testing.TB, logger *slog.Logger, prepare ...func(*Hub)) *guardedHub {
	t.Helper()
	cfg := inMemory(t)
	cfg.Data = filepath.Join(t.TempDir(), "data")
	g := &guardedHub{t: t, path: AccessFile(cfg.Data), secret: access.NewSecret(), tokens: map[string]string{}}
	hash, err := access.HashPassword(personPassword)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	g.edit(func(c *access.Content) {
		c.Roles = []access.Role{{Name: "hall", Rules: []string{"allow publish,subscribe,history,command hall/#"}}}
		for _, a := range []access.Account{
			{ID: "root", Kind: access.Person, Roles: []string{access.RoleAdministrator}, Hash: hash},
			{ID: "ben", Kind: access.Person, Roles: []string{access.RoleViewer}, Hash: hash},
			{ID: "plug", Kind: access.Device, Roles: []string{access.RoleDevice}, Hash: access.HashSecret(g.secret)},
			{ID: "hall", Kind: access.Service, Roles: []string{"hall"}},
		} {
			a.Created = now
			if err := c.Add(a); err != nil {
				t.Fatal(err)
			}
			if g.tokens[a.ID], err = c.AddToken(a.ID, now, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
	})
	g.Hub = runLogging(t, cfg, logger, prepare...)
	g.url = "http://" + g.HTTPAddr()
	return g
}

// edit changes the accounts as another program does.
func (g *guardedHub) edit(change func(*access.Content)) {
	g.t.Helper()
	if err := access.Edit(g.path, func(c *access.Content) error { change(c); return nil }); err != nil {
		g.t.Fatal(err)
	}
}

// ask sends a request with a token and returns the answer's status; a stream is not waited for.
func (g *guardedHub) ask(method, path, token string) int {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, g.url+path, strings.NewReader("{}"))
	if err != nil {
		g.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		g.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// options asks as a browser does before a page of another origin may ask, without credentials.
func (g *guardedHub) options(path string) int {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodOptions, g.url+path, http.NoBody)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Access-Control-Request-Method", http.MethodGet)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		g.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Nothing but what is nobody's secret is to be had without an account, and each account gets what its roles say.
func TestEveryRouteIsGuarded(t *testing.T) {
	g := runGuarded(t)
	for _, r := range g.guarded() {
		path := strings.NewReplacer("{id}", "x", "{id...}", "x", "{name}", "x").Replace(r.pattern)
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if got := g.ask(method, path, ""); got != http.StatusUnauthorized {
				t.Errorf("%s %s without a token: %d", method, path, got)
			}
			if got := g.ask(method, path, g.tokens["root"]+"x"); got != http.StatusUnauthorized {
				t.Errorf("%s %s with a wrong token: %d", method, path, got)
			}
			if got := g.ask(method, path+"?token="+g.tokens["root"]+"&access_token="+g.tokens["root"], ""); got != http.StatusUnauthorized {
				t.Errorf("%s %s with a token in the URL: %d", method, path, got)
			}
			if got := g.options(path); got == http.StatusOK {
				t.Errorf("OPTIONS %s: %d", path, got)
			}
			need := r.write
			if method == http.MethodGet {
				need = r.read
			}
			if need == gate.NeedLogin {
				continue // its topics decide
			}
			viewer := need == gate.NeedRead
			if got := g.ask(method, path, g.tokens["ben"]); (got == http.StatusForbidden) == viewer || got == http.StatusUnauthorized {
				t.Errorf("%s %s as a viewer: %d", method, path, got)
			}
			if got := g.ask(method, path, g.tokens["plug"]); got != http.StatusForbidden {
				t.Errorf("%s %s as one who may see nothing: %d", method, path, got)
			}
			if got := g.ask(method, path, g.tokens["hall"]); got == http.StatusUnauthorized || need == gate.NeedAdminister && got != http.StatusForbidden {
				t.Errorf("%s %s as one who sees a part: %d", method, path, got)
			}
			if got := g.ask(method, path, g.tokens["root"]); got == http.StatusForbidden || got == http.StatusUnauthorized {
				t.Errorf("%s %s as administrator: %d", method, path, got)
			}
		}
	}
	for path, want := range map[string]int{"/": 303, "/devices/x": 303, "/healthz": 200, "/readyz": 200, "/login": 200, "/nothing": 303, "/assets/../..": 307} {
		if got := g.ask(http.MethodGet, path, ""); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// Who may see a part sees that part: what is told over every way is judged by TestNoRouteLeaks and those beside it.
func TestWhoMaySeeAPartSeesIt(t *testing.T) {
	g := runGuarded(t)
	for _, topic := range []string{"hall/lamp", "cellar/pump"} {
		if got := g.ask(http.MethodPost, "/api/v1/publish?topic="+url.QueryEscape(topic), g.tokens["root"]); got != http.StatusOK {
			t.Fatalf("publish to %s: %d", topic, got)
		}
	}
	read := func(account, path string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+g.tokens[account])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for _, path := range []string{"/api/v1/topics", "/api/v1/devices", "/api/v1/events?filter=%23"} {
		if all := read("ben", path); !strings.Contains(all, "lamp") || !strings.Contains(all, "pump") {
			t.Errorf("%s: who sees all sees %s", path, all)
		}
		if part := read("hall", path); !strings.Contains(part, "lamp") || strings.Contains(part, "pump") || strings.Contains(part, "cellar") {
			t.Errorf("%s: who sees a part sees %s", path, part)
		}
	}
	ws := g.stream(g.tokens["hall"])
	if err := ws.WriteJSON(map[string]any{"id": 1, "subscribe": map[string]any{"filters": []string{"#"}, "form": "events", "history": 10}}); err != nil {
		t.Fatal(err)
	}
	seen := ""
	for !strings.Contains(seen, "hall/lamp") {
		_, text, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("%v after %s", err, seen)
		}
		seen += string(text)
	}
	if strings.Contains(seen, "cellar") {
		t.Errorf("the stream tells %s", seen)
	}
}

// Why the hub is not ready is nobody's business but those who may read everything.
func TestWhyItIsNotReady(t *testing.T) {
	g := runGuarded(t, func(h *Hub) { h.logErr = func() error { return errors.New("a secret path") } })
	for account, told := range map[string]bool{"": false, "hall": false, "ben": true} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+g.tokens[account])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable || strings.Contains(string(body), "secret path") != told {
			t.Errorf("%q: %d %s, %v", account, resp.StatusCode, body, err)
		}
	}
}

// Who may publish, and send commands, depends on the topic, by every way there is.
func TestPublishingIsJudgedByTopic(t *testing.T) {
	g := runGuarded(t)
	for _, c := range []struct {
		account, topic string
		want           int
	}{
		{"hall", "hall/x", 200},
		{"hall", "other/x", 403},
		{"hall", "hall", 200},
		{"hall", "hall2", 403},
		{"ben", "hall/x", 403},
		{"root", "other/x", 200},
		{"hall", "hall/../other", 200},
		{"hall", "hаll/x", 403},
		{"hall", "/hall/x", 403},
		{"hall", "Hall/x", 403},
		{"hall", "hall//x", 200},
	} {
		path := "/api/v1/publish?topic=" + url.QueryEscape(c.topic)
		if got := g.ask(http.MethodPost, path, g.tokens[c.account]); got != c.want {
			t.Errorf("%s publishes to %s: %d, want %d", c.account, c.topic, got, c.want)
		}
	}
	ws := g.stream(g.tokens["ben"])
	if err := ws.WriteJSON(map[string]any{"id": 1, "publish": map[string]any{"topic": "hall/x", "payload": "x"}}); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Error struct{ Code string } `json:"error"`
	}
	if err := ws.ReadJSON(&answer); err != nil || answer.Error.Code != "forbidden" {
		t.Errorf("a viewer publishes on the stream: %+v, %v", answer, err)
	}
	for account, want := range map[string]int{"ben": 403, "hall": 403, "root": 202} {
		body := `{"device":"lamp","topic":"lamp/in","payload":1}`
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/api/v1/commands", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+g.tokens[account])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s sends a command: %d, want %d", account, resp.StatusCode, want)
		}
	}
}

func (g *guardedHub) stream(token string) *websocket.Conn {
	g.t.Helper()
	return g.streamWith(http.Header{"Authorization": {"Bearer " + token}})
}

// streamWith opens a stream with what a handshake says.
func (g *guardedHub) streamWith(header http.Header) *websocket.Conn {
	g.t.Helper()
	c, resp, err := websocket.DefaultDialer.DialContext(g.t.Context(), "ws://"+g.HTTPAddr()+"/ws", header)
	if err != nil {
		g.t.Fatal(err)
	}
	_ = resp.Body.Close()
	g.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	return c
}

// closeCode reads until the hub closes.
func closeCode(c *websocket.Conn) int {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			closed := (*websocket.CloseError)(nil)
			if errors.As(err, &closed) {
				return closed.Code
			}
			return 0
		}
	}
}

// Every transport is cut off when its account is revoked, and told to come back when its rights are others.
func TestRevocationCutsEveryTransport(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*access.Content)
		closed int
	}{
		"revoked":     {func(c *access.Content) { c.Remove("ben") }, 4501},
		"other roles": {func(c *access.Content) { c.Account("ben").Roles = []string{access.RoleOperator} }, 4006},
	} {
		t.Run(name, func(t *testing.T) {
			g := runGuarded(t)
			token := g.tokens["ben"]
			ws, other := g.stream(token), g.stream(g.tokens["root"])
			ended := make(chan string, 3)
			follow := func(what string, client *http.Client, method, path, contentType, body string) {
				req, err := http.NewRequestWithContext(t.Context(), method, g.url+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+token)
				if contentType != "" {
					req.Header.Set("Content-Type", contentType)
				}
				resp, err := client.Do(req) //nolint:bodyclose // when the hub ends it, below
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Fatalf("%s: %v, %v", what, resp, err)
				}
				go func() {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					ended <- what
				}()
			}
			follow("SSE", http.DefaultClient, http.MethodGet, "/sse?filter=%23", "", "")
			subscribe := `{"filters":["#"]}`
			follow("Connect", http.DefaultClient, http.MethodPost, "/pulso.v1.StreamService/Subscribe", "application/connect+json",
				"\x00\x00\x00\x00"+string(rune(len(subscribe)))+subscribe)
			mqtt := wire.Dial(t, g.MQTTAddr())
			mqtt.Connect(&wire.Connect{ClientID: "b", User: new("ben"), Password: &token})
			g.edit(c.change)
			if code := closeCode(ws); code != c.closed {
				t.Errorf("WebSocket: closed with %d, want %d", code, c.closed)
			}
			for range 2 {
				select {
				case <-ended:
				case <-time.After(10 * time.Second):
					t.Fatal("a stream goes on")
				}
			}
			mqtt.ExpectDisconnect(0x87)
			if err := other.WriteJSON(map[string]any{"id": 1, "ping": map[string]any{}}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := other.ReadMessage(); err != nil {
				t.Errorf("another account was cut off, too: %v", err)
			}
		})
	}
}

// hello opens a stream whose first command says whose it is, and returns the answer.
func (g *guardedHub) hello(token string) (c *websocket.Conn, answer string) {
	g.t.Helper()
	c = g.streamWith(nil)
	if err := c.WriteJSON(map[string]any{"id": 1, "hello": map[string]any{"token": token}}); err != nil {
		g.t.Fatal(err)
	}
	_, text, err := c.ReadMessage()
	if err != nil {
		g.t.Fatal(err)
	}
	return c, string(text)
}

// A page's script can send no header with a WebSocket's handshake: its first command says who it is, and it may then what its roles say, no
// longer than they do.
func TestTokensInHello(t *testing.T) {
	var log lockedBuffer
	g := runGuardedLogging(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for what, token := range map[string]string{"no token": "", "a wrong one": g.tokens["ben"] + "x", "one who may see nothing": g.tokens["plug"]} {
		c, answer := g.hello(token)
		if code := closeCode(c); code != 4501 || !strings.Contains(answer, `"error"`) {
			t.Errorf("%s: closed with %d after %s", what, code, answer)
		}
	}
	metrics := g.read("root", "/metrics")
	for _, want := range []string{`pulso_access_refused_total{code="unauthorized"} 2`, `pulso_access_refused_total{code="forbidden"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
	c, answer := g.hello(g.tokens["hall"])
	if !strings.Contains(answer, `"welcome"`) {
		t.Fatal(answer)
	}
	for _, topic := range []string{"cellar/t", "hall/t"} {
		command := map[string]any{"id": 2, "publish": map[string]any{"topic": topic, "payload": 1, "qos": 1}}
		if err := c.WriteJSON(command); err != nil {
			t.Fatal(err)
		}
		_, answer, err := c.ReadMessage()
		if err != nil || strings.Contains(string(answer), `"forbidden"`) != (topic == "cellar/t") {
			t.Errorf("%s: %s, %v", topic, answer, err)
		}
	}
	g.edit(func(c *access.Content) { c.Remove("hall") })
	if code := closeCode(c); code != 4501 {
		t.Errorf("revoked: closed with %d", code)
	}
	for _, token := range g.tokens {
		if strings.Contains(log.String(), token) {
			t.Error("a token stands in the log")
		}
	}
}

// A session is of whoever began it: another's token does not carry it on.
func TestSessionsAreTheirPersons(t *testing.T) {
	g := runGuarded(t)
	body := `{"n":1,"commands":[{"id":1,"hello":{}}]}`
	poll := func(account, session, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/api/v1/poll", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+g.tokens[account])
		if session != "" {
			req.Header.Set("Pulso-Session", session)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	status, text := poll("ben", "", body)
	var answer struct {
		Session string `json:"session"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK || answer.Session == "" {
		t.Fatalf("%d %s", status, text)
	}
	next := `{"n":2,"commands":[{"id":2,"ping":{}}]}`
	if status, text := poll("root", answer.Session, next); status != http.StatusNotFound {
		t.Errorf("another's session: %d %s", status, text)
	}
	if status, text := poll("ben", answer.Session, next); status != http.StatusOK {
		t.Errorf("one's own: %d %s", status, text)
	}
}

// Who comes with a JSON Web Token may do what its roles say, by every way, until it expires.
func TestJSONWebTokens(t *testing.T) {
	secret := strings.Repeat("s", 40)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := inMemory(t)
	cfg.JWT = []jwt.Issuer{{Name: "id", Issuer: "https://id.example.org", Audience: "pulso", Algorithm: "HS256", KeyFile: file}}
	h := runHub(t, cfg)
	token := func(claims string) string {
		part := base64.RawURLEncoding.EncodeToString
		text := part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part([]byte(claims))
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = mac.Write([]byte(text))
		return text + "." + part(mac.Sum(nil))
	}
	claims := func(aud, roles string, lasts time.Duration) string {
		return fmt.Sprintf(`{"iss":"https://id.example.org","aud":%q,"sub":"plug","roles":[%s],"exp":%d.%03d}`, aud, roles,
			time.Now().Add(lasts).Unix(), 0)
	}
	g := &guardedHub{Hub: h, t: t, url: "http://" + h.HTTPAddr()}
	device, viewer := token(claims("pulso", `"device"`, time.Hour)), token(claims("pulso", `"viewer","no such role"`, time.Hour))
	for _, c := range []struct {
		what, token, path string
		method            string
		want              int
	}{
		{"nobody", "", "/api/v1/devices", http.MethodGet, 401},
		{"a viewer", viewer, "/api/v1/devices", http.MethodGet, 200},
		{"a viewer publishes", viewer, "/api/v1/publish?topic=plug/x", http.MethodPost, 403},
		{"a device publishes", device, "/api/v1/publish?topic=plug/x", http.MethodPost, 200},
		{"a device publishes elsewhere", device, "/api/v1/publish?topic=lamp/x", http.MethodPost, 403},
		{"somebody for another audience", token(claims("other", `"viewer"`, time.Hour)), "/api/v1/devices", http.MethodGet, 401},
		{"somebody who has expired", token(claims("pulso", `"viewer"`, -time.Hour)), "/api/v1/devices", http.MethodGet, 401},
		{"a forger", viewer + "x", "/api/v1/devices", http.MethodGet, 401},
	} {
		if got := g.ask(c.method, c.path, c.token); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
	mqtt := wire.Dial(t, h.MQTTAddr())
	mqtt.Connect(&wire.Connect{ClientID: "plug", User: new("plug"), Password: &device})
	mqtt.Publish(&wire.Publish{Topic: "plug/y", QoS: 1})
	refused := wire.Dial(t, h.MQTTAddr())
	refused.Send(&wire.Connect{ClientID: "other", User: new("plug"), Password: new(viewer + "x")})
	refused.ExpectCode(wire.CONNACK, 0x86)
	// It ends in the middle of a session. The verifier allows clocks half a minute, the session nothing.
	short := token(claims("pulso", `"viewer"`, 2*time.Second))
	ws := g.stream(short)
	if code := closeCode(ws); code != 4501 {
		t.Errorf("an expired token: closed with %d", code)
	}
}

// The hub has the keys of issuers before anybody comes who needs them, and says so in its figures.
func TestKeySetsAreFetchedAtTheStart(t *testing.T) {
	issuer := httptest.NewServer(http.NotFoundHandler())
	defer issuer.Close()
	cfg := inMemory(t)
	cfg.JWT = []jwt.Issuer{{Name: "id", Issuer: "https://id.example.org", Audience: "pulso", Algorithm: "ES256", JWKS: issuer.URL}}
	h := runHub(t, cfg)
	eventually(t, "a failed fetch is counted", func() bool {
		families, err := h.registry.Gather()
		return err == nil && slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "pulso_access_jwt_key_reads_total" })
	})
}

// A browser is one person's.
type browser struct {
	*http.Client

	g *guardedHub
}

func (g *guardedHub) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return &browser{&http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, g}
}

func (b *browser) do(method, path, body string, header ...string) page {
	b.g.t.Helper()
	req, err := http.NewRequestWithContext(b.g.t.Context(), method, b.g.url+path, strings.NewReader(body))
	if err != nil {
		b.g.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.Do(req)
	if err != nil {
		b.g.t.Fatal(err)
	}
	defer resp.Body.Close()
	return page{resp.StatusCode, resp.Header}
}

// A page is what a browser got.
type page struct {
	status int
	header http.Header
}

func (b *browser) login(user, password, next string, header ...string) page {
	b.g.t.Helper()
	return b.do(http.MethodPost, "/login", url.Values{"user": {user}, "password": {password}, "next": {next}}.Encode(), header...)
}

func (b *browser) cookie() string {
	u, err := url.Parse(b.g.url)
	if err != nil {
		b.g.t.Fatal(err)
	}
	for _, c := range b.Jar.Cookies(u) {
		return c.Value
	}
	return ""
}

func TestLoginPage(t *testing.T) {
	g := runGuarded(t)
	b := g.browser()
	u, err := url.Parse(g.url)
	if err != nil {
		t.Fatal(err)
	}
	b.Jar.SetCookies(u, []*http.Cookie{{Name: "pulso_session", Value: "fixed"}}) // as somebody else has put it there
	resp := b.login("root", personPassword, "/devices?q=1")
	if resp.status != http.StatusSeeOther || resp.header.Get("Location") != "/devices?q=1" {
		t.Fatalf("%d %v", resp.status, resp.header)
	}
	cookie := resp.header.Get("Set-Cookie")
	if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || b.cookie() == "fixed" {
		t.Errorf("cookie %q", cookie)
	}
	if got := b.do(http.MethodGet, "/devices", "").status; got != http.StatusOK {
		t.Errorf("a page after the login: %d", got)
	}
	if got := b.do(http.MethodGet, "/api/v1/devices", "").status; got != http.StatusOK {
		t.Errorf("the API after the login: %d", got)
	}
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Origin", "http://127.0.0.1:1"},
		{"Origin", g.url + ".evil.example"},
		{"Origin", strings.Replace(g.url, "http:", "https:", 1) + "0"},
	} {
		if got := b.do(http.MethodPost, "/api/v1/publish?topic=x", "x", header...).status; got != http.StatusForbidden {
			t.Errorf("a publish with %q: %d", header, got)
		}
		if got := b.do(http.MethodPost, "/logout", "", header...).status; got != http.StatusForbidden {
			t.Errorf("a logout with %q: %d", header, got)
		}
		if got := g.browser().login("root", personPassword, "/", header...).status; got != http.StatusForbidden {
			t.Errorf("a login with %q: %d", header, got)
		}
		ws := http.Header{"Cookie": {"pulso_session=" + b.cookie()}}
		ws.Set(header[0], header[1])
		if header[0] == "Origin" {
			if c, resp, err := websocket.DefaultDialer.Dial("ws://"+g.HTTPAddr()+"/ws", ws); err == nil {
				_ = c.Close()
				t.Errorf("a WebSocket with %q", header)
			} else if resp != nil {
				_ = resp.Body.Close()
			}
		}
	}
	for next, want := range map[string]string{
		"": "/", "//evil.example": "/", "https://evil.example/": "/", "/\\evil.example": "/", "javascript:alert(1)": "/", "/a\r\nb": "/",
		"/login": "/", "/logout": "/", "/boards?x=y": "/boards?x=y", "evil": "/",
	} {
		if got := g.browser().login("root", personPassword, next).header.Get("Location"); got != want {
			t.Errorf("next %q leads to %q, want %q", next, got, want)
		}
	}
	old := b.cookie()
	if got := b.do(http.MethodPost, "/logout", "").status; got != http.StatusSeeOther || b.cookie() != "" {
		t.Errorf("logout: %d, cookie %q", got, b.cookie())
	}
	b.Jar.SetCookies(u, []*http.Cookie{{Name: "pulso_session", Value: old}})
	if got := b.do(http.MethodGet, "/api/v1/devices", "").status; got != http.StatusUnauthorized {
		t.Errorf("after the logout: %d", got)
	}
}

// Whoever guesses one's password is slowed down, and neither others nor who comes from elsewhere.
func TestGuessingIsSlowed(t *testing.T) {
	g := runGuarded(t)
	statuses := map[int]int{}
	for range 12 {
		statuses[g.browser().login("root", "wrong", "/").status]++
	}
	if statuses[http.StatusUnauthorized] > 6 || statuses[http.StatusTooManyRequests] < 6 {
		t.Errorf("guesses: %v", statuses)
	}
	if got := g.browser().login("ben", personPassword, "/").status; got != http.StatusSeeOther {
		t.Errorf("another person at the same address: %d", got)
	}
	elsewhere := g.browser()
	elsewhere.Transport = &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).DialContext}
	defer elsewhere.CloseIdleConnections()
	if got := elsewhere.login("root", personPassword, "/").status; got != http.StatusSeeOther {
		t.Errorf("the same person from elsewhere: %d", got)
	}
	mqtt := wire.Dial(t, g.MQTTAddr())
	mqtt.Send(&wire.Connect{ClientID: "plug", User: new("plug"), Password: &g.secret})
	mqtt.ExpectCode(wire.CONNACK, 0) // a device at the same address
}

// A session outlives the hub, but not a change of the password.
func TestSessionsOverRestart(t *testing.T) {
	g := runGuarded(t)
	b := g.browser()
	if got := b.login("ben", personPassword, "/").status; got != http.StatusSeeOther {
		t.Fatal(got)
	}
	again := gate.New(gate.Config{Directory: g.accounts, Path: g.kept(sessionsFile)})
	rec := again.Guard(gate.NeedRead, gate.NeedRead, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	status := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/x", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", "pulso_session="+b.cookie())
		w := &statusWriter{header: http.Header{}, status: http.StatusOK}
		rec.ServeHTTP(w, req)
		return w.status
	}
	if got := status(); got != http.StatusOK {
		t.Errorf("after a restart: %d", got)
	}
	hash, err := access.HashPassword("another password")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.accounts.Edit(func(c *access.Content) error { c.Account("ben").Hash = hash; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := status(); got != http.StatusUnauthorized {
		t.Errorf("after another password: %d", got)
	}
	if got := b.do(http.MethodGet, "/api/v1/devices", "").status; got != http.StatusUnauthorized {
		t.Errorf("after another password, on the hub: %d", got)
	}
}

type statusWriter struct {
	header http.Header
	status int
}

func (w *statusWriter) Header() http.Header         { return w.header }
func (w *statusWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *statusWriter) WriteHeader(status int)      { w.status = status }

// The first account shuts a hub that was open: nobody stays in.
func TestFirstAccountEndsOpenSessions(t *testing.T) {
	cfg := inMemory(t)
	cfg.Data = filepath.Join(t.TempDir(), "data")
	h := runHub(t, cfg)
	ws, resp, err := websocket.DefaultDialer.Dial("ws://"+h.HTTPAddr()+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	defer ws.Close()
	mqtt := wire.Dial(t, h.MQTTAddr())
	mqtt.Connect(&wire.Connect{ClientID: "c"})
	err = access.Edit(AccessFile(cfg.Data), func(c *access.Content) error {
		return c.Add(access.Account{ID: "root", Kind: access.Person, Roles: []string{access.RoleAdministrator}})
	})
	if err != nil {
		t.Fatal(err)
	}
	if code := closeCode(ws); code != 4501 {
		t.Errorf("closed with %d", code)
	}
	mqtt.ExpectDisconnect(0x87)
	if status, _ := get(t, "http://"+h.HTTPAddr()+"/api/v1/devices", ""); status != http.StatusUnauthorized {
		t.Errorf("the API: %d", status)
	}
}

// What people do is in the log, with who it was, and without a secret.
func TestAudit(t *testing.T) {
	g := runGuarded(t)
	b := g.browser()
	b.login("root", "a wrong password", "/")
	b.login("root", personPassword, "/")
	b.do(http.MethodPost, "/account/add", url.Values{"kind": {"device"}, "id": {"lamp"}, "roles": {"device"}}.Encode())
	b.do(http.MethodPost, "/account/give", url.Values{"id": {"ben"}, "roles": {"nothing"}}.Encode())
	g.edit(func(c *access.Content) { c.Account("ben").Roles = []string{access.RoleOperator} })
	if got := g.ask(http.MethodPut, "/api/v1/overrides", g.tokens["root"]); got != http.StatusUnsupportedMediaType {
		t.Errorf("overrides: %d", got)
	}
	if got := g.ask(http.MethodPut, "/api/v1/overrides", g.tokens["ben"]); got != http.StatusForbidden {
		t.Errorf("overrides: %d", got)
	}
	want := []string{
		" login root refused", "root login  done", "root /account/add lamp done", " account added lamp done", "root /account/give ben refused",
		" account changed ben: roles operator done", "root PUT /api/v1/overrides refused",
		"ben PUT /api/v1/overrides refused",
	}
	var text string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) { // the interval of polling
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/api/v1/audit?format=jsonl", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		text = string(body)
		got := map[string]bool{}
		for line := range strings.Lines(text) {
			var r audit.Record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			got[strings.Join([]string{r.Who, r.What, r.About, string(r.Outcome)}, " ")] = true
		}
		missing := slices.DeleteFunc(slices.Clone(want), func(w string) bool { return got[w] })
		if len(missing) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("missing: %q of %s", missing, text)
		}
	}
	for _, secret := range []string{personPassword, "a wrong password", g.secret, g.tokens["root"], b.cookie(), "sha256", "argon2"} {
		if strings.Contains(text, secret) {
			t.Errorf("the audit has the secret %s: %s", secret, text)
		}
	}
	if got := g.ask(http.MethodGet, "/api/v1/audit", g.tokens["hall"]); got != http.StatusForbidden {
		t.Errorf("for who does not administer: %d", got)
	}
}

// BenchmarkRevocation is the time from the change of the file to the cut, with 1,000 sessions: the 99th percentile, and the last.
func BenchmarkRevocation(b *testing.B) {
	const sessions = 1_000
	var all []time.Duration
	for b.Loop() {
		g := runGuarded(b)
		cut := make(chan time.Time, sessions)
		for range sessions {
			c := g.stream(g.tokens["ben"])
			go func() {
				closeCode(c)
				cut <- time.Now()
			}()
		}
		began := time.Now()
		g.edit(func(c *access.Content) { c.Remove("ben") })
		for range sessions {
			all = append(all, (<-cut).Sub(began))
		}
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)*99/100].Milliseconds()), "p99-ms")
	b.ReportMetric(float64(all[len(all)-1].Milliseconds()), "last-ms")
}
