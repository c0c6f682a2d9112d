package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// ErrBusy is returned where more passwords wait to be checked than the hub will queue.
var ErrBusy = errors.New("too many passwords are being checked at present")

// NewSecret is a secret that nobody guesses: 160 random bits, as 32 letters and digits.
func NewSecret() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// HashSecret is how a secret of [NewSecret] is kept: it has too many bits to be guessed, so a plain hash keeps it.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "sha256$" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// Cost of a password: argon2id with 19 MiB and two passes, as OWASP advises; some 30 ms.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	argonSalt    = 16 // bytes
	argonKey     = 32 // bytes
	argonPrefix  = "argon2id$"
)

// Bounds of a Hasher.
const (
	hashTurns   = 2
	hashWaiting = 64
)

// Bounds of what a person may choose, in bytes.
const (
	minPassword = 10
	maxPassword = 512
)

// A hasher computes hashes of passwords, two at a time: each takes memory and time, and whoever connects can ask for one.
type hasher struct {
	turns   chan struct{}
	waiting atomic.Int64
}

func newHasher() *hasher { return &hasher{turns: make(chan struct{}, hashTurns)} }

// turn waits for a turn, and returns what ends it.
func (h *hasher) turn(ctx context.Context) (done func(), err error) {
	if h.waiting.Add(1) > hashWaiting {
		h.waiting.Add(-1)
		return nil, ErrBusy
	}
	defer h.waiting.Add(-1)
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// compare reports whether a password is the one that a hash was made of. Whatever the hash is, a wrong one takes as long as
// any: how long the answer takes says nothing about the account.
// before is called first where that takes long; its error ends it.
func (h *hasher) compare(ctx context.Context, hash, password string, before func() error) (bool, error) {
	if strings.HasPrefix(hash, "sha256$") && subtle.ConstantTimeCompare([]byte(hash), []byte(HashSecret(password))) == 1 {
		return true, nil
	}
	if err := before(); err != nil {
		return false, err
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	salt, key, ok := parseArgon(hash)
	if len(password) > maxPassword {
		password, ok = "", false
	}
	same := subtle.ConstantTimeCompare(argon(password, salt), key) == 1
	return ok && same, nil
}

func argon(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
}

// parseArgon reads "argon2id$SALT$KEY". What is no such hash gets a salt and a key that fit nothing.
func parseArgon(hash string) (salt, key []byte, ok bool) {
	rest, isArgon := strings.CutPrefix(hash, argonPrefix)
	s, k, both := strings.Cut(rest, "$")
	salt, saltErr := base64.RawStdEncoding.DecodeString(s)
	key, keyErr := base64.RawStdEncoding.DecodeString(k)
	if !isArgon || !both || saltErr != nil || keyErr != nil || len(salt) != argonSalt || len(key) != argonKey {
		return make([]byte, argonSalt), make([]byte, argonKey), false
	}
	return salt, key, true
}

// HashPassword is how a password that a person chose is kept. Its error says what is wrong with the password.
func HashPassword(password string) (string, error) {
	if len(password) < minPassword || len(password) > maxPassword {
		return "", fmt.Errorf("a password has %d to %d bytes, not %d", minPassword, maxPassword, len(password))
	}
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails
	key := argon(password, salt)
	return argonPrefix + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(key), nil
}
