package jwt

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A publisher publishes a key set that may change.
type publisher struct {
	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	(*p.answer.Load())(w, r)
}

// RoundTrip answers without a network, for tests in a bubble.
func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

func (p *publisher) set(f http.HandlerFunc) { p.answer.Store(&f) }

func (p *publisher) fail() {
	p.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
}

// publish publishes keys: a name and a key, and so on.
func (p *publisher) publish(t *testing.T, pairs ...any) {
	t.Helper()
	var list jose.JSONWebKeySet
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			t.Fatal("no name")
		}
		list.Keys = append(list.Keys, jose.JSONWebKey{Key: pairs[i+1], KeyID: name, Use: "sig"})
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	p.set(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
}

// A clock goes when it is told to.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.at.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) pass(some time.Duration) { c.at.Add(int64(some)) }

// keySetOf is a verifier of what is published at a URL; without one, by the publisher itself.
func keySetOf(t *testing.T, p *publisher, now func() time.Time, url string) (*Verifier, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	cfg := Config{
		Now: now, Logger: slog.New(slog.NewTextHandler(&log, nil)), Metrics: prometheus.NewRegistry(),
		Issuers: []Issuer{{Name: "id", Issuer: iss, Audience: aud, Algorithm: "ES256", JWKS: url}},
	}
	if url == "" {
		cfg.Issuers[0].JWKS, cfg.Client = "https://id.example.org/keys?secret=hidden", &http.Client{Transport: p}
	}
	v, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v, &log
}

func reads(v *Verifier, result string) float64 {
	return testutil.ToFloat64(v.metrics.reads.WithLabelValues("id", result))
}

func tokens(v *Verifier, result string) float64 {
	return testutil.ToFloat64(v.metrics.tokens.WithLabelValues("id", result))
}

func TestKeysAreRotated(t *testing.T) {
	first, second := signers(t)["ES256"], signers(t)["ES256"]
	p, clock := new(publisher), newClock()
	server := httptest.NewServer(p)
	defer server.Close()
	v, _ := keySetOf(t, p, clock.now, server.URL)
	p.publish(t, "one", first.public, "rsa", signers(t)["RS256"].public)
	old := first.token(t, good(), "kid", "one")
	if _, err := v.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	p.publish(t, "two", second.public)
	clock.pass(unknownEvery + time.Second)
	if _, err := v.Verify(t.Context(), second.token(t, good(), "kid", "two")); err != nil {
		t.Errorf("the next key: %v", err)
	}
	if _, err := v.Verify(t.Context(), second.token(t, good())); err != nil {
		t.Errorf("without a name, and there is one only: %v", err)
	}
	if _, err := v.Verify(t.Context(), old); !errors.Is(err, ErrToken) {
		t.Errorf("a key that was taken back: %v", err)
	}
	if _, err := v.Verify(t.Context(), first.token(t, good(), "kid", "rsa")); !errors.Is(err, ErrToken) {
		t.Errorf("another's key: %v", err)
	}
	// Even if nobody runs the verifier, what has been taken back is not good for long.
	p.publish(t, "one", first.public)
	clock.pass(staleAfter + time.Second)
	if _, err := v.Verify(t.Context(), second.token(t, good(), "kid", "two")); !errors.Is(err, ErrToken) {
		t.Errorf("a key that was taken back long ago: %v", err)
	}
}

