package app

import (
	"cmp"
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

const schemeHTTPS = "https"

// lookEvery is how often the files of the certificate are looked at.
const lookEvery = time.Second

// endsSoon is how long before its end a certificate is spoken of.
const endsSoon = 14 * 24 * time.Hour

// certificates are what the hub proves its name with: a pair of files that is read again when it changes, or what an authority
// gives by ACME (RFC 8555).
type certificates struct {
	cfg      *Config
	logger   *slog.Logger
	clients  *x509.CertPool                              // who signs the certificates of clients; nil: nobody
	served   atomic.Pointer[map[string]*tls.Certificate] // by name; one from files has none
	failed   atomic.Pointer[string]                      // why there is no newer one; nil: there need be none
	stamp    string
	failures prometheus.Counter

	manager   *autocert.Manager // nil: files
	challenge http.Handler      // answers the authority over plain HTTP; nil: there is none
	life      context.Context   //nolint:containedctx // of what is asked of the authority
	end       context.CancelFunc
}

// newCertificates reads what is configured, if anything is.
func newCertificates(cfg *Config, logger *slog.Logger, reg prometheus.Registerer) (*certificates, error) {
	c := &certificates{cfg: cfg, logger: logger, failures: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulso_tls_reload_failures_total", Help: "Times that a new certificate could not be read, or got: the old one goes on.",
	})}
	c.life, c.end = context.WithCancel(context.Background())
	reg.MustRegister(c.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pulso_tls_certificate_end_seconds", Help: "When the certificate ends, as seconds since the Unix epoch, the first of several; 0: there is none.",
	}, c.endSeconds))
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
		c.newManager()
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
	c.serve("", &pair)
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

// Run reads the files again when they change, or gets certificates, until ctx ends. Where that fails the old ones go on.
func (c *certificates) Run(ctx context.Context) error {
	defer c.end()
	switch {
	case c.manager != nil:
		return c.obtain(ctx)
	case c.cfg.TLSCert == "":
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		stamp, err := c.look()
		if err == nil && stamp == c.stamp {
			c.failed.Store(nil)
			continue
		}
		if err == nil {
			err = c.load()
		}
		if err != nil {
			c.fail(err)
			continue
		}
		c.failed.Store(nil)
	}
}

// fail takes note of why there is no newer certificate, and tells it when it is another reason than before.
func (c *certificates) fail(err error) {
	text := err.Error()
	if old := c.failed.Swap(&text); old != nil && *old == text {
		return
	}
	c.failures.Inc()
	c.logger.Error("there is no new certificate: the one from before goes on", "error", err)
}

// first is the certificate that ends before the others; nil: there is none.
func (c *certificates) first() (first *x509.Certificate) {
	served := c.served.Load()
	if served == nil {
		return nil
	}
	for _, cert := range *served {
		if cert.Leaf != nil && (first == nil || cert.Leaf.NotAfter.Before(first.NotAfter)) {
			first = cert.Leaf
		}
	}
	return first
}

func (c *certificates) endSeconds() float64 {
	if first := c.first(); first != nil {
		return float64(first.NotAfter.Unix())
	}
	return 0
}

func notAfter(cert *tls.Certificate) string {
	if cert.Leaf == nil {
		return ""
	}
	return cert.Leaf.NotAfter.UTC().Format(time.RFC3339)
}

// remark says what should be seen to: a certificate that ends within 14 days, or the last quarter of its time where that is shorter, and
// one that could not be had. Empty: all is well.
func (c *certificates) remark(now time.Time) string {
	var parts []string
	if first := c.first(); first != nil {
		if now.After(first.NotAfter.Add(-min(endsSoon, first.NotAfter.Sub(first.NotBefore)/4))) {
			parts = append(parts, "it ends at "+first.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	if failed := c.failed.Load(); failed != nil {
		parts = append(parts, "no new one: "+*failed)
	}
	if len(parts) == 0 {
		return ""
	}
	return "certificate: " + strings.Join(parts, "; ")
}

// config is TLS for a port that speaks protocols; clients says that they may bring certificates of their own.
func (c *certificates) config(clients bool, protocols ...string) *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, GetCertificate: c.get}
	if c.manager != nil {
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
	c.checkACME(bad)
	if c.MQTTS != "" && c.MQTT == NoBroker {
		bad("mqtts", "this hub has no broker (mqtt: %s): an mqtt of this machine alone is 127.0.0.1:1883", NoBroker)
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
	c.checkProxies(bad)
}

// checkProxies finds what is wrong with trusted-proxy.
func (c *Config) checkProxies(bad func(key, format string, args ...any)) {
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
		if remote, scheme := forwarded(r, proxies); remote != "" || scheme != "" {
			r = r.Clone(r.Context())
			r.RemoteAddr = cmp.Or(remote, r.RemoteAddr)
			if scheme != "" {
				secured = scheme == schemeHTTPS
			}
			if secured {
				r.URL.Scheme = schemeHTTPS
			}
		}
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		switch {
		case secured:
			header.Set("Strict-Transport-Security", hsts)
			next.ServeHTTP(w, r)
		case h.certs.challenge != nil && strings.HasPrefix(r.URL.Path, challengePath):
			h.certs.challenge.ServeHTTP(w, r)
		case h.redirects(r):
			http.Redirect(w, r, h.secureURL(r), http.StatusPermanentRedirect) //nolint:gosec // to a name of this hub
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// redirects reports whether a request by plain HTTP is led to TLS. Who calls the hub by a name that is not its own is led nowhere.
func (h *Hub) redirects(r *http.Request) bool {
	return h.cfg.HTTPSRedirect && r.URL.Path != "/healthz" && r.URL.Path != "/readyz" && h.knowsHost(r.Host)
}

// secureURL is what a request asks for, by TLS.
func (h *Hub) secureURL(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if _, port, err := net.SplitHostPort(h.secured.Addr().String()); err == nil && port != "443" {
		host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
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

// forwarded is where a request comes from by the word of a proxy that is trusted, and how it came there: http or https. Empty: no such
// proxy has said so. Of the addresses in X-Forwarded-For the last counts that is no trusted proxy's: those before it anybody may have
// written. So may they those of X-Forwarded-Proto before the last.
func forwarded(r *http.Request, proxies []netip.Prefix) (remote, scheme string) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !within(peer.Addr(), proxies) {
		return "", ""
	}
	words := strings.Split(strings.Join(r.Header.Values("X-Forwarded-Proto"), ","), ",")
	if scheme = strings.ToLower(strings.TrimSpace(words[len(words)-1])); scheme != schemeHTTPS && scheme != "http" {
		scheme = ""
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, text := range slices.Backward(hops) {
		hop, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return "", scheme
		}
		if !within(hop, proxies) {
			return netip.AddrPortFrom(hop.Unmap(), 0).String(), scheme
		}
	}
	return "", scheme
}

func within(a netip.Addr, list []netip.Prefix) bool {
	for _, p := range list {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// serveHTTP serves both ports until they are closed. Where one cannot go on, the other does not either, and somebody hears of it.
func (h *Hub) serveHTTP(context.Context) error {
	ended := make(chan error, 2)
	serving := 1
	go func() { ended <- h.server.Serve(h.listener) }()
	if h.secured != nil {
		serving++
		go func() { ended <- h.server.ServeTLS(h.secured, "", "") }()
	}
	var errs []error
	for range serving {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, fmt.Errorf("serve HTTP: %w", err))
			_ = h.server.Close() // there is more to say about the first error
		}
	}
	return errors.Join(errs...)
}
