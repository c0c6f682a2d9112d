package jwt

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxCached bounds the tokens that are known to be good. Only issuers can make such tokens.
const maxCached = 10_000

// A cache knows tokens that were good, so that one that comes with each request is verified once. It holds hashes, no tokens.
type cache struct {
	evicted prometheus.Counter

	mu     sync.Mutex
	tokens map[[sha256.Size]byte]cached
}

// cached is what a token said, and with which keys it was good.
type cached struct {
	claims  Claims
	keys    keys
	version uint64
}

// get returns what a token said, if it is still good: it has not expired, and the keys are those of then.
func (c *cache) get(ctx context.Context, sum [sha256.Size]byte, now time.Time) (Claims, bool) {
	c.mu.Lock()
	known, ok := c.tokens[sum]
	c.mu.Unlock()
	if !ok {
		return Claims{}, false
	}
	if !now.Before(known.claims.Expires.Add(leeway)) || known.keys.fresh(ctx) != known.version {
		c.mu.Lock()
		delete(c.tokens, sum)
		c.mu.Unlock()
		return Claims{}, false
	}
	known.claims.Roles = slices.Clone(known.claims.Roles) // whoever asks may change them
	return known.claims, true
}

// put remembers a token. Where there is no room, any other one makes some.
func (c *cache) put(sum [sha256.Size]byte, good cached) {
	good.claims.Roles = slices.Clone(good.claims.Roles)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil {
		c.tokens = make(map[[sha256.Size]byte]cached)
	}
	if len(c.tokens) >= maxCached {
		for other := range c.tokens {
			delete(c.tokens, other)
			c.evicted.Inc()
			break
		}
	}
	c.tokens[sum] = good
}
