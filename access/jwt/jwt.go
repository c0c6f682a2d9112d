// Package jwt decides whether a JSON Web Token (RFC 7519) is good. Each issuer has one algorithm and its keys, from a file or from a key
// set that it publishes (RFC 7517); a token chooses neither. Issuer, audience and expiry are required.
package jwt

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrToken is wrapped by the errors of tokens that are not good. They say why, and hold nothing of the token.
var ErrToken = errors.New("JSON Web Token")

const (
	// maxToken bounds a token, in bytes.
	maxToken = 8 << 10
	// maxSubject bounds its subject, in bytes.
	maxSubject = 128
	// leeway is by how much clocks may differ.
	leeway = 30 * time.Second
	// maxRoles bounds the roles of a token.
	maxRoles = 32
)

// An Issuer is somebody whose tokens are believed.
type Issuer struct {
	// Name begins the names of those who come with its tokens: "name:subject". It tells them from accounts.
	Name string `yaml:"name"`
	// Issuer and Audience are what the claims iss and aud must be.
	Issuer   string `yaml:"issuer"`
	Audience string `yaml:"audience"`
	// Algorithm is HS256, RS256, ES256 or EdDSA.
	Algorithm string `yaml:"algorithm"`
	// KeyFile holds the key: PEM, or for HS256 at least 32 bytes. It is read again when it changes.
	KeyFile string `yaml:"key-file"`
	// JWKS is where the issuer publishes its keys: https, or this machine.
	JWKS string `yaml:"jwks"`
	// RolesClaim is the claim that names roles of this hub; "roles" where it is empty.
	RolesClaim string `yaml:"roles-claim"`
	// AllowPrivate lets JWKS be on a private network.
	AllowPrivate bool `yaml:"allow-private"`
}

// algorithms are those there are.
var algorithms = []string{"HS256", "RS256", "ES256", "EdDSA"}

// Check returns what is wrong with an issuer; the error begins with the key.
func (i *Issuer) Check() error {
	switch {
	case i.Name == "" || strings.ContainsFunc(i.Name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }):
		return fmt.Errorf("name: %.40q is not of letters a to z, digits and -", i.Name)
	case i.Issuer == "":
		return errors.New("issuer: is missing")
	case i.Audience == "":
		return errors.New("audience: is missing: a token for somebody else would be good here")
	case !slices.Contains(algorithms, i.Algorithm):
		return fmt.Errorf("algorithm: %.20q is none of %s", i.Algorithm, strings.Join(algorithms, ", "))
	case (i.KeyFile == "") == (i.JWKS == ""):
		return errors.New("key-file, jwks: one of them is needed, and not both")
	case i.JWKS != "" && i.Algorithm == "HS256":
		return errors.New("jwks: a key set is public, and HS256 has a secret key: use key-file")
	case i.JWKS != "":
		return checkURL(i.JWKS)
	}
	return nil
}

// Claims are what a good token says.
type Claims struct {
	// Issuer is the configured name of who made it, Subject whom it is about.
	Issuer, Subject string
	Roles           []string
	Expires         time.Time
}

// Config of a Verifier.
type Config struct {
	Issuers []Issuer
	// Now is the clock; nil is the machine's.
	Now func() time.Time
	// Logger takes what an operator should know; nil is nowhere.
	Logger *slog.Logger
	// Transport fetches key sets; nil is one that goes to no private address.
	Transport http.RoundTripper
}

// A Verifier verifies tokens. Its methods are safe for concurrent use.
type Verifier struct {
	issuers []*issuer
	now     func() time.Time
}

// An issuer is one with its keys.
type issuer struct {
	Issuer

	parser *jwt.Parser
	keys   keys
}

// keys finds a key by its name; a token may have none.
type keys interface {
	find(ctx context.Context, id string) (any, error)
}

