// Package jwt decides whether a JSON Web Token (RFC 7519) is good. Each issuer has one algorithm and its keys, from a file or from a key
// set that it publishes (RFC 7517); a token chooses neither. Subject, issuer, audience and expiry are required.
//
// [New] makes a Verifier, [Verifier.Run] keeps its key sets fresh, and [Verifier.Verify] may be called by anybody at any time.
package jwt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// ErrToken is wrapped by the errors of tokens that are not good. They say why, and hold nothing of the token.
var ErrToken = errors.New("JSON Web Token")

const (
	// maxToken bounds a token, in bytes.
	maxToken = 8 << 10
	// maxName bounds its subject, its identifier and each of its roles, in bytes.
	maxName = 128
	// leeway is by how much clocks may differ.
	leeway = 30 * time.Second
	// maxRoles bounds the roles of a token. One with more is not good: a role that was left out could be one that denies.
	maxRoles = 256
	// maxYear is the last year in which a token may expire (RFC 3339 has no later one).
	maxYear = 9999
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
	// KeyFile holds the key: a public key or certificate as PEM, or for HS256 at least 32 bytes, as they are or in base64. It is read
	// again when it changes.
	KeyFile string `yaml:"key-file"`
	// JWKS is where the issuer publishes its keys: https, or this machine.
	JWKS string `yaml:"jwks"`
	// RolesClaim is the claim that names roles of this hub; "roles" where it is empty. Where there is none of that name, it is one
	// within others, as realm_access.roles.
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
		if err := CheckURL(i.JWKS); err != nil {
			return fmt.Errorf("jwks: %w", err)
		}
	}
	return nil
}

// Claims are what a good token says.
type Claims struct {
	// Issuer is the configured name of who made it, Subject whom it is about.
	Issuer, Subject string
	Roles           []string
	// Expires is the claim exp. A token is good for half a minute more, since clocks differ.
	Expires time.Time
	// ID is the claim jti, which names the token; empty where it has none.
	ID string
	// Nonce is the claim nonce, Party the claim azp; empty where there is none. Audiences is for how many it is (OpenID Connect Core, 2).
	Nonce, Party string
	Audiences    int
}

// Config of a Verifier.
type Config struct {
	Issuers []Issuer
	// Now is the clock; nil is the machine's.
	Now func() time.Time
	// Logger takes what an operator should know; nil is nowhere.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
	// Client fetches key sets in tests; nil is one that goes to no private address. Whichever it is, it follows no redirect and has
	// 5 s.
	Client *http.Client
}

// A Verifier verifies tokens. Its methods are safe for concurrent use.
type Verifier struct {
	issuers []*issuer
	now     func() time.Time
	cache   cache
	metrics *metrics
}

// An issuer is one with its keys.
type issuer struct {
	Issuer

	parser *jwt.Parser
	keys   keys
}

// keys are those of an issuer.
type keys interface {
	// fresh sees to it that the keys are not too old. version is another one when they have changed.
	fresh(ctx context.Context) (version uint64)
	// find finds a key by its name; a token may have none.
	find(ctx context.Context, id string) (any, error)
}

// New makes a Verifier. Keys in files are read, those published are fetched by Run, or when they are first needed.
func New(cfg Config) (*Verifier, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	v := &Verifier{now: cfg.Now, metrics: newMetrics(cfg.Metrics)}
	v.cache.evicted = v.metrics.evicted
	names := map[string]string{}
	for at := range cfg.Issuers {
		i, err := v.newIssuer(&cfg, cfg.Issuers[at])
		if err != nil {
			return nil, fmt.Errorf("jwt[%d].%w", at, err)
		}
		if other, has := names[i.Name]; has && other != i.Issuer.Issuer {
			return nil, fmt.Errorf("jwt[%d].name: %q is another issuer's: their subjects could not be told apart", at, i.Name)
		}
		names[i.Name] = i.Issuer.Issuer
		v.issuers = append(v.issuers, i)
	}
	return v, nil
}

