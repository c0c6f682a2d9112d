package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

const (
	// challengePath is where an authority looks for answers over plain HTTP (RFC 8555, 8.3).
	challengePath = "/.well-known/acme-challenge/"
	// renewEvery is how often the manager, which renews by itself, is asked for what it has; retryMost bounds the time between tries.
	renewEvery = time.Minute
	retryMost  = time.Hour
	// askFor bounds one request to an authority, giveUp what stopping waits for.
	askFor = 30 * time.Second
	giveUp = time.Second
)

// newManager makes what gets certificates, and keeps them in the data folder, for nobody else to read.
func (c *certificates) newManager() {
	c.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Email: c.cfg.ACMEEmail, HostPolicy: autocert.HostWhitelist(c.cfg.ACMEDomain...),
		Cache: autocert.DirCache(filepath.Join(c.cfg.Data, "acme")),
		Client: &acme.Client{
			DirectoryURL: cmp.Or(c.cfg.ACMEDirectory, autocert.DefaultACMEDirectory),
			HTTPClient:   &http.Client{Timeout: askFor, Transport: lasting{c.life, http.DefaultTransport}},
		},
	}
	c.challenge = c.manager.HTTPHandler(http.NotFoundHandler())
}

// lasting sends requests until life ends.
type lasting struct {
	life context.Context //nolint:containedctx // the manager has none to hand over
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (l lasting) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := l.life.Err(); err != nil {
		return nil, err
	}
	// The request's own context ends within minutes, and takes this one along.
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(l.life, cancel) //nolint:contextcheck // it is the other one that ends this
	context.AfterFunc(ctx, func() { stop() })
	return l.next.RoundTrip(r.WithContext(ctx))
}

// obtain asks for the certificates of all names, and for new ones when it is time, until ctx ends. Handshakes take what is there: none
// of them waits for an authority.
func (c *certificates) obtain(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for wait := time.Duration(0); ; {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			if err := c.ask(); err != nil && ctx.Err() == nil {
				c.fail(err)
				wait = min(max(2*wait, renewEvery), retryMost)
				continue
			}
			wait = renewEvery
		}
	}()
	<-ctx.Done()
	c.end()
	select {
	case <-ended:
	case <-time.After(giveUp): // the manager is between two requests, and asks no further
	}
	return nil
}

// ask asks for the certificate of each name.
func (c *certificates) ask() error {
	var errs []error
	for _, name := range c.cfg.ACMEDomain {
		cert, err := c.manager.GetCertificate(&tls.ClientHelloInfo{
			ServerName: name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("acme-domain: %s: %w", name, err))
			continue
		}
		c.serve(name, cert)
	}
	if len(errs) == 0 {
		c.failed.Store(nil)
	}
	return errors.Join(errs...)
}

// serve has handshakes for a name take a certificate from now on.
func (c *certificates) serve(name string, cert *tls.Certificate) {
	served := map[string]*tls.Certificate{}
	if old := c.served.Load(); old != nil {
		if (*old)[name] == cert {
			return
		}
		maps.Copy(served, *old)
	}
	served[name] = cert
	c.served.Store(&served)
	c.logger.Info("there is a certificate", "name", name, "ends", notAfter(cert))
}

// get finds the certificate for a handshake: that of the name that is asked for, else of the first one, for devices that ask for none.
func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.manager != nil && slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) { // the authority looks who is here
		return c.manager.GetCertificate(hello)
	}
	served := c.served.Load()
	if served == nil {
		return nil, errors.New("there is no certificate yet")
	}
	if cert := (*served)[strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))]; cert != nil {
		return cert, nil
	}
	if c.manager == nil {
		return (*served)[""], nil
	}
	for _, name := range c.cfg.ACMEDomain {
		if cert := (*served)[name]; cert != nil {
			return cert, nil
		}
	}
	return nil, errors.New("there is no certificate yet")
}

// checkACME finds what is wrong with the keys about ACME.
func (c *Config) checkACME(bad func(key, format string, args ...any)) {
	if len(c.ACMEDomain) > 0 && c.Data == InMemory {
		bad("acme-domain", "certificates by ACME are kept in the data folder, and there is none")
	}
	if len(c.ACMEDomain) == 0 && (c.ACMEEmail != "" || c.ACMEDirectory != "") {
		bad("acme-domain", "acme-email and acme-directory say how, and there is no name to get a certificate for")
	}
	for _, name := range c.ACMEDomain {
		if strings.Trim(name, ".") != name || !strings.Contains(name, ".") || strings.ContainsAny(name, "*:/ ") || name != strings.ToLower(name) {
			bad("acme-domain", "%q is no name like hub.example.org", name)
		}
	}
	if u, err := url.Parse(c.ACMEDirectory); c.ACMEDirectory != "" && (err != nil || u.Host == "" || u.Scheme != "https" && !isLoopback(u.Hostname())) {
		bad("acme-directory", "it must be an address like https://acme.example.org/directory")
	}
}
