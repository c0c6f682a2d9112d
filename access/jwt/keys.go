package jwt

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeySet bounds a key set, in bytes, maxKeys how many keys it has. What exceeds them is not taken.
	maxKeySet = 256 << 10
	maxKeys   = 64
	// freshFor is how long a key set is good before it is asked for again, and retryAfter how long after that was in vain.
	freshFor   = 15 * time.Minute
	retryAfter = time.Minute
	// staleAfter is when whoever comes asks for it, because nobody else has.
	staleAfter = freshFor + retryAfter
	// unknownEvery is how often it is asked for because of a key that is not in it, fetchWithin how long that may take.
	unknownEvery = 10 * time.Second
	fetchWithin  = 5 * time.Second
)

// A keySet is what an issuer publishes.
type keySet struct {
	issuer *Issuer
	client *http.Client
	now    func() time.Time
	logger *slog.Logger
	counts *metrics
	// fetching is full while the set is fetched. Only those wait for it whose key is not known.
	fetching chan struct{}

	mu      sync.Mutex
	known   map[string]any // never changed, but replaced
	sum     [sha256.Size]byte
	version uint64
	tried   time.Time // when it was last fetched, or should have been
}

func newKeySet(i *Issuer, cfg *Config, m *metrics) *keySet {
	client := http.Client{Transport: newTransport(i, nil)}
	if cfg.Client != nil {
		client = *cfg.Client
	}
	return &keySet{issuer: i, now: cfg.Now, logger: cfg.Logger, counts: m, client: bounded(client), fetching: make(chan struct{}, 1)}
}

// run fetches the set now, and again and again, until ctx ends.
func (s *keySet) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return
		case s.fetching <- struct{}{}:
		}
		next := freshFor
		if !s.fetch(ctx) {
			next = retryAfter
		}
		<-s.fetching
		timer.Reset(next)
	}
}

// fresh implements [keys]. Whoever finds the set stale asks for it; others meanwhile go on with what is known.
func (s *keySet) fresh(ctx context.Context) uint64 {
	if s.age() >= staleAfter {
		select {
		case s.fetching <- struct{}{}:
			if s.age() >= staleAfter {
				s.fetch(context.WithoutCancel(ctx)) // who leaves meanwhile must not keep others from the keys
			}
			<-s.fetching
		default:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// find implements [keys]: it asks for the set where a key is not known, once for all who wait.
func (s *keySet) find(ctx context.Context, id string) (any, error) {
	if key, err := s.lookup(id); err == nil {
		return key, nil
	}
	select {
	case s.fetching <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.fetching }()
	if key, err := s.lookup(id); err == nil || s.age() < unknownEvery { // somebody else has asked, meanwhile
		return key, err
	}
	s.fetch(context.WithoutCancel(ctx)) // as above
	return s.lookup(id)
}

// age is how long ago the set was asked for.
func (s *keySet) age() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Sub(s.tried)
}

// lookup is the key of a name; without a name, the only one there is.
func (s *keySet) lookup(id string) (any, error) {
	s.mu.Lock()
	known := s.known
	s.mu.Unlock()
	if known == nil {
		return nil, errKeys
	}
	if id == "" && len(known) == 1 {
		for _, key := range known {
			return key, nil
		}
	}
	if key, ok := known[id]; ok {
		return key, nil
	}
	return nil, errKey
}

// fetch asks for the set, and reports whether it was had. What cannot be had leaves what was known. The caller has filled fetching.
func (s *keySet) fetch(ctx context.Context) bool {
	s.mu.Lock()
	s.tried = s.now()
	s.mu.Unlock()
	text, err := s.ask(ctx)
	var known map[string]any
	if err == nil {
		known, err = keysIn(text, s.issuer.Algorithm)
	}
	if err != nil {
		if ctx.Err() == nil {
			s.counts.reads.WithLabelValues(s.issuer.Name, resultFailed).Inc()
			s.logger.Warn("the keys of an issuer cannot be had: those that are known go on counting", "issuer", s.issuer.Name, "error", err)
		}
		return false
	}
	s.counts.reads.WithLabelValues(s.issuer.Name, resultGood).Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	if sum := sha256.Sum256(text); sum != s.sum {
		s.known, s.sum = known, sum
		s.version++
	}
	return true
}

func (s *keySet) ask(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.issuer.JWKS, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(r)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			return nil, e.Err // without the address, which may hold what is nobody's business
		}
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers with %d", resp.StatusCode)
	case len(text) > maxKeySet:
		return nil, fmt.Errorf("it answers with more than %d bytes", maxKeySet)
	}
	return text, nil
}

// keysIn takes the keys for an algorithm out of a key set, by their names. Of two with one name the first counts.
func keysIn(text []byte, algorithm string) (map[string]any, error) {
	var list struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, errors.New("no key set")
	}
	if len(list.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys, at most %d", len(list.Keys), maxKeys)
	}
	known := make(map[string]any)
	for _, raw := range list.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil || k.Use == "enc" || k.Algorithm != "" && k.Algorithm != algorithm || kindOf(k.Key) != algorithm {
			continue // for somebody else
		}
		if _, has := known[k.KeyID]; !has {
			known[k.KeyID] = k.Key
		}
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("no key for %s", algorithm)
	}
	return known, nil
}
