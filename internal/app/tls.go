package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// hsts is for how long browsers come by TLS only, once they have (RFC 6797).
const hsts = "max-age=31536000"

// lookEvery is how often the files of the certificate are looked at.
const lookEvery = time.Second

// certificates are what the hub proves its name with: a pair of files that is read again when it changes, or what an authority
// gives by ACME (RFC 8555).
type certificates struct {
	cfg      *Config
	logger   *slog.Logger
	manager  *autocert.Manager // nil: files
	clients  *x509.CertPool    // who signs the certificates of clients; nil: nobody
	current  atomic.Pointer[tls.Certificate]
	stamp    string
	failures prometheus.Counter
}

// newCertificates reads what is configured, if anything is.
func newCertificates(cfg *Config, logger *slog.Logger, reg prometheus.Registerer) (*certificates, error) {
	c := &certificates{cfg: cfg, logger: logger, failures: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulso_tls_reload_failures_total", Help: "Times that a new certificate could not be read: the old one goes on.",
	})}
	reg.MustRegister(c.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pulso_tls_certificate_end_seconds", Help: "When the certificate ends, as seconds since the Unix epoch; 0: by ACME, or there is none.",
	}, c.end))
	if !cfg.hasTLS() {
		return c, nil
	}
	if cfg.ClientCA != "" {
		text, err := os.ReadFile(cfg.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("client-ca: %w", err)
		}
		c.clients = x509.NewCertPool()
		if !c.clients.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("client-ca: %s has no certificate in PEM", cfg.ClientCA)
		}
	}
	if len(cfg.ACMEDomain) > 0 {
		c.manager = &autocert.Manager{
			Prompt: autocert.AcceptTOS, Email: cfg.ACMEEmail, HostPolicy: autocert.HostWhitelist(cfg.ACMEDomain...),
			Cache: autocert.DirCache(filepath.Join(cfg.Data, "acme")),
		}
		if cfg.ACMEDirectory != "" {
			c.manager.Client = &acme.Client{DirectoryURL: cfg.ACMEDirectory}
		}
		return c, nil
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// load reads the pair of files.
func (c *certificates) load() error {
	stamp, err := c.look()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.cfg.TLSCert, c.cfg.TLSKey)
	if err != nil {
		return fmt.Errorf("tls-cert, tls-key: %w", err)
	}
	c.stamp = stamp
	c.current.Store(&pair)
	return nil
}

// look tells one state of the files from another.
func (c *certificates) look() (stamp string, err error) {
	var both strings.Builder
	for _, path := range []string{c.cfg.TLSCert, c.cfg.TLSKey} {
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("tls-cert, tls-key: %w", err)
		}
		fmt.Fprintf(&both, "%d %d ", info.ModTime().UnixNano(), info.Size())
	}
	return both.String(), nil
}

// Run reads the files again when they change, until ctx ends. What cannot be read leaves the old pair in its place.
func (c *certificates) Run(ctx context.Context) error {
	if c.cfg.TLSCert == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		stamp, err := c.look()
		if err == nil && stamp == c.stamp {
			continue
		}
		if err == nil {
			err = c.load()
		}
		switch {
		case err == nil:
			failed = ""
			c.logger.Info("the certificate was read again", "file", c.cfg.TLSCert)
		case err.Error() != failed:
			failed = err.Error()
			c.failures.Inc()
			c.logger.Error("the certificate could not be read again: the one from before goes on", "error", err)
		}
	}
}

func (c *certificates) end() float64 {
	if pair := c.current.Load(); pair != nil && pair.Leaf != nil {
		return float64(pair.Leaf.NotAfter.Unix())
	}
	return 0
}

// config is TLS for a port that speaks protocols; clients says that they may bring certificates of their own.
func (c *certificates) config(clients bool, protocols ...string) *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols}
	t.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil }
	if c.manager != nil {
		t.GetCertificate = c.manager.GetCertificate
		t.NextProtos = append(t.NextProtos, acme.ALPNProto)
	}
	if clients && c.clients != nil {
		t.ClientAuth, t.ClientCAs = tls.VerifyClientCertIfGiven, c.clients
	}
	return t
}

