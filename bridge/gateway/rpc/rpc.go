// Package rpc is the transport of gateway sessions as the service pulso.v1.StreamService: gRPC, gRPC-Web and Connect, in
// protobuf and in JSON, on one path each.
//
// connect-go speaks the protocols. Messages that sessions share go out as the bytes that they are: only where a client takes
// JSON are they decoded, and written again as protobuf's JSON.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/gateway"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
	"pulso/internal/gen/pulso/v1/pulsov1connect"
)

// Config of a Handler.
type Config struct {
	Gateway *gateway.Gateway
	// WriteTimeout is how long a client may take nothing; 0 is 10 s.
	WriteTimeout time.Duration
	// Logger takes what an operator should know; nil is nowhere.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
}

const (
	defaultWriteTimeout = 10 * time.Second
	// transport is the transport's name.
	transport = "rpc"
	// publishTimeout is how long a publish may wait for the log, where the client has set no time of its own.
	publishTimeout = 10 * time.Second
)

// errPublishTimeout is why a publish is given up.
var errPublishTimeout = fmt.Errorf("the log took nothing for %v", publishTimeout)

// Path is where the service is; it ends in a slash.
const Path = "/" + pulsov1connect.StreamServiceName + "/"

// A Handler serves calls. It is an [http.Handler] for everything below Path.
type Handler struct {
	cfg     Config
	mux     *http.ServeMux
	refused *prometheus.CounterVec

	mu       sync.Mutex
	stopping bool
	wg       sync.WaitGroup // one for each call
}

// New makes a Handler.
func New(cfg Config) *Handler {
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = defaultWriteTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{cfg: cfg, mux: http.NewServeMux(), refused: newRefused(cfg.Metrics)}
	options := []connect.HandlerOption{
		connect.WithCodec(protoCodec{h.unread}), connect.WithCodec(jsonCodec{"json", h.unread}),
		connect.WithCodec(jsonCodec{"json; charset=utf-8", h.unread}),
		connect.WithReadMaxBytes(wire.MaxMessage),
		connect.WithCompressMinBytes(math.MaxInt), // each stream would compress for itself what all of them share
		connect.WithRecover(h.recovered),
	}
	handle := func(procedure string, handler http.Handler) { h.mux.Handle(procedure, handler) }
	handle(pulsov1connect.StreamServicePublishProcedure,
		connect.NewUnaryHandler(pulsov1connect.StreamServicePublishProcedure, h.publish, options...))
	handle(pulsov1connect.StreamServiceSubscribeProcedure,
		connect.NewServerStreamHandler(pulsov1connect.StreamServiceSubscribeProcedure, h.subscribe, options...))
	handle(pulsov1connect.StreamServiceSessionProcedure,
		connect.NewBidiStreamHandler(pulsov1connect.StreamServiceSessionProcedure, h.session, options...))
	return h
}

// recovered ends the call, not the process.
func (h *Handler) recovered(_ context.Context, spec connect.Spec, _ http.Header, cause any) error {
	h.cfg.Logger.Error("call failed", "procedure", spec.Procedure, "panic", cause, "stack", string(debug.Stack()))
	return closed(wire.CloseInternal)
}

// unread counts a request that cannot be read. The commands of a session are counted by the gateway.
func (h *Handler) unread(request any) {
	if _, command := request.(*pulsov1.SessionRequest); !command {
		h.refused.WithLabelValues(wire.CodeBadProto).Inc()
	}
}

// refuse is the status of a call whose request is not good.
func (h *Handler) refuse(bad *wire.Error) error {
	h.refused.WithLabelValues(bad.Code).Inc()
	return refusal(bad)
}

// missing is the error for a request without what it is there for.
func missing(what string) *wire.Error { return wire.Errorf(wire.CodeBadCommand, "%s is missing", what) }

// Run returns when ctx has ended and all calls have: the gateway stops them.
func (h *Handler) Run(ctx context.Context) error {
	<-ctx.Done()
	h.mu.Lock()
	h.stopping = true
	h.mu.Unlock()
	h.wg.Wait()
	return nil
}

// begin counts a call in, unless Run has ended.
func (h *Handler) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return false
	}
	h.wg.Add(1)
	return true
}

// pacerKey is the key of a call's pacer in its context.
type pacerKey struct{}

