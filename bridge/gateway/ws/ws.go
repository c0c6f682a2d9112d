// Package ws is the WebSocket transport of gateway sessions (RFC 6455), subprotocols pulso.v1.json and pulso.v1.proto.
//
// gorilla/websocket does the handshake and the reading. Writing is ours, by the session's one writing goroutine: a
// vectored write carries all messages that are due, straight from the frames that sessions share, and the farewell comes
// after them. Where a client takes permessage-deflate (RFC 7692), each message is compressed once for all who do.
package ws

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"pulso/bridge/event"
	"pulso/bridge/gateway"
	"pulso/bridge/wire"
	"pulso/internal/nowait"
)

// Config of a Handler.
type Config struct {
	Gateway *gateway.Gateway
	// CheckOrigin says whether a browser page of this origin may connect; nil allows pages of the same host only.
	CheckOrigin func(r *http.Request) bool
	// WriteTimeout is how long a client may take nothing; 0 is 10 s.
	WriteTimeout time.Duration
	// PingInterval is the time between two pings; 0 is 25 s. A client silent for 2.4 of them is closed.
	PingInterval time.Duration
	// Logger takes what an operator should know; nil is nowhere.
	Logger *slog.Logger
}

const (
	defaultWriteTimeout = 10 * time.Second
	defaultPingInterval = 25 * time.Second
	// maxRead ends a connection whose message is far beyond what a command may be.
	maxRead        = 16 * wire.MaxMessage
	readBufferSize = 256 // commands are short, and longer ones are read past it
)

// A Handler upgrades requests and serves them. It is an [http.Handler].
type Handler struct {
	cfg      Config
	upgrader websocket.Upgrader
	deflater websocket.Upgrader // for clients that take compressed messages
	lobby    *lobby

	mu       sync.Mutex
	conns    map[*conn]struct{}
	stopping bool
	wg       sync.WaitGroup // one for each request and each connection
}

// New makes a Handler.
func New(cfg Config) *Handler {
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = defaultWriteTimeout
	}
	if cfg.PingInterval == 0 {
		cfg.PingInterval = defaultPingInterval
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{
		cfg: cfg, conns: make(map[*conn]struct{}), lobby: newLobby(),
		upgrader: websocket.Upgrader{
			ReadBufferSize: readBufferSize, WriteBufferSize: readBufferSize, WriteBufferPool: new(sync.Pool),
			CheckOrigin: cfg.CheckOrigin,
		},
	}
	h.deflater = h.upgrader
	h.deflater.EnableCompression = true
	return h
}

// Run pings the clients until ctx ends, then waits for the connections that the gateway has stopped.
func (h *Handler) Run(ctx context.Context) error {
	tick := time.NewTicker(h.cfg.PingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			h.mu.Lock()
			h.stopping = true
			h.mu.Unlock()
			h.lobby.close()
			h.wg.Wait()
			return nil
		case <-tick.C:
		}
		h.mu.Lock()
		for c := range h.conns {
			c.ping()
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

// ServeHTTP upgrades the connection and begins a session on it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.begin() {
		http.Error(w, "the hub is stopping", http.StatusServiceUnavailable)
		return
	}
	defer h.wg.Done()
	encoding, header, served := choose(websocket.Subprotocols(r))
	if !served {
		http.Error(w, "none of the subprotocols offered is served here: there are "+strings.Join(wire.Subprotocols[:], " and "), http.StatusBadRequest)
		return
	}
	introduce := gateway.IntroductionOf(r.Context())
	if introduce != nil {
		leave, ok := h.lobby.enter(r.RemoteAddr)
		if !ok {
			h.cfg.Gateway.CountStranger()
			http.Error(w, strangersFull, http.StatusServiceUnavailable)
			return
		}
		defer leave()
	}
	upgrader, deflate := &h.upgrader, offersDeflate(r.Header)
	if deflate {
		upgrader = &h.deflater
	}
	raw, err := upgrader.Upgrade(w, r, header)
	if err != nil {
		h.cfg.Logger.Debug("WebSocket handshake refused", "remote", r.RemoteAddr, "error", err)
		return // the upgrader has answered
	}
	c := &conn{ws: raw, net: raw.NetConn(), raw: nowait.Writer(raw.NetConn()), timeout: h.cfg.WriteTimeout, deflate: deflate}
	client := gateway.Client{
		Transport: "ws", Remote: r.RemoteAddr, Encoding: encoding, Person: gateway.PersonOf(r.Context()), Scope: event.ScopeOf(r.Context()),
	}
	var hello wire.Command
	if introduce != nil {
		var code wire.CloseCode
		if hello, code = h.meet(r.Context(), c, &client, introduce); code != 0 {
			c.Close(code)
			c.end()
			return
		}
	}
	s, err := h.cfg.Gateway.Open(c, client)
	if err != nil {
		code := wire.CloseOverloaded
		if errors.Is(err, gateway.ErrStopping) {
			code = wire.CloseShutdown
		}
		c.Close(code)
		c.end()
		return
	}
	c.session = s
	if hello.Hello != nil {
		s.Take(hello, nil)
	}
	h.mu.Lock()
	h.conns[c] = struct{}{}
	h.mu.Unlock()
	// The request's goroutine, with its buffers, ends here; a smaller one reads on.
	h.wg.Go(func() {
		h.read(c, encoding)
		h.mu.Lock()
		delete(h.conns, c)
		h.mu.Unlock()
		s.End()
		c.end()
	})
}