func (v *Verifier) newIssuer(cfg *Config, said Issuer) (*issuer, error) {
	i := &issuer{Issuer: said}
	if err := i.Check(); err != nil {
		return nil, err
	}
	if i.RolesClaim == "" {
		i.RolesClaim = "roles"
	}
	i.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{i.Algorithm}), jwt.WithIssuer(i.Issuer.Issuer), jwt.WithAudience(i.Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(cfg.Now), jwt.WithStrictDecoding(),
	)
	if i.JWKS != "" {
		i.keys = newKeySet(&i.Issuer, cfg, v.metrics)
		return i, nil
	}
	file, err := newKeyFile(&i.Issuer, cfg, v.metrics)
	if err != nil {
		return nil, fmt.Errorf("key-file: %w", err)
	}
	i.keys = file
	return i, nil
}

// Run keeps the key sets of issuers fresh until ctx ends, and returns nil. Without it they are fetched by who needs them, and waits.
func (v *Verifier) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, i := range v.issuers {
		if set, ok := i.keys.(*keySet); ok {
			wg.Go(func() { set.run(ctx) })
		}
	}
	wg.Wait()
	return nil
}

// Any reports whether there is an issuer.
func (v *Verifier) Any() bool { return len(v.issuers) > 0 }

// Looks reports whether a text may be a token: three parts with dots between them. It says nothing about how good it is.
func Looks(text string) bool {
	return len(text) <= maxToken && strings.Count(text, ".") == 2 && strings.HasPrefix(text, "ey")
}

// Verify returns what a token says if it is good; its errors wrap [ErrToken]. ctx bounds how long it waits for keys that somebody else
// fetches; fetching them itself it takes 5 s at most.
func (v *Verifier) Verify(ctx context.Context, raw string) (Claims, error) {
	if !Looks(raw) {
		return Claims{}, v.refuse("", fmt.Errorf("%w: not three parts, or longer than %d bytes", ErrToken, maxToken))
	}
	sum := sha256.Sum256([]byte(raw))
	if c, ok := v.cache.get(ctx, sum, v.now()); ok {
		v.metrics.tokens.WithLabelValues(c.Issuer, resultKnown).Inc()
		return c, nil
	}
	said := jwt.MapClaims{}
	if _, _, err := peek.ParseUnverified(raw, said); err != nil {
		return Claims{}, v.refuse("", fmt.Errorf("%w: %w", ErrToken, reason(err)))
	}
	iss, err := said.GetIssuer()
	if err != nil || iss == "" {
		return Claims{}, v.refuse("", fmt.Errorf("%w: no issuer", ErrToken))
	}
	name, err := "", fmt.Errorf("%w: an issuer that is not configured", ErrToken)
	for _, i := range v.issuers {
		if i.Issuer.Issuer != iss {
			continue
		}
		name = i.Name
		var c Claims
		version := i.keys.fresh(ctx)
		if c, err = i.verify(ctx, raw); err == nil {
			v.cache.put(sum, cached{claims: c, keys: i.keys, version: version})
			v.metrics.tokens.WithLabelValues(name, resultGood).Inc()
			return c, nil
		}
	}
	return Claims{}, v.refuse(name, err)
}

// peek finds out whose a token says it is; what it says counts for nothing.
var peek = jwt.NewParser(jwt.WithStrictDecoding())

func (v *Verifier) refuse(name string, err error) error {
	v.metrics.tokens.WithLabelValues(name, resultRefused).Inc()
	return err
}

