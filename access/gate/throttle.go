package gate

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of guessing: who guesses one account's password from one address, and who guesses anybody's from there. Nobody is kept out
// by what comes from elsewhere.
const (
	guessesAtOnce  = 5
	guessEvery     = 10 * time.Second
	addressAtOnce  = 50
	addressEvery   = time.Second
	maxRemembered  = 50_000
	rememberedWhen = 10 * time.Minute
)

// A throttle slows those who guess passwords.
type throttle struct {
	mu    sync.Mutex
	known map[string]*guesser
	now   func() time.Time
}

type guesser struct {
	limit *rate.Limiter
	last  time.Time
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{known: make(map[string]*guesser), now: now}
}

// wait is how long an address must wait before it may try to log in as a user; 0: it may now. Each try counts until forgive.
func (t *throttle) wait(address, user string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	network := networkOf(address)
	one := t.find(network+" "+keyOf(user), guessEvery, guessesAtOnce) // a name may be as long as a packet
	all := t.find(network, addressEvery, addressAtOnce)
	now := t.now()
	for _, l := range []*rate.Limiter{one, all} {
		if l.TokensAt(now) < 1 {
			return max(time.Second, time.Duration((1-l.TokensAt(now))/float64(l.Limit())*float64(time.Second)))
		}
	}
	one.AllowN(now, 1)
	all.AllowN(now, 1)
	return 0
}

// begin is how long an address must wait before it may begin a login elsewhere; 0: it may now.
func (t *throttle) begin(address string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, now := t.find(networkOf(address)+" elsewhere", addressEvery, addressAtOnce), t.now()
	if l := all.TokensAt(now); l < 1 {
		return max(time.Second, time.Duration((1-l)/float64(all.Limit())*float64(time.Second)))
	}
	all.AllowN(now, 1)
	return 0
}

// forgive forgets the tries of who has logged in.
func (t *throttle) forgive(address, user string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, networkOf(address)+" "+keyOf(user))
}

func (t *throttle) find(key string, every time.Duration, burst int) *rate.Limiter {
	now := t.now()
	g := t.known[key]
	if g == nil {
		if len(t.known) >= maxRemembered {
			t.forget(now)
		}
		g = &guesser{limit: rate.NewLimiter(rate.Every(every), burst)}
		t.known[key] = g
	}
	g.last = now
	return g.limit
}

// forget makes room: those who have not tried for long go, and where that is nobody, all do.
func (t *throttle) forget(now time.Time) {
	for key, g := range t.known {
		if now.Sub(g.last) > rememberedWhen {
			delete(t.known, key)
		}
	}
	if len(t.known) >= maxRemembered {
		clear(t.known)
	}
}

// networkOf is whom an address stands for: of IPv6, a /64 is one household.
func networkOf(address string) string {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return address
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
