package app

import (
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pulso/access/audit"
	"pulso/access/gate"
	"pulso/bridge/gateway"
	"pulso/bridge/gateway/boards"
	"pulso/bridge/gateway/commands"
	"pulso/bridge/gateway/rpc"
	"pulso/bridge/gateway/simulate"
	"pulso/bridge/view/hub"
	"pulso/contract/api"
	"pulso/dashboard"
)

// A route is a part of the HTTP port: what it takes to read there, and what to write. Publishing and commands are judged by their
// topics, further in.
type route struct {
	pattern     string
	read, write gate.Need
	handler     http.Handler
}

// guarded are the routes that take an account where there are any.
func (h *Hub) guarded() []route {
	routes := []route{ //nolint:prealloc // once
		{"/ws", gate.NeedRead, gate.NeedRead, h.stream},
		{"/ws/past", gate.NeedRead, gate.NeedRead, h.noted(h.questions(h.past))},
		{"/api/v1/past", gate.NeedRead, gate.NeedRead, http.HandlerFunc(h.past.ServeSpan)},
		{"/sse", gate.NeedRead, gate.NeedRead, h.events},
		{"/api/v1/session", gate.NeedRead, gate.NeedRead, http.HandlerFunc(h.events.ServeCommands)},
		{"/api/v1/poll", gate.NeedRead, gate.NeedRead, h.polls},
		{rpc.Path, gate.NeedRead, gate.NeedRead, h.calls},
		{"/api/v1/publish", gate.NeedLogin, gate.NeedLogin, h.publish},
		{commands.Path, gate.NeedRead, gate.NeedLogin, h.commanding},
		{simulate.Path, gate.NeedRead, gate.NeedAdminister, h.simulator},
		{boards.Path, gate.NeedRead, gate.NeedOperate, http.HandlerFunc(h.boards.ServeList)},
		{boards.Path + "/{id}", gate.NeedRead, gate.NeedOperate, http.HandlerFunc(h.boards.ServeBoard)},
		{"/api/v1/overrides", gate.NeedRead, gate.NeedAdminister, http.HandlerFunc(h.understand.ServeOverrides)},
		{"/api/v1/decode", gate.NeedRead, gate.NeedRead, http.HandlerFunc(h.understand.ServeDecode)},
		{api.Path, gate.NeedRead, gate.NeedAdminister, http.HandlerFunc(h.promises.ServeList)},
		{api.Path + "/{name}", gate.NeedRead, gate.NeedAdminister, http.HandlerFunc(h.promises.ServeContract)},
		{api.LearnPath, gate.NeedRead, gate.NeedRead, h.questions(http.HandlerFunc(h.promises.ServeLearn))},
		{api.TryPath, gate.NeedRead, gate.NeedRead, h.questions(http.HandlerFunc(h.promises.ServeTry))},
		{api.AsyncPath, gate.NeedRead, gate.NeedRead, h.questions(http.HandlerFunc(h.promises.ServeAsync))},
		{api.PagePath, gate.NeedRead, gate.NeedAdminister, http.HandlerFunc(h.promises.ServePage)},
		{api.PagePath + "/try", gate.NeedRead, gate.NeedRead, h.questions(http.HandlerFunc(h.promises.ServeTrial))},
		{api.PagePath + "/{what}", gate.NeedRead, gate.NeedAdminister, http.HandlerFunc(h.promises.ServeForm)},
		{audit.Path, gate.NeedAdminister, gate.NeedAdminister, h.wholeOnly(h.audited)},
		{"/metrics", gate.NeedRead, gate.NeedRead, h.wholeOnly(promhttp.HandlerFor(h.registry, promhttp.HandlerOpts{}))},
	}
	for pattern, handler := range h.rest.Routes() {
		routes = append(routes, route{pattern, gate.NeedRead, gate.NeedAdminister, h.noted(h.questions(handler))})
	}
	for _, pattern := range h.queries.Patterns() { // where a POST is a long question
		routes = append(routes, route{pattern, gate.NeedRead, gate.NeedRead, h.noted(h.questions(h.queries))})
	}
	return routes
}

