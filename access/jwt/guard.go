package jwt

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
)

// maxHeader bounds the header of an answer, in bytes.
const maxHeader = 16 << 10

// CheckURL returns nil for an address that may be asked: by https, or on this machine.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return errors.New("not an address like https://id.example.org/keys")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u):
		return nil
	}
	return errors.New("only https is asked, or this machine")
}

// IsOwn reports whether an address is one of this machine.
func IsOwn(text string) bool {
	u, err := url.Parse(text)
	return err == nil && isLoopback(u)
}

func isLoopback(u *url.URL) bool {
	if u.Hostname() == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a.IsLoopback()
}

// NewClient asks an issuer at an address, and goes where its key set may be: to the public network, with allowPrivate to a private one, or
// to this machine alone where the address is this machine's. It follows no redirect, and has 5 s for each question and its answer.
func NewClient(address string, allowPrivate bool) *http.Client {
	return bounded(http.Client{Transport: newTransport(&Issuer{JWKS: address, AllowPrivate: allowPrivate}, nil)})
}

// bounded gives a client what each has, whatever else it does.
func bounded(client http.Client) *http.Client {
	client.Timeout = fetchWithin
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("it leads elsewhere") }
	return &client
}

// newTransport fetches an issuer's key set, from where [guard] lets it. It knows no proxy, which would dial in its place.
func newTransport(i *Issuer, resolver *net.Resolver) *http.Transport {
	dialer := &net.Dialer{Timeout: fetchWithin, Resolver: resolver, Control: guard(i)}
	return &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: fetchWithin, ResponseHeaderTimeout: fetchWithin,
		MaxResponseHeaderBytes: maxHeader, DisableKeepAlives: true,
	}
}

// guard keeps requests from addresses that are nobody else's business, whatever name led there (server-side request forgery). It looks at
// the address that is dialled, which no second answer of a name server can change.
func guard(i *Issuer) func(network, address string, _ syscall.RawConn) error {
	own := IsOwn(i.JWKS)
	return func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		a := ap.Addr().Unmap().WithZone("")
		switch {
		case own && a.IsLoopback(), !own && i.AllowPrivate && a.IsPrivate() && !inRange(a):
			return nil
		case own:
			return fmt.Errorf("%s is not this machine", a)
		case !a.IsGlobalUnicast() || a.IsPrivate() || inRange(a):
			return fmt.Errorf("%s is not an address of the public network (allow-private)", a)
		}
		return nil
	}
}

// notPublic are networks that are not public, or lead to ones that are not, besides those that netip knows: this network (RFC 1122),
// shared (RFC 6598), protocols (RFC 6890), benchmarks (RFC 2544), reserved (RFC 1112); IPv4 within IPv6 (RFC 4291, 6052, 8215, 4380,
// 3056), site-local (RFC 3879), and where machines of a cloud are told their secrets.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("fd00:ec2::/32"),
}

// inRange reports whether an address is of such a network.
func inRange(a netip.Addr) bool {
	for _, p := range notPublic {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
