// Package poll is the transport of gateway sessions for networks that let nothing through but a request and its answer.
//
// Each request brings commands and takes what the hub has to say, at once if there is something, else when there is, or
// after a while. Requests are numbered: a number acknowledges the answer to the one before, and the same number again gets
// the same answer again, so that an answer that was lost on its way costs nothing, and no command runs twice.
package poll

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
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
	// Silence is for how long a session lives without a request; 0 is 60 s.
	Silence time.Duration
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
}

const (
	defaultSilence = time.Minute
	// defaultWait and maxWait are how long a request waits for something to answer with.
	defaultWait = 25 * time.Second
	maxWait     = 50 * time.Second
	// linger is how long an answer waits for what comes right after the first.
	linger = 5 * time.Millisecond
	// writeTimeout is how long an answer may take on its way.
	writeTimeout = 10 * time.Second
	// maxBody is how large a request is: one command may be as large as elsewhere.
	maxBody = wire.MaxMessage + 64<<10
)

// A Handler answers polls. It is an [http.Handler].
type Handler struct {
	cfg     Config
	refuser *web.Refuser
	metrics *metrics
	bodies  *web.Bodies
	clients web.Tokens[*client]

	mu       sync.Mutex
	stopping bool
	wg       sync.WaitGroup // one for each request and each session
}

// New makes a Handler.
func New(cfg Config) *Handler {
	if cfg.Silence == 0 {
		cfg.Silence = defaultSilence
	}
	return &Handler{
		cfg: cfg, refuser: web.NewRefuser(cfg.Metrics, "pulso_poll_refused_total"), metrics: newMetrics(cfg.Metrics),
		bodies: web.NewBodies(),
	}
}

// Run waits for the end of ctx, and then for the sessions that the gateway has stopped.
func (h *Handler) Run(ctx context.Context) error {
	<-ctx.Done()
	h.mu.Lock()
	h.stopping = true
	h.mu.Unlock()
	h.wg.Wait()
	for _, c := range h.clients.All() {
		c.forget()
	}
	return nil
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

// A request is the body of a poll.
type request struct {
	N        uint64            `json:"n"`
	Commands []json.RawMessage `json:"commands"`
	// Wait is in milliseconds.
	Wait *int64 `json:"wait"`
}

// wait is how long the request waits for something to answer with.
func (r *request) wait() time.Duration {
	if r.Wait == nil {
		return defaultWait
	}
	return time.Duration(min(max(*r.Wait, 0), maxWait.Milliseconds())) * time.Millisecond
}

func parse(body []byte) (r request, bad *wire.Error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, wire.Errorf(wire.CodeBadJSON, "a poll is {\"n\":1,\"commands\":[…],\"wait\":25000}: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return r, wire.Errorf(wire.CodeBadJSON, "something stands after the poll's object")
	}
	switch {
	case r.N == 0:
		return r, wire.Errorf(wire.CodeBadCommand, "n is missing: the first poll of a session is 1")
	case len(r.Commands) > web.MaxCommands:
		return r, wire.Errorf(wire.CodeTooMany, "%d commands in one request: at most %d", len(r.Commands), web.MaxCommands)
	}
	return r, nil
}

// ServeHTTP answers one poll.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodPost) {
		return
	}
	if !h.begin() {
		h.refuser.Closed(w, wire.CloseShutdown)
		return
	}
	defer h.wg.Done()
	body, release, err := h.bodies.Read(w, r, maxBody)
	defer release()
	if err != nil {
		h.refuser.Error(w, err)
		return
	}
	q, err := parse(body)
	if err != nil {
		h.refuser.Error(w, err)
		return
	}
	c, code := h.client(r, q.N)
	if code != 0 {
		h.refuser.Closed(w, code)
		return
	}
	// The request has been read; the server's times for short requests must not end one that waits.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	answer, err := c.poll(r.Context(), &q)
	if err != nil {
		h.refuser.Error(w, err)
		return
	}
	if answer == nil {
		return // the client has gone
	}
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	_, _ = w.Write(answer) //nolint:gosec // JSON, and said to be; if it is lost, it will be asked for again
}

// client finds the session of a request or begins one; a close code says why there is none.
func (h *Handler) client(r *http.Request, n uint64) (*client, wire.CloseCode) {
	if token := r.Header.Get(web.SessionHeader); token != "" || n != 1 {
		c, found := h.clients.Find(token)
		if !found || !c.session.IsOf(r.Context()) {
			return nil, wire.CloseLost
		}
		return c, 0
	}
	c := newClient(h, web.NewToken())
	h.wg.Add(1) // until the session has ended
	s, err := h.cfg.Gateway.Open(c, gateway.Client{
		Transport: "poll", Remote: r.RemoteAddr, Person: gateway.PersonOf(r.Context()), Scope: event.ScopeOf(r.Context()),
	})
	if err != nil {
		c.forget()
		h.wg.Done()
		if errors.Is(err, gateway.ErrStopping) {
			return nil, wire.CloseShutdown
		}
		return nil, wire.CloseOverloaded
	}
	c.session = s
	close(c.opened)
	h.clients.Put(c.token, c)
	return c, 0
}
