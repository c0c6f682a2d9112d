package access

import (
	"crypto/subtle"
	"os"
	"sync"
	"syscall"
	"time"
)

// A Grant is what somebody who has proved to be an account may do, for as long as it holds: until the account, its roles, its
// secret or its token change, or the token expires.
type Grant struct {
	*Subject

	// Account is the account's name, Kind what it is for.
	Account string
	Kind    Kind

	directory *Directory
	account   digest
	secret    [32]byte
	token     string
	expires   time.Time

	mu  sync.Mutex
	cut map[*func()]struct{}
}

// Open is the Grant of a hub without accounts: everybody may do everything, until there are some.
func (d *Directory) Open() *Grant { return &Grant{Subject: Everybody(), directory: d} }

func (d *Directory) grant(s *state, a *Account, client, token string, expires time.Time) *Grant {
	return &Grant{
		Subject: s.policy.Subject(a.who(client)), Account: a.ID, Kind: a.Kind, directory: d,
		account: s.digests[a.ID], secret: secretDigest(a), token: token, expires: expires,
	}
}

// Secret is of what the login proved, for [Directory.Of].
func (g *Grant) Secret() [32]byte { return g.secret }

// Holds reports whether the Grant is still good.
func (g *Grant) Holds() bool {
	g.directory.mu.RLock()
	s := g.directory.state
	g.directory.mu.RUnlock()
	return g.holds(s, time.Now())
}

func (g *Grant) holds(s *state, now time.Time) bool {
	if g.Account == "" {
		return len(s.accounts) == 0
	}
	a := s.accounts[g.Account]
	if a == nil || s.digests[g.Account] != g.account || a.Disabled {
		return false
	}
	if g.token == "" {
		return true
	}
	if !g.expires.IsZero() && !now.Before(g.expires) {
		return false
	}
	for _, t := range a.Tokens {
		if t.ID == g.token {
			return true
		}
	}
	return false
}

// While has cut called, once, when the Grant no longer holds, be it at once. The caller calls release when that is of no
// interest any more. cut must not block.
func (g *Grant) While(cut func()) (release func()) {
	d := g.directory
	key := &cut
	d.mu.Lock()
	g.mu.Lock()
	if g.cut == nil {
		g.cut = make(map[*func()]struct{})
	}
	g.cut[key] = struct{}{}
	g.mu.Unlock()
	d.live[g] = struct{}{}
	holds := g.holds(d.state, time.Now())
	d.mu.Unlock()
	if !holds {
		g.end()
	}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.cut, key)
		if len(g.cut) == 0 {
			delete(d.live, g)
		}
	}
}

// end cuts all who go by the grant.
func (g *Grant) end() {
	g.mu.Lock()
	cuts := g.cut
	g.cut = nil
	g.mu.Unlock()
	for cut := range cuts {
		(*cut)()
	}
}

// sweep ends the grants that no longer hold.
func (d *Directory) sweep(now time.Time) {
	d.mu.Lock()
	var ended []*Grant
	for g := range d.live {
		if !g.holds(d.state, now) {
			ended = append(ended, g)
			delete(d.live, g)
		}
	}
	d.mu.Unlock()
	for _, g := range ended {
		d.metrics.revoked.Inc()
		g.end()
	}
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func inodeOf(info os.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
