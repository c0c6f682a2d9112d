// Package gatewaytest is the one script that every transport of gateway sessions passes, on a hub of real parts and over
// real connections: commands, deliveries, cuts and resumes, slow clients, farewells. [Run] plays it on one transport,
// [Across] resumes on one what began on another.
//
// A transport's test brings a [Factory]; those of the transports that ship with the hub are here.
package gatewaytest

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"

	"pulso/access/meter"
	"pulso/bridge/gateway"
	"pulso/bridge/wire"
)

// A Service is the hub's side of a transport.
type Service struct {
	// Name tells services apart: factories of one service share it.
	Name string
	// Serve adds the transport's routes for a gateway. What it returns runs until its context ends and then waits for the
	// connections that the gateway has stopped; nil: there is nothing to run.
	Serve func(mux *http.ServeMux, g *gateway.Gateway, l Limits) (run func(context.Context) error)
}

// Limits are times that a script cannot wait for at their usual length; zero is the usual one.
type Limits struct {
	// Write is how long a client may take nothing.
	Write time.Duration
	// Silence is how long one that polls may be silent.
	Silence time.Duration
}

// A Factory makes clients of one transport.
type Factory struct {
	Name    string
	Service Service
	// Dial connects a client to a hub.
	Dial func(h *Hub) (Client, error)
	// Single says that a connection is one subscription: its first command is a subscribe, and there is no other.
	Single bool
	// Polls says that the hub cannot tell a client that reads nothing from one that has gone.
	Polls bool
}

// All are the transports that a hub has.
func All() []Factory {
	return []Factory{
		WebSocket(wire.JSON), WebSocket(wire.Proto), SSESession(), SSEStream(), Poll(),
		RPC("gRPC", connect.WithGRPC()), RPCSubscribe("Connect"),
	}
}

// A Client is one connection. It belongs to one goroutine. It reads nothing but in Receive, so that one who does not call
// it is a client that does not read.
type Client interface {
	// Send sends a command, written in JSON whatever the transport makes of it.
	Send(command string) error
	// Receive waits for the next message, for at most ten seconds. A [ClosedError] is the hub's farewell.
	Receive() (Message, error)
	// Cut ends the connection without a word, as a network does. It may be called more than once.
	Cut()
}

// A ClosedError is the end of a session with a code that says why.
type ClosedError struct{ Code wire.CloseCode }

// Error implements error.
func (e *ClosedError) Error() string { return fmt.Sprintf("closed: %d %s", e.Code, e.Code.Info().Name) }

// patience is how long a client waits for a message, and the script for anything else.
const patience = 10 * time.Second

// Run plays the script on one transport; what matters of it once more as a hub with accounts has it, where each session is somebody's.
func Run(t *testing.T, f Factory) {
	t.Helper()
	for _, scene := range []struct {
		name string
		play func(*testing.T, Factory)
		// several: it takes more than one subscription on a connection, or other commands.
		several bool
		// accounts: it is played with accounts, too.
		accounts bool
	}{
		{"Forms", forms, false, true},
		{"History", history, false, false},
		{"Bad subscriptions", badSubscriptions, false, false},
		{"Positions", positions, false, false},
		{"Conversation", conversation, true, true},
		{"Publish", publish, true, true},
		{"Errors", badCommands, true, false},
		{"Many bad commands", manyBadCommands, true, false},
		{"Too many subscriptions", tooMany, true, false},
		{"Change", change, true, true},
		{"Cut", cut, false, true},
		{"Resume of latest", resumeLatest, false, true},
		{"Retention", retention, false, true},
		{"Conflation", conflation, false, false},
		{"Slow", slow, false, false},
		{"Never reads", neverReads, false, false},
		{"Viewers", viewers, false, true},
		{"Overloaded", overloaded, false, false},
		{"Shutdown", shutdown, false, true},
	} {
		if scene.several && f.Single {
			continue
		}
		t.Run(scene.name, func(t *testing.T) { scene.play(t, f) })
		if scene.accounts {
			t.Run(scene.name+" with accounts", func(t *testing.T) { scene.play(t, f.as(somebody{})) })
		}
	}
}

// as has all requests come from a person.
func (f Factory) as(p gateway.Person) Factory {
	serve := f.Service.Serve
	f.Service.Serve = func(mux *http.ServeMux, g *gateway.Gateway, l Limits) func(context.Context) error {
		inner := http.NewServeMux()
		run := serve(inner, g, l)
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			inner.ServeHTTP(w, r.WithContext(gateway.WithPerson(r.Context(), p)))
		})
		return run
	}
	return f
}

// somebody is a person who may do everything, for ever.
type somebody struct{}

func (somebody) Name() string                   { return "somebody" }
func (somebody) MayPublish(string) bool         { return true }
func (somebody) MayCommand(string) bool         { return true }
func (somebody) Meter() *meter.Chain            { return nil }
func (somebody) While(func(bool)) (free func()) { return func() {} }

// Across cuts clients off in the middle of a stream and resumes them on another transport, to and fro, for each pair.
func Across(t *testing.T, factories ...Factory) {
	t.Helper()
	for i, one := range factories {
		for _, other := range factories[i+1:] {
			t.Run(one.Name+" and "+other.Name, func(t *testing.T) { cuts(t, one, other) })
		}
	}
}
