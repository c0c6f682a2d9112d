// Package oidc lets people log in by way of somebody else's page: OpenID Connect's authorization code flow (OpenID Connect Core 1.0, 3.1;
// RFC 6749, 4.1) with PKCE (RFC 7636, S256), with one provider. What is believed of an ID token pulso/access/jwt decides.
//
// [Provider.Begin] says where to send a browser, and [Provider.Finish] who it is that comes back with it.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/access/jwt"
)

// Errors of a login. None holds anything of a code, a token, a state or a secret.
var (
	// ErrBegun is wrapped where no login was begun that this could be the end of: it is over, was ended before, or is another browser's.
	ErrBegun = errors.New("no login of this browser that is open")
	// ErrProvider is wrapped where the provider cannot be had, or answers with what cannot be used.
	ErrProvider = errors.New("the provider")
	// ErrRefused is wrapped where the provider lets nobody in.
	ErrRefused = errors.New("the provider refuses")
	// ErrToken is wrapped where its ID token is not good.
	ErrToken = errors.New("the ID token")
	// ErrBusy is returned where too many are asked about at one time.
	ErrBusy = errors.New("too many logins at one time")
)

const (
	// openFor is how long a login may take; maxOpen bounds those that are open: the oldest makes room.
	openFor = 10 * time.Minute
	maxOpen = 4096
	// maxNext bounds where a login leads, in bytes.
	maxNext = 1024
	// maxAsked bounds the codes that are redeemed at one time.
	maxAsked = 16
	// maxParameter bounds each parameter of an answer that a browser brings, in bytes.
	maxParameter = 4096
)

// Config of a Provider.
type Config struct {
	// Name begins the names of those who log in by it: "name:subject". It tells them from accounts.
	Name string
	// Issuer is the provider's, and where its configuration is: https, or this machine.
	Issuer string
	// Client is what the provider calls this hub. SecretFile holds what proves it, or SecretEnv names the variable that does.
	Client, SecretFile, SecretEnv string
	// Algorithm is that of its ID tokens: RS256, ES256 or EdDSA.
	Algorithm string
	// Scopes are asked for besides openid.
	Scopes []string
	// RolesClaim is the claim that names roles of this hub, be it within others (a.b); empty is "roles".
	RolesClaim string
	// AllowPrivate lets the provider be on a private network.
	AllowPrivate bool
	// Now is the clock; nil is the machine's.
	Now func() time.Time
	// Logger takes what an operator should know; nil is nowhere.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
}

// A KeyError is a key of a Config that is not good. Key is as configuration files call it, without what stands before all of them.
type KeyError struct{ Key, Text string }

// Error implements error.
func (e *KeyError) Error() string { return e.Key + ": " + e.Text }

// Check returns what is wrong with a Config, a [KeyError].
func (c *Config) Check() error {
	u, err := url.Parse(c.Issuer)
	if err == nil {
		err = jwt.CheckURL(c.Issuer)
	}
	switch {
	case err != nil:
		return &KeyError{"issuer", err.Error()}
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(c.Issuer, "#"): // OpenID Connect Discovery 1.0, 3
		return &KeyError{"issuer", "has a query or a fragment, which an issuer has not"}
	case c.Client == "":
		return &KeyError{"client", "is missing: what the provider calls this hub"}
	case c.SecretFile == "" && c.SecretEnv == "":
		return &KeyError{"secret-file", "is missing, and so is secret-env: one of them says where the client's secret is"}
	case c.SecretFile != "" && c.SecretEnv != "":
		return &KeyError{"secret-file", "secret-env is set as well: one of them is enough"}
	case c.Algorithm == "HS256":
		return &KeyError{"algorithm", "HS256 has a secret key, and ID tokens are verified with public ones: RS256, ES256 or EdDSA"}
	}
	for _, s := range c.Scopes {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) { // RFC 6749, 3.3
			return &KeyError{"scopes", fmt.Sprintf("%.40q is no scope", s)}
		}
	}
	i := c.issuer("https://id.example.org/")
	if err := i.Check(); err != nil {
		key, text, _ := strings.Cut(err.Error(), ": ")
		return &KeyError{key, text}
	}
	return nil
}