// hasTLS reports whether there is something to prove the hub's name with.
func (c *Config) hasTLS() bool { return c.TLSCert != "" || c.TLSKey != "" || len(c.ACMEDomain) > 0 }

// checkTLS finds what is wrong with the keys about TLS.
func (c *Config) checkTLS(bad func(key, format string, args ...any)) {
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls-cert", "tls-cert and tls-key are two files that belong together: one of them is missing")
	}
	if c.TLSCert != "" && len(c.ACMEDomain) > 0 {
		bad("acme-domain", "the certificate is a pair of files (tls-cert, tls-key) or comes by ACME, not both")
	}
	if len(c.ACMEDomain) > 0 && c.Data == InMemory {
		bad("acme-domain", "certificates by ACME are kept in the data folder, and there is none")
	}
	for _, a := range [...]struct{ key, addr string }{{"mqtts", c.MQTTS}, {"https", c.HTTPS}} {
		if a.addr != "" && !c.hasTLS() {
			bad(a.key, "TLS takes a certificate: tls-cert and tls-key, or acme-domain")
		}
	}
	if c.hasTLS() && c.MQTTS == "" && c.HTTPS == "" {
		bad("tls-cert", "there is a certificate and no address for TLS: mqtts, https")
	}
	if c.HTTPSRedirect && c.HTTPS == "" {
		bad("https-redirect", "there is no https to lead to")
	}
	if c.ClientCA != "" && c.MQTTS == "" {
		bad("client-ca", "clients bring certificates to mqtts, and there is none")
	}
	for _, p := range c.TrustedProxy {
		if _, err := netip.ParsePrefix(p); err != nil {
			if _, err := netip.ParseAddr(p); err != nil {
				bad("trusted-proxy", "%q is no address and no network like 10.0.0.0/8", p)
			}
		}
	}
}

// secure is what stands before all answers: whom to believe about where a request comes from, headers that hold for every answer, and the way to TLS.
func (h *Hub) secure(next http.Handler) http.Handler {
	proxies := networks(h.cfg.TrustedProxy)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secured := r.TLS != nil
		if believed, https := forwarded(r, proxies); believed != "" {
			r = r.Clone(r.Context())
			r.RemoteAddr, secured = believed, https
			if https {
				r.URL.Scheme = "https"
			}
		}
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if secured {
			header.Set("Strict-Transport-Security", hsts)
		} else if h.cfg.HTTPSRedirect && r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
			http.Redirect(w, r, h.secureURL(r), http.StatusPermanentRedirect) //nolint:gosec // to the name it came by
			return
		}
		next.ServeHTTP(w, r)
	})
}

// secureURL is what a request asks for, by TLS.
func (h *Hub) secureURL(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, port, err := net.SplitHostPort(h.secured.Addr().String()); err == nil && port != "443" {
		host = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	return "https://" + host + r.URL.RequestURI()
}

// networks reads addresses and networks that Check has found good.
func networks(list []string) (out []netip.Prefix) {
	for _, text := range list {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p.Masked())
		} else if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}

// forwarded is where a request comes from by the word of a proxy that is trusted, and whether it came there by TLS; empty: there is no such
// proxy. Of the addresses in X-Forwarded-For the last counts that is no trusted proxy's: those before it anybody may have written.
func forwarded(r *http.Request, proxies []netip.Prefix) (remote string, https bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !within(peer.Addr(), proxies) {
		return "", false
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, text := range slices.Backward(hops) {
		hop, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return "", false
		}
		if !within(hop, proxies) {
			return netip.AddrPortFrom(hop, 0).String(), strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
		}
	}
	return "", false
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// serveHTTP serves both ports until they are closed.
func (h *Hub) serveHTTP(context.Context) error {
	ended := make(chan error, 1)
	if h.secured != nil {
		go func() { ended <- h.server.ServeTLS(h.secured, "", "") }()
	} else {
		ended <- http.ErrServerClosed
	}
	var errs []error
	for _, err := range []error{h.server.Serve(h.listener), <-ended} {
		if !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, fmt.Errorf("serve HTTP: %w", err))
		}
	}
	return errors.Join(errs...)
}
