package app

import (
	"errors"
	"time"

	"pulso/access"
	"pulso/access/oidc"
)

// openIDPrefix begins the keys of OpenID Connect.
const openIDPrefix = "oidc-"

// openID is the provider that is configured.
func (c *Config) openID() oidc.Config {
	return oidc.Config{
		Name: c.OIDCName, Issuer: c.OIDCIssuer, Client: c.OIDCClient, SecretFile: c.OIDCSecretFile, SecretEnv: c.OIDCSecretEnv,
		Algorithm: c.OIDCAlgorithm, Scopes: c.OIDCScopes, RolesClaim: c.OIDCRolesClaim, AllowPrivate: c.OIDCAllowPrivate,
	}
}

// checkOpenID finds what is wrong with the provider by which people log in.
func (c *Config) checkOpenID(bad func(key, format string, args ...any)) {
	if c.OIDCIssuer == "" {
		for key, set := range map[string]bool{
			"client": c.OIDCClient != "", "secret-file": c.OIDCSecretFile != "", "secret-env": c.OIDCSecretEnv != "", "roles": len(c.OIDCRoles) > 0,
		} {
			if set {
				bad(openIDPrefix+key, "counts for nothing without oidc-issuer")
			}
		}
		return
	}
	provider := c.openID()
	if err := provider.Check(); err != nil {
		key, text := "issuer", err.Error()
		if e := (*oidc.KeyError)(nil); errors.As(err, &e) {
			key, text = e.Key, e.Text
		}
		bad(openIDPrefix+key, "%s", text)
	}
	if c.OIDCSession < time.Minute || c.OIDCSession > access.MaxOutside {
		bad(openIDPrefix+"session", "%v is not between %v and %v", c.OIDCSession, time.Minute, access.MaxOutside)
	}
	for i := range c.JWT {
		if c.JWT[i].Name == c.OIDCName {
			bad(openIDPrefix+"name", "%q is the name of jwt[%d]: their subjects could not be told apart", c.OIDCName, i)
		}
	}
}

// buildOpenID makes the provider; nil: none is configured.
func (h *Hub) buildOpenID() (*oidc.Provider, error) {
	if h.cfg.OIDCIssuer == "" {
		return nil, nil //nolint:nilnil // that is how a gate knows that there is none
	}
	cfg := h.cfg.openID()
	cfg.Logger, cfg.Metrics = h.logger.With("part", "access"), h.registry
	p, err := oidc.New(cfg)
	if e := (*oidc.KeyError)(nil); errors.As(err, &e) {
		return nil, &KeyError{Key: openIDPrefix + e.Key, Text: e.Text}
	}
	return p, err
}