// issuer is whose tokens are believed.
func (c *Config) issuer(keys string) jwt.Issuer {
	return jwt.Issuer{
		Name: c.Name, Issuer: c.Issuer, Audience: c.Client, Algorithm: c.Algorithm, JWKS: keys,
		RolesClaim: c.RolesClaim, AllowPrivate: c.AllowPrivate,
	}
}

// maxSecret bounds the client's secret, in bytes.
const maxSecret = 4096

// secret reads the client's secret: each time, so that another one counts at once.
func (c *Config) secret() (string, error) {
	key, secret := "secret-env", os.Getenv(c.SecretEnv)
	if c.SecretFile != "" {
		key = "secret-file"
		text, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return "", &KeyError{key, err.Error()}
		}
		secret = strings.TrimRight(string(text), "\r\n")
	}
	if secret == "" || len(secret) > maxSecret {
		return "", &KeyError{key, "there is no secret, or one that is too long"}
	}
	return secret, nil
}

// A Provider lets people in. Its methods are safe for concurrent use.
type Provider struct {
	cfg     Config
	asker   asker
	metrics *metrics
	// asking is full while as many codes are redeemed as may be.
	asking chan struct{}
	// finding is full while the provider's configuration is asked for. Only those wait for it who have none.
	finding chan struct{}

	mu    sync.Mutex
	open  map[[sha256.Size]byte]*login // by their state's hash
	found *found
	tried time.Time
	wrong error
}

// A login is one that has begun and not ended.
type login struct {
	began                           time.Time
	browser                         [sha256.Size]byte // the hash of what its cookie holds
	nonce, verifier, redirect, next string
	provider                        *found // where it began
}

// New makes a Provider. It is asked for its configuration when somebody first logs in.
func New(cfg Config) (*Provider, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	err := cfg.Check()
	if err == nil {
		_, err = cfg.secret()
	}
	if err != nil {
		return nil, err
	}
	p := &Provider{
		cfg: cfg, asker: asker{jwt.NewClient(cfg.Issuer, cfg.AllowPrivate)}, asking: make(chan struct{}, maxAsked), finding: make(chan struct{}, 1),
		open: make(map[[sha256.Size]byte]*login),
	}
	p.metrics = newMetrics(cfg.Metrics, p)
	return p, nil
}

// Name is the configured name of the provider.
func (p *Provider) Name() string { return p.cfg.Name }

// random is 256 bits that nobody guesses, as base64url: 43 bytes.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// Begin begins a login: it returns where the browser is to go, and what its cookie must hold when it comes back to redirect, an address of
// this hub. next is where it wants to go then. Its errors wrap [ErrProvider], or are ctx's.
func (p *Provider) Begin(ctx context.Context, redirect, next string) (address, cookie string, err error) {
	f, err := p.discover(ctx)
	if err != nil {
		p.metrics.count(resultProvider)
		return "", "", err
	}
	if len(next) > maxNext {
		next = "/"
	}
	l := &login{began: p.cfg.Now(), nonce: random(), verifier: random(), redirect: redirect, next: next, provider: f}
	state, cookie := random(), random()
	l.browser = sha256.Sum256([]byte(cookie))
	p.keep(sha256.Sum256([]byte(state)), l)
	challenge := sha256.Sum256([]byte(l.verifier))
	u := *f.authorization
	q := u.Query()
	for key, value := range map[string]string{
		"response_type": "code", "client_id": p.cfg.Client, "redirect_uri": redirect, "state": state, "nonce": l.nonce,
		"scope":                 strings.Join(append([]string{"openid"}, p.cfg.Scopes...), " "),
		"code_challenge_method": "S256", "code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]),
	} {
		q.Set(key, value)
	}
	u.RawQuery = q.Encode()
	p.metrics.count(resultBegun)
	return u.String(), cookie, nil
}

// keep remembers a login. Those that are over go, and where there is no room the oldest.
func (p *Provider) keep(key [sha256.Size]byte, l *login) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) >= maxOpen {
		var oldest [sha256.Size]byte
		for k, other := range p.open {
			if first := p.open[oldest]; first == nil || other.began.Before(first.began) {
				oldest = k
			}
			if l.began.Sub(other.began) > openFor {
				delete(p.open, k)
			}
		}
		if len(p.open) >= maxOpen {
			delete(p.open, oldest)
			p.metrics.count(resultEvicted)
		}
	}
	p.open[key] = l
}

