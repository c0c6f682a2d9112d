package gate

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pulso/access"
)

// Every page finds all its words, in every language.
func TestWords(t *testing.T) {
	used := map[string]bool{}
	for _, pattern := range []string{"*.go", "pages/*.html"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?:Words\["|said\["|say\(r\)\["|\$w\.|\.Words\.)(\w+)`).FindAllStringSubmatch(string(text), -1) {
				used[m[1]] = true
			}
		}
	}
	if len(used) < 30 {
		t.Fatalf("only %d words are used: this test looks wrongly", len(used))
	}
	for _, language := range []string{"en", "es"} {
		said := languages[language]
		if said["language"] != language {
			t.Errorf("%s is missing", language)
		}
		for word := range used {
			if said[word] == "" {
				t.Errorf("%s has no %q", language, word)
			}
		}
		for word := range said {
			if !used[word] {
				t.Errorf("%s: %q is not used", language, word)
			}
		}
	}
}

func TestLanguage(t *testing.T) {
	for accepted, want := range map[string]string{"": "en", "es-MX,es;q=0.9": "es", "de,es;q=0.5": "es", "fr": "en", "EN": "en", ";;,,": "en"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/login", http.NoBody)
		r.Header.Set("Accept-Language", accepted)
		if got := say(r)["language"]; got != want {
			t.Errorf("%q: %s, want %s", accepted, got, want)
		}
	}
}

func TestThrottle(t *testing.T) {
	now := time.Unix(0, 0)
	th := newThrottle(func() time.Time { return now })
	for i := range guessesAtOnce {
		if wait := th.wait("10.0.0.1:1", "anna"); wait != 0 {
			t.Fatalf("try %d waits %v", i, wait)
		}
	}
	if wait := th.wait("10.0.0.1:2", "anna"); wait < time.Second || wait > guessEvery {
		t.Errorf("one more waits %v", wait)
	}
	if th.wait("10.0.0.2:1", "anna") != 0 || th.wait("10.0.0.1:1", "ben") != 0 {
		t.Error("others wait, too")
	}
	now = now.Add(guessEvery)
	if wait := th.wait("10.0.0.1:1", "anna"); wait != 0 {
		t.Errorf("after its time it waits %v", wait)
	}
	th.forgive("10.0.0.1:1", "anna")
	if wait := th.wait("10.0.0.1:1", "anna"); wait != 0 {
		t.Errorf("who has logged in waits %v", wait)
	}
	if a, b := networkOf("[2001:db8::1]:1"), networkOf("[2001:db8::2:3]:9"); a != b {
		t.Errorf("one household: %s and %s", a, b)
	}
	waited := false
	for i := range 10 * addressAtOnce {
		waited = waited || th.wait("10.9.9.9:1", strings.Repeat("x", i)) > 0
	}
	if !waited {
		t.Error("who tries many names never waits")
	}
	for i := range 2 * maxRemembered {
		th.find(strings.Repeat("k", i%7)+time.Unix(int64(i), 0).String(), time.Second, 1)
	}
	if len(th.known) > maxRemembered {
		t.Errorf("%d are remembered", len(th.known))
	}
}

// Sessions end when nobody uses them, change their tokens, and are bounded.
func TestSessions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.json")
	now := time.Now().UTC()
	err := access.Edit(path, func(c *access.Content) error {
		return c.Add(access.Account{ID: "anna", Kind: access.Person, Hash: access.HashSecret("secret"), Created: now})
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := access.Open(access.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	grant, err := d.Login(t.Context(), access.Credentials{User: "anna", Password: "secret"}, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "sessions.json")
	s := openSessions(d, kept, New(Config{Directory: d}).logger, func() time.Time { return now })
	first := s.begin(grant)
	if s.find(first) == nil || s.find("x") != nil || s.find("") != nil {
		t.Fatal("the wrong sessions are found")
	}
	if s.rotate(first) != "" {
		t.Error("a new session has another token at once")
	}
	now = now.Add(rotateAfter + time.Second)
	second := s.rotate(first)
	if second == "" || second == first || s.find(first) == nil || s.find(second) == nil {
		t.Fatal("the token is not changed, or requests under way are lost")
	}
	if s.rotate(first) != "" {
		t.Error("a token that was changed is changed again")
	}
	now = now.Add(overlap + time.Second)
	if s.find(first) != nil || s.find(second) == nil {
		t.Error("the token from before is still good")
	}
	now = now.Add(idleFor + time.Second)
	if s.find(second) != nil {
		t.Error("a session that nobody used is still good")
	}
	var tokens []string
	for range maxOwn + 10 {
		now = now.Add(time.Second)
		tokens = append(tokens, s.begin(grant))
	}
	if len(s.known) > maxOwn || s.find(tokens[0]) != nil || s.find(tokens[len(tokens)-1]) == nil {
		t.Errorf("%d sessions", len(s.known))
	}
	text, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(tokens, func(token string) bool { return strings.Contains(string(text), token) }) {
		t.Error("the file has tokens")
	}
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
