package app

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"pulso/access"
	"pulso/access/oidc/oidctest"
)

// A logged is what a hub has logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// openIDConfig is a hub's by which people log in at a provider.
func openIDConfig(t *testing.T, p *oidctest.Provider) Config {
	t.Helper()
	cfg := inMemory(t)
	cfg.Data = filepath.Join(t.TempDir(), "data")
	cfg.OIDCIssuer, cfg.OIDCClient, cfg.OIDCName, cfg.OIDCAlgorithm = p.URL, oidctest.Client, "id", p.Method.Alg()
	cfg.OIDCSecretFile = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(cfg.OIDCSecretFile, []byte(oidctest.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// runOpenID runs such a hub. It has the local account ben, who may publish below ben/, and the role own, which lets everybody below their name.
func runOpenID(t *testing.T, p *oidctest.Provider, change ...func(*Config)) (*guardedHub, *logged) {
	t.Helper()
	cfg := openIDConfig(t, p)
	for _, c := range change {
		c(&cfg)
	}
	g := &guardedHub{t: t, path: AccessFile(cfg.Data)}
	hash, err := access.HashPassword(personPassword)
	if err != nil {
		t.Fatal(err)
	}
	g.edit(func(c *access.Content) {
		c.Roles = []access.Role{{Name: "own", Rules: []string{"allow publish,subscribe,history %u/#", "allow publish %d/#"}}}
		if err := c.Add(access.Account{ID: "ben", Kind: access.Person, Roles: []string{"own"}, Hash: hash, Created: time.Now().UTC()}); err != nil {
			t.Fatal(err)
		}
	})
	text := new(logged)
	h, err := New(t.Context(), cfg, slog.New(slog.NewTextHandler(text, &slog.HandlerOptions{Level: slog.LevelDebug})), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the hub ended with %v", err)
		}
	})
	<-h.Ready()
	g.Hub, g.url = h, "http://"+h.HTTPAddr()
	return g, text
}

// visit gets an address, wherever it is.
func (b *browser) visit(address string, header ...string) (status int, location, body string) {
	b.g.t.Helper()
	req, err := http.NewRequestWithContext(b.g.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		b.g.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.Do(req)
	if err != nil {
		b.g.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.g.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(text)
}

// toProvider begins a login, and goes to the provider and back: it returns the address at which the hub is to hear of it.
func (b *browser) toProvider(next string) string {
	b.g.t.Helper()
	status, location, _ := b.visit(b.g.url + "/login/oidc?next=" + url.QueryEscape(next))
	if status != http.StatusSeeOther {
		b.g.t.Fatalf("a login begins with %d", status)
	}
	status, location, text := b.visit(location)
	if status != http.StatusFound || !strings.HasPrefix(location, b.g.url+"/login/oidc/callback?") {
		b.g.t.Fatalf("the provider: %d %q %s", status, location, text)
	}
	return location
}

// session is the cookie of who has logged in; empty: nobody has.
func (b *browser) session() string {
	u, err := url.Parse(b.g.url)
	if err != nil {
		b.g.t.Fatal(err)
	}
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == "pulso_session" {
			return c.Value
		}
	}
	return ""
}

// A person logs in at the provider, over the hub's real port, is somebody with the roles that it says, and logs out.
func TestOpenIDLogin(t *testing.T) {
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodES256} {
		p := oidctest.New(t, method)
		if method == jwt.SigningMethodES256 {
			p.Discovery = func(said map[string]any) {
				said["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
				said["authorization_response_iss_parameter_supported"] = true
			}
		}
		g, text := runOpenID(t, p)
		b := g.browser()
		u, err := url.Parse(g.url)
		if err != nil {
			t.Fatal(err)
		}
		b.Jar.SetCookies(u, []*http.Cookie{{Name: "pulso_session", Value: "fixed"}})
		for language, want := range map[string]string{"en": ">Log in with id</a>", "es": ">Entrar con id</a>"} {
			status, _, page := b.visit(g.url+"/login?next=%2Fdevices%3Fq%3D1", "Accept-Language", language)
			if status != http.StatusOK || !strings.Contains(page, want) || !strings.Contains(page, `href="/login/oidc?next=%2Fdevices%3Fq%3D1"`) {
				t.Errorf("%s: %d %s", language, status, page)
			}
		}
		back := b.toProvider("/devices?q=1")
		status, location, _ := b.visit(back, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
		if status != http.StatusSeeOther || location != "/devices?q=1" || b.session() == "" || b.session() == "fixed" {
			t.Fatalf("after the login: %d %q, session %q", status, location, b.session())
		}
		if got := b.do(http.MethodGet, "/api/v1/devices", "").status; got != http.StatusOK {
			t.Errorf("a viewer reads: %d", got)
		}
		if got := b.do(http.MethodPost, "/api/v1/publish?topic=a", "x").status; got != http.StatusForbidden {
			t.Errorf("a viewer publishes: %d", got)
		}
		if status, _, page := b.visit(g.url + "/account"); status != http.StatusOK || !strings.Contains(page, "<h2>id:ben</h2>") ||
			strings.Contains(page, "/account/mine") || !strings.Contains(page, "viewer") {
			t.Errorf("the account's page: %d %s", status, page)
		}
		old := b.session()
		if got := b.do(http.MethodPost, "/logout", "").status; got != http.StatusSeeOther || b.session() != "" {
			t.Errorf("logout: %d", got)
		}
		b.Jar.SetCookies(u, []*http.Cookie{{Name: "pulso_session", Value: old}})
		if got := b.do(http.MethodGet, "/api/v1/devices", "").status; got != http.StatusUnauthorized {
			t.Errorf("after the logout: %d", got)
		}
		eventually(t, "the login is recorded", func() bool {
			for _, r := range g.newestRecords(10) {
				if r.Who == "id:ben" && r.What == "login" {
					return true
				}
			}
			return false
		})
		q, err := url.ParseQuery(strings.SplitN(back, "?", 2)[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{q.Get("code"), q.Get("state"), oidctest.Secret, old} {
			if strings.Contains(text.String(), secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
	}
}

// finished is what becomes of an answer that a browser brings.
func (b *browser) finished(address string, want int, what string) {
	b.g.t.Helper()
	before := b.session()
	status, location, text := b.visit(address)
	if status != want || location != "" || b.session() != before {
		b.g.t.Errorf("%s: %d to %q, want %d: %s", what, status, location, want, text)
	}
}

// with is an address with another parameter.
func with(address, name, value string) string {
	u, _ := url.Parse(address)
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// Only the browser in which a login began ends it, once, with what it was given for it.
func TestOpenIDStateIsBoundAndSingle(t *testing.T) {
	p := oidctest.New(t, jwt.SigningMethodES256)
	g, text := runOpenID(t, p)
	b, other := g.browser(), g.browser()
	b.finished(with(b.toProvider("/"), "state", "wrong"), http.StatusBadRequest, "a wrong state")
	b.finished(with(b.toProvider("/"), "state", ""), http.StatusBadRequest, "no state")
	b.finished(b.toProvider("/")+"&state=2", http.StatusBadRequest, "two states")
	b.finished(with(b.toProvider("/"), "iss", "https://other.example"), http.StatusBadRequest, "another issuer's answer")
	b.finished(with(b.toProvider("/"), "code", ""), http.StatusBadGateway, "no code")
	b.finished(with(b.toProvider("/"), "code", strings.Repeat("x", 5000)), http.StatusBadRequest, "a huge code")
	b.finished(with(b.toProvider("/"), "code", "guessed"), http.StatusForbidden, "a code that nobody gave")
	other.finished(b.toProvider("/"), http.StatusBadRequest, "no cookie")
	back := b.toProvider("/")
	other.toProvider("/") // has a cookie of its own
	other.finished(back, http.StatusBadRequest, "another browser's login")
	b.finished(back, http.StatusBadRequest, "a login that another browser has tried to end")
	// Somebody else's code in one's own login: it was given for another challenge.
	code, err := url.Parse(other.toProvider("/"))
	if err != nil {
		t.Fatal(err)
	}
	b.finished(with(b.toProvider("/"), "code", code.Query().Get("code")), http.StatusForbidden, "a code injected")
	back = b.toProvider("/")
	u, err := url.Parse(g.url + "/login/oidc")
	if err != nil {
		t.Fatal(err)
	}
	cookies := b.Jar.Cookies(u)
	if status, _, _ := b.visit(back); status != http.StatusSeeOther {
		t.Fatalf("a good one: %d", status)
	}
	again := g.browser()
	again.Jar.SetCookies(u, cookies)
	again.finished(back, http.StatusBadRequest, "a state replayed, with its cookie")
	p.Set(func(p *oidctest.Provider) { p.Refuse = "access_denied" })
	other.finished(other.toProvider("/"), http.StatusForbidden, "refused there")
	p.Set(func(p *oidctest.Provider) { p.Refuse = "evil\nlevel=INFO" })
	other.finished(other.toProvider("/"), http.StatusForbidden, "refused with another word")
	if strings.Contains(text.String(), "evil") || strings.Contains(text.String(), "guessed") {
		t.Errorf("the log holds what a browser brought: %s", text)
	}
	if n := strings.Count(text.String(), "a login was refused"); n < 12 {
		t.Errorf("%d refusals are logged", n)
	}
}

// An ID token that is not good, or not for this login, lets nobody in.
func TestOpenIDBadTokens(t *testing.T) {
	p := oidctest.New(t, jwt.SigningMethodRS256)
	g, _ := runOpenID(t, p)
	foreign := oidctest.NewKey(t, jwt.SigningMethodRS256)
	public, err := x509.MarshalPKIXPublicKey(p.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	claim := func(name string, value any) func(*oidctest.Provider) {
		return func(p *oidctest.Provider) { p.Claims = func(c jwt.MapClaims) { c[name] = value } }
	}
	signed := func(how func(jwt.MapClaims) string) func(*oidctest.Provider) {
		return func(p *oidctest.Provider) { p.Sign = how }
	}
	for what, change := range map[string]func(*oidctest.Provider){
		"another login's nonce":      claim("nonce", "other"),
		"a nonce that is no text":    claim("nonce", 1),
		"no nonce":                   func(p *oidctest.Provider) { p.Claims = func(c jwt.MapClaims) { delete(c, "nonce") } },
		"another audience":           claim("aud", "other"),
		"two audiences and no party": claim("aud", []string{oidctest.Client, "other"}),
		"another party":              claim("azp", "other"),
		"another issuer":             claim("iss", "https://other.example"),
		"expired":                    claim("exp", time.Now().Add(-time.Hour).Unix()),
		"expired just now":           claim("exp", time.Now().Add(-2*time.Second).Unix()),
		"no expiry":                  func(p *oidctest.Provider) { p.Claims = func(c jwt.MapClaims) { delete(c, "exp") } },
		"no subject":                 claim("sub", ""),
		"a wildcard for a subject":   claim("sub", "#"),
		"roles that are none":        claim("roles", map[string]any{"viewer": true}),

		"no algorithm": signed(func(c jwt.MapClaims) string {
			return oidctest.Sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, c)
		}),
		"a public key as a secret": signed(func(c jwt.MapClaims) string { return oidctest.Sign(t, jwt.SigningMethodHS256, secret, c) }),
		"the client's secret": signed(func(c jwt.MapClaims) string {
			return oidctest.Sign(t, jwt.SigningMethodHS256, []byte(oidctest.Secret), c)
		}),
		"another key": signed(func(c jwt.MapClaims) string { return oidctest.Sign(t, jwt.SigningMethodRS256, foreign, c) }),
		"another algorithm of the same key": signed(func(c jwt.MapClaims) string {
			return oidctest.Sign(t, jwt.SigningMethodPS256, p.Key, c)
		}),
		"no token": signed(func(jwt.MapClaims) string { return "" }),
		"a huge one": signed(func(c jwt.MapClaims) string {
			c["x"] = strings.Repeat("x", 9000)
			return oidctest.Sign(t, jwt.SigningMethodRS256, p.Key, c)
		}),
	} {
		p.Set(change)
		b := g.browser()
		b.finished(b.toProvider("/"), http.StatusBadGateway, what)
		p.Set(func(p *oidctest.Provider) { p.Claims, p.Sign = nil, nil })
	}
	for what, roles := range map[string][]string{"no role": nil, "a role that this hub does not have": {"king"}} {
		p.Set(func(p *oidctest.Provider) { p.Roles = roles })
		b := g.browser()
		b.finished(b.toProvider("/"), http.StatusForbidden, what)
	}
	p.Set(func(p *oidctest.Provider) { p.Roles = []string{"viewer"} })
	p.Set(claim("azp", oidctest.Client))
	if b := g.browser(); b.finishedWell(t) == "" {
		t.Error("a good one is not taken any more")
	}
}

// finishedWell logs in, and returns the session.
func (b *browser) finishedWell(t *testing.T) string {
	t.Helper()
	if status, _, text := b.visit(b.toProvider("/")); status != http.StatusSeeOther {
		t.Fatalf("a login: %d %s", status, text)
	}
	return b.session()
}

// A login leads to paths of the hub only, and begins on a page of the hub.
func TestOpenIDRedirects(t *testing.T) {
	p := oidctest.New(t, jwt.SigningMethodES256)
	g, _ := runOpenID(t, p)
	for next, want := range map[string]string{
		"": "/", "//evil.example": "/", "https://evil.example/": "/", "/\\evil.example": "/", "javascript:alert(1)": "/", "/a\r\nb": "/",
		"/login/oidc": "/", "/boards?x=y": "/boards?x=y", "/" + strings.Repeat("x", 2000): "/",
	} {
		b := g.browser()
		if _, location, _ := b.visit(b.toProvider(next)); location != want {
			t.Errorf("next %.40q leads to %.40q, want %q", next, location, want)
		}
	}
	for _, site := range []string{"cross-site", "same-site"} {
		status, location, _ := g.browser().visit(g.url+"/login/oidc?next=/x", "Sec-Fetch-Site", site)
		if status != http.StatusSeeOther || location != "/login?next=%2Fx" {
			t.Errorf("begun by a page that is %s: %d %s", site, status, location)
		}
	}
}

// Who logs in by a provider is nobody who has an account, be the names alike.
func TestOpenIDNamesAreToldApart(t *testing.T) {
	p := oidctest.New(t, jwt.SigningMethodES256)
	p.Roles = []string{"own"}
	g, _ := runOpenID(t, p)
	b := g.browser()
	b.finishedWell(t)
	for topic, want := range map[string]int{"ben/x": http.StatusForbidden, "id:ben/x": http.StatusOK, "/x": http.StatusForbidden} {
		if got := b.do(http.MethodPost, "/api/v1/publish?topic="+url.QueryEscape(topic), "x").status; got != want {
			t.Errorf("a publish to %s: %d, want %d", topic, got, want)
		}
	}
	own := g.browser()
	if got := own.login("ben", personPassword, "/").status; got != http.StatusSeeOther {
		t.Fatalf("the account of that name: %d", got)
	}
	if got := own.do(http.MethodPost, "/api/v1/publish?topic=ben/x", "x").status; got != http.StatusOK {
		t.Errorf("the account of that name publishes: %d", got)
	}
	body := url.Values{"old": {personPassword}, "new": {"another password"}, "id": {"ben"}}.Encode()
	if got := b.do(http.MethodPost, "/account/mine", body).status; got != http.StatusBadRequest {
		t.Errorf("who has no password changes one: %d", got)
	}
}

// Sessions end when they are ended, by whom they concern, and by what their roles say; and with the process.
func TestOpenIDSessionsEnd(t *testing.T) {
	p := oidctest.New(t, jwt.SigningMethodES256)
	g, _ := runOpenID(t, p, func(c *Config) { c.OIDCRoles = []string{"viewer"} })
	p.Set(func(p *oidctest.Provider) { p.Roles = nil })
	b := g.browser()
	session := b.finishedWell(t)
	reads := func() bool { return b.do(http.MethodGet, "/api/v1/devices", "").status == http.StatusOK }
	if !reads() {
		t.Fatal("who has no role has not got that of the configuration")
	}
	if text, err := os.ReadFile(g.kept(sessionsFile)); err != nil || strings.Contains(string(text), "id:ben") {
		t.Errorf("the file of sessions: %s %v", text, err)
	}
	ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+g.HTTPAddr()+"/ws", http.Header{"Cookie": {"pulso_session=" + session}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	defer ws.Close()
	if err := ws.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	g.edit(func(c *access.Content) {
		if err := c.End("id:ben", time.Now().UTC()); err != nil {
			t.Error(err)
		}
	})
	if code := closeCode(ws); code != 4501 {
		t.Errorf("a stream is closed with %d", code)
	}
	if reads() {
		t.Error("a session goes on that was ended")
	}
	b.finishedWell(t)
	if !reads() {
		t.Error("a session that began later is ended, too")
	}
	before := b.session()
	b.finishedWell(t)
	u, err := url.Parse(g.url)
	if err != nil {
		t.Fatal(err)
	}
	old := g.browser()
	old.Jar.SetCookies(u, []*http.Cookie{{Name: "pulso_session", Value: before}})
	if got := old.do(http.MethodGet, "/api/v1/devices", "").status; got != http.StatusUnauthorized {
		t.Errorf("the session before the login goes on: %d", got)
	}
	p.Set(func(p *oidctest.Provider) { p.Subject, p.Roles = "ada", []string{access.RoleAdministrator} })
	ada := g.browser()
	ada.finishedWell(t)
	if _, _, page := ada.visit(g.url + "/account"); !strings.Contains(page, `value="id:ben"`) {
		t.Errorf("administrators are not shown who has logged in: %s", page)
	}
	if got := ada.do(http.MethodPost, "/account/revoke", "id=id%3Aben").status; got != http.StatusOK || reads() {
		t.Errorf("ended on the page: %d", got)
	}
	eventually(t, "it is recorded that sessions were ended", func() bool {
		for _, r := range g.newestRecords(20) {
			if r.What == "sessions ended" && strings.HasPrefix(r.About, "id:ben") {
				return true
			}
		}
		return false
	})
}

// A provider that is down, slow, or says what cannot be holds up nobody else, and what it answers is bounded.
func TestOpenIDProviderThatIsNotWell(t *testing.T) {
	begins := func(what string, change func(*oidctest.Provider)) {
		p := oidctest.New(t, jwt.SigningMethodES256)
		change(p)
		g, _ := runOpenID(t, p)
		for range 3 {
			if status, _, _ := g.browser().visit(g.url + "/login/oidc"); status != http.StatusBadGateway {
				t.Errorf("%s: %d", what, status)
			}
		}
		if n := p.Asked("/.well-known/openid-configuration"); n > 1 {
			t.Errorf("%s: it is asked %d times", what, n)
		}
		if got := g.browser().login("ben", personPassword, "/").status; got != http.StatusSeeOther {
			t.Errorf("%s: a login with a password: %d", what, got)
		}
	}
	says := func(key string, value any) func(*oidctest.Provider) {
		return func(p *oidctest.Provider) { p.Discovery = func(said map[string]any) { said[key] = value } }
	}
	begins("another issuer", says("issuer", "https://other.example"))
	begins("the issuer with a slash", func(p *oidctest.Provider) {
		p.Discovery = func(said map[string]any) { said["issuer"] = fmt.Sprint(said["issuer"]) + "/" }
	})
	begins("a page that is not https", says("authorization_endpoint", "http://evil.example/"))
	begins("a script", says("authorization_endpoint", "javascript:alert(1)"))
	begins("an address of a neighbour", says("token_endpoint", "http://10.0.0.1/token"))
	begins("another algorithm", says("id_token_signing_alg_values_supported", []string{"none", "HS256"}))
	begins("no PKCE", says("code_challenge_methods_supported", []string{"plain"}))
	huge := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range 64 {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 64<<10)); err != nil {
				return
			}
		}
	})
	elsewhere := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) })
	for what, h := range map[string]http.Handler{"nothing": http.NotFoundHandler(), "too much": huge, "a redirect": elsewhere} {
		begins(what, func(p *oidctest.Provider) {
			p.Instead = map[string]http.Handler{"/.well-known/openid-configuration": h}
		})
	}

	p := oidctest.New(t, jwt.SigningMethodES256)
	g, _ := runOpenID(t, p)
	for what, h := range map[string]http.Handler{"nothing": http.NotFoundHandler(), "too much": huge, "a redirect": elsewhere} {
		b := g.browser()
		back := b.toProvider("/")
		p.Set(func(p *oidctest.Provider) { p.Instead = map[string]http.Handler{"/token": h} })
		b.finished(back, http.StatusBadGateway, "the code is answered with "+what)
		p.Set(func(p *oidctest.Provider) { p.Instead = nil })
	}
	// Those who wait for a slow one are few, and nobody else waits.
	release := make(chan struct{})
	p.Set(func(p *oidctest.Provider) {
		p.Instead = map[string]http.Handler{"/token": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})}
	})
	var wg sync.WaitGroup
	backs := make([]string, 16)
	waiting := make([]*browser, len(backs))
	for i := range backs {
		waiting[i] = g.browser()
		backs[i] = waiting[i].toProvider("/")
	}
	for i := range backs {
		wg.Go(func() { waiting[i].finished(backs[i], http.StatusBadGateway, "a slow one") })
	}
	eventually(t, "all of them wait", func() bool { return p.Asked("/token") >= 3+len(backs) })
	b := g.browser()
	b.finished(b.toProvider("/"), http.StatusServiceUnavailable, "one too many")
	if got := g.browser().login("ben", personPassword, "/").status; got != http.StatusSeeOther {
		t.Errorf("a login with a password: %d", got)
	}
	close(release)
	wg.Wait()
}

