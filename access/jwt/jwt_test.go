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
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

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

// The claim that names roles may stand within others, where none has the whole name.
func TestRolesWithinClaims(t *testing.T) {
	s := signers(t)["HS256"]
	v := verifier(t, Issuer{Algorithm: "HS256", KeyFile: s.file(t), RolesClaim: "realm.id.roles"})
	list := func(role string) map[string]any { return map[string]any{"roles": []string{role}} }
	for what, c := range map[string]struct {
		claims jwt.MapClaims
		want   string
	}{
		"within":                   {with("realm", map[string]any{"id": list("hall")}), "hall"},
		"named so":                 {with("realm.id.roles", "viewer"), "viewer"},
		"within one that is named": {with("realm", map[string]any{"id.roles": "hall"}), "hall"},
		"nowhere":                  {with("realm", map[string]any{"other": list("hall")}), ""},
		"within a text":            {with("realm", "id.roles"), ""},
	} {
		got, err := v.Verify(t.Context(), s.token(t, c.claims))
		if err != nil || strings.Join(got.Roles, " ") != c.want {
			t.Errorf("%s: %q, %v", what, got.Roles, err)
		}
	}
	both := with("realm", map[string]any{"id": list("administrator")})
	both["realm.id.roles"] = "viewer"
	if got, err := v.Verify(t.Context(), s.token(t, both)); err != nil || strings.Join(got.Roles, " ") != "viewer" {
		t.Errorf("both: %q, %v", got.Roles, err)
	}
	if got, err := v.Verify(t.Context(), s.token(t, with("realm", map[string]any{"id": map[string]any{"roles": 7}}))); err == nil {
		t.Errorf("roles that are none: %q", got.Roles)
	}
}

func TestGoodTokens(t *testing.T) {
	soon, past := time.Now().Add(20*time.Second).Unix(), time.Now().Add(-20*time.Second).Unix()
	for algorithm, s := range signers(t) {
		v := verifier(t, Issuer{Algorithm: algorithm, KeyFile: s.file(t)})
		c, err := v.Verify(t.Context(), s.token(t, with("jti", "7f")))
		if err != nil || c.Subject != "anna" || c.Issuer != "id" || c.ID != "7f" || strings.Join(c.Roles, " ") != "viewer hall" ||
			time.Until(c.Expires) < 59*time.Minute {
			t.Errorf("%s: %+v, %v", algorithm, c, err)
		}
		for name, claims := range map[string]jwt.MapClaims{
			"roles in one text": with("roles", "viewer hall"), "a long role that there cannot be": with("roles", []string{"a", "b", strings.Repeat("c", 200)}),
			"another clock, expired": with("exp", past), "another clock, not yet": with("nbf", soon), "another clock, from the future": with("iat", soon),
			"one of several audiences": with("aud", []string{"other", aud}), "a subject of many letters": with("sub", "Anna Ærø Ωμέγα o'Neill@example.org"),
		} {
			if c, err := v.Verify(t.Context(), s.token(t, claims)); err != nil || len(c.Roles) != 2 {
				t.Errorf("%s: %s: %+v, %v", algorithm, name, c, err)
			}
		}
		if c, err := v.Verify(t.Context(), s.token(t, with("roles", nil))); err != nil || len(c.Roles) != 0 {
			t.Errorf("%s: no roles: %+v, %v", algorithm, c, err)
		}
	}
}