// New makes a Verifier. Keys in files are read, those published are fetched when they are first needed.
func New(cfg Config) (*Verifier, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	v := &Verifier{now: cfg.Now}
	for at := range cfg.Issuers {
		i := &issuer{Issuer: cfg.Issuers[at]}
		if err := i.Check(); err != nil {
			return nil, fmt.Errorf("jwt[%d].%w", at, err)
		}
		if i.RolesClaim == "" {
			i.RolesClaim = "roles"
		}
		i.parser = jwt.NewParser(
			jwt.WithValidMethods([]string{i.Algorithm}), jwt.WithIssuer(i.Issuer.Issuer), jwt.WithAudience(i.Audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(cfg.Now), jwt.WithStrictDecoding(),
		)
		if i.JWKS != "" {
			i.keys = newKeySet(&i.Issuer, cfg.Now, cfg.Transport, cfg.Logger)
		} else {
			file, err := newKeyFile(&i.Issuer)
			if err != nil {
				return nil, fmt.Errorf("jwt[%d].key-file: %w", at, err)
			}
			i.keys = file
		}
		v.issuers = append(v.issuers, i)
	}
	return v, nil
}

// Any reports whether there is an issuer.
func (v *Verifier) Any() bool { return len(v.issuers) > 0 }

// Looks reports whether a text may be a token: three parts with dots between them. It says nothing about how good it is.
func Looks(text string) bool {
	return len(text) <= maxToken && strings.Count(text, ".") == 2 && strings.HasPrefix(text, "ey")
}

// Verify returns what a token says if it is good. ctx bounds the time that fetching keys may take.
func (v *Verifier) Verify(ctx context.Context, raw string) (Claims, error) {
	if !Looks(raw) {
		return Claims{}, fmt.Errorf("%w: not three parts, or longer than %d bytes", ErrToken, maxToken)
	}
	said := jwt.MapClaims{}
	if _, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(raw, said); err != nil {
		return Claims{}, fmt.Errorf("%w: malformed", ErrToken)
	}
	iss, err := said.GetIssuer()
	if err != nil || iss == "" {
		return Claims{}, fmt.Errorf("%w: no issuer", ErrToken)
	}
	err = fmt.Errorf("%w: an issuer that is not configured", ErrToken)
	for _, i := range v.issuers {
		if i.Issuer.Issuer != iss {
			continue
		}
		var claims Claims
		if claims, err = i.verify(ctx, raw); err == nil {
			return claims, nil
		}
	}
	return Claims{}, err
}

func (i *issuer) verify(ctx context.Context, raw string) (Claims, error) {
	said := jwt.MapClaims{}
	_, err := i.parser.ParseWithClaims(raw, said, func(t *jwt.Token) (any, error) {
		if _, has := t.Header["crit"]; has { // extensions that must be understood (RFC 7515, 4.1.11): none is
			return nil, errors.New("critical extensions")
		}
		id, _ := t.Header["kid"].(string)
		return i.keys.find(ctx, id)
	})
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %s", ErrToken, reason(err))
	}
	c := Claims{Issuer: i.Name}
	if c.Subject, err = said.GetSubject(); err != nil || !isSubject(c.Subject) {
		return Claims{}, fmt.Errorf("%w: no subject, or one that is no name", ErrToken)
	}
	expires, err := said.GetExpirationTime()
	if err != nil || expires == nil {
		return Claims{}, fmt.Errorf("%w: no expiry", ErrToken)
	}
	c.Expires = expires.Time
	c.Roles = rolesOf(said[i.RolesClaim])
	return c, nil
}

// reason is why a token is not good, in words that hold nothing of it.
func reason(err error) string {
	for _, e := range []error{
		jwt.ErrTokenSignatureInvalid, jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued,
		jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidIssuer, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenMalformed, errKey,
	} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return "not acceptable"
}

// isSubject reports whether a subject may be a name: it stands in topics, and in what people read.
func isSubject(s string) bool {
	return s != "" && len(s) <= maxSubject && !strings.ContainsAny(s, "/+#%$") &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd })
}

// rolesOf reads a claim that is a list of texts, or a text with spaces between them.
func rolesOf(claim any) (roles []string) {
	switch c := claim.(type) {
	case string:
		roles = strings.Fields(c)
	case []any:
		for _, one := range c {
			if role, ok := one.(string); ok {
				roles = append(roles, role)
			}
		}
	}
	return roles[:min(len(roles), maxRoles)]
}

// errKey: there is no key to verify with.
var errKey = errors.New("no such key")

// fits reports whether a key is of an algorithm's kind.
func fits(algorithm string, key any) bool {
	switch algorithm {
	case "HS256":
		_, ok := key.([]byte)
		return ok
	default:
		k, ok := key.(interface{ Equal(x crypto.PublicKey) bool })
		return ok && kindOf(k) == algorithm
	}
}