// Beginning logins without end is slowed.
func TestOpenIDFloodIsSlowed(t *testing.T) {
	p := oidctest.New(t, jwt.SigningMethodES256)
	g, _ := runOpenID(t, p)
	slowed := 0
	for range 80 {
		if status, _, _ := g.browser().visit(g.url + "/login/oidc"); status == http.StatusTooManyRequests {
			slowed++
		}
	}
	if slowed < 10 {
		t.Errorf("%d of 80 are slowed", slowed)
	}
}

// What is wrong with the configuration is said with its key.
func TestOpenIDConfiguration(t *testing.T) {
	p := oidctest.New(t, jwt.SigningMethodES256)
	good := openIDConfig(t, p)
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"oidc-issuer: only https":                 func(c *Config) { c.OIDCIssuer = "http://id.example.org" },
		"oidc-issuer: has a query":                func(c *Config) { c.OIDCIssuer += "?x" },
		"oidc-client: is missing":                 func(c *Config) { c.OIDCClient = "" },
		"oidc-secret-file: is missing":            func(c *Config) { c.OIDCSecretFile = "" },
		"oidc-secret-file: secret-env is set":     func(c *Config) { c.OIDCSecretEnv = "X" },
		"oidc-name: ":                             func(c *Config) { c.OIDCName = "a:b" },
		"oidc-scopes: ":                           func(c *Config) { c.OIDCScopes = []string{"a b"} },
		"oidc-session: ":                          func(c *Config) { c.OIDCSession = 25 * time.Hour },
		"oidc-client: counts for nothing without": func(c *Config) { c.OIDCIssuer = "" },
		"oidc-algorithm: HS256 has a secret key":  func(c *Config) { c.OIDCAlgorithm = "HS256" },
	} {
		cfg := good
		change(&cfg)
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	good.OIDCSecretFile = filepath.Join(t.TempDir(), "none")
	if _, err := New(t.Context(), good, slog.New(slog.DiscardHandler), "test"); err == nil || !strings.Contains(err.Error(), "oidc-secret-file") {
		t.Errorf("no secret: %v", err)
	}
}
