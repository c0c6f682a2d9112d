package app

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pulso/dashboard"
)

// routes is what the HTTP port serves.
func (h *Hub) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/ws", h.stream)
	mux.Handle("/mqtt", h.broker.Handler())
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.problems()) })
	mux.Handle("/", dashboard.Handler())
	if h.cfg.AllowAnonymous {
		return mux
	}
	return onlyThisMachine(mux)
}

// answer says "ok", or what is wrong, a line each, with 503.
func answer(w http.ResponseWriter, problems []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if len(problems) == 0 {
		_, _ = w.Write([]byte("ok\n"))
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(strings.Join(problems, "\n") + "\n"))
}

// onlyThisMachine refuses requests that name another host: a page of a foreign name that resolves to the loopback
// address (DNS rebinding) would else count as the hub's own.
func onlyThisMachine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !isLoopback(strings.Trim(host, "[]")) {
			http.Error(w, "this hub has no users and answers to localhost only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// checkOrigin lets pages of the same host connect, those that are configured, and clients that are no browsers.
func (h *Hub) checkOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(h.cfg.AllowOrigin, "*") || slices.Contains(h.cfg.AllowOrigin, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}
