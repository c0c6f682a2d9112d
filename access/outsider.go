package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Outsider is somebody without an account, whom another vouches for.
type Outsider struct {
	// Name is "issuer:subject", which no account can be called. Subject is what %u and %d stand for.
	Name, Subject string
	// Roles are those that this hub has of them.
	Roles   []string
	Expires time.Time
	// Began is when a person logged in; zero: it was no login.
	Began time.Time
}

const (
	// MaxOutside is how long a login of an outsider may last at most.
	MaxOutside = 24 * time.Hour
	// maxEnded bounds those whose sessions were ended within that time, maxOutsider a name, in bytes.
	maxEnded    = 10_000
	maxOutsider = 256
)

// An Ended is an outsider whose sessions were ended at a time: those that began later are good.
type Ended struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
}

// IsOutsider reports whether a name is an outsider's, and no account's.
func IsOutsider(name string) bool {
	issuer, subject, ok := strings.Cut(name, ":")
	return ok && issuer != "" && subject != "" && len(name) <= maxOutsider
}

// End ends the sessions that an outsider has at a time, on every transport. Those that were ended so long ago that they would have ended
// by themselves are forgotten.
func (c *Content) End(name string, now time.Time) error {
	if !IsOutsider(name) {
		return fmt.Errorf("%w: %.80q", ErrNoAccount, name)
	}
	c.Ended = slices.DeleteFunc(c.Ended, func(e Ended) bool { return e.Name == name || now.Sub(e.Time) > MaxOutside })
	if len(c.Ended) >= maxEnded {
		return fmt.Errorf("%w: sessions of %d people were ended within a day, the most there can be", ErrAccount, len(c.Ended))
	}
	c.Ended = append(c.Ended, Ended{name, now})
	return nil
}

// ErrNoRole is returned for an outsider who has none of this hub's roles.
var ErrNoRole = errors.New("none of this hub's roles")

// Vouch makes a Grant for a person whom another vouches for, who has logged in. In rules %u stands for the whole name, "issuer:subject": what
// an account of the subject's name may do is none of theirs. %d stands for nothing. One who has none of this hub's roles gets those in
// otherwise. Its error is [ErrNoRole], or [ErrDenied] where the login is over or was ended.
func (d *Directory) Vouch(o *Outsider, otherwise []string) (*Grant, error) {
	d.mu.RLock()
	s := d.state
	d.mu.RUnlock()
	person := *o
	person.Subject = o.Name
	if !slices.ContainsFunc(person.Roles, s.policy.Has) {
		person.Roles = otherwise
	}
	if !slices.ContainsFunc(person.Roles, s.policy.Has) {
		return nil, ErrNoRole
	}
	g := d.outside(s, &person, &Who{User: person.Subject, Roles: person.Roles}, Person)
	if g.gone(s, time.Now()) {
		return nil, ErrDenied
	}
	return g, nil
}

// byVerifying makes a grant for who comes with another's token.
func (d *Directory) byVerifying(ctx context.Context, token, client string) (*Grant, error) {
	o, err := d.cfg.Verify(ctx, token)
	if err != nil {
		d.cfg.Logger.Debug("a token is not good", "error", err)
		return nil, d.denied()
	}
	d.mu.RLock()
	s := d.state
	d.mu.RUnlock()
	return d.outside(s, o, &Who{User: o.Subject, Client: client, Device: o.Subject, Roles: o.Roles}, Service), nil
}

// outside makes an outsider's grant.
func (d *Directory) outside(s *state, o *Outsider, who *Who, kind Kind) *Grant {
	return &Grant{Subject: s.policy.Subject(who), Account: o.Name, Kind: kind, directory: d, outsider: o, account: s.rolesDigest(o.Roles)}
}

// over reports whether an outsider's token or login is: it has expired, or was ended.
func (o *Outsider) over(s *state, now time.Time) bool {
	if !now.Before(o.Expires) {
		return true
	}
	ended, was := s.ended[o.Name]
	return was && !o.Began.IsZero() && !o.Began.After(ended)
}

// Outsider is whom the grant is of, if it is no account's; nil: it is. It must not be changed.
func (g *Grant) Outsider() *Outsider { return g.outsider }
