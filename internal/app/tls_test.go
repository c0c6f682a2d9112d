package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulso/access"
	"pulso/test/conformance/wire"
)

// An authority signs certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	a.cert, a.key = a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true}, nil, nil)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) issue(c, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// sign makes a certificate of a name, for 127.0.0.1, and writes it with its key.
func (a *authority) sign(name, certFile, keyFile string) tls.Certificate {
	a.t.Helper()
	cert, key := a.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, keyFile, "PRIVATE KEY", der)
	writePEM(a.t, certFile, "CERTIFICATE", cert.Raw)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secureHub is a hub with TLS on both ports, whose certificate is of an authority.
func secureHub(t *testing.T, change func(*Config)) (*Hub, *authority) {
	t.Helper()
	a := newAuthority(t)
	dir := t.TempDir()
	cfg := inMemory(t)
	cfg.TLSCert, cfg.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.sign("hub", cfg.TLSCert, cfg.TLSKey)
	cfg.MQTTS, cfg.HTTPS, cfg.ConnectTimeout = "127.0.0.1:0", "127.0.0.1:0", 300*time.Millisecond
	if change != nil {
		change(&cfg)
	}
	return runHub(t, cfg), a
}

func (a *authority) client(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: a.pool, Certificates: certs}
}

func TestTLSOnBothPorts(t *testing.T) {
	h, a := secureHub(t, nil)
	mqtts := h.broker.TLSAddr().String()
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		for _, addr := range []string{mqtts, h.secured.Addr().String()} {
			cfg := a.client()
			cfg.MinVersion, cfg.MaxVersion = version, version
			c, err := tls.Dial("tcp", addr, cfg)
			if err == nil {
				_ = c.Close()
			}
			if (err == nil) != (version >= tls.VersionTLS12) {
				t.Errorf("%s at %s: %v", tls.VersionName(version), addr, err)
			}
		}
	}
	nc, err := tls.Dial("tcp", mqtts, a.client())
	if err != nil {
		t.Fatal(err)
	}
	c := wire.NewClient(t, nc)
	c.Connect(&wire.Connect{ClientID: "c"})
	c.Subscribe("x", 1)
	c.Send(&wire.Publish{Topic: "x", Payload: "hello", QoS: 1, ID: 9})
	got := map[wire.Type]bool{}
	for range 2 {
		got[c.Expect(wire.PUBACK, wire.PUBLISH).Type] = true
	}
	if len(got) != 2 {
		t.Errorf("only %v came", got)
	}
	// Who says nothing is cut off, before and after the handshake.
	for _, silent := range []func() (net.Conn, error){
		func() (net.Conn, error) { return net.Dial("tcp", mqtts) },
		func() (net.Conn, error) { return tls.Dial("tcp", mqtts, a.client()) },
	} {
		nc, err := silent()
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Read(make([]byte, 1)); err == nil || isDeadline(err) {
			t.Errorf("a silent connection: %v", err)
		}
		_ = nc.Close()
	}
	dialer := websocket.Dialer{TLSClientConfig: a.client()}
	ws, resp, err := dialer.Dial("wss://"+h.secured.Addr().String()+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	defer ws.Close()
	if err := ws.WriteJSON(map[string]any{"id": 1, "ping": map[string]any{}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.ReadMessage(); err != nil {
		t.Error(err)
	}
}

func isDeadline(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // as it comes from the socket
	return ok && e.Timeout()
}

// A new certificate counts from the next handshake on; one that cannot be read changes nothing, and who is connected stays.
func TestCertificateIsReadAgain(t *testing.T) {
	h, a := secureHub(t, nil)
	mqtts := h.broker.TLSAddr().String()
	name := func() string {
		nc, err := tls.Dial("tcp", mqtts, a.client())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		return nc.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	nc, err := tls.Dial("tcp", mqtts, a.client())
	if err != nil {
		t.Fatal(err)
	}
	c := wire.NewClient(t, nc)
	c.Connect(&wire.Connect{ClientID: "c"})
	if err := os.WriteFile(h.cfg.TLSCert, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	becomes := func(what string, ok func() bool) {
		for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) { // the interval of polling
			if time.Now().After(deadline) {
				t.Fatal("not in time: " + what)
			}
		}
	}
	becomes("the failure is counted", func() bool {
		families, err := h.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "pulso_tls_reload_failures_total" {
				return f.GetMetric()[0].GetCounter().GetValue() > 0
			}
		}
		return false
	})
	if text := h.certs.remark(time.Now()); !strings.Contains(text, "tls-cert") {
		t.Errorf("it is remarked that %q", text)
	}
	if got := name(); got != "hub" {
		t.Errorf("after a bad file: %s", got)
	}
	a.sign("hub two", h.cfg.TLSCert, h.cfg.TLSKey)
	becomes("the new certificate", func() bool { return name() == "hub two" })
	becomes("all is well", func() bool { return h.certs.remark(time.Now()) == "" })
	if text := h.certs.remark(time.Now().Add(23 * time.Hour)); !strings.Contains(text, "ends at") {
		t.Errorf("in its last hour it is remarked that %q", text)
	}
	c.Settle()
}

// A device whose certificate is of the configured authority needs no password; a foreign one is nobody.
func TestClientCertificates(t *testing.T) {
	devices, strangers := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	h, a := secureHub(t, func(c *Config) {
		c.Data, c.ClientCA = filepath.Join(dir, "data"), filepath.Join(dir, "ca.pem")
		writePEM(t, c.ClientCA, "CERTIFICATE", devices.cert.Raw)
		err := access.Edit(AccessFile(c.Data), func(content *access.Content) error {
			if err := content.Add(access.Account{ID: "root", Kind: access.Person, Roles: []string{access.RoleAdministrator}}); err != nil {
				return err
			}
			return content.Add(access.Account{ID: "plug", Kind: access.Device, Roles: []string{access.RoleDevice}})
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	file := func(name string) string { return filepath.Join(dir, name) }
	connect := func(cert tls.Certificate, user *string) (*wire.Client, bool) {
		nc, err := tls.Dial("tcp", h.broker.TLSAddr().String(), a.client(cert))
		if err != nil {
			return nil, false
		}
		c := wire.NewClient(t, nc)
		c.Send(&wire.Connect{ClientID: "plug", User: user})
		p, err := c.Read(5 * time.Second)
		return c, err == nil && p.Type == wire.CONNACK && p.Code == 0
	}
	c, ok := connect(devices.sign("plug", file("c"), file("k")), nil)
	if !ok {
		t.Fatal("a device with its certificate was refused")
	}
	c.Publish(&wire.Publish{Topic: "plug/x", QoS: 1})
	for what, try := range map[string]func() (*wire.Client, bool){
		"of a foreign authority": func() (*wire.Client, bool) { return connect(strangers.sign("plug", file("c"), file("k")), nil) },
		"of no account":          func() (*wire.Client, bool) { return connect(devices.sign("lamp", file("c"), file("k")), nil) },
		"of a person":            func() (*wire.Client, bool) { return connect(devices.sign("root", file("c"), file("k")), nil) },
		"for another's name":     func() (*wire.Client, bool) { return connect(devices.sign("lamp", file("c"), file("k")), new("plug")) },
		"none":                   func() (*wire.Client, bool) { return connect(tls.Certificate{}, nil) },
	} {
		if _, ok := try(); ok {
			t.Errorf("a certificate %s was taken", what)
		}
	}
	if err := access.Edit(AccessFile(h.cfg.Data), func(c *access.Content) error { c.Remove("plug"); return nil }); err != nil {
		t.Fatal(err)
	}
	c.ExpectDisconnect(0x87)
}

func TestRedirectAndHeaders(t *testing.T) {
	h, a := secureHub(t, func(c *Config) { c.HTTPSRedirect, c.TrustedProxy = true, []string{"127.0.0.7"} })
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: a.client(), ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	ask := func(url string, header ...string) (int, http.Header, int) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode, resp.Header, resp.ProtoMajor
	}
	https := "https://" + h.secured.Addr().String()
	status, header, _ := ask("http://" + h.HTTPAddr() + "/devices?q=1")
	if status != http.StatusPermanentRedirect || header.Get("Location") != https+"/devices?q=1" || header.Get("Strict-Transport-Security") != "" {
		t.Errorf("%d %v", status, header)
	}
	if status, _, _ = ask("http://" + h.HTTPAddr() + "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	// A stranger's word about where it comes from is nothing.
	if status, _, _ = ask("http://"+h.HTTPAddr()+"/", "X-Forwarded-Proto", "https", "X-Forwarded-For", "10.1.1.1"); status != http.StatusPermanentRedirect {
		t.Errorf("by a stranger's word: %d", status)
	}
	for _, path := range []string{"/", "/api/v1/devices", "/nothing", "/healthz", "/login"} {
		_, header, proto := ask(https + path)
		if header.Get("Strict-Transport-Security") == "" || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Content-Security-Policy") == "" ||
			header.Get("Referrer-Policy") != "no-referrer" || proto != 2 {
			t.Errorf("%s: HTTP/%d %v", path, proto, header)
		}
	}
}

func TestForwarded(t *testing.T) {
	proxies := networks([]string{"127.0.0.7", "10.0.0.0/8"})
	for _, c := range []struct{ peer, list, proto, want, scheme string }{
		{"127.0.0.7:5", "1.2.3.4", "https", "1.2.3.4", "https"},
		{"127.0.0.7:5", "6.6.6.6, 1.2.3.4, 10.2.3.4", "http", "1.2.3.4", "http"},
		{"127.0.0.7:5", "1.2.3.4", "", "1.2.3.4", ""},
		{"127.0.0.7:5", "1.2.3.4", "https, http", "1.2.3.4", "http"},
		{"127.0.0.7:5", "1.2.3.4", "javascript", "1.2.3.4", ""},
		{"127.0.0.8:5", "1.2.3.4", "https", "", ""},
		{"127.0.0.7:5", "", "HTTPS", "", "https"},
		{"127.0.0.7:5", "garbage", "https", "", "https"},
		{"127.0.0.7:5", "1.2.3.4, garbage", "https", "", "https"},
		{"127.0.0.7:5", "10.1.1.1", "https", "", "https"},
		{"[::ffff:127.0.0.7]:5", "2001:db8::1", "https", "2001:db8::1", "https"},
		{"127.0.0.7:5", "::ffff:1.2.3.4", "https", "1.2.3.4", "https"},
		{"", "1.2.3.4", "https", "", ""},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": {c.list}, "X-Forwarded-Proto": {c.proto}}}
		got, scheme := forwarded(r, proxies)
		if addr, err := netip.ParseAddrPort(got); err == nil {
			got = addr.Addr().String()
		}
		if got != c.want || scheme != c.scheme {
			t.Errorf("%+v: %q, %q", c, got, scheme)
		}
	}
}

// What a proxy that is believed says counts: over TLS there is no redirect, and the address is the client's.
func TestBehindAProxy(t *testing.T) {
	h, _ := secureHub(t, func(c *Config) { c.HTTPSRedirect, c.TrustedProxy = true, []string{"127.0.0.0/8"} })
	for _, c := range []struct {
		proto, host string
		status      int
		hsts        bool
	}{
		{"https", "localhost", http.StatusOK, true},
		{"http", "localhost", http.StatusPermanentRedirect, false},
		{"", "localhost", http.StatusPermanentRedirect, false},
		{"http", "evil.example.org", http.StatusMisdirectedRequest, false},
	} {
		var seen *http.Request
		handler := h.secure(h.onlyKnownHosts(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r })))
		r := httptest.NewRequest(http.MethodGet, "http://"+c.host+"/devices", http.NoBody)
		r.RemoteAddr = "127.0.0.9:77"
		r.Header.Set("X-Forwarded-For", "192.0.2.1, 198.51.100.7")
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != c.status || (w.Header().Get("Strict-Transport-Security") != "") != c.hsts {
			t.Errorf("%+v: %d %v", c, w.Code, w.Header())
		}
		if c.status == http.StatusOK && (seen == nil || seen.RemoteAddr != "198.51.100.7:0" || seen.URL.Scheme != "https") {
			t.Errorf("%+v: seen as %+v", c, seen)
		}
	}
}

// Both ports end when one does: a hub that half serves would go unnoticed.
func TestPortThatFailsEndsBoth(t *testing.T) {
	cfg := inMemory(t)
	dir := t.TempDir()
	cfg.TLSCert, cfg.TLSKey, cfg.HTTPS = filepath.Join(dir, "c"), filepath.Join(dir, "k"), "127.0.0.1:0"
	newAuthority(t).sign("hub", cfg.TLSCert, cfg.TLSKey)
	h, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	_ = h.secured.Close()
	if err := h.Run(t.Context()); err == nil {
		t.Error("nobody hears of it")
	}
}

func TestTLSKeys(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"half a pair":            func(c *Config) { c.TLSCert, c.HTTPS = "x", "127.0.0.1:1" },
		"an address alone":       func(c *Config) { c.HTTPS = "127.0.0.1:1" },
		"a certificate alone":    func(c *Config) { c.TLSCert, c.TLSKey = "x", "y" },
		"two sources":            func(c *Config) { c.TLSCert, c.TLSKey, c.ACMEDomain, c.HTTPS = "x", "y", []string{"a"}, "127.0.0.1:1" },
		"ACME without a folder":  func(c *Config) { c.ACMEDomain, c.HTTPS = []string{"a"}, "127.0.0.1:1" },
		"redirect to nothing":    func(c *Config) { c.HTTPSRedirect = true },
		"clients to nothing":     func(c *Config) { c.ClientCA = "x" },
		"mqtts without a broker": func(c *Config) { c.TLSCert, c.TLSKey, c.MQTTS, c.MQTT = "x", "y", "127.0.0.1:1", NoBroker },
		"ACME for nobody":        func(c *Config) { c.ACMEEmail = "ana@example.org" },
		"ACME for an address":    func(c *Config) { c.ACMEDomain, c.HTTPS, c.Data = []string{"hub"}, "127.0.0.1:1", t.TempDir() },
		"ACME in the clear": func(c *Config) {
			c.ACMEDomain, c.HTTPS, c.Data, c.ACMEDirectory = []string{"a.example"}, "127.0.0.1:1", t.TempDir(), "http://acme.example.org/"
		},
		"a proxy that is none": func(c *Config) { c.TrustedProxy = []string{"proxy"} },
		"reachable":            func(c *Config) { c.TLSCert, c.TLSKey, c.MQTTS = "x", "y", "0.0.0.0:1" },
	} {
		cfg := inMemory(t)
		if err := cfg.Check(); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if err := cfg.Check(); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// Whatever headers say, who is believed to have come is an address that is no proxy's.
func FuzzForwarded(f *testing.F) {
	f.Add("127.0.0.7:5", "6.6.6.6, 1.2.3.4, 10.2.3.4", "https, http")
	f.Add("[::ffff:127.0.0.7]:5", "fe80::1%eth0", "")
	f.Add("1.2.3.4:5", ",,", ",")
	proxies := networks([]string{"127.0.0.7", "10.0.0.0/8", "2001:db8::/32"})
	f.Fuzz(func(t *testing.T, peer, list, proto string) {
		r := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {list}, "X-Forwarded-Proto": {proto}}}
		remote, scheme := forwarded(r, proxies)
		if scheme != "" && scheme != "http" && scheme != "https" {
			t.Errorf("scheme %q", scheme)
		}
		if remote != "" {
			if a, err := netip.ParseAddrPort(remote); err != nil || within(a.Addr(), proxies) {
				t.Errorf("%q: %v", remote, err)
			}
		}
		if p, err := netip.ParseAddrPort(peer); (err != nil || !within(p.Addr(), proxies)) && remote+scheme != "" {
			t.Errorf("a stranger is believed: %q %q", remote, scheme)
		}
	})
}
