// Package gateway holds the sessions of everyone who watches: it runs their commands and writes them what their rooms
// have for them, whatever the transport. A transport adapts a connection (ws/ is the WebSocket one).
//
// Life: [New]; a transport calls [Gateway.Open] for each connection, [Session.Handle] for each message from its one
// reading goroutine and [Session.End] when the connection is over. [Gateway.Stop] ends all sessions and waits for them.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/access/meter"
	"pulso/bridge/event"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// A Transport writes to one client. Write and Close are called by one goroutine at a time, Hurry by any.
type Transport interface {
	// Write writes whole messages in their order, in as few system calls as it can, together with whatever the
	// transport itself has to say (it is also called with none). It blocks for as long as the client takes something now
	// and then; ErrSlow says that it does not.
	Write(messages []*wire.Message) error
	// Close is the last call: it tells the client why (0: it was the client who left) and ends the writing side. It
	// takes a bounded time.
	Close(code wire.CloseCode)
	// Hurry says that the session ends: a Write under way, and those that may follow, are bounded in time from now on.
	Hurry()
}

// Errors of this package.
var (
	// ErrSlow is wrapped by a Transport whose client takes nothing.
	ErrSlow = errors.New("client takes nothing")
	// ErrDisconnected is wrapped by a Transport whose connection has ended.
	ErrDisconnected = errors.New("connection has ended")
	// ErrOverloaded is returned by Open beyond MaxSessions, and when Admit says no.
	ErrOverloaded = errors.New("the hub takes no more sessions at present")
	// ErrStopping is returned by Open once Stop has been called.
	ErrStopping = errors.New("the hub is stopping")
)

// Publisher takes messages for the log; the bridge is one.
type Publisher interface {
	// Ingest hands over a message; done is called once, when it is stored or refused, and must not block. An error that is
	// a *wire.Error is told to the client as it is.
	Ingest(ctx context.Context, m event.Event, done func(event.Position, error)) error
}

// Presence hears who is in the chat.
type Presence interface {
	// Join says that a session watches chat channels by filters, as far as its scope (nil: any) sees them, under a name. It
	// replaces what it said before.
	Join(session, name string, filters []string, scope event.Scope)
	// Leave says that a session watches none any more.
	Leave(session string)
}

// Config of a Gateway.
type Config struct {
	Rooms     *room.Registry
	Publisher Publisher
	// OnSubscribe hears of each subscription of a person. It must not block. nil: nobody does.
	OnSubscribe func(p Person, c *wire.Subscribe)
	// Presence may be nil.
	Presence Presence
	// Node and Version are told in the welcome.
	Node, Version string
	// MaxSessions bounds the sessions; 0 is 10,000.
	MaxSessions int
	// Now is the clock that clients are told; nil is the machine's.
	Now func() time.Time
	// Admit is asked whether another session may begin, such as by a guard of memory. It must not block; nil always admits.
	Admit func() bool
	// MaxSubscriptions bounds the rooms of a session; 0 is 64.
	MaxSubscriptions int
	// Logger takes what an operator should know; nil is nowhere.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
}

const (
	defaultMaxSessions      = 10_000
	defaultMaxSubscriptions = 64
)

// A Gateway holds the sessions of a node.
type Gateway struct {
	cfg     Config
	metrics *metrics
	ctx     context.Context //nolint:containedctx // the life of all sessions' publishes
	cancel  context.CancelFunc

	mu       sync.Mutex
	sessions map[*Session]struct{}
	lastID   uint64
	stopping bool
	wg       sync.WaitGroup // one for each session that has not been told farewell
	flushers *flushers
	paints   paints
}

