package app

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const acmeName = "hub.example.org"

// An acmeServer is an authority that gives certificates by RFC 8555, and believes every signature.
type acmeServer struct {
	*httptest.Server

	authority *authority
	challenge string       // its kind
	look      func() error // sees to the challenge
	broken    bool         // it gives no certificates
	mu        sync.Mutex
	proved    error // of the challenge
	valid     bool
	cert      []byte
}

func newACMEServer(t testing.TB, challenge string) *acmeServer {
	t.Helper()
	s := &acmeServer{authority: newAuthority(t), challenge: challenge}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *acmeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var signed struct {
		Payload string `json:"payload"`
	}
	_ = json.NewDecoder(r.Body).Decode(&signed) // a GET has none
	payload, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	status := map[bool]string{true: "valid", false: "pending"}[s.valid]
	order := map[string]any{
		"status": map[bool]string{true: "ready", false: "pending"}[s.valid], "identifiers": []any{map[string]string{"type": "dns", "value": acmeName}},
		"authorizations": []string{s.URL + "/authz"}, "finalize": s.URL + "/finalize",
	}
	challenge := map[string]string{"type": s.challenge, "url": s.URL + "/challenge", "token": "token", "status": status}
	var answer any
	code := http.StatusOK
	switch r.URL.Path {
	case "/dir":
		if s.broken {
			http.Error(w, "closed today", http.StatusForbidden)
			return
		}
		answer = map[string]string{"newNonce": s.URL + "/nonce", "newAccount": s.URL + "/account", "newOrder": s.URL + "/order"}
	case "/nonce":
	case "/account":
		w.Header().Set("Location", s.URL+"/account/1")
		code, answer = http.StatusCreated, map[string]string{"status": "valid"}
	case "/order":
		w.Header().Set("Location", s.URL+"/order/1")
		code, answer = http.StatusCreated, order
	case "/order/1":
		answer = order
	case "/authz":
		answer = map[string]any{"status": status, "identifier": map[string]string{"type": "dns", "value": acmeName}, "challenges": []any{challenge}}
	case "/challenge":
		s.proved = s.look()
		s.valid = s.proved == nil
		answer = challenge
	case "/finalize":
		var asked struct {
			CSR string `json:"csr"`
		}
		_ = json.Unmarshal(payload, &asked)
		der, _ := base64.RawURLEncoding.DecodeString(asked.CSR)
		s.cert = s.sign(der)
		w.Header().Set("Location", s.URL+"/order/1")
		order["status"], order["certificate"] = "valid", s.URL+"/cert"
		answer = order
	case "/cert":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert}))
		_, _ = w.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.authority.cert.Raw}))
		return
	}
	w.Header().Set("Replay-Nonce", fmt.Sprint(time.Now().UnixNano()))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.proved = err
	}
}

func (s *acmeServer) sign(request []byte) []byte {
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), DNSNames: csr.DNSNames, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
	}, s.authority.cert, csr.PublicKey, s.authority.key)
	if err != nil {
		return nil
	}
	return der
}

// acmeHub is a hub whose certificate comes from a server.
func acmeHub(t *testing.T, s *acmeServer) *Hub {
	t.Helper()
	cfg := inMemory(t)
	cfg.Data, cfg.ACMEDomain, cfg.ACMEDirectory = t.TempDir(), []string{acmeName}, s.URL+"/dir"
	cfg.HTTPS, cfg.MQTTS, cfg.HTTPSRedirect = "127.0.0.1:0", "127.0.0.1:0", true
	return runHub(t, cfg, func(h *Hub) {
		s.look = map[string]func() error{
			"http-01":     func() error { return lookHTTP(h.HTTPAddr()) },
			"tls-alpn-01": func() error { return lookTLS(h.secured.Addr().String()) },
		}[s.challenge]
	})
}

func lookHTTP(addr string) error {
	req, err := http.NewRequest(http.MethodGet, "http://"+addr+challengePath+"token", http.NoBody)
	if err != nil {
		return err
	}
	req.Host = acmeName
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(text), "token.") {
		return fmt.Errorf("http-01: %s %q %w", resp.Status, text, err)
	}
	return nil
}

func lookTLS(addr string) error {
	nc, err := tls.Dial("tcp", addr, &tls.Config{ServerName: acmeName, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer nc.Close()
	for _, e := range nc.ConnectionState().PeerCertificates[0].Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}) { // RFC 8737, 3
			return nil
		}
	}
	return fmt.Errorf("tls-alpn-01: %v", nc.ConnectionState().PeerCertificates[0].Subject)
}

// A certificate comes by either challenge, is kept for the owner alone, and serves both ports: also who names no name, as small
// devices do.
func TestACME(t *testing.T) {
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			s := newACMEServer(t, challenge)
			h := acmeHub(t, s)
			waitFor(t, "a certificate", func() bool { return h.certs.first() != nil })
			if s.proved != nil {
				t.Error(s.proved)
			}
			for addr, protocol := range map[string]string{h.broker.TLSAddr().String(): "mqtt", h.secured.Addr().String(): "h2"} {
				for _, name := range []string{acmeName, ""} {
					nc, err := tls.Dial("tcp", addr, &tls.Config{
						ServerName: name, InsecureSkipVerify: name == "", RootCAs: s.authority.pool, NextProtos: []string{protocol},
					})
					if err != nil {
						t.Fatal(err)
					}
					if got := nc.ConnectionState(); got.PeerCertificates[0].VerifyHostname(acmeName) != nil || got.NegotiatedProtocol != protocol {
						t.Errorf("%q at %s: %v %s", name, addr, got.PeerCertificates[0].DNSNames, got.NegotiatedProtocol)
					}
					_ = nc.Close()
				}
			}
			info, err := os.Stat(filepath.Join(h.cfg.Data, "acme"))
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%v %v", info, err)
			}
			if h.certs.endSeconds() < float64(time.Now().Unix()) || h.certs.remark(time.Now()) != "" {
				t.Errorf("%v %q", h.certs.endSeconds(), h.certs.remark(time.Now()))
			}
			if soon := h.certs.remark(time.Now().Add(80 * 24 * time.Hour)); soon == "" {
				t.Error("nobody hears that it ends")
			}
			if !h.knowsHost(acmeName) || h.knowsHost("other.example.org") {
				t.Error("the hub does not know its own name, or too many")
			}
		})
	}
}

// While there is no certificate, handshakes fail at once instead of waiting for one, and somebody hears why.
func TestACMEThatFails(t *testing.T) {
	s := newACMEServer(t, "http-01")
	s.broken = true
	h := acmeHub(t, s)
	waitFor(t, "a remark", func() bool { return strings.Contains(h.certs.remark(time.Now()), acmeName) })
	start := time.Now()
	if nc, err := tls.Dial("tcp", h.broker.TLSAddr().String(), &tls.Config{ServerName: acmeName, RootCAs: s.authority.pool}); err == nil {
		_ = nc.Close()
		t.Error("a handshake without a certificate")
	}
	if spent := time.Since(start); spent > 3*time.Second {
		t.Errorf("it took %v", spent)
	}
	if err := h.certs.manager.HostPolicy(t.Context(), "other.example.org"); err == nil {
		t.Error("another name is asked for")
	}
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) { // the interval of polling
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
	}
}