// A storm of keys that nobody knows asks once in ten seconds, and a token without need of it is not held up.
func TestUnknownKeysAskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known, stranger := signers(t)["ES256"], signers(t)["ES256"]
		p := new(publisher)
		v, _ := keySetOf(t, p, nil, "")
		p.publish(t, "one", known.public)
		token := known.token(t, good(), "kid", "one")
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		time.Sleep(unknownEvery)
		answer := *p.answer.Load()
		slow := make(chan struct{})
		p.set(func(w http.ResponseWriter, r *http.Request) {
			<-slow
			answer(w, r)
		})
		p.asked.Store(0)
		forged := stranger.token(t, good(), "kid", "two")
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if _, err := v.Verify(t.Context(), forged); !errors.Is(err, ErrToken) || !errors.Is(err, errKey) {
					t.Errorf("an unknown key: %v", err)
				}
			})
		}
		synctest.Wait() // all of them wait for the one answer
		for _, good := range []string{token, known.token(t, with("jti", "2"), "kid", "one")} {
			if _, err := v.Verify(t.Context(), good); err != nil {
				t.Errorf("a known key: %v", err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := v.Verify(ctx, forged); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrToken) {
			t.Errorf("who does not wait: %v", err)
		}
		close(slow)
		wg.Wait()
		if n := p.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		time.Sleep(unknownEvery - time.Millisecond)
		_, _ = v.Verify(t.Context(), forged)
		if n := p.asked.Load(); n != 1 {
			t.Errorf("asked %d times in ten seconds", n)
		}
		time.Sleep(time.Millisecond)
		_, _ = v.Verify(t.Context(), forged)
		if n := p.asked.Load(); n != 2 {
			t.Errorf("asked %d times after ten seconds", n)
		}
	})
}

// Who asks and goes away does not spoil the one request for the others: not the first, nor one for a key that is new.
func TestWhoLeavesSpoilsNothing(t *testing.T) {
	s, clock := signers(t)["ES256"], newClock()
	p := new(publisher)
	v, _ := keySetOf(t, p, clock.now, "")
	for i, name := range []string{"one", "two", "three"} {
		p.publish(t, name, s.public)
		answer := *p.answer.Load()
		ctx, cancel := context.WithCancel(t.Context())
		p.set(func(w http.ResponseWriter, r *http.Request) {
			cancel()
			answer(w, r)
		})
		if _, err := v.Verify(ctx, s.token(t, good(), "kid", name)); err != nil || ctx.Err() == nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		if clock.pass(unknownEvery); i == 1 {
			clock.pass(staleAfter)
		}
	}
}

func TestRunKeepsKeysFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := signers(t)["ES256"], signers(t)["ES256"]
		p := new(publisher)
		p.publish(t, "one", first.public)
		v, log := keySetOf(t, p, nil, "")
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := v.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		asked := func(want int64) {
			t.Helper()
			synctest.Wait()
			if n := p.asked.Load(); n != want {
				t.Errorf("asked %d times, want %d", n, want)
			}
		}
		asked(1)
		token := first.token(t, with("exp", time.Now().Add(24*time.Hour).Unix()), "kid", "one")
		verify := func(ok bool) {
			t.Helper()
			if _, err := v.Verify(t.Context(), token); (err == nil) != ok {
				t.Error(err)
			}
		}
		verify(true)
		time.Sleep(freshFor)
		asked(2)
		p.fail() // the keys go on counting
		time.Sleep(freshFor)
		asked(3)
		verify(true)
		time.Sleep(retryAfter)
		asked(4)
		verify(true)
		if n := reads(v, resultFailed); n != 2 {
			t.Errorf("%v failures are counted", n)
		}
		if text := log.String(); !strings.Contains(text, "it answers with 502") || strings.Contains(text, "hidden") {
			t.Error(text)
		}
		p.publish(t, "two", second.public) // and are gone when the issuer says so
		time.Sleep(retryAfter)
		asked(5)
		verify(false)
		time.Sleep(freshFor)
		asked(6)
		cancel()
		wg.Wait()
		if n := reads(v, resultGood); n != 4 {
			t.Errorf("%v fetches are counted", n)
		}
	})
}

