package oidc

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"pulso/access/oidc/oidctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const redirect = "http://127.0.0.1:8080/login/oidc/callback"

// open makes a Provider that asks one of the tests.
func open(t testing.TB, p *oidctest.Provider, now func() time.Time) *Provider {
	t.Helper()
	if now != nil {
		p.Now = now
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(oidctest.Secret), 0o600); err != nil {
		t.Fatal(err)
	}
	made, err := New(Config{
		Name: "id", Issuer: p.URL, Client: oidctest.Client, SecretFile: file, Algorithm: p.Method.Alg(), Now: now, Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// begin begins a login and goes to the provider: it returns what the browser is to bring, and its cookie.
func begin(t testing.TB, p *Provider) (url.Values, string) {
	t.Helper()
	address, cookie, err := p.Begin(t.Context(), redirect, "/next")
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	return back.Query(), cookie
}

// A login that takes too long is over, and those that are open are bounded: the oldest makes room, and is counted.
func TestOpenLoginsAreBounded(t *testing.T) {
	now := time.Now()
	p := open(t, oidctest.New(t, jwt.SigningMethodES256), func() time.Time { return now })
	answer, cookie := begin(t, p)
	now = now.Add(openFor + time.Second)
	if _, err := p.Finish(t.Context(), cookie, answer); !errors.Is(err, ErrBegun) {
		t.Errorf("after %v: %v", openFor, err)
	}
	answer, cookie = begin(t, p)
	now = now.Add(time.Second)
	for i := range maxOpen {
		p.keep(sha256.Sum256(fmt.Append(nil, i)), &login{began: now})
	}
	if len(p.open) != maxOpen || testutil.ToFloat64(p.metrics.logins.WithLabelValues(resultEvicted)) != 1 {
		t.Errorf("%d are open", len(p.open))
	}
	if _, err := p.Finish(t.Context(), cookie, answer); !errors.Is(err, ErrBegun) {
		t.Errorf("the oldest: %v", err)
	}
	now = now.Add(openFor + time.Second)
	answer, cookie = begin(t, p)
	if len(p.open) != 2 && len(p.open) != 1 {
		t.Errorf("%d are open, after all but one are over", len(p.open))
	}
	person, err := p.Finish(t.Context(), cookie, answer)
	if err != nil || person.Name != "id:ben" || person.Next != "/next" || len(person.Roles) != 1 || person.Roles[0] != "viewer" {
		t.Errorf("%+v %v", person, err)
	}
}

// What a provider says about itself is asked for again, and what is known goes on counting where that is in vain.
func TestConfigurationIsKeptFresh(t *testing.T) {
	now := time.Now()
	played := oidctest.New(t, jwt.SigningMethodES256)
	p := open(t, played, func() time.Time { return now })
	good := func(what string) {
		t.Helper()
		answer, cookie := begin(t, p)
		if _, err := p.Finish(t.Context(), cookie, answer); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	asked := func() int { return played.Asked(wellKnown) }
	good("at first")
	good("again")
	if asked() != 1 {
		t.Errorf("asked %d times", asked())
	}
	now = now.Add(freshFor)
	played.Set(func(p *oidctest.Provider) { p.Instead = map[string]http.Handler{wellKnown: http.NotFoundHandler()} })
	good("down")
	good("down")
	if asked() != 2 {
		t.Errorf("asked %d times, down", asked())
	}
	now = now.Add(retryAfter)
	played.Set(func(p *oidctest.Provider) { p.Instead = nil; p.Key = oidctest.NewKey(t, jwt.SigningMethodES256) })
	answer, cookie := begin(t, p)
	if asked() != 3 {
		t.Errorf("asked %d times, up again", asked())
	}
	if _, err := p.Finish(t.Context(), cookie, answer); !errors.Is(err, ErrToken) {
		t.Errorf("a key that replaces another by its name: %v", err)
	}
	now = now.Add(20 * time.Minute)
	good("with other keys")
}

// What a provider says of itself leads nowhere that is nobody's business, least of all to this machine.
func TestEndpointsOfThisMachine(t *testing.T) {
	cfg := Config{Issuer: "https://id.example.org", Algorithm: "RS256"}
	good := map[string]any{
		"issuer": cfg.Issuer, "authorization_endpoint": "https://id.example.org/a", "token_endpoint": "https://id.example.org/t",
		"jwks_uri": "https://id.example.org/k",
	}
	said := func(key string, value any) []byte {
		c := maps.Clone(good)
		c[key] = value
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, err := read(said("x", 1), &cfg); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri"} {
		for _, address := range []any{
			"http://127.0.0.1/", "https://127.0.0.1/", "http://localhost:1/", "https://[::1]/", "http://id.example.org/", "", "//x", "file:///etc/passwd",
			"https://a:b@id.example.org/", "https://id.example.org/#x", 1,
		} {
			if _, err := read(said(key, address), &cfg); err == nil {
				t.Errorf("%s: %v is taken", key, address)
			}
		}
	}
	if _, err := read(said("token_endpoint_auth_methods_supported", []string{"private_key_jwt"}), &cfg); err == nil {
		t.Error("a way to prove oneself that there is not")
	}
}

func FuzzConfiguration(f *testing.F) {
	cfg := Config{Issuer: "https://id.example.org", Algorithm: "RS256"}
	f.Add([]byte(`{"issuer":"https://id.example.org","authorization_endpoint":"https://id.example.org/a",` +
		`"token_endpoint":"https://id.example.org/t","jwks_uri":"https://id.example.org/k"}`))
	f.Add([]byte(`{"issuer":1}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := read(text, &cfg)
		if err != nil {
			return
		}
		for _, address := range []string{got.authorization.String(), got.token, got.keys} {
			if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Hostname() == "localhost" {
				t.Errorf("%q is taken from %q", address, text)
			}
		}
	})
}

func FuzzTokenAnswer(f *testing.F) {
	f.Add(200, []byte(`{"id_token":"ey.a.b"}`))
	f.Add(400, []byte(`{"error":"invalid_grant","error_description":"x"}`))
	f.Add(500, []byte(`{"error":"evil"}`))
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		token, err := tokenIn(status, text)
		if (token == "") == (err == nil) || status != http.StatusOK && err == nil {
			t.Errorf("%d %q: %q %v", status, text, token, err)
		}
		if err != nil && len(err.Error()) > 100 {
			t.Errorf("it tells too much: %v", err)
		}
	})
}

// FuzzFinish: nothing that a browser brings ends a login but what the provider gave it, and no error holds any of it.
func FuzzFinish(f *testing.F) {
	played := oidctest.New(f, jwt.SigningMethodES256)
	played.Instead = map[string]http.Handler{"/token": http.NotFoundHandler()}
	p := open(f, played, nil)
	f.Add("state=x&code=y", "cookie")
	f.Add("error=access_denied&state=x&iss=z", "")
	f.Add("state=x&state=y", strings.Repeat("c", 100))
	f.Fuzz(func(t *testing.T, query, cookie string) {
		answer, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if _, err := p.Finish(t.Context(), cookie, answer); !errors.Is(err, ErrBegun) {
			t.Errorf("%q: %v", query, err)
		}
		if _, _, err := p.Begin(t.Context(), redirect, "/"); err != nil {
			t.Fatal(err)
		}
		for _, l := range p.open { // as if the browser were that of a login
			state := "known"
			clear(p.open)
			l.browser = sha256.Sum256([]byte(cookie))
			p.open[sha256.Sum256([]byte(state))] = l
			answer.Set("state", state)
			_, err := p.Finish(t.Context(), cookie, answer)
			if err == nil || len(err.Error()) > 150 {
				t.Errorf("%q: %v", query, err)
			}
			if len(p.open) > 0 && !errors.Is(err, ErrBegun) {
				t.Error("it goes on")
			}
			clear(p.open)
			break
		}
	})
}
