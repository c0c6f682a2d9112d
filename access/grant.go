package access

import (
	"crypto/subtle"
	"slices"
	"sync"
	"time"
)

// A Grant is what somebody who has proved to be an account may do, for as long as it holds: until the account, its roles, its
// secret or its token change, or the token expires.
type Grant struct {
	*Subject

	// Account is the account's name, Kind what it is for.
	Account string
	Kind    Kind
	// Namespace is where the account lives; empty: everywhere.
	Namespace string

	directory *Directory
	account   digest
	secret    [32]byte
	token     string
	outsider  *Outsider // nil: it is an account's

	mu  sync.Mutex
	cut map[*func(bool)]struct{}
}

// Open is the Grant of a hub without accounts: everybody may do everything, until there are some.
func (d *Directory) Open() *Grant { return &Grant{Subject: Everybody(), directory: d} }

func (d *Directory) grant(s *state, a *Account, client, token string) *Grant {
	return &Grant{
		Subject: s.subject(a, client), Account: a.ID, Kind: a.Kind, Namespace: a.Namespace, directory: d,
		account: s.digests[a.ID], secret: secretDigest(a), token: token,
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
	if g.outsider != nil {
		return !g.gone(s, now) && s.rolesDigest(g.outsider.Roles) == g.account
	}
	return !g.gone(s, now) && s.digests[g.Account] == g.account
}

// gone reports whether the credentials that the Grant was made for are not good any more.
func (g *Grant) gone(s *state, now time.Time) bool {
	switch {
	case g.outsider != nil:
		return g.outsider.over(s, now)
	case g.Account == "":
		return s.enabled
	}
	a := s.accounts[g.Account]
	if a == nil || a.Disabled {
		return true
	}
	if g.token == "" {
		return secretDigest(a) != g.secret
	}
	return !slices.ContainsFunc(a.Tokens, func(t Token) bool { return t.ID == g.token && !t.over(now) })
}

// While has cut called, once, when the Grant no longer holds, be it at once: gone says that a new one is not to be had for the
// same credentials. The caller calls release when that is of no interest any more. cut must not block.
func (g *Grant) While(cut func(gone bool)) (release func()) {
	d := g.directory
	key := &cut
	d.mu.Lock()
	g.mu.Lock()
	if g.cut == nil {
		g.cut = make(map[*func(bool)]struct{})
	}
	g.cut[key] = struct{}{}
	g.mu.Unlock()
	d.live[g] = struct{}{}
	if g.token != "" || g.outsider != nil {
		d.timed[g] = struct{}{}
	}
	state := d.state
	d.mu.Unlock()
	if now := time.Now(); !g.holds(state, now) {
		g.end(g.gone(state, now))
	}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.cut, key)
		if len(g.cut) == 0 {
			delete(d.live, g)
			delete(d.timed, g)
		}
	}
}

// end cuts all who go by the grant.
func (g *Grant) end(gone bool) {
	g.mu.Lock()
	cuts := g.cut
	g.cut = nil
	g.mu.Unlock()
	for cut := range cuts {
		(*cut)(gone)
	}
}

// sweep ends those of some grants that no longer hold.
func (d *Directory) sweep(some map[*Grant]struct{}, now time.Time) {
	d.mu.Lock()
	state := d.state
	var ended []*Grant
	for g := range some {
		if !g.holds(d.state, now) {
			ended = append(ended, g)
			delete(d.live, g)
			delete(d.timed, g)
		}
	}
	d.mu.Unlock()
	for _, g := range ended {
		d.metrics.revoked.Inc()
		g.end(g.gone(state, now))
	}
}

// SameSecret reports whether two secrets are the same, in a time that does not tell where they differ.
func SameSecret(a, b string) bool { return equal(a, b) }

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// MayPublish reports whether messages may be sent to a topic.
func (g *Grant) MayPublish(topic string) bool { return g.May(Publish, topic) }

// MayCommand reports whether commands may be sent to a topic.
func (g *Grant) MayCommand(topic string) bool { return g.May(Command, topic) }

// MayHear reports whether a topic's messages may be received.
func (g *Grant) MayHear(topic string) bool { return g.May(Subscribe, topic) }

// MaySubscribe reports whether there is anything to hear by a filter; with whole, whether all of it may be heard.
func (g *Grant) MaySubscribe(filter string, whole bool) bool {
	reach := g.Reach(Subscribe, filter)
	return reach == ReachAll || reach == ReachSome && !whole
}

// MayEverywhere reports whether rights are allowed on every topic.
func (g *Grant) MayEverywhere(r Rights) bool {
	for _, n := range rightNames {
		if r&n.right != 0 && g.Reach(n.right, "#") != ReachAll {
			return false
		}
	}
	return true
}

// MayAdminister reports whether accounts may be managed, and of which namespace: empty, of all.
func (g *Grant) MayAdminister() (namespace string, may bool) {
	if g.Namespace == "" {
		return "", g.MayEverywhere(Administer)
	}
	return g.Namespace, g.Reach(Administer, g.Namespace+"/#") == ReachAll
}

// MaySomewhere reports whether each of some rights may be allowed on some topic.
func (g *Grant) MaySomewhere(r Rights) bool {
	for _, n := range rightNames {
		if r&n.right != 0 && g.Reach(n.right, "#") == ReachNone {
			return false
		}
	}
	return true
}

// Reader is what may be read over HTTP: the topics of which both is allowed, to see what comes and what was. It is an event.Scope.
func (g *Grant) Reader() Reader { return Reader{g.Subject} }

// A Reader is the topics that somebody may read.
type Reader struct{ subject *Subject }

// Key implements event.Scope.
func (r Reader) Key() string { return r.subject.Key() }

// Sees implements event.Scope.
func (r Reader) Sees(topic string) bool { return r.subject.May(Subscribe|History, topic) }

// Name is the account's name.
func (g *Grant) Name() string { return g.Account }
