package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"pulso/access/jwt"
)

const (
	// maxConfiguration and maxTokens bound what a provider answers, in bytes.
	maxConfiguration = 256 << 10
	maxTokens        = 64 << 10
	// freshFor is how long its configuration is good before it is asked for again, retryAfter how long after that was in vain.
	freshFor   = time.Hour
	retryAfter = 10 * time.Second
	// wellKnown is where it stands, below the issuer (OpenID Connect Discovery 1.0, 4).
	wellKnown = "/.well-known/openid-configuration"
)

// found is what a provider says about itself.
type found struct {
	authorization *url.URL
	token         string
	keys          string
	// post says that it takes the client's secret in the body alone.
	post bool
	// saysIssuer says that its answers name it (RFC 9207).
	saysIssuer bool
	verifier   *jwt.Verifier
}

// configuration is how it says so (OpenID Connect Discovery 1.0, 3).
type configuration struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	Methods       []string `json:"token_endpoint_auth_methods_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	SaysIssuer    bool     `json:"authorization_response_iss_parameter_supported"`
}

// read reads a provider's configuration, for what cfg says. The verifier is the caller's to make.
func read(text []byte, cfg *Config) (*found, error) {
	var c configuration
	if json.Unmarshal(text, &c) != nil {
		return nil, errors.New("its configuration is none")
	}
	if c.Issuer != cfg.Issuer {
		return nil, fmt.Errorf("it calls itself %.200q, and oidc-issuer is %q: they must be the same", c.Issuer, cfg.Issuer)
	}
	for _, e := range []struct{ key, address string }{
		{"authorization_endpoint", c.Authorization}, {"token_endpoint", c.Token}, {"jwks_uri", c.Keys},
	} {
		if err := jwt.CheckURL(e.address); err != nil {
			return nil, fmt.Errorf("%s: %w", e.key, err)
		}
		if strings.Contains(e.address, "#") {
			return nil, fmt.Errorf("%s: has a fragment", e.key)
		}
		if jwt.IsOwn(e.address) && !jwt.IsOwn(cfg.Issuer) { // what another says must not lead here
			return nil, fmt.Errorf("%s: is on this machine, and the provider is not", e.key)
		}
	}
	if len(c.Algorithms) > 0 && !slices.Contains(c.Algorithms, cfg.Algorithm) {
		return nil, fmt.Errorf("it signs ID tokens by %.80q, and oidc-algorithm is %s", c.Algorithms, cfg.Algorithm)
	}
	if len(c.Challenges) > 0 && !slices.Contains(c.Challenges, "S256") {
		return nil, errors.New("it does not know PKCE with S256")
	}
	f := &found{token: c.Token, keys: c.Keys, saysIssuer: c.SaysIssuer}
	basic := len(c.Methods) == 0 || slices.Contains(c.Methods, "client_secret_basic") // which is what counts where nothing is said
	f.post = !basic
	if !basic && !slices.Contains(c.Methods, "client_secret_post") {
		return nil, errors.New("it takes the client's secret neither by client_secret_basic nor by client_secret_post")
	}
	var err error
	f.authorization, err = url.Parse(c.Authorization)
	return f, err
}

// discover returns what the provider says about itself: what is known and not old, or what it answers now. What cannot be had leaves what
// was known.
func (p *Provider) discover(ctx context.Context) (*found, error) {
	if f, err, fresh := p.known(); fresh {
		return f, err
	}
	select {
	case p.finding <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.finding }()
	before, err, fresh := p.known()
	if fresh { // somebody else has asked, meanwhile
		return before, err
	}
	f, err := p.find(context.WithoutCancel(ctx), before) // who leaves must not keep others from it
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried, p.wrong = p.cfg.Now(), err
	if err != nil {
		p.cfg.Logger.Warn("the OpenID Connect provider cannot be used", "issuer", p.cfg.Issuer, "error", err)
		if p.found == nil {
			return nil, err
		}
		return p.found, nil
	}
	p.found = f
	return f, nil
}

// known is what is known, and whether it must not be asked for again.
func (p *Provider) known() (f *found, err error, fresh bool) { //nolint:revive // the error is a part of what is known
	p.mu.Lock()
	defer p.mu.Unlock()
	age := p.cfg.Now().Sub(p.tried)
	switch {
	case p.wrong != nil && age < retryAfter && p.found == nil:
		return nil, p.wrong, true
	case p.wrong != nil:
		return p.found, nil, age < retryAfter
	}
	return p.found, nil, p.found != nil && age < freshFor
}

// find asks the provider.
func (p *Provider) find(ctx context.Context, before *found) (*found, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.cfg.Issuer, "/")+wellKnown, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	status, text, err := p.asker.ask(r, maxConfiguration)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("asked for its configuration it answers with %d", status)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	f, err := read(text, &p.cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	if before != nil && before.keys == f.keys {
		f.verifier = before.verifier // which has the keys
		return f, nil
	}
	f.verifier, err = jwt.New(jwt.Config{
		Issuers: []jwt.Issuer{p.cfg.issuer(f.keys)}, Now: p.cfg.Now, Logger: p.cfg.Logger, Metrics: p.cfg.Metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	return f, nil
}

// redeem changes a code for an ID token (RFC 6749, 4.1.3).
func (p *Provider) redeem(ctx context.Context, l *login, code string) (string, error) {
	secret, err := p.cfg.secret()
	if err != nil {
		return "", fmt.Errorf("%w: oidc-%w", ErrProvider, err)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {l.redirect}, "code_verifier": {l.verifier}}
	if l.provider.post {
		form.Set("client_id", p.cfg.Client)
		form.Set("client_secret", secret)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.provider.token, strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrProvider, err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !l.provider.post {
		r.SetBasicAuth(url.QueryEscape(p.cfg.Client), url.QueryEscape(secret)) // RFC 6749, 2.3.1
	}
	status, text, err := p.asker.ask(r, maxTokens)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrProvider, err)
	}
	return tokenIn(status, text)
}

// tokenIn is the ID token of an answer. Access and refresh tokens are of no use here, and are forgotten.
func tokenIn(status int, text []byte) (string, error) {
	var answer struct {
		Token string `json:"id_token"`
		Error string `json:"error"`
	}
	bad := json.Unmarshal(text, &answer)
	switch {
	case status == http.StatusBadRequest && bad == nil && answer.Error == "invalid_grant":
		return "", fmt.Errorf("%w: the code is not good", ErrRefused)
	case status != http.StatusOK && bad == nil && answer.Error != "":
		return "", fmt.Errorf("%w answers with %d: %s", ErrProvider, status, known(answer.Error))
	case status != http.StatusOK:
		return "", fmt.Errorf("%w answers with %d", ErrProvider, status)
	case bad != nil || answer.Token == "":
		return "", fmt.Errorf("%w answers without an ID token", ErrProvider)
	}
	return answer.Token, nil
}

// An asker asks a provider.
type asker struct{ client *http.Client }

// ask returns an answer's status, and its text if it is JSON. Its errors hold nothing of what was sent.
func (a asker) ask(r *http.Request, limit int64) (int, []byte, error) {
	r.Header.Set("Accept", "application/json")
	resp, err := a.client.Do(r)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			return 0, nil, fmt.Errorf("cannot be had: %w", e.Err)
		}
		return 0, nil, fmt.Errorf("cannot be had: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return 0, nil, fmt.Errorf("does not end its answer: %w", err)
	}
	if int64(len(text)) > limit {
		return 0, nil, fmt.Errorf("answers with more than %d bytes", limit)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode == http.StatusOK && (err != nil || kind != "application/json") {
		return 0, nil, errors.New("answers with what is no JSON")
	}
	return resp.StatusCode, text, nil
}
