package jwt

import (
	"bytes"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestKeyFileIsReadAgain(t *testing.T) {
	first, second := signers(t)["EdDSA"], signers(t)["EdDSA"]
	path, clock := first.file(t), newClock()
	var log bytes.Buffer
	v, err := New(Config{Now: clock.now, Logger: slog.New(slog.NewTextHandler(&log, nil)), Issuers: []Issuer{
		{Name: "id", Issuer: iss, Audience: aud, Algorithm: "EdDSA", KeyFile: path},
	}})
	if err != nil {
		t.Fatal(err)
	}
	old := first.token(t, good())
	for _, text := range []string{"nothing", strings.Repeat("x", maxKeyFile+1), ""} {
		if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			clock.pass(lookEvery)
			if _, err := v.Verify(t.Context(), old); err != nil {
				t.Errorf("a file that cannot be read took the key away: %v", err)
			}
		}
	}
	if n := strings.Count(log.String(), "cannot be read"); n != 3 || reads(v, resultFailed) != 9 {
		t.Errorf("told %d times, counted %v: %s", n, reads(v, resultFailed), &log)
	}
	text, err := os.ReadFile(second.file(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	clock.pass(lookEvery)
	if _, err := v.Verify(t.Context(), second.token(t, good())); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if _, err := v.Verify(t.Context(), old); !errors.Is(err, ErrToken) {
		t.Errorf("the old key, of a token that was known: %v", err)
	}
}

func TestSecrets(t *testing.T) {
	secret := []byte(strings.Repeat("\x00\xfe\n", 11))
	rsaKey := signers(t)["RS256"]
	pemText, err := os.ReadFile(rsaKey.file(t))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(pemText), "\n")
	body, _, _ = strings.Cut(body, "-----")
	der, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	hexadecimal := "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	for name, c := range map[string]struct {
		file   string
		secret []byte // nil: it is refused
	}{
		"as it is":               {string(secret), secret},
		"a line":                 {hexadecimal + "\r\n", []byte(hexadecimal)},
		"the end of a line":      {hexadecimal + "\n", []byte(hexadecimal + "\n")},
		"base64":                 {base64.StdEncoding.EncodeToString(secret) + "\n", secret},
		"base64 for addresses":   {base64.RawURLEncoding.EncodeToString(secret), secret},
		"short":                  {strings.Repeat("x", minSecret-1), nil},
		"a public key":           {string(pemText), nil},
		"a public key, bare":     {string(der), nil},
		"a public key in base64": {base64.StdEncoding.EncodeToString(der), nil},
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := New(Config{Issuers: []Issuer{{Name: "id", Issuer: iss, Audience: aud, Algorithm: "HS256", KeyFile: path}}})
		if c.secret == nil || err != nil {
			if c.secret != nil || err == nil || strings.Contains(err.Error(), c.file) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		s := &signer{jwt.SigningMethodHS256, c.secret, nil}
		if _, err := v.Verify(t.Context(), s.token(t, good())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