// choose takes the first subprotocol that a client offers and that is served here; JSON where it offers none.
func choose(offered []string) (e wire.Encoding, header http.Header, served bool) {
	if len(offered) == 0 {
		return wire.JSON, nil, true
	}
	for _, name := range offered {
		if i := slices.Index(wire.Subprotocols[:], name); i >= 0 {
			return wire.Encoding(i), http.Header{"Sec-Websocket-Protocol": {name}}, true
		}
	}
	return wire.JSON, nil, false
}

// offersDeflate reports whether the client offers permessage-deflate in a way that we can meet: with a window for our
// messages as large as we use (RFC 7692, 7.1.2.1).
func offersDeflate(h http.Header) bool {
	for _, line := range h.Values("Sec-WebSocket-Extensions") {
		for offer := range strings.SplitSeq(line, ",") {
			if name, parameters, _ := strings.Cut(strings.TrimSpace(offer), ";"); strings.TrimSpace(name) == "permessage-deflate" {
				return !strings.Contains(parameters, "server_max_window_bits")
			}
		}
	}
	return false
}

// read hands the client's messages to its session until the connection or the session ends.
func (h *Handler) read(c *conn, e wire.Encoding) {
	silence := h.cfg.PingInterval * 12 / 5
	c.ws.SetPongHandler(func(string) error { c.alive(silence); return nil })
	c.ws.SetPingHandler(func(data string) error { c.alive(silence); c.pong(data); return nil })
	c.ws.SetCloseHandler(func(code int, _ string) error { c.left(code); return nil })
	for {
		c.alive(silence)
		kind, reader, err := c.ws.NextReader()
		in := encodingOf(kind)
		if err == nil && in > e {
			c.session.Close(wire.CloseWrongForm)
			return
		}
		if err == nil {
			err = h.message(c, in, reader)
		}
		if err != nil {
			h.readFailed(c, err)
			return
		}
		select {
		case <-c.session.Done():
			return
		default:
		}
	}
}

var errTooLarge = errors.New("message is too large to wait for its end")

// message reads one message and hands it to the session. One that is too large is read to its end, up to a bound, and
// refused.
func (h *Handler) message(c *conn, in wire.Encoding, r io.Reader) error {
	message, err := io.ReadAll(io.LimitReader(r, wire.MaxMessage+1))
	if err != nil {
		return err
	}
	if len(message) <= wire.MaxMessage {
		c.session.HandleIn(in, message)
		return nil
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, maxRead-wire.MaxMessage))
	switch {
	case err != nil:
		return err
	case n == maxRead-wire.MaxMessage:
		return errTooLarge
	}
	c.session.Refuse(0, wire.Errorf(wire.CodeTooLarge, "the command is larger than %d bytes", wire.MaxMessage))
	return nil
}

func (h *Handler) readFailed(c *conn, err error) {
	var timeout net.Error
	switch {
	case errors.Is(err, errTooLarge):
		c.session.Close(wire.CloseTooLarge)
	case errors.As(err, &timeout) && timeout.Timeout():
		c.session.Close(wire.CloseSilent)
	case errors.As(err, &timeout), errors.As(err, new(*websocket.CloseError)), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
	default: // gorilla has told the client
		c.session.Close(wire.CloseBadFrame)
	}
}