// questions bounds what an account's questions read.
func (h *Hub) questions(next http.Handler) http.Handler {
	return gateway.Questions(next, h.refuser.Error)
}

// routes is what the HTTP port serves.
func (h *Hub) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range h.guarded() {
		handler := h.gate.Guard(r.read, r.write, r.handler)
		switch {
		case r.pattern == "/ws": // which knows itself where pages may come from
			handler = h.gate.Stream(r.read, r.handler)
		case strings.HasPrefix(r.pattern, api.PagePath): // which leads people to where they log in, and tells no other page anything
			handler = h.foreign.Handler(forPeople(h.gate.Pages(handler), handler))
		default:
			handler = h.origins.guard(handler)
		}
		mux.Handle(r.pattern, handler)
	}
	if h.broker != nil {
		mux.Handle("/mqtt", h.broker.Handler()) // who it is, its CONNECT says
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil, nil) })
	mux.HandleFunc("GET /readyz", h.serveReady)
	for pattern, handler := range h.gate.Routes() {
		mux.Handle(pattern, handler)
	}
	mux.Handle("/", h.gate.Pages(dashboard.Handler()))
	return h.secure(h.onlyKnownHosts(mux))
}

// forPeople is page for a browser that somebody looks at, and else rest.
func forPeople(page, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" && strings.Contains(r.Header.Get("Accept"), "text/html") {
			page.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// serveReady says whether the hub is ready; why not, it tells those who may read everything.
func (h *Hub) serveReady(w http.ResponseWriter, r *http.Request) {
	problems, remarks := h.problems(), h.remarks()
	if !h.gate.ReadsAll(r) {
		remarks = nil
		if len(problems) > 0 {
			problems = []string{"not ready: who may read everything is told why"}
		}
	}
	answer(w, problems, remarks)
}

// http2Bounds bound an HTTP/2 connection: 250 requests at one time (net/http ends one that keeps beginning and resetting them), 256 KiB
// that have been sent for one and not been read, 1 MiB for all of them. Who answers no ping is gone after a minute, as on a WebSocket.
func http2Bounds() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: 250, MaxReadFrameSize: 16 << 10, MaxReceiveBufferPerStream: 256 << 10, MaxReceiveBufferPerConnection: 1 << 20,
		SendPingTimeout: 25 * time.Second, PingTimeout: 35 * time.Second,
	}
}

// answer says "ok", or what is wrong, a line each, with 503. Remarks follow, and change nothing.
func answer(w http.ResponseWriter, problems []string, remarks []hub.Problem) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if len(problems) == 0 {
		problems = []string{"ok"}
	} else {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	for i := range remarks {
		problems = append(problems, remarks[i].Text)
	}
	_, _ = w.Write([]byte(strings.Join(problems, "\n") + "\n"))
}

// onlyKnownHosts refuses requests that name a host by which nobody should call this hub: a page of a foreign name that
// resolves to the hub's address (DNS rebinding) would else count as the hub's own.
func (h *Hub) onlyKnownHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.knowsHost(r.Host) {
			http.Error(w, "this hub does not go by the name "+strconv.Quote(r.Host)+": call it by its address, or set allow-host",
				http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knowsHost reports whether a request's Host is the hub's: an address of this machine alone where it has no users and
// listens to nobody else; beyond that any address, the machine's own name, or what the configuration allows.
func (h *Hub) knowsHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if isLoopback(host) || slices.Contains(h.cfg.AllowHost, "*") || slices.Contains(h.cfg.AllowHost, host) || slices.Contains(h.cfg.ACMEDomain, host) {
		return true
	}
	if !h.cfg.AllowAnonymous && !h.accounts.Enabled() {
		return false
	}
	own, err := os.Hostname()
	own = strings.ToLower(own)
	return net.ParseIP(host) != nil || err == nil && (host == own || host == own+".local")
}

// checkOrigin lets pages of the same host connect, those that are configured, and clients that are no browsers.
func (h *Hub) checkOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(h.cfg.AllowOrigin, "*") || slices.Contains(h.cfg.AllowOrigin, origin) {
		return true
	}
	return sameHost(origin, r.Host)
}
