package jwt

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// minSecret bounds the secret of HS256, in bytes: as long as what it makes (RFC 7518, 3.2).
	minSecret = 32
	// minRSA and maxRSA bound RSA keys, in bits (RFC 7518, 3.3): larger ones take long to verify with.
	minRSA = 2048
	maxRSA = 8192
	// maxKeyFile bounds a file, in bytes.
	maxKeyFile = 64 << 10
	// lookEvery is how often a file is looked at, if somebody asks.
	lookEvery = time.Second
)

// kindOf is the algorithm that a public key is for.
func kindOf(key any) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits >= minRSA && bits <= maxRSA {
			return "RS256"
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return "ES256"
		}
	case ed25519.PublicKey:
		return "EdDSA"
	}
	return ""
}

// A keyFile is one key in a file.
type keyFile struct {
	issuer *Issuer
	now    func() time.Time
	logger *slog.Logger
	counts *metrics
	known  atomic.Pointer[fileKey]

	mu     sync.Mutex // held while the file is read
	looked time.Time
	wrong  string // what was wrong with it then
}

// A fileKey is what a file held.
type fileKey struct {
	key     any
	sum     [sha256.Size]byte
	version uint64
}

func newKeyFile(i *Issuer, cfg *Config, m *metrics) (*keyFile, error) {
	f := &keyFile{issuer: i, now: cfg.Now, logger: cfg.Logger, counts: m, looked: cfg.Now()}
	err := f.read()
	return f, err
}

// find implements [keys]. There is one key, whatever a token calls it.
func (f *keyFile) find(context.Context, string) (any, error) { return f.known.Load().key, nil }

// fresh implements [keys]: it looks at the file once a second. What cannot be read leaves the key from before, and is told once.
func (f *keyFile) fresh(context.Context) uint64 {
	if f.mu.TryLock() { // or somebody else looks
		defer f.mu.Unlock()
		if age := f.now().Sub(f.looked); age >= lookEvery || age < 0 {
			f.looked = f.now()
			wrong := ""
			if err := f.read(); err != nil {
				wrong = err.Error()
			}
			if wrong != "" && wrong != f.wrong {
				f.logger.Warn("the key of an issuer cannot be read: the one that is known goes on counting", "issuer", f.issuer.Name, "error", wrong)
			}
			f.wrong = wrong
		}
	}
	return f.known.Load().version
}

func (f *keyFile) read() error {
	text, err := readFile(f.issuer.KeyFile)
	if err != nil {
		f.counts.reads.WithLabelValues(f.issuer.Name, resultFailed).Inc()
		return err
	}
	next := &fileKey{sum: sha256.Sum256(text), version: 1}
	if known := f.known.Load(); known != nil {
		if next.sum == known.sum {
			return nil
		}
		next.version = known.version + 1
	}
	if next.key, err = keyIn(text, f.issuer.Algorithm); err != nil {
		f.counts.reads.WithLabelValues(f.issuer.Name, resultFailed).Inc()
		return fmt.Errorf("%s: %w", f.issuer.KeyFile, err)
	}
	f.counts.reads.WithLabelValues(f.issuer.Name, resultGood).Inc()
	f.known.Store(next)
	return nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxKeyFile)
	}
	return text, err
}

// keyIn takes the key for an algorithm out of a file's text.
func keyIn(text []byte, algorithm string) (any, error) {
	if algorithm == "HS256" {
		return secretsIn(text)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("no PEM, which a key for %s is", algorithm)
	}
	var key any
	if block.Type == "CERTIFICATE" {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		key = cert.PublicKey
	} else {
		var err error
		if key, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			return nil, err
		}
	}
	if kindOf(key) != algorithm {
		return nil, fmt.Errorf("not a public key for %s", algorithm)
	}
	return key, nil
}

// secretsIn is what a file's text may mean: its bytes, those without the end of the line, or what they are the base64 of. Which of
// them the issuer means its tokens show.
func secretsIn(text []byte) (set jwt.VerificationKeySet, err error) {
	line := bytes.TrimRight(text, "\r\n")
	meanings := [][]byte{text}
	if len(line) < len(text) {
		meanings = append(meanings, line)
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if secret, err := e.DecodeString(string(line)); err == nil {
			meanings = append(meanings, secret)
			break
		}
	}
	for _, secret := range meanings {
		if isPublic(secret) {
			return set, errors.New("what is public is no secret for HS256")
		}
		if len(secret) >= minSecret {
			set.Keys = append(set.Keys, secret)
		}
	}
	if len(set.Keys) == 0 {
		return set, fmt.Errorf("the secret of HS256 has %d bytes at least", minSecret)
	}
	return set, nil
}

// isPublic reports whether bytes are a public key, a certificate, or anything in PEM.
func isPublic(text []byte) bool {
	block, _ := pem.Decode(text)
	_, err1 := x509.ParsePKIXPublicKey(text)
	_, err2 := x509.ParsePKCS1PublicKey(text)
	_, err3 := x509.ParseCertificate(text)
	return block != nil || err1 == nil || err2 == nil || err3 == nil
}
