package jwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// minSecret bounds the secret of HS256, in bytes: as long as what it makes (RFC 7518, 3.2).
	minSecret = 32
	// minRSA bounds RSA keys, in bits (RFC 7518, 3.3).
	minRSA = 2048
	// maxKeyFile and maxKeySet bound what is read, in bytes, maxKeys how many keys of it count.
	maxKeyFile = 64 << 10
	maxKeySet  = 256 << 10
	maxKeys    = 64
	// freshFor is how long a key set is good without being asked for again, unknownEvery how often it is asked for because of a
	// key that is not in it, fetchWithin how long that may take.
	freshFor     = 15 * time.Minute
	unknownEvery = 10 * time.Second
	fetchWithin  = 5 * time.Second
)

// kindOf is the algorithm that a public key is for.
func kindOf(key any) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSA {
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

	mu    sync.Mutex
	stamp string
	key   any
}

func newKeyFile(i *Issuer) (*keyFile, error) {
	f := &keyFile{issuer: i}
	_, err := f.read()
	return f, err
}

func (f *keyFile) find(context.Context, string) (any, error) { return f.read() }

// read reads the file again if it has changed. One that cannot be read any more leaves the key from before.
func (f *keyFile) read() (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.issuer.KeyFile)
	if err == nil {
		stamp := fmt.Sprint(info.ModTime().UnixNano(), " ", info.Size())
		if stamp == f.stamp {
			return f.key, nil
		}
		var key any
		if key, err = readKey(f.issuer); err == nil {
			f.key, f.stamp = key, stamp
		}
	}
	if f.key == nil {
		return nil, err
	}
	return f.key, nil
}

func readKey(i *Issuer) (any, error) {
	file, err := os.Open(i.KeyFile)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if i.Algorithm == "HS256" {
		if block != nil || len(text) < minSecret {
			return nil, fmt.Errorf("%s: the secret of HS256 has %d bytes at least, and is no PEM", i.KeyFile, minSecret)
		}
		return text, nil
	}
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM", i.KeyFile)
	}
	var key any
	if block.Type == "CERTIFICATE" {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.KeyFile, err)
		}
		key = cert.PublicKey
	} else if key, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w", i.KeyFile, err)
	}
	if !fits(i.Algorithm, key) {
		return nil, fmt.Errorf("%s: not a public key for %s", i.KeyFile, i.Algorithm)
	}
	return key, nil
}

// A keySet is what an issuer publishes.
type keySet struct {
	issuer *Issuer
	client *http.Client
	now    func() time.Time
	logger *slog.Logger
	known  atomic.Pointer[map[string]any]

	mu      sync.Mutex // held while the set is fetched
	fetched time.Time  // when it last was, or should have been
}

func newKeySet(i *Issuer, now func() time.Time, transport http.RoundTripper, logger *slog.Logger) *keySet {
	if transport == nil {
		transport = &http.Transport{
			DialContext: (&net.Dialer{Timeout: fetchWithin, Control: guard(i)}).DialContext, TLSHandshakeTimeout: fetchWithin,
			DisableKeepAlives: true,
		}
	}
	return &keySet{issuer: i, now: now, logger: logger, client: &http.Client{
		Transport: transport, Timeout: fetchWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("it leads elsewhere") },
	}}
}

// find finds a key, and asks for the set where it is not known or the set is old.
func (s *keySet) find(ctx context.Context, id string) (any, error) {
	key, ok := s.lookup(id)
	s.mu.Lock()
	age := s.now().Sub(s.fetched)
	s.mu.Unlock()
	if ok && age < freshFor {
		return key, nil
	}
	if age >= unknownEvery {
		s.fetch(ctx)
	}
	if key, ok = s.lookup(id); !ok {
		return nil, errKey
	}
	return key, nil
}

// lookup is the key of a name; without a name, the only one there is.
func (s *keySet) lookup(id string) (any, bool) {
	known := s.known.Load()
	if known == nil {
		return nil, false
	}
	if id == "" && len(*known) == 1 {
		for _, key := range *known {
			return key, true
		}
	}
	key, ok := (*known)[id]
	return key, ok
}

// fetch asks for the set, once for all who need it. What cannot be had leaves what was known.
func (s *keySet) fetch(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Sub(s.fetched) < unknownEvery { // somebody else has, meanwhile
		return
	}
	s.fetched = s.now()
	known, err := s.ask(ctx)
	if err != nil {
		s.logger.Warn("the keys of an issuer cannot be had: those that are known go on counting", "issuer", s.issuer.Name, "error", err)
		return
	}
	s.known.Store(&known)
}

func (s *keySet) ask(ctx context.Context) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchWithin) // others wait for it, too
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.issuer.JWKS, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK || len(text) > maxKeySet:
		return nil, fmt.Errorf("it answers with %s and %d bytes", resp.Status, len(text))
	}
	var list struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("no key set: %w", err)
	}
	known := make(map[string]any)
	for _, raw := range list.Keys[:min(len(list.Keys), maxKeys)] {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil || k.Use == "enc" || !fits(s.issuer.Algorithm, k.Key) {
			continue // for somebody else
		}
		known[k.KeyID] = k.Key
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("no key for %s", s.issuer.Algorithm)
	}
	return known, nil
}

// checkURL returns nil for where a key set may be.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return errors.New("jwks: not an address like https://id.example.org/keys")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u):
		return nil
	}
	return errors.New("jwks: keys are fetched by https, or from this machine")
}

func isLoopback(u *url.URL) bool {
	if u.Hostname() == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a.IsLoopback()
}

// guard keeps requests from addresses that are nobody else's business, whatever name led there (server-side request forgery). It looks at
// the address that is dialled, which no second answer of a name server can change.
func guard(i *Issuer) func(network, address string, _ syscall.RawConn) error {
	u, err := url.Parse(i.JWKS)
	own := err == nil && isLoopback(u)
	return func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		a := ap.Addr().Unmap()
		switch {
		case own && a.IsLoopback(), i.AllowPrivate && a.IsPrivate():
			return nil
		case !a.IsGlobalUnicast() || a.IsPrivate() || inRange(a):
			return fmt.Errorf("%s is not an address of the public network (allow-private)", a)
		}
		return nil
	}
}

// inRange reports whether an address is of a network that is not public, besides those that netip knows (RFC 6598, RFC 2544, RFC 6052).
func inRange(a netip.Addr) bool {
	for _, p := range []string{"100.64.0.0/10", "198.18.0.0/15", "192.0.0.0/24", "64:ff9b::/96", "2002::/16"} {
		if netip.MustParsePrefix(p).Contains(a) {
			return true
		}
	}
	return false
}
