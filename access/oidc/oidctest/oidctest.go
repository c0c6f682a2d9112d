// Package oidctest plays an OpenID Connect provider over loopback, for tests: over real HTTP, with real keys.
package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Client and Secret are what the provider knows the hub by.
const (
	Client = "the hub"
	Secret = "a secret: of %&+ the hub"
)

// A Provider lets Subject in, whoever asks. What tests change of it they change with Set.
type Provider struct {
	// URL is its issuer.
	URL string
	// Key signs ID tokens, by Method.
	Key    crypto.Signer
	Method jwt.SigningMethod
	// Subject is who logs in, Roles their claim roles.
	Subject string
	Roles   []string
	// Refuse is the error that browsers are sent back with; empty: none.
	Refuse string
	// Now is the clock.
	Now func() time.Time
	// Discovery, Claims and Sign change what is told; nil: nothing.
	Discovery func(map[string]any)
	Claims    func(jwt.MapClaims)
	Sign      func(jwt.MapClaims) string
	// Instead serves in the place of some paths.
	Instead map[string]http.Handler

	t     testing.TB
	mu    sync.Mutex
	codes map[string]url.Values
	// Asked counts requests by their path.
	asked map[string]int
}

// New makes a provider with an RSA key, or one for ES256.
func New(t testing.TB, method jwt.SigningMethod) *Provider {
	t.Helper()
	p := &Provider{t: t, Now: time.Now, Method: method, Subject: "ben", Roles: []string{"viewer"}, codes: map[string]url.Values{}, asked: map[string]int{}}
	p.Key = NewKey(t, method)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /keys", p.keys)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked[r.URL.Path]++
		instead := p.Instead[r.URL.Path]
		p.mu.Unlock()
		if instead != nil {
			instead.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// NewKey makes a key for a method.
func NewKey(t testing.TB, method jwt.SigningMethod) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	if method == jwt.SigningMethodES256 {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Set changes the provider.
func (p *Provider) Set(change func(*Provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// Asked is how often a path was asked for.
func (p *Provider) Asked(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	text, err := json.Marshal(v)
	if err == nil {
		_, _ = w.Write(text) // whether it is read is what some tests are about
	}
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize?tenant=1", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{p.Method.Alg()}, "code_challenge_methods_supported": []string{"S256"},
	}
	if p.Discovery != nil {
		p.Discovery(said)
	}
	answer(w, http.StatusOK, said)
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.Key.Public(), KeyID: "1", Use: "sig", Algorithm: p.Method.Alg()}}})
}

// authorize sends the browser back with a code, at once.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("client_id") != Client || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" ||
		len(q.Get("code_challenge")) != 43 || len(q.Get("state")) < 22 || len(q.Get("nonce")) < 22 || q.Get("tenant") != "1" ||
		!strings.HasPrefix(q.Get("scope"), "openid") {
		http.Error(w, "not a good question", http.StatusBadRequest)
		return
	}
	said := url.Values{"state": {q.Get("state")}, "iss": {p.URL}}
	if p.Refuse != "" {
		said.Set("error", p.Refuse)
	} else {
		code := rand.Text()
		p.codes[code] = q
		said.Set("code", code)
	}
	back.RawQuery = said.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	user, password, basic := r.BasicAuth()
	user, _ = url.QueryUnescape(user)
	password, _ = url.QueryUnescape(password)
	if !basic {
		user, password = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if user != Client || password != Secret {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	q, has := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !has || r.PostFormValue("redirect_uri") != q.Get("redirect_uri") || r.PostFormValue("grant_type") != "authorization_code" ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != q.Get("code_challenge") {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	claims := jwt.MapClaims{
		"iss": p.URL, "aud": Client, "sub": p.Subject, "nonce": q.Get("nonce"), "roles": p.Roles,
		"iat": p.Now().Unix(), "exp": p.Now().Add(time.Minute).Unix(),
	}
	if p.Claims != nil {
		p.Claims(claims)
	}
	sign := p.Sign
	if sign == nil {
		sign = func(c jwt.MapClaims) string { return Sign(p.t, p.Method, p.Key, c) }
	}
	answer(w, http.StatusOK, map[string]any{"id_token": sign(claims), "access_token": rand.Text(), "token_type": "Bearer"})
}

// Sign makes a token.
func Sign(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = "1"
	text, err := token.SignedString(key)
	if err != nil {
		t.Error(err)
	}
	return text
}
