package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// newCertificate makes a certificate of what template says, which vouches for itself.
func newCertificate(t testing.TB, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.IsCA, template.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func poolOf(certs ...tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c.Leaf)
	}
	return pool
}

// newTLSRig is a rig that speaks TLS as well, and how a client does there.
func newTLSRig(t testing.TB, change func(*Config)) (r *rig, addr string, client *tls.Config) {
	t.Helper()
	cert := newCertificate(t, &x509.Certificate{Subject: pkix.Name{CommonName: "hub"}})
	r = newRig(t, func(c *Config) {
		c.TLSAddress = "127.0.0.1:0"
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
		if change != nil {
			change(c)
		}
	})
	return r, r.broker.TLSAddr().String(), &tls.Config{RootCAs: poolOf(cert)}
}

func dialTLS(t testing.TB, addr string, cfg *tls.Config) *client {
	t.Helper()
	nc, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, nc)
}

// Who holds back its handshake is cut off in time, and keeps nobody else waiting.
func TestSilentHandshakes(t *testing.T) {
	r, addr, cfg := newTLSRig(t, func(c *Config) { c.ConnectTimeout = 500 * time.Millisecond })
	record := []byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc} // the beginning of a ClientHello, and no more
	var silent []*client
	for i := range 24 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, newClient(t, nc))
		if _, err := nc.Write([][]byte{nil, record[:3], record}[i%3]); err != nil {
			t.Fatal(err)
		}
	}
	c := dialTLS(t, addr, cfg)
	c.connect(options{id: "quick"})
	c.publish("x", "hello", 1, 7)
	c.wantAck(0x40, 7)
	for _, s := range silent {
		s.wantEnd()
	}
	if f := r.refusal(reasonTimeout); f.Remote == "" {
		t.Errorf("%+v", f)
	}
}

// Why there was no handshake is told, and who only looks whether the port is open is none.
func TestHandshakesThatFail(t *testing.T) {
	r, addr, cfg := newTLSRig(t, nil)
	probe, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = probe.Close()
	for what, try := range map[string]func() error{
		"an old version": func() error {
			old := cfg.Clone()
			old.MinVersion, old.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
			nc, err := tls.Dial("tcp", addr, old)
			if err == nil {
				_ = nc.Close()
			}
			return err
		},
		"an authority that the client does not know": func() error {
			nc, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: x509.NewCertPool()})
			if err == nil {
				_ = nc.Close()
			}
			return err
		},
		"no TLS at all": func() error {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			defer nc.Close()
			c := newClient(t, nc)
			c.send(connectPacket(options{id: "plain", version: 4}))
			_, _, err = c.tryRead()
			return err
		},
	} {
		if try() == nil {
			t.Errorf("%s was accepted", what)
		}
		if f := r.refusal(reasonTLS); f.Detail == "" || f.Remote == "" {
			t.Errorf("%s: %+v", what, f)
		}
		r.mu.Lock()
		if len(r.refusals) != 1 {
			t.Errorf("%s: %+v", what, r.refusals)
		}
		r.refusals = nil
		r.mu.Unlock()
	}
}

func TestTLSAddressTakesATLSConfiguration(t *testing.T) {
	sink := &memorySink{}
	if _, err := New(t.Context(), Config{Sink: sink, Log: sink, TLSAddress: "127.0.0.1:0"}); err == nil {
		t.Error("no error")
	}
}

// A write below TLS ends, even if nobody has set a deadline and nobody reads, and none follows.
func TestWritesBelowTLSEnd(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := &timedConn{Conn: nc, timeout: 100 * time.Millisecond}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		if _, err = c.Write(make([]byte, 64<<10)); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a write that nobody reads: %v", err)
	}
	if err := c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the next one: %v", err)
	}
}

// A subscriber that does not read is cut off over TLS, too, and the broker stops in time.
func TestSlowOverTLS(t *testing.T) {
	r, addr, cfg := newTLSRig(t, func(c *Config) { c.WriteTimeout = 300 * time.Millisecond })
	slow := dialTLS(t, addr, cfg)
	slow.connect(options{id: "slow"})
	slow.subscribe("flood", 0)
	c := r.connect(options{id: "fast"})
	eventually(t, "the slow one is cut off", func() bool {
		c.publish("flood", strings.Repeat("x", 60<<10), 1, 1)
		c.wantAck(0x40, 1)
		return r.closed(reasonSlow) > 0
	})
}

func TestCertificateNames(t *testing.T) {
	mac, err := url.Parse("urn:dev:mac:0:1")
	if err != nil {
		t.Fatal(err)
	}
	of := func(number string, uris []*url.URL, names ...string) tls.Certificate {
		return newCertificate(t, &x509.Certificate{Subject: pkix.Name{Organization: []string{number}}, URIs: uris, DNSNames: names})
	}
	certs := map[string]tls.Certificate{
		"plug":            newCertificate(t, &x509.Certificate{Subject: pkix.Name{CommonName: "plug"}, DNSNames: []string{"a.example"}}),
		"urn:dev:mac:0:1": of("1", []*url.URL{mac}, "b.example"),
		"lamp.example":    of("2", nil, "lamp.example", "c.example"),
		"":                of("3", nil),
	}
	all := make([]tls.Certificate, 0, len(certs))
	for _, c := range certs {
		all = append(all, c)
	}
	r, addr, cfg := newTLSRig(t, func(c *Config) {
		c.TLS.ClientAuth, c.TLS.ClientCAs = tls.VerifyClientCertIfGiven, poolOf(all...)
	})
	seen := func(id string) string { return certificate(r.link(id).conn.nc) }
	for want, cert := range certs {
		own := cfg.Clone()
		own.Certificates = []tls.Certificate{cert}
		dialTLS(t, addr, own).connect(options{id: "c" + want})
		if got := seen("c" + want); got != want {
			t.Errorf("%q is named %q", want, got)
		}
	}
	dialTLS(t, addr, cfg).connect(options{id: "none"})
	r.connect(options{id: "plain"})
	if seen("none") != "" || seen("plain") != "" {
		t.Error("who has no certificate has a name")
	}
	// One that nobody vouches for is refused, with a name that would be good.
	own := cfg.Clone()
	own.Certificates = []tls.Certificate{newCertificate(t, &x509.Certificate{Subject: pkix.Name{CommonName: "plug"}})}
	if nc, err := tls.Dial("tcp", addr, own); err == nil { // TLS 1.3: the client hears of it with its next read
		if _, _, err := newClient(t, nc).tryRead(); err == nil {
			t.Error("a certificate of a foreign authority was taken")
		}
	}
	r.refusal(reasonTLS)
}

// MQTT over WebSocket over TLS takes the ordinary path, and comes from where the request says.
func TestWebSocketOverTLS(t *testing.T) {
	r := newRig(t, nil)
	mux := r.broker.Handler()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.RemoteAddr = "192.0.2.7:0" // as after a proxy that is believed
		mux.ServeHTTP(w, req)
	}))
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}, TLSClientConfig: &tls.Config{RootCAs: pool}}
	ws, resp, err := dialer.Dial("wss"+strings.TrimPrefix(server.URL, "https"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	c := newClient(t, newWebSocketConn(ws, "server"))
	defer c.Close()
	send := func(p []byte) {
		if err := ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
			t.Fatal(err)
		}
	}
	send(connectPacket(options{id: "page", version: 4}))
	c.want(0x20)
	remote := r.link("page").remote
	if remote != "192.0.2.7:0" {
		t.Errorf("it comes from %s", remote)
	}
}