// New makes a Gateway.
func New(cfg Config) *Gateway {
	if cfg.MaxSessions == 0 {
		cfg.MaxSessions = defaultMaxSessions
	}
	if cfg.MaxSubscriptions == 0 {
		cfg.MaxSubscriptions = defaultMaxSubscriptions
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{cfg: cfg, sessions: make(map[*Session]struct{}), flushers: newFlushers()}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.metrics = newMetrics(cfg.Metrics, g)
	return g
}

// A Client is what is known of who opens a session.
type Client struct {
	// Transport is the transport's name, one of a few words.
	Transport string
	// Remote is the client's address.
	Remote string
	// Encoding is what it speaks, both ways.
	Encoding wire.Encoding
	// Name is what others see of it, where it is known before a hello.
	Name string
	// Person is whose session it is; nil: the hub knows nobody.
	Person Person
	// Scope is what it may read; nil is everything. It stays the same for the session's life.
	Scope event.Scope
}

// CountStranger counts a client that a transport refused before it said who it is, because too many others have not yet.
func (g *Gateway) CountStranger() { g.metrics.refused.WithLabelValues(refusedStrangers).Inc() }

// Open begins a session.
func (g *Gateway) Open(t Transport, c Client) (*Session, error) {
	counted := meterOf(c.Person)
	s, err := g.open(t, c, counted)
	if err != nil {
		counted.Close()
	}
	return s, err
}

func (g *Gateway) open(t Transport, c Client, counted *meter.Chain) (*Session, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopping {
		return nil, ErrStopping
	}
	switch {
	case len(g.sessions) >= g.cfg.MaxSessions:
		g.metrics.refused.WithLabelValues(refusedSessions).Inc()
		return nil, ErrOverloaded
	case g.cfg.Admit != nil && !g.cfg.Admit():
		g.metrics.refused.WithLabelValues(refusedAdmit).Inc()
		return nil, ErrOverloaded
	case !counted.Connect(false):
		g.metrics.refused.WithLabelValues(refusedAccount).Inc()
		return nil, errQuota
	}
	g.lastID++
	s := &Session{
		gateway: g, transport: t, id: "s" + strconv.FormatUint(g.lastID, 36), client: c, name: c.Name, meter: counted,
		flusher: g.flushers.next(), reported: time.Now(),
		done: make(chan struct{}), written: make(chan struct{}),
	}
	g.sessions[s] = struct{}{}
	g.metrics.opened.WithLabelValues(c.Transport).Inc()
	g.wg.Add(1) // serve is done with it
	s.stay()
	return s, nil
}

// Sessions is how many sessions are open.
func (g *Gateway) Sessions() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// Stop ends all sessions with a code that means "come back", and waits until all have been told or ctx ends.
func (g *Gateway) Stop(ctx context.Context) error {
	g.mu.Lock()
	g.stopping = true
	for s := range g.sessions {
		s.Close(wire.CloseShutdown)
	}
	g.mu.Unlock()
	g.cancel()
	done := make(chan struct{})
	go func() {
		g.wg.Wait()
		g.flushers.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *Gateway) forget(s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, s)
}

// Publish hands a message to the log on behalf of a client without a session, and waits until it is stored.
func (g *Gateway) Publish(ctx context.Context, client string, c *wire.Publish) (event.Position, *wire.Error) {
	type outcome struct {
		pos event.Position
		err error
	}
	done := make(chan outcome, 1)
	if e := MayPublish(PersonOf(ctx), c.Topic); e != nil {
		g.metrics.refusedCommands.WithLabelValues(e.Code).Inc()
		return event.Position{}, e
	}
	if e := Allow(PersonOf(ctx), c.Size()); e != nil {
		g.metrics.refusedCommands.WithLabelValues(e.Code).Inc()
		return event.Position{}, e
	}
	err := g.cfg.Publisher.Ingest(ctx, message(client, c), func(pos event.Position, err error) { done <- outcome{pos, err} })
	if err != nil {
		return event.Position{}, g.refusedPublish(err)
	}
	select {
	case o := <-done:
		if o.err != nil {
			return event.Position{}, g.refusedPublish(o.err)
		}
		return o.pos, nil
	case <-ctx.Done(): // it may yet be stored
		return event.Position{}, g.refusedPublish(context.Cause(ctx))
	}
}

func (g *Gateway) refusedPublish(err error) *wire.Error {
	e := unavailable(err)
	g.metrics.refusedCommands.WithLabelValues(e.Code).Inc()
	return e
}

// message is a client's publish as the log takes it.
func message(client string, c *wire.Publish) event.Event {
	return event.Event{
		Time: time.Now().UnixNano(), Topic: c.Topic, Client: client, Payload: c.Body, Source: event.SourceGateway,
		QoS: uint8(c.QoS), Retain: c.Retain,
	}
}

// millisNow is the time that clients are told.
func (g *Gateway) millisNow() int64 { return g.cfg.Now().UnixMilli() }
