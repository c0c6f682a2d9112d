// Package sse is the transport of gateway sessions as server-sent events (HTML Living Standard, 9.2), which every browser
// reads with an EventSource and every program that can read lines.
//
// A request with a subscription in its query is that subscription. One without is a session: its first event holds a
// token, and commands are posted under that, so that a browser whose WebSockets are blocked can do all that others can.
package sse

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/gateway"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// Config of a Handler.
type Config struct {
	Gateway *gateway.Gateway
	// WriteTimeout is how long a client may take nothing; 0 is 10 s.
	WriteTimeout time.Duration
	// KeepAlive is the time between two comments that keep a stream alive on its way; 0 is 25 s.
	KeepAlive time.Duration
	// Retry is how long clients are told to wait before they come back; 0 is 2 s.
	Retry time.Duration
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
}

const (
	defaultWriteTimeout = 10 * time.Second
	defaultKeepAlive    = 25 * time.Second
	defaultRetry        = 2 * time.Second
	// busyRetry is in how many of Retry's times a client comes back that found no room.
	busyRetry = 5
)

// A Handler serves streams. It is an [http.Handler].
type Handler struct {
	cfg     Config
	refuser *web.Refuser
	bodies  *web.Bodies
	posts   web.Tokens[*post]

	mu       sync.Mutex
	streams  map[*stream]*gateway.Session
	stopping bool
	wg       sync.WaitGroup // one for each request
}

// New makes a Handler.
func New(cfg Config) *Handler {
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = defaultWriteTimeout
	}
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = defaultKeepAlive
	}
	if cfg.Retry == 0 {
		cfg.Retry = defaultRetry
	}
	return &Handler{
		cfg: cfg, refuser: web.NewRefuser(cfg.Metrics, "pulso_sse_refused_total"), bodies: web.NewBodies(),
		streams: make(map[*stream]*gateway.Session),
	}
}

// Run keeps streams alive until ctx ends, then waits for those that the gateway has stopped.
func (h *Handler) Run(ctx context.Context) error {
	tick := time.NewTicker(h.cfg.KeepAlive)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			h.mu.Lock()
			h.stopping = true
			h.mu.Unlock()
			h.wg.Wait()
			return nil
		case <-tick.C:
		}
		h.mu.Lock()
		for c, s := range h.streams {
			c.keepAlive()
			s.Wake()
		}
		h.mu.Unlock()
	}
}

// begin counts a request in, unless Run has ended.
func (h *Handler) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return false
	}
	h.wg.Add(1)
	return true
}

// ServeHTTP begins a stream and stays until it ends.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	if !h.begin() {
		h.refuser.Closed(w, wire.CloseShutdown)
		return
	}
	defer h.wg.Done()
	want, err := parse(r)
	if err != nil {
		h.refuser.Error(w, err)
		return
	}
	if want.parted {
		w.WriteHeader(http.StatusNoContent) // an EventSource gives up at this, and at this alone
		return
	}
	c := &stream{w: w, control: http.NewResponseController(w), timeout: h.cfg.WriteTimeout, retry: h.cfg.Retry, ids: want.subscribe != nil}
	token := ""
	if want.subscribe == nil {
		token = web.NewToken()
		c.greeting = appendSession(nil, token)
	}
	_ = c.control.SetReadDeadline(time.Time{}) // the request has been read, and the server's time for that must not end the stream
	s, failure := h.cfg.Gateway.Open(c, gateway.Client{
		Transport: "sse", Remote: r.RemoteAddr, Encoding: want.encoding, Name: want.name, Person: gateway.PersonOf(r.Context()),
		Scope: event.ScopeOf(r.Context()),
	})
	if failure != nil {
		h.full(c, r, failure)
		return
	}
	if want.subscribe != nil {
		if err := s.Do(&wire.Command{ID: 1, Subscribe: want.subscribe}); err != nil {
			s.End()
			if !c.started {
				h.refuser.Error(w, err)
			}
			return
		}
	}
	h.stay(c, s, token, r.Context())
}

// full tells a client that there is no room for it. An EventSource never comes back after an answer that is no stream:
// it gets one, with the farewell in it.
func (h *Handler) full(c *stream, r *http.Request, err error) {
	code := wire.CloseOverloaded
	if errors.Is(err, gateway.ErrStopping) {
		code = wire.CloseShutdown
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		h.refuser.Closed(c.w, code)
		return
	}
	c.greeting = nil
	c.retry *= busyRetry
	c.Close(code)
}

// stay lets a session live until either side ends it.
func (h *Handler) stay(c *stream, s *gateway.Session, token string, client context.Context) { //nolint:revive // the context is the client's, not this call's
	h.mu.Lock()
	h.streams[c] = s
	h.mu.Unlock()
	p := newPost(s)
	if token != "" {
		h.posts.Put(token, p)
		s.Wake() // the token is written
	}
	select {
	case <-s.Done():
	case <-client.Done():
		// A write that took too long ends the request, too: whoever writes knows why it is over.
		c.leave()
		s.Wake()
		<-s.Done()
	}
	if token != "" {
		h.posts.Remove(token)
		p.end()
	}
	h.mu.Lock()
	delete(h.streams, c)
	h.mu.Unlock()
	s.End()
}
