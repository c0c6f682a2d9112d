package jwt

import (
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestCache(t *testing.T) {
	s, clock := signers(t)["HS256"], newClock()
	v, err := New(Config{Now: clock.now, Issuers: []Issuer{{Name: "id", Issuer: iss, Audience: aud, Algorithm: "HS256", KeyFile: s.file(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	token := s.token(t, good())
	for range 3 {
		c, err := v.Verify(t.Context(), token)
		if err != nil || c.Subject != "anna" || c.Roles[0] != "viewer" {
			t.Fatalf("%+v, %v", c, err)
		}
		c.Roles[0] = "administrator" // whoever asks changes what is only its own
	}
	if tokens(v, resultGood) != 1 || tokens(v, resultKnown) != 2 {
		t.Errorf("verified %v times", tokens(v, resultGood))
	}
	for range 2 {
		if _, err := v.Verify(t.Context(), token+"A"); err == nil {
			t.Error("another signature")
		}
	}
	if tokens(v, resultRefused) != 2 || len(v.cache.tokens) != 1 {
		t.Errorf("%v refused, %d known", tokens(v, resultRefused), len(v.cache.tokens))
	}
	clock.pass(time.Hour + leeway)
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, jwt.ErrTokenExpired) || len(v.cache.tokens) != 0 {
		t.Errorf("%v, %d known", err, len(v.cache.tokens))
	}
	for i := range maxCached + 7 {
		v.cache.put([32]byte{byte(i), byte(i >> 8)}, cached{})
	}
	if n := testutil.ToFloat64(v.metrics.evicted); len(v.cache.tokens) != maxCached || n != 7 {
		t.Errorf("%d known, %v evicted", len(v.cache.tokens), n)
	}
}
