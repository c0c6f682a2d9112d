package app

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// A lockedBuffer is written to by a hub while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// runNew is a hub on a new folder, what it logs, and the link that it shows.
func runNew(t *testing.T) (g *guardedHub, log *lockedBuffer, link string) {
	t.Helper()
	cfg := inMemory(t)
	cfg.Data = filepath.Join(t.TempDir(), "data")
	log = &lockedBuffer{}
	g = &guardedHub{t: t, path: AccessFile(cfg.Data)}
	g.Hub = runLogging(t, cfg, slog.New(slog.NewTextHandler(log, nil)))
	g.url = "http://" + g.HTTPAddr()
	eventually(t, "the link is shown", func() bool {
		found := regexp.MustCompile(`or_open_once="?http://[^/]+(/setup\?code=[a-z2-7]{32})`).FindStringSubmatch(log.String())
		if found != nil {
			link = found[1]
		}
		return found != nil
	})
	return g, log, link
}

func firstPerson(user, password string) string {
	return url.Values{"user": {user}, "password": {password}}.Encode()
}

// The link makes one person, who administers and is logged in; then it is worth nothing.
func TestSetupLink(t *testing.T) {
	g, log, link := runNew(t)
	b := g.browser()
	p := b.do(http.MethodGet, link, "")
	if p.status != http.StatusSeeOther || p.header.Get("Location") != "/setup" || p.header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("the link leads to %d %v", p.status, p.header)
	}
	if c := p.header.Get("Set-Cookie"); !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Lax") || !strings.Contains(c, "Path=/setup") {
		t.Errorf("cookie: %s", c)
	}
	if page := b.page(http.MethodGet, "/setup", ""); !strings.Contains(page, `name="password"`) || strings.Contains(page, link) {
		t.Errorf("the page: %s", page)
	}
	for form, want := range map[string]string{firstPerson("a/b", personPassword): "is no name", firstPerson("anna", "short"): "a password has"} {
		if page := b.page(http.MethodPost, "/setup", form); !strings.Contains(page, want) {
			t.Errorf("%s: %s", form, page)
		}
	}
	if g.accounts.Enabled() {
		t.Fatal("a form that was refused has made an account")
	}
	if p := b.do(http.MethodPost, "/setup", firstPerson("anna", personPassword)); p.status != http.StatusSeeOther || p.header.Get("Location") != "/" {
		t.Fatalf("the form: %d %v", p.status, p.header)
	}
	if p := b.do(http.MethodGet, "/api/v1/audit", ""); p.status != http.StatusOK {
		t.Errorf("the first person may not administer: %d", p.status)
	}
	other := g.browser()
	if p := other.do(http.MethodGet, link, ""); p.header.Get("Location") != "/login" || p.header.Get("Set-Cookie") != "" {
		t.Errorf("the link leads later to %v", p.header)
	}
	if p := b.do(http.MethodPost, "/setup", firstPerson("ben", personPassword)); p.status != http.StatusForbidden {
		t.Errorf("once more: %d", p.status)
	}
	if n := len(g.accounts.Content().Accounts); n != 1 {
		t.Errorf("%d accounts", n)
	}
	_, code, _ := strings.Cut(link, "=")
	if n := strings.Count(log.String(), code); n != 1 {
		t.Errorf("the code is in the log %d times", n)
	}
	_, metrics := get(t, g.url+"/metrics", "")
	if strings.Contains(metrics, code) || strings.Contains(log.String(), personPassword) {
		t.Error("a secret is told")
	}
}

// Without the link, or with another, nobody makes an account; nor does a page of another site for who has it.
func TestSetupIsGuarded(t *testing.T) {
	g, _, link := runNew(t)
	b := g.browser()
	for _, path := range []string{"/setup", "/setup?code=", "/setup?code=x", link + "x", link[:len(link)-1]} {
		if p := b.do(http.MethodGet, path, ""); p.status != http.StatusForbidden || p.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d", path, p.status)
		}
	}
	form := firstPerson("anna", personPassword)
	for _, cookie := range []string{"", "pulso_setup=", "pulso_setup=x"} {
		if p := b.do(http.MethodPost, "/setup", form, "Cookie", cookie); p.status != http.StatusForbidden {
			t.Errorf("with the cookie %q: %d", cookie, p.status)
		}
	}
	b.do(http.MethodGet, link, "")
	if p := b.do(http.MethodPost, "/setup", form, "Origin", "http://evil.example"); p.status != http.StatusForbidden {
		t.Errorf("from another site: %d", p.status)
	}
	if g.accounts.Enabled() {
		t.Fatal("there is an account")
	}
}

// Of many who have the link at one time one makes the first person.
func TestSetupRace(t *testing.T) {
	g, _, link := runNew(t)
	var wg sync.WaitGroup
	for _, name := range []string{"anna", "ben", "carl", "dora"} {
		b := g.browser()
		b.do(http.MethodGet, link, "")
		wg.Go(func() { b.do(http.MethodPost, "/setup", firstPerson(name, personPassword)) })
	}
	wg.Wait()
	if list := g.accounts.Content().Accounts; len(list) != 1 {
		t.Errorf("%d accounts", len(list))
	}
}
