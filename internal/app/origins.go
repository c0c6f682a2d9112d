package app

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// origins lets pages of other origins use what is for programs, if they may (Fetch Standard, 3.2): without it a page that
// somebody visits could read and publish in their name.
type origins struct {
	allowed func(r *http.Request) bool
	refuser *web.Refuser
}

func newOrigins(allowed func(r *http.Request) bool, reg prometheus.Registerer) *origins {
	return &origins{allowed, web.NewRefuser(reg, "pulso_http_origins_refused_total")}
}

const (
	// crossMethods, crossRequest and crossResponse are the methods that a page of another origin may use, and the headers that
	// it may send and see: those of streams, and those of gRPC-Web and Connect.
	crossMethods = "GET, POST, PUT, DELETE"
	crossRequest = "Authorization, Content-Type, Last-Event-ID, " + web.SessionHeader +
		", Connect-Protocol-Version, Connect-Timeout-Ms, Grpc-Timeout, X-Grpc-Web, X-User-Agent"
	crossResponse = "Retry-After, Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, Pulso-Close-Code, Pulso-Close-Name"
	// crossAge is for how long a browser need not ask again, in seconds.
	crossAge = "7200"
)

// guard lets pass who is no page, pages of the hub itself and those whose origin is allowed.
func (o *origins) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" || sameHost(origin, r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		if !o.allowed(r) {
			o.refuser.Error(w, wire.Errorf(wire.CodeForbidden, "pages of %.100q may not use this hub: see allow-origin", origin))
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", crossResponse)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", crossMethods)
			h.Set("Access-Control-Allow-Headers", crossRequest)
			h.Set("Access-Control-Max-Age", crossAge)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameHost reports whether an origin (RFC 6454, 6.1: scheme, host and port, nothing else) is a page of a host.
func sameHost(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, host) && (u.Scheme == "http" || u.Scheme == schemeHTTPS) &&
		u.User == nil && u.Path == "" && u.RawQuery == "" && u.Fragment == ""
}