// What is unreachable, too large, leads elsewhere or is no key set gives no key, and takes none away.
func TestBadKeySets(t *testing.T) {
	s := signers(t)["ES256"]
	elsewhere := new(publisher)
	elsewhere.publish(t, "one", s.public)
	other := httptest.NewServer(elsewhere)
	defer other.Close()
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	to := func(url string) http.HandlerFunc { return http.RedirectHandler(url, http.StatusFound).ServeHTTP }
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"unreachable": {nil, "connection refused"},
		"an error":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "it answers with 404"},
		"too large":   {text(strings.Repeat(" ", maxKeySet+1)), "it answers with more than 262144 bytes"},
		"a bomb": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<16))
			}
		}, "it answers with more than 262144 bytes"},
		"a large header":       {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", maxHeader)) }, "headers exceeded"},
		"no JSON":              {text("<html>"), "no key set"},
		"no keys":              {text(`{"keys":[]}`), "no key for ES256"},
		"keys that are none":   {text(`{"keys":[1,{},{"kty":"EC"}]}`), "no key for ES256"},
		"a secret":             {text(`{"keys":[{"kty":"oct","kid":"one","k":"AAAA"}]}`), "no key for ES256"},
		"very many keys":       {text(`{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`), "65 keys"},
		"to the metadata":      {to("http://169.254.169.254/latest"), "it leads elsewhere"},
		"to a private network": {to("http://10.0.0.1/"), "it leads elsewhere"},
		"to another port":      {to(other.URL), "it leads elsewhere"},
		"to a file":            {to("file:///etc/passwd"), "it leads elsewhere"},
		"to itself":            {to("/"), "it leads elsewhere"},
	} {
		p := new(publisher)
		p.publish(t, "one", s.public)
		server := httptest.NewServer(p)
		clock := newClock()
		v, log := keySetOf(t, p, clock.now, server.URL+"/?secret=hidden")
		fresh, _ := keySetOf(t, p, clock.now, server.URL)
		if _, err := v.Verify(t.Context(), s.token(t, good(), "kid", "one")); err != nil {
			t.Fatal(err)
		}
		if c.answer == nil {
			server.Close()
		} else {
			p.set(c.answer)
		}
		clock.pass(staleAfter)
		if _, err := v.Verify(t.Context(), s.token(t, good(), "kid", "one")); err != nil {
			t.Errorf("%s: the key is gone: %v", name, err)
		}
		if reads(v, resultFailed) != 1 || !strings.Contains(log.String(), c.says) || strings.Contains(log.String(), "hidden") {
			t.Errorf("%s: counted %v, said %s", name, reads(v, resultFailed), log)
		}
		if _, err := fresh.Verify(t.Context(), s.token(t, good(), "kid", "one")); !errors.Is(err, errKeys) {
			t.Errorf("%s: without keys: %v", name, err)
		}
		server.Close()
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// What a set says that a key is for, it is for.
func TestKeysForSomethingElse(t *testing.T) {
	one, two := signers(t)["ES256"], signers(t)["ES256"]
	set := func(keys ...jose.JSONWebKey) map[string]any {
		text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		known, err := keysIn(text, "ES256")
		if err != nil && len(known) > 0 {
			t.Errorf("%v, and keys", err)
		}
		return known
	}
	for name, k := range map[string]jose.JSONWebKey{
		"to encrypt": {Key: one.public, KeyID: "a", Use: "enc"}, "another algorithm": {Key: one.public, KeyID: "a", Algorithm: "ECDH-ES"},
		"another kind": {Key: signers(t)["EdDSA"].public, KeyID: "a"}, "private": {Key: one.key, KeyID: "a"},
	} {
		if len(set(k)) != 0 {
			t.Errorf("%s: taken", name)
		}
	}
	known := set(jose.JSONWebKey{Key: one.public, KeyID: "a", Algorithm: "ES256"}, jose.JSONWebKey{Key: two.public, KeyID: "a"})
	if key, ok := known["a"].(interface{ Equal(x crypto.PublicKey) bool }); len(known) != 1 || !ok || !key.Equal(one.public) {
		t.Error("of two with one name, the second counts")
	}
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"AA","y":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, algorithm := range algorithms {
			known, err := keysIn(text, algorithm)
			if (err == nil) != (len(known) > 0) || len(known) > maxKeys {
				t.Fatalf("%s: %d keys, %v", algorithm, len(known), err)
			}
			for _, key := range known {
				if kindOf(key) != algorithm {
					t.Fatalf("%T for %s", key, algorithm)
				}
			}
		}
	})
}