func (i *issuer) verify(ctx context.Context, raw string) (c Claims, err error) {
	said := jwt.MapClaims{}
	_, err = i.parser.ParseWithClaims(raw, said, func(t *jwt.Token) (any, error) {
		if _, has := t.Header["crit"]; has { // extensions that must be understood (RFC 7515, 4.1.11): none is
			return nil, errCritical
		}
		id, has := t.Header["kid"]
		if text, ok := id.(string); ok || !has {
			return i.keys.find(ctx, text)
		}
		return nil, errKey
	})
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrToken, reason(err))
	}
	if !areUnique(raw) {
		return Claims{}, fmt.Errorf("%w: a member that is there twice, or nested too deeply", ErrToken)
	}
	c.Issuer = i.Name
	if c.Subject, err = said.GetSubject(); err != nil || !isSubject(c.Subject) {
		return Claims{}, fmt.Errorf("%w: no subject, or one that is no name", ErrToken)
	}
	expires, err := said.GetExpirationTime()
	if err != nil || expires == nil || expires.Year() > maxYear {
		return Claims{}, fmt.Errorf("%w: no expiry, or none that is a time", ErrToken)
	}
	c.Expires = expires.Time
	id, has := said["jti"]
	text, ok := id.(string)
	if has && (!ok || !isText(text)) {
		return Claims{}, fmt.Errorf("%w: an identifier that is none", ErrToken)
	}
	c.ID = text
	if c.Nonce, c.Party, err = partiesOf(said); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	audience, err := said.GetAudience()
	if err != nil {
		return Claims{}, fmt.Errorf("%w: no audience", ErrToken)
	}
	c.Audiences = len(audience)
	if c.Roles, err = rolesOf(claimOf(said, i.RolesClaim)); err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return c, nil
}

// Reasons why a token is not good, besides those of the library.
var (
	// errKey: there is no key to verify with.
	errKey = errors.New("no such key")
	// errKeys: there are no keys at all.
	errKeys = errors.New("the keys of its issuer cannot be had")
	// errCritical: it must not be taken by who does not know its extensions.
	errCritical = errors.New("critical extensions")
	// errRoles: what should be its roles is none.
	errRoles = errors.New("roles that are neither a list of texts nor a text, or too many")
	// errOther: nothing that there are words for.
	errOther = errors.New("not acceptable")
)

// reason is why a token is not good, in words that hold nothing of it.
func reason(err error) error {
	for _, e := range []error{
		errKey, errKeys, errCritical, context.Canceled, context.DeadlineExceeded,
		jwt.ErrTokenSignatureInvalid, jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued,
		jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidIssuer, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenMalformed,
	} {
		if errors.Is(err, e) {
			return e
		}
	}
	return errOther
}

// isText reports whether a text is not long, and people see all of it.
func isText(s string) bool {
	return len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsGraphic(r) })
}

// isSubject reports whether a subject may be a name: it stands in topics, and in what people read.
func isSubject(s string) bool { return s != "" && isText(s) && !strings.ContainsAny(s, "/+#%$") }

// partiesOf reads the claims nonce and azp, which are texts where they are there.
func partiesOf(said jwt.MapClaims) (nonce, party string, err error) {
	for name, to := range map[string]*string{"nonce": &nonce, "azp": &party} {
		claim, has := said[name]
		text, ok := claim.(string)
		if has && !ok {
			return "", "", errOther
		}
		*to = text
	}
	return nonce, party, nil
}

// rolesOf reads a claim that is a list of texts, or a text with spaces between them. None is nobody's role.
// claimOf is the claim of a name or, where there is none, the one to which the name's parts between dots lead; nil: there is none.
func claimOf(said map[string]any, name string) any {
	if claim, has := said[name]; has {
		return claim
	}
	first, rest, more := strings.Cut(name, ".")
	within, ok := said[first].(map[string]any)
	if !more || !ok {
		return nil
	}
	return claimOf(within, rest)
}

func rolesOf(claim any) (roles []string, err error) {
	switch c := claim.(type) {
	case nil:
	case string:
		roles = strings.Fields(c)
	case []any:
		for _, one := range c {
			role, ok := one.(string)
			if !ok {
				return nil, errRoles
			}
			roles = append(roles, role)
		}
	default:
		return nil, errRoles
	}
	if len(roles) > maxRoles {
		return nil, errRoles
	}
	return slices.DeleteFunc(roles, func(r string) bool { return len(r) > maxName }), nil // such a role there cannot be
}