// take ends the login of a state, which there is then none of any more, be it this browser's or not.
func (p *Provider) take(state, cookie string) *login {
	key, browser := sha256.Sum256([]byte(state)), sha256.Sum256([]byte(cookie))
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.open[key]
	delete(p.open, key)
	if l == nil || p.cfg.Now().Sub(l.began) > openFor || l.browser != browser {
		return nil
	}
	return l
}

// A Person is who has logged in.
type Person struct {
	// Name is "name:subject", which no account can be called.
	Name string
	// Roles are those that the provider says, whether this hub has them or not.
	Roles []string
	// Next is where they wanted to go.
	Next string
}

// Finish ends a login with what the browser brings: its cookie, and the parameters of the provider's answer (OpenID Connect Core 1.0,
// 3.1.2.5). Its errors wrap [ErrBegun], [ErrProvider], [ErrRefused], [ErrToken] or [ErrBusy], or are ctx's.
func (p *Provider) Finish(ctx context.Context, cookie string, answer url.Values) (Person, error) {
	person, err := p.finish(ctx, cookie, answer)
	p.metrics.count(resultOf(err))
	return person, err
}

func (p *Provider) finish(ctx context.Context, cookie string, answer url.Values) (Person, error) {
	for _, name := range []string{"state", "code", "iss", "error"} { // RFC 6749, 3.1: none is there twice
		if v := answer[name]; len(v) > 1 || len(v) == 1 && len(v[0]) > maxParameter {
			return Person{}, fmt.Errorf("%w: a parameter is there twice, or is too long", ErrBegun)
		}
	}
	l := p.take(answer.Get("state"), cookie)
	if l == nil {
		return Person{}, ErrBegun
	}
	if iss := answer.Get("iss"); iss != p.cfg.Issuer && (iss != "" || l.provider.saysIssuer) { // RFC 9207, 2.4
		return Person{}, fmt.Errorf("%w: the answer is another provider's", ErrBegun)
	}
	if answer.Has("error") {
		return Person{}, fmt.Errorf("%w: %s", ErrRefused, known(answer.Get("error")))
	}
	code := answer.Get("code")
	if code == "" {
		return Person{}, fmt.Errorf("%w: it brings no code", ErrProvider)
	}
	select {
	case p.asking <- struct{}{}:
		defer func() { <-p.asking }()
	default:
		return Person{}, ErrBusy
	}
	token, err := p.redeem(ctx, l, code)
	if err != nil {
		return Person{}, err
	}
	return p.judge(ctx, l, token)
}

// judge decides on an ID token (OpenID Connect Core 1.0, 3.1.3.7).
func (p *Provider) judge(ctx context.Context, l *login, token string) (Person, error) {
	c, err := l.provider.verifier.Verify(ctx, token)
	switch {
	case err != nil:
		return Person{}, fmt.Errorf("%w: %w", ErrToken, err)
	case c.Nonce != l.nonce:
		return Person{}, fmt.Errorf("%w: it is another login's", ErrToken)
	case c.Party != p.cfg.Client && (c.Party != "" || c.Audiences > 1):
		return Person{}, fmt.Errorf("%w: it was made for somebody else", ErrToken)
	case !p.cfg.Now().Before(c.Expires):
		return Person{}, fmt.Errorf("%w: it has expired", ErrToken)
	}
	return Person{Name: c.Issuer + ":" + c.Subject, Roles: slices.Clone(c.Roles), Next: l.next}, nil
}

// refusals are the errors that a provider may tell a browser (RFC 6749, 4.1.2.1; OpenID Connect Core 1.0, 3.1.2.6).
var refusals = []string{
	"access_denied", "account_selection_required", "consent_required", "interaction_required", "invalid_request", "invalid_scope",
	"login_required", "server_error", "temporarily_unavailable", "unauthorized_client", "unsupported_response_type",
	"invalid_client", "invalid_grant", "unsupported_grant_type",
}

// known is an error's code if it is one that there is: anybody may have written it.
func known(code string) string {
	if slices.Contains(refusals, code) {
		return code
	}
	return "for a reason that has no name here"
}
