// Package rpc is the transport of gateway sessions as the service pulso.v1.StreamService: gRPC, gRPC-Web and Connect, in
// protobuf and in JSON, on one path each.
//
// connect-go speaks the protocols. Messages that sessions share go out as the bytes that they are: only where a client takes
// JSON are they decoded, and written again as protobuf's JSON.
package rpc

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

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
}

const (
	defaultWriteTimeout = 10 * time.Second
	// transport is the transport's name.
	transport = "rpc"
	// publishTimeout is how long a publish may wait for the log, where the client has set no time of its own.
	publishTimeout = 10 * time.Second
)

// Path is where the service is; it ends in a slash.
const Path = "/" + pulsov1connect.StreamServiceName + "/"

// A Handler serves calls. It is an [http.Handler] for everything below Path.
type Handler struct {
	cfg Config
	mux *http.ServeMux

	mu       sync.Mutex
	stopping bool
	wg       sync.WaitGroup // one for each call
}

// New makes a Handler.
func New(cfg Config) *Handler {
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = defaultWriteTimeout
	}
	h := &Handler{cfg: cfg, mux: http.NewServeMux()}
	options := []connect.HandlerOption{
		connect.WithCodec(protoCodec{}), connect.WithCodec(jsonCodec{"json"}), connect.WithCodec(jsonCodec{"json; charset=utf-8"}),
		connect.WithReadMaxBytes(wire.MaxMessage),
		connect.WithCompressMinBytes(math.MaxInt), // each stream would compress for itself what all of them share
		connect.WithRecover(recovered),
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
func recovered(context.Context, connect.Spec, http.Header, any) error {
	return closed(wire.CloseInternal)
}

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

// controls is the key of a call's ResponseController.
type controls struct{}

// ServeHTTP serves a call.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.begin() {
		http.Error(w, wire.CloseShutdown.Info().Meaning, http.StatusServiceUnavailable)
		return
	}
	defer h.wg.Done()
	control := http.NewResponseController(w)
	if !strings.HasSuffix(r.URL.Path, "/Publish") { // the server's times are for requests that are answered at once
		_ = control.SetReadDeadline(time.Time{})
		_ = control.SetWriteDeadline(time.Time{})
	}
	h.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), controls{}, control)))
}

func controlOf(ctx context.Context) *http.ResponseController {
	control, _ := ctx.Value(controls{}).(*http.ResponseController) // ServeHTTP has put it there
	return control
}

func (h *Handler) publish(ctx context.Context, req *connect.Request[pulsov1.PublishRequest]) (*connect.Response[pulsov1.PublishResponse], error) {
	command := &pulsov1.Command{Command: &pulsov1.Command_Publish{Publish: req.Msg.GetPublish()}}
	if req.Msg.GetPublish() == nil {
		return nil, refused(wire.Errorf(wire.CodeBadCommand, "publish is missing"))
	}
	c, bad := wire.CommandOf(command)
	if bad != nil {
		return nil, refused(bad)
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	pos, bad := h.cfg.Gateway.Publish(ctx, transport, c.Publish)
	if bad != nil {
		return nil, refused(bad)
	}
	return connect.NewResponse(&pulsov1.PublishResponse{Published: &pulsov1.Published{Position: pos.String()}}), nil
}

// open begins the session of a call.
func (h *Handler) open(ctx context.Context, peer connect.Peer, send func(*response) error) (*stream, *gateway.Session, error) {
	t := &stream{send: send, control: controlOf(ctx), timeout: h.cfg.WriteTimeout}
	s, err := h.cfg.Gateway.Open(t, gateway.Client{Transport: transport, Remote: peer.Addr, Encoding: wire.Proto})
	switch {
	case errors.Is(err, gateway.ErrStopping):
		return nil, nil, closed(wire.CloseShutdown)
	case err != nil:
		return nil, nil, closed(wire.CloseOverloaded)
	}
	return t, s, nil
}

func (h *Handler) subscribe(ctx context.Context, req *connect.Request[pulsov1.SubscribeRequest], out *connect.ServerStream[response]) error {
	command := &pulsov1.Command{Id: 1, Command: &pulsov1.Command_Subscribe{Subscribe: req.Msg.GetSubscribe()}}
	if req.Msg.GetSubscribe() == nil {
		return refused(wire.Errorf(wire.CodeBadCommand, "subscribe is missing"))
	}
	c, bad := wire.CommandOf(command)
	if bad != nil {
		return refused(bad)
	}
	t, s, err := h.open(ctx, req.Peer(), out.Send)
	if err != nil {
		return err
	}
	if bad := s.Do(&c); bad != nil {
		s.End()
		return refused(bad)
	}
	return t.stay(ctx, s)
}

func (h *Handler) session(ctx context.Context, calls *connect.BidiStream[pulsov1.SessionRequest, response]) error {
	t, s, err := h.open(ctx, calls.Peer(), calls.Send)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() { // when the session has ended, nothing more is read
		defer close(done)
		select {
		case <-s.Done():
		case <-ctx.Done():
		}
		_ = t.control.SetReadDeadline(time.Now())
	}()
	for read := true; read; {
		read = receive(calls, s)
	}
	err = t.stay(ctx, s)
	<-done
	return err
}

// receive takes one command and reports whether there may be more. A client that says no more goes on listening.
func receive(calls *connect.BidiStream[pulsov1.SessionRequest, response], s *gateway.Session) bool {
	request, err := calls.Receive()
	switch {
	case err == nil && request.GetCommand() == nil:
		s.Refuse(0, wire.Errorf(wire.CodeBadCommand, "command is missing"))
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
