package web

import (
	"crypto/rand"
	"encoding/base64"
	"sync"
)

// Tokens finds things by names that nobody can guess. The zero value is empty.
type Tokens[T any] struct {
	mu sync.Mutex
	m  map[string]T
}

// NewToken is 128 bits of randomness, in base64url.
func NewToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Put files a thing.
func (t *Tokens[T]) Put(token string, thing T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = make(map[string]T)
	}
	t.m[token] = thing
}

// Find finds it.
func (t *Tokens[T]) Find(token string) (thing T, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	thing, found = t.m[token]
	return thing, found
}

// Remove forgets it.
func (t *Tokens[T]) Remove(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, token)
}

// All is everything there is.
func (t *Tokens[T]) All() []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]T, 0, len(t.m))
	for _, thing := range t.m {
		all = append(all, thing)
	}
	return all
}