// ServeHTTP serves a call.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.begin() {
		http.Error(w, wire.CloseShutdown.Info().Meaning, http.StatusServiceUnavailable)
		return
	}
	defer h.wg.Done()
	if r.URL.Path != pulsov1connect.StreamServicePublishProcedure {
		p := newPacer(w, h.cfg.WriteTimeout)
		w, r = p, r.WithContext(context.WithValue(r.Context(), pacerKey{}, p))
	}
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) publish(ctx context.Context, req *connect.Request[pulsov1.PublishRequest]) (*connect.Response[pulsov1.PublishResponse], error) {
	command := &pulsov1.Command{Command: &pulsov1.Command_Publish{Publish: req.Msg.GetPublish()}}
	if req.Msg.GetPublish() == nil {
		return nil, h.refuse(missing("publish"))
	}
	c, bad := wire.CommandOf(command)
	if bad != nil {
		return nil, h.refuse(bad)
	}
	waiting, cancel := context.WithTimeoutCause(ctx, publishTimeout, errPublishTimeout)
	defer cancel()
	pos, bad := h.cfg.Gateway.Publish(waiting, transport, c.Publish)
	switch {
	case bad != nil && ctx.Err() != nil: // the client's own time is over
		return nil, ctx.Err()
	case bad != nil:
		return nil, h.refuse(bad)
	}
	return connect.NewResponse(&pulsov1.PublishResponse{Published: &pulsov1.Published{Position: pos.String()}}), nil
}

// open begins the session of a call.
func (h *Handler) open(ctx context.Context, peer connect.Peer, t *stream) (*gateway.Session, error) {
	t.pacer, _ = ctx.Value(pacerKey{}).(*pacer) // ServeHTTP has put it there
	s, err := h.cfg.Gateway.Open(t, gateway.Client{
		Transport: transport, Remote: peer.Addr, Encoding: wire.Proto, Person: gateway.PersonOf(ctx), Scope: event.ScopeOf(ctx),
	})
	if err == nil {
		t.pacer.stay()
		return s, nil
	}
	code := wire.CloseOverloaded
	if errors.Is(err, gateway.ErrStopping) {
		code = wire.CloseShutdown
	}
	h.refused.WithLabelValues(code.Info().Name).Inc()
	return nil, closed(code)
}

// end is the status of a call whose session has ended.
func end(ctx context.Context, code wire.CloseCode) error {
	if code == 0 {
		return ctx.Err() // the client left, or its time is over
	}
	return closed(code)
}

func (h *Handler) subscribe(ctx context.Context, req *connect.Request[pulsov1.SubscribeRequest], out *connect.ServerStream[response]) error {
	command := &pulsov1.Command{Id: 1, Command: &pulsov1.Command_Subscribe{Subscribe: req.Msg.GetSubscribe()}}
	if req.Msg.GetSubscribe() == nil {
		return h.refuse(missing("subscribe"))
	}
	c, bad := wire.CommandOf(command)
	if bad != nil {
		return h.refuse(bad)
	}
	t := &stream{send: out.Send}
	s, err := h.open(ctx, req.Peer(), t)
	if err != nil {
		return err
	}
	if bad := s.Do(&c); bad != nil {
		s.End()
		return refusal(bad) // the session has counted it
	}
	return end(ctx, t.stay(ctx, s))
}

func (h *Handler) session(ctx context.Context, calls *connect.BidiStream[pulsov1.SessionRequest, response]) error {
	t := &stream{send: calls.Send, reads: true}
	s, err := h.open(ctx, calls.Peer(), t)
	if err != nil {
		return err
	}
	for read := true; read; {
		read = receive(calls, s)
	}
	return end(ctx, t.stay(ctx, s))
}

// receive takes one command and reports whether there may be more. A client that says no more goes on listening.
func receive(calls *connect.BidiStream[pulsov1.SessionRequest, response], s *gateway.Session) bool {
	request, err := calls.Receive()
	switch {
	case err == nil && request.GetCommand() == nil:
		s.Refuse(0, missing("command"))
	case err == nil:
		s.Take(wire.CommandOf(request.GetCommand()))
	case errors.Is(err, io.EOF):
		return false
	case connect.CodeOf(err) == connect.CodeInvalidArgument: // what follows it can be read all the same
		s.Refuse(0, wire.Errorf(wire.CodeBadProto, "not a SessionRequest of pulso.v1: %v", err))
	case connect.CodeOf(err) == connect.CodeResourceExhausted:
		s.Refuse(0, wire.Errorf(wire.CodeTooLarge, "the command is larger than %d bytes", wire.MaxMessage))
	default:
		return false
	}
	select {
	case <-s.Done():
		return false
	default:
		return true
	}
}
