package jwt

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// Whatever name leads there, nobody is sent to addresses that are not the public network's.
func TestKeysAreNotFetchedFromWithin(t *testing.T) {
	public := guard(&Issuer{JWKS: "https://id.example.org/"})
	for address, want := range map[string]bool{
		"93.184.216.34:443": true, "[2606:2800:220:1::1]:443": true,
		"127.0.0.1:443": false, "10.1.2.3:443": false, "192.168.1.1:443": false, "172.16.0.1:443": false, "169.254.169.254:80": false,
		"0.0.0.0:443": false, "0.1.2.3:443": false, "224.0.0.1:443": false, "239.255.255.250:443": false, "240.0.0.1:443": false,
		"255.255.255.255:443": false, "100.64.1.1:443": false, "198.18.0.1:443": false, "192.0.0.192:443": false,
		"[::1]:443": false, "[fe80::1]:443": false, "[fe80::1%eth0]:443": false, "[fd00::1]:443": false, "[fd00:ec2::254]:80": false,
		"[::ffff:10.0.0.1]:443": false, "[::ffff:169.254.169.254]:443": false, "[::]:443": false, "[::a00:1]:443": false,
		"[64:ff9b::a00:1]:443": false, "[64:ff9b::a00:1%x]:443": false, "[64:ff9b:1::a00:1]:443": false, "[2002:a00:1::]:443": false,
		"[2001:0:1::1]:443": false, "[fec0::1]:443": false, "[ff02::1]:443": false, "nonsense": false,
	} {
		if err := public("tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	private := guard(&Issuer{JWKS: "https://id.example.org/", AllowPrivate: true})
	own := guard(&Issuer{JWKS: "http://localhost:8080/", AllowPrivate: true})
	for address, want := range map[string][2]bool{ // with allow-private, and for a URL of this machine
		"10.1.2.3:443": {true, false}, "[fd00::1]:443": {true, false}, "93.184.216.34:443": {true, false}, "169.254.169.254:80": {false, false},
		"[fd00:ec2::254]:80": {false, false},
		"0.0.0.0:443":        {false, false}, "224.0.0.1:443": {false, false}, "[fe80::1]:443": {false, false}, "127.0.0.1:8080": {false, true},
		"[::1]:8080": {false, true},
	} {
		if err := private("tcp", address, nil); (err == nil) != want[0] {
			t.Errorf("allow-private, %s: %v", address, err)
		}
		if err := own("tcp", address, nil); (err == nil) != want[1] {
			t.Errorf("this machine, %s: %v", address, err)
		}
	}
}

// resolver answers each question for an address with one, whatever the name.
func resolver(t *testing.T, a netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	go func() {
		defer close(done)
		for b := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			// The question is a name, its type and its class (RFC 1035, 4.1); what follows it counts for nothing here.
			end := 12
			for end < n && b[end] != 0 {
				end += int(b[end]) + 1
			}
			if end += 5; end > n {
				continue
			}
			answer := append([]byte{b[0], b[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, b[12:end]...)
			if kind := binary.BigEndian.Uint16(b[end-4:]); kind == 1 && a.Is4() || kind == 28 && a.Is6() {
				answer[7] = 1
				answer = append(answer, 0xc0, 12, byte(kind>>8), byte(kind), 0, 1, 0, 0, 0, 1, 0, byte(a.BitLen()/8))
				answer = append(answer, a.AsSlice()...)
			}
			_, _ = conn.WriteTo(answer, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// A name that leads within is no way round, and nothing is sent there.
func TestNamesThatLeadWithin(t *testing.T) {
	asked := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for address, allow := range map[string]bool{"169.254.169.254": true, "10.1.2.3": false, "127.0.0.1": true, "::1": false, "fd00:ec2::254": true} {
		i := Issuer{Name: "id", Issuer: iss, Audience: aud, Algorithm: "ES256", JWKS: "https://keys.example.org:" + at.Port() + "/", AllowPrivate: allow}
		v, err := New(Config{Issuers: []Issuer{i}, Client: &http.Client{Transport: newTransport(&i, resolver(t, netip.MustParseAddr(address)))}})
		if err != nil {
			t.Fatal(err)
		}
		set, ok := v.issuers[0].keys.(*keySet)
		if !ok {
			t.Fatalf("%T", v.issuers[0].keys)
		}
		if _, err := set.ask(t.Context()); err == nil || !strings.Contains(err.Error(), address+" is not an address of the public network") {
			t.Errorf("%s: %v", address, err)
		}
		if _, err := v.Verify(t.Context(), signers(t)["ES256"].token(t, good())); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if asked != 0 {
		t.Errorf("asked %d times", asked)
	}
}