// raw signs what a library would not make.
func (s *signer) raw(t testing.TB, header, claims string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := s.method.Sign(text, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
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
	head := `{"alg":"RS256","typ":"JWT"}`
	body := func(more string) string {
		return fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"anna","exp":%d%s}`, iss, aud, future, more)
	}
	if _, err := v.Verify(t.Context(), rs.raw(t, head, body(""))); err != nil {
		t.Fatal(err)
	}
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
		"expiry that is none":        rs.token(t, with("exp", 1e300)),
		"expiry in milliseconds":     rs.token(t, with("exp", time.Now().UnixMilli()*1000)),
		"a subject twice":            rs.raw(t, head, body(`,"sub":"root"`)),
		"an escaped subject twice":   rs.raw(t, head, body(`,"\u0073ub":"root"`)),
		"roles twice":                rs.raw(t, head, body(`,"roles":["viewer"],"roles":["administrator"]`)),
		"a member twice within":      rs.raw(t, head, body(`,"x":[{"a":1,"a":2}]`)),
		"an algorithm twice":         rs.raw(t, `{"alg":"none","alg":"RS256"}`, body("")),
		"claims in claims in claims": rs.raw(t, head, body(`,"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000))),
		"something after the claims": rs.raw(t, head, body("")+"{}"),
		"claims that are a list":     rs.raw(t, head, "["+body("")+"]"),
		"a key's name of a number":   rs.raw(t, `{"alg":"RS256","kid":7}`, body("")),
		"an identifier of a number":  rs.token(t, with("jti", 7)),
		"a long identifier":          rs.token(t, with("jti", strings.Repeat("x", maxName+1))),
		"roles that are none":        rs.token(t, with("roles", map[string]bool{"administrator": true})),
		"a role that is none":        rs.token(t, with("roles", []any{"viewer", 7})),
		"very many roles":            rs.token(t, with("roles", strings.Repeat("r ", maxRoles+1))),
		"not yet":                    rs.token(t, with("nbf", future)),
		"from the future":            rs.token(t, with("iat", future)),
		"no subject":                 rs.token(t, with("sub", nil)),
		"empty subject":              rs.token(t, with("sub", "")),
		"a subject of levels":        rs.token(t, with("sub", "a/b")),
		"a subject of wildcards":     rs.token(t, with("sub", "+")),
		"a subject of all wildcards": rs.token(t, with("sub", "a#")),
		"a subject of placeholders":  rs.token(t, with("sub", "%u")),
		"control characters":         rs.token(t, with("sub", "a\nb")),
		"NUL":                        rs.token(t, with("sub", "a\x00")),
		"later control characters":   rs.token(t, with("sub", "a\u0085b")),
		"text from right to left":    rs.token(t, with("sub", "a\u202eb")),
		"no UTF-8":                   rs.raw(t, head, strings.Replace(body(""), "anna", "a\xff", 1)),
		"a long subject":             rs.token(t, with("sub", strings.Repeat("x", maxName+1))),
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
	key := signers(t)["RS256"].file(t)
	secret := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(secret, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		fault  string // the key at fault
		change func(*Issuer)
	}{
		"no name":               {"name", func(i *Issuer) { i.Name = "" }},
		"a name with a colon":   {"name", func(i *Issuer) { i.Name = "a:b" }},
		"no issuer":             {"issuer", func(i *Issuer) { i.Issuer = "" }},
		"no audience":           {"audience", func(i *Issuer) { i.Audience = "" }},
		"no algorithm":          {"algorithm", func(i *Issuer) { i.Algorithm = "" }},
		"none":                  {"algorithm", func(i *Issuer) { i.Algorithm = "none" }},
		"no key":                {"key-file", func(i *Issuer) { i.KeyFile = "" }},
		"no such file":          {"key-file", func(i *Issuer) { i.KeyFile += "x" }},
		"two keys":              {"key-file", func(i *Issuer) { i.JWKS = "https://id.example.org/keys" }},
		"a key of another kind": {"key-file", func(i *Issuer) { i.Algorithm = "ES256" }},
		"a public secret":       {"key-file", func(i *Issuer) { i.Algorithm = "HS256" }},
		"a short secret":        {"key-file", func(i *Issuer) { i.Algorithm, i.KeyFile = "HS256", secret }},
		"a secret key set":      {"jwks", func(i *Issuer) { i.Algorithm, i.KeyFile, i.JWKS = "HS256", "", "https://id.example.org/keys" }},
		"keys in the clear":     {"jwks", func(i *Issuer) { i.KeyFile, i.JWKS = "", "http://id.example.org/keys" }},
		"a password in the URL": {"jwks", func(i *Issuer) { i.KeyFile, i.JWKS = "", "https://u:p@id.example.org/keys" }},
		"no URL":                {"jwks", func(i *Issuer) { i.KeyFile, i.JWKS = "", "file:///etc/passwd" }},
	} {
		i := Issuer{Name: "id", Issuer: iss, Audience: aud, Algorithm: "RS256", KeyFile: key}
		c.change(&i)
		_, err := New(Config{Issuers: []Issuer{i}})
		if err == nil || !strings.HasPrefix(err.Error(), "jwt[0]."+c.fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
	one := Issuer{Name: "id", Issuer: iss, Audience: aud, Algorithm: "RS256", KeyFile: key}
	other := one
	other.Issuer = "https://other.example.org"
	if _, err := New(Config{Issuers: []Issuer{one, other}}); err == nil || !strings.HasPrefix(err.Error(), "jwt[1].name") {
		t.Errorf("two issuers of one name: %v", err)
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

// A token that comes for the first time, and one that is known.
func BenchmarkVerify(b *testing.B) {
	for algorithm, s := range signers(b) {
		v := verifier(b, Issuer{Algorithm: algorithm, KeyFile: s.file(b)})
		token := s.token(b, good())
		for _, known := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/known=%t", algorithm, known), func(b *testing.B) {
				for b.Loop() {
					if !known {
						clear(v.cache.tokens)
					}
					if _, err := v.Verify(b.Context(), token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Whatever an issuer signs: what is taken is within its bounds, and a second look says the same.
func FuzzClaims(f *testing.F) {
	all := signers(f)
	s := all["HS256"]
	v := verifier(f, Issuer{Algorithm: "HS256", KeyFile: s.file(f)})
	claims, err := json.Marshal(good())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"alg":"HS256"}`, string(claims))
	f.Add(`{"alg":"HS256","kid":"a"}`, `{"iss":"https://id.example.org","aud":["pulso"],"sub":"a","exp":4e9,"roles":"x y","jti":"1","nbf":1.5}`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		token := s.raw(t, header, claims)
		c, err := v.Verify(t.Context(), token)
		again, err2 := v.Verify(t.Context(), token)
		if !reflect.DeepEqual(c, again) || (err == nil) != (err2 == nil) {
			t.Fatalf("%+v, %v, and then %+v, %v", c, err, again, err2)
		}
		if err != nil && !errors.Is(err, ErrToken) {
			t.Fatal(err)
		}
		if err == nil && (!isSubject(c.Subject) || !isText(c.ID) || len(c.Roles) > maxRoles || !c.Expires.Add(leeway).After(time.Now())) {
			t.Fatalf("%s is good: %+v", claims, c)
		}
	})
}
