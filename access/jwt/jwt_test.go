package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	iss = "https://id.example.org"
	aud = "pulso"
)

// A signer makes tokens.
type signer struct {
	method jwt.SigningMethod
	key    any
	public any
}

func signers(t testing.TB) map[string]*signer {
	t.Helper()
	rsaKey, err1 := rsa.GenerateKey(rand.Reader, 2048)
	ecKey, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	public, private, err3 := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	secret := []byte(strings.Repeat("s", 40))
	return map[string]*signer{
		"HS256": {jwt.SigningMethodHS256, secret, secret}, "RS256": {jwt.SigningMethodRS256, rsaKey, &rsaKey.PublicKey},
		"ES256": {jwt.SigningMethodES256, ecKey, &ecKey.PublicKey}, "EdDSA": {jwt.SigningMethodEdDSA, private, public},
	}
}

func good() jwt.MapClaims {
	return jwt.MapClaims{
		"iss": iss, "aud": aud, "sub": "anna", "exp": time.Now().Add(time.Hour).Unix(), "roles": []string{"viewer", "hall"},
	}
}

func with(key string, value any) jwt.MapClaims {
	c := good()
	if value == nil {
		delete(c, key)
	} else {
		c[key] = value
	}
	return c
}

func (s *signer) token(t testing.TB, claims jwt.MapClaims, header ...string) string {
	t.Helper()
	token := jwt.NewWithClaims(s.method, claims)
	for i := 0; i+1 < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	text, err := token.SignedString(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// file writes the key that verifies.
func (s *signer) file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	text, isSecret := s.public.([]byte)
	if key, ok := s.public.(crypto.PublicKey); ok && !isSecret {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		text = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func verifier(t testing.TB, i Issuer) *Verifier {
	t.Helper()
	i.Name, i.Issuer, i.Audience = "id", iss, aud
	v, err := New(Config{Issuers: []Issuer{i}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGoodTokens(t *testing.T) {
	for algorithm, s := range signers(t) {
		v := verifier(t, Issuer{Algorithm: algorithm, KeyFile: s.file(t)})
		c, err := v.Verify(t.Context(), s.token(t, good()))
		if err != nil || c.Subject != "anna" || c.Issuer != "id" || strings.Join(c.Roles, " ") != "viewer hall" || time.Until(c.Expires) < 59*time.Minute {
			t.Errorf("%s: %+v, %v", algorithm, c, err)
		}
		if c, err := v.Verify(t.Context(), s.token(t, with("roles", "a b"))); err != nil || len(c.Roles) != 2 {
			t.Errorf("%s: roles in one text: %+v, %v", algorithm, c, err)
		}
	}
}

func TestBadTokens(t *testing.T) {
	all := signers(t)
	rs := all["RS256"]
	v := verifier(t, Issuer{Algorithm: "RS256", KeyFile: rs.file(t)})
	pemText, err := os.ReadFile(rs.file(t))
	if err != nil {
		t.Fatal(err)
	}
	none := jwt.NewWithClaims(jwt.SigningMethodNone, good())
	unsigned, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	other := signers(t)["RS256"]
	ok := rs.token(t, good())
	if _, err := v.Verify(t.Context(), ok); err != nil {
		t.Fatal(err)
	}
	past, future := time.Now().Add(-time.Hour).Unix(), time.Now().Add(time.Hour).Unix()
	parts := strings.Split(ok, ".")
	for name, token := range map[string]string{
		"none":                       unsigned,
		"the public key as a secret": (&signer{jwt.SigningMethodHS256, pemText, nil}).token(t, good()),
		"another family":             all["ES256"].token(t, good()),
		"another size":               (&signer{jwt.SigningMethodRS512, rs.key, nil}).token(t, good()),
		"another key":                other.token(t, good()),
		"wrong audience":             rs.token(t, with("aud", "other")),
		"no audience":                rs.token(t, with("aud", nil)),
		"wrong issuer":               rs.token(t, with("iss", iss+".evil.example")),
		"no issuer":                  rs.token(t, with("iss", nil)),
		"expired":                    rs.token(t, with("exp", past)),
		"no expiry":                  rs.token(t, with("exp", nil)),
		"expiry that is a text":      rs.token(t, with("exp", "tomorrow")),
		"not yet":                    rs.token(t, with("nbf", future)),
		"from the future":            rs.token(t, with("iat", future)),
		"no subject":                 rs.token(t, with("sub", nil)),
		"empty subject":              rs.token(t, with("sub", "")),
		"a subject of levels":        rs.token(t, with("sub", "a/b")),
		"a subject of wildcards":     rs.token(t, with("sub", "+")),
		"a long subject":             rs.token(t, with("sub", strings.Repeat("x", maxSubject+1))),
		"a subject that is none":     rs.token(t, with("sub", 7)),
		"critical extensions":        rs.token(t, good(), "crit", "x"),
		"no signature":               parts[0] + "." + parts[1] + ".",
		"another's claims":           parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+iss+`","sub":"root"}`)) + "." + parts[2],
		"too long":                   ok + strings.Repeat("A", maxToken),
		"no token":                   "x.y.z",
		"nothing":                    "",
	} {
		_, err := v.Verify(t.Context(), token)
		if !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for part := range strings.SplitSeq(token, ".") {
			if len(part) > 8 && strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error holds the token: %v", name, err)
			}
		}
	}
}

func TestBadIssuers(t *testing.T) {
	rs := signers(t)["RS256"]
	secret := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(secret, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, i := range map[string]Issuer{
		"no name":               {Issuer: iss, Audience: aud, Algorithm: "RS256", KeyFile: rs.file(t)},
		"no audience":           {Name: "id", Issuer: iss, Algorithm: "RS256", KeyFile: rs.file(t)},
		"no algorithm":          {Name: "id", Issuer: iss, Audience: aud, KeyFile: rs.file(t)},
		"none":                  {Name: "id", Issuer: iss, Audience: aud, Algorithm: "none", KeyFile: rs.file(t)},
		"no key":                {Name: "id", Issuer: iss, Audience: aud, Algorithm: "RS256"},
		"two keys":              {Name: "id", Issuer: iss, Audience: aud, Algorithm: "RS256", KeyFile: rs.file(t), JWKS: "https://id.example.org/keys"},
		"a key of another kind": {Name: "id", Issuer: iss, Audience: aud, Algorithm: "ES256", KeyFile: rs.file(t)},
		"a public secret":       {Name: "id", Issuer: iss, Audience: aud, Algorithm: "HS256", KeyFile: rs.file(t)},
		"a short secret":        {Name: "id", Issuer: iss, Audience: aud, Algorithm: "HS256", KeyFile: secret},
		"a secret key set":      {Name: "id", Issuer: iss, Audience: aud, Algorithm: "HS256", JWKS: "https://id.example.org/keys"},
		"keys in the clear":     {Name: "id", Issuer: iss, Audience: aud, Algorithm: "RS256", JWKS: "http://id.example.org/keys"},
		"a password in the URL": {Name: "id", Issuer: iss, Audience: aud, Algorithm: "RS256", JWKS: "https://u:p@id.example.org/keys"},
	} {
		if _, err := New(Config{Issuers: []Issuer{i}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// publish serves a key set that may change.
func publish(t *testing.T, asked *atomic.Int64) (url string, set func(map[string]any)) {
	t.Helper()
	var body atomic.Pointer[[]byte]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/elsewhere" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		_, _ = w.Write(*body.Load())
	}))
	t.Cleanup(server.Close)
	set = func(public map[string]any) {
		var list jose.JSONWebKeySet
		for id, key := range public {
			list.Keys = append(list.Keys, jose.JSONWebKey{Key: key, KeyID: id, Use: "sig"})
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		body.Store(&text)
	}
	return server.URL, set
}

func TestKeysAreRotated(t *testing.T) {
	first, second := signers(t)["ES256"], signers(t)["ES256"]
	var asked atomic.Int64
	url, set := publish(t, &asked)
	now := time.Now()
	v, err := New(Config{Now: func() time.Time { return now }, Issuers: []Issuer{{Name: "id", Issuer: iss, Audience: aud, Algorithm: "ES256", JWKS: url}}})
	if err != nil {
		t.Fatal(err)
	}
	set(map[string]any{"one": first.public, "rsa": signers(t)["RS256"].public})
	if _, err := v.Verify(t.Context(), first.token(t, good(), "kid", "one")); err != nil {
		t.Fatal(err)
	}
	// A storm of keys that nobody knows asks once.
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := v.Verify(t.Context(), second.token(t, good(), "kid", "two")); !errors.Is(err, ErrToken) {
				t.Errorf("an unknown key: %v", err)
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	set(map[string]any{"two": second.public})
	now = now.Add(unknownEvery + time.Second)
	if _, err := v.Verify(t.Context(), second.token(t, good(), "kid", "two")); err != nil {
		t.Errorf("the next key: %v", err)
	}
	if _, err := v.Verify(t.Context(), second.token(t, good())); err != nil {
		t.Errorf("without a name, and there is one only: %v", err)
	}
	if _, err := v.Verify(t.Context(), first.token(t, good(), "kid", "one")); !errors.Is(err, ErrToken) {
		t.Errorf("a key that was taken back: %v", err)
	}
	if _, err := v.Verify(t.Context(), first.token(t, good(), "kid", "rsa")); !errors.Is(err, ErrToken) {
		t.Errorf("another's key: %v", err)
	}
}

// What is unreachable, too large, leads elsewhere or is no key set gives no key, and takes none away.
func TestBadKeySets(t *testing.T) {
	s := signers(t)["ES256"]
	var asked atomic.Int64
	url, set := publish(t, &asked)
	set(map[string]any{"one": s.public})
	large := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, maxKeySet+10))
	}))
	defer large.Close()
	for _, at := range []string{"http://127.0.0.1:1/", url + "/elsewhere", large.URL} {
		v := verifier(t, Issuer{Algorithm: "ES256", JWKS: at})
		if _, err := v.Verify(t.Context(), s.token(t, good(), "kid", "one")); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// Whatever name leads there, nobody is sent to addresses that are not the public network's.
func TestKeysAreNotFetchedFromWithin(t *testing.T) {
	public := guard(&Issuer{JWKS: "https://id.example.org/"})
	for address, want := range map[string]bool{
		"93.184.216.34:443": true, "[2606:2800:220:1::1]:443": true,
		"127.0.0.1:443": false, "10.1.2.3:443": false, "192.168.1.1:443": false, "172.16.0.1:443": false, "169.254.169.254:80": false,
		"0.0.0.0:443": false, "224.0.0.1:443": false, "100.64.1.1:443": false, "198.18.0.1:443": false, "[::1]:443": false, "[fe80::1]:443": false,
		"[fd00::1]:443": false, "[::ffff:10.0.0.1]:443": false, "[::]:443": false, "[64:ff9b::a00:1]:443": false, "nonsense": false,
	} {
		if err := public("tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	private := guard(&Issuer{JWKS: "https://id.example.org/", AllowPrivate: true})
	if private("tcp", "10.1.2.3:443", nil) != nil || private("tcp", "169.254.169.254:80", nil) == nil || private("tcp", "127.0.0.1:443", nil) == nil {
		t.Error("allow-private lets in what it should not, or not what it should")
	}
	v := verifier(t, Issuer{Algorithm: "ES256", JWKS: "https://localhost.localdomain:1/"})
	if _, err := v.Verify(t.Context(), signers(t)["ES256"].token(t, good())); !errors.Is(err, ErrToken) {
		t.Error(err)
	}
}

func TestKeyFileIsReadAgain(t *testing.T) {
	first, second := signers(t)["EdDSA"], signers(t)["EdDSA"]
	path := first.file(t)
	v := verifier(t, Issuer{Algorithm: "EdDSA", KeyFile: path})
	if err := os.WriteFile(path, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), first.token(t, good())); err != nil {
		t.Errorf("a file that cannot be read took the key away: %v", err)
	}
	text, err := os.ReadFile(second.file(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), second.token(t, good())); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if _, err := v.Verify(t.Context(), first.token(t, good())); !errors.Is(err, ErrToken) {
		t.Errorf("the old key: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	all := signers(f)
	v := verifier(f, Issuer{Algorithm: "HS256", KeyFile: all["HS256"].file(f)})
	forger := &signer{jwt.SigningMethodHS256, []byte(strings.Repeat("f", 40)), nil}
	f.Add(forger.token(f, good()))
	f.Add("eyJ.eyJ.x")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := v.Verify(t.Context(), text); err == nil {
			t.Fatalf("%q is good: %+v", text, c)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for algorithm, s := range signers(b) {
		v := verifier(b, Issuer{Algorithm: algorithm, KeyFile: s.file(b)})
		token := s.token(b, good())
		b.Run(algorithm, func(b *testing.B) {
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
