// Package broker is the MQTT door: it takes what devices publish to the log and delivers what the log holds to MQTT
// subscribers. It is the only importer of mochi-mqtt, which it uses for CONNECT, subscriptions and the rules of the
// packets; sockets, acknowledgements, wills, retained messages and delivery are its own.
//
// # Promises
//
// Log first: a PUBACK or PUBREC is written only after the [Sink] has said that the message is stored, and subscribers
// get a message only through [Broker.Deliver], in the log's order. A full sink blocks the reader of the device that
// publishes, so TCP slows that one device. A subscriber that does not read hurts nobody: nothing on the way in and
// nothing in Deliver waits for its socket.
//
// # Life cycle
//
// [New], then [Broker.Listen] (errors of binding come from here), then [Broker.Run] until its context ends, which stops
// as [Broker.Stop] does. [Broker.Handler] may serve MQTT over WebSocket on any HTTP server in between. All methods are
// safe for concurrent use, but Deliver belongs to one goroutine.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
)

// ErrStopped is returned for what is asked of a broker that has been stopped.
var ErrStopped = errors.New("broker is stopped")

// A Sink takes what the broker receives.
type Sink interface {
	// Ingest hands over a message (event.KindPublish, event.KindWill) or a session event (event.KindConnected,
	// event.KindDisconnected). It blocks while the sink is full, until ctx ends. An error means that m was not taken.
	//
	// done, if not nil, is called exactly once for what was taken, in log order: with a nil error when m is stored, else
	// with the reason why it never will be. It does not block and may be called before Ingest returns.
	Ingest(ctx context.Context, m event.Event, done func(event.Position, error)) error
}

// Presence hears of the subscriptions of MQTT clients while they are connected, in the order in which they change for
// each client: a connection that ends takes its subscriptions along, one that resumes a session brings them back. Its
// methods must not block.
type Presence interface {
	Subscribed(client, filter string)
	Unsubscribed(client, filter string)
}

// Config configures a [Broker]. Zero values mean the defaults given.
type Config struct {
	// Sink takes what is received. Required.
	Sink Sink
	// Address is the host and port of MQTT over TCP; empty: no TCP.
	Address string
	// AllowedOrigins are the origins ("https://example.org") that browsers may open MQTT over WebSocket from, besides
	// the host that serves it; "*" allows all.
	AllowedOrigins []string
	// Authenticate reports whether these credentials may connect with this client id; nil: everyone may.
	Authenticate func(user string, password []byte, client string) bool
	// Presence hears of subscriptions; nil: nobody does.
	Presence Presence
	// OnRefused hears of every connection that is turned away; it must not block. nil: nobody does.
	OnRefused func(Refusal)
	// Logger gets what an operator should know; nil: nothing is logged.
	Logger *slog.Logger
	// Metrics is where the package's metrics are registered; nil: nowhere.
	Metrics prometheus.Registerer

	// ConnectTimeout is how long a connection may take until its CONNECT is complete (5 s).
	ConnectTimeout time.Duration
	// KeepAlive is given to MQTT 5 clients that ask for none (60 s). Older clients may stay idle without one, but a packet
	// that they begin must be complete within it.
	KeepAlive time.Duration
	// WriteTimeout is how long a peer may take to accept 16 KiB before it is closed as slow (10 s).
	WriteTimeout time.Duration
	// SessionExpiry is how long a session without a connection is kept at most (7 days).
	SessionExpiry time.Duration

	// WriteBuffer bounds the bytes that wait for one peer's socket (256 KiB). A quarter of it is for messages, the rest
	// for acknowledgements; a peer that exceeds it is closed as slow.
	WriteBuffer int
	// MaxPacket bounds one packet, in bytes (1 MiB).
	MaxPacket int
	// MaxConnections bounds the connections at one time (100,000).
	MaxConnections int
	// MaxSessions bounds the sessions, connected or not (200,000).
	MaxSessions int
	// MaxSubscriptions bounds the filters of one client (1,000).
	MaxSubscriptions int
	// MaxQueue bounds the messages that wait for one subscriber beyond its window (8,192), MaxQueueBytes their payload
	// (4 MiB). What exceeds it is dropped and counted.
	MaxQueue, MaxQueueBytes int
	// MaxInflight bounds the messages sent to one subscriber and not yet acknowledged (256); an MQTT 5 client's Receive
	// Maximum counts where it is smaller.
	MaxInflight int
	// MaxRetained bounds the retained messages (100,000), MaxRetainedBytes their topics and payloads (128 MiB). What
	// exceeds it is delivered, but not retained, and counted.
	MaxRetained, MaxRetainedBytes int
}

func (c Config) withDefaults() Config {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	dur := func(p *time.Duration, v time.Duration) {
		if *p <= 0 {
			*p = v
		}
	}
	dur(&c.ConnectTimeout, 5*time.Second)
	dur(&c.KeepAlive, time.Minute)
	dur(&c.WriteTimeout, 10*time.Second)
	dur(&c.SessionExpiry, 7*24*time.Hour)
	def(&c.WriteBuffer, 256<<10)
	def(&c.MaxPacket, 1<<20)
	def(&c.MaxConnections, 100_000)
	def(&c.MaxSessions, 200_000)
	def(&c.MaxSubscriptions, 1_000)
	def(&c.MaxQueue, 8_192)
	def(&c.MaxQueueBytes, 4<<20)
	def(&c.MaxInflight, 256)
	def(&c.MaxRetained, 100_000)
	def(&c.MaxRetainedBytes, 128<<20)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

const (
	receiveMaximum    = 1024 // unacknowledged messages that an MQTT 5 client may send
	topicAliasMaximum = 64   // a client's topic aliases: 64 topics are remembered at most
	mochiReadBuffer   = 16   // mochi's buffer only has to hold a fixed header: ours stands in front of it
)

// A Broker is one MQTT broker. See the package comment for its life cycle.
type Broker struct {
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	server   *mqtt.Server
	hook     *hook
	retained *retained
	wills    *wills
	matches  matches // of Deliver's goroutine

	// ctx ends when the broker gives up on finishing what is under way; connections live under it.
	ctx    context.Context //nolint:containedctx // it is the life of the broker's own goroutines, not of a call
	cancel context.CancelFunc

	index         index
	subscriptions atomic.Int64 // accepted filters over all sessions
	lastRefused   atomic.Int64 // when a refusal was last logged, in Unix seconds, see refuse
	complaints    complaints

	wg       sync.WaitGroup // accept loop, connections, housekeeping
	mu       sync.Mutex
	listener net.Listener
	stopping bool
	stopped  chan struct{} // closed when Stop begins
	links    map[*link]struct{}
	owners   map[string]*link // client id -> the connection that has it
	sessions map[string]*session
	offline  map[string]*session // those without a connection
}

// New makes a broker. It opens nothing yet.
func New(cfg Config) (*Broker, error) {
	if cfg.Sink == nil {
		return nil, errors.New("broker needs a sink")
	}
	cfg = cfg.withDefaults()
	b := &Broker{
		cfg:      cfg,
		log:      cfg.Logger,
		metrics:  newMetrics(),
		stopped:  make(chan struct{}),
		links:    map[*link]struct{}{},
		owners:   map[string]*link{},
		sessions: map[string]*session{},
		offline:  map[string]*session{},
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.retained = &retained{maxCount: int64(cfg.MaxRetained), maxBytes: int64(cfg.MaxRetainedBytes)}
	b.wills = &wills{pending: map[string]*pendingWill{}}
	b.hook = &hook{b: b}
	b.server = newServer(cfg)
	if err := b.server.AddHook(b.hook, nil); err != nil {
		return nil, fmt.Errorf("add hook: %w", err)
	}
	if cfg.Metrics != nil {
		if err := b.metrics.register(cfg.Metrics, b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// newServer makes mochi's server. It is never served nor closed: connections are handed to it one by one, so that its
// listeners, its $SYS topics, its event loop and its way of closing stay out of the picture. Its logger is mute because
// it would log whole packets, payloads and passwords included.
func newServer(cfg Config) *mqtt.Server {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumMessageExpiryInterval = 0 // only an expiry that the publisher sets counts
	caps.MaximumClientWritesPending = 1   // mochi delivers nothing: see session
	caps.MaximumSessionExpiryInterval = uint32(min(cfg.SessionExpiry/time.Second, math.MaxUint32))
	caps.MaximumPacketSize = uint32(min(cfg.MaxPacket, math.MaxInt32))
	caps.ReceiveMaximum = receiveMaximum
	caps.TopicAliasMaximum = topicAliasMaximum
	caps.Compatibilities.NoInheritedPropertiesOnAck = true
	return mqtt.New(&mqtt.Options{
		Capabilities:            caps,
		Logger:                  slog.New(slog.DiscardHandler),
		ClientNetReadBufferSize: mochiReadBuffer,
		SysTopicResendInterval:  math.MaxInt32, // its ticker is never read, but it runs
	})
}

// Listen binds the TCP address, so that connections wait in the system's queue until [Broker.Run] takes them. Without
// an address it does nothing. Its error names the address.
func (b *Broker) Listen(ctx context.Context) error {
	if b.cfg.Address == "" {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopping {
		return ErrStopped
	}
	if b.listener != nil {
		return nil
	}
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
	}}
	ln, err := lc.Listen(ctx, "tcp", b.cfg.Address)
	if err != nil {
		return fmt.Errorf("listen for MQTT on %s: %w", b.cfg.Address, err)
	}
	b.listener = ln
	return nil
}

// Addr is the address that Listen has bound, nil before that and without one.
func (b *Broker) Addr() net.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listener == nil {
		return nil
	}
	return b.listener.Addr()
}

// stopGrace bounds the stop that the end of Run's context begins.
const stopGrace = 5 * time.Second

// Run listens, if Listen has not been called, and serves until ctx ends; then it stops as Stop does, within 5 s. It
// returns nil after a clean stop.
func (b *Broker) Run(ctx context.Context) error {
	if err := b.Listen(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	if b.stopping {
		b.mu.Unlock()
		return ErrStopped
	}
	ln := b.listener
	if ln != nil {
		b.wg.Go(func() { b.accept(ln) })
	}
	b.wg.Go(b.housekeeping)
	b.mu.Unlock()
	if ln != nil {
		b.log.Info("MQTT is listening", "address", ln.Addr().String())
	}

	select {
	case <-ctx.Done():
	case <-b.stopped:
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	return b.Stop(grace)
}

// Stop ends the broker: it stops accepting, tells MQTT 5 clients that the server shuts down (reason 0x8B), sends no
// wills, hands the end of each session to the sink and waits for all goroutines. When ctx ends first it gives up
// waiting for the sink and returns ctx's error. It may be called more than once.
func (b *Broker) Stop(ctx context.Context) error {
	b.mu.Lock()
	if !b.stopping {
		b.stopping = true
		close(b.stopped)
		if b.listener != nil {
			_ = b.listener.Close() // an error would say that it is closed
		}
	}
	for l := range b.links {
		l.end(causeShutdown)
	}
	b.mu.Unlock()
	b.wills.stop(b.wg.Done)

	finished := make(chan struct{})
	go func() {
		defer close(finished)
		b.wg.Wait()
	}()
	defer b.cancel()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
	}
	b.cancel()
	select {
	case <-finished:
	case <-time.After(lingerTimeout):
	}
	return fmt.Errorf("stop the broker: %w", ctx.Err())
}

// Handler serves MQTT over WebSocket; mount it at /mqtt.
func (b *Broker) Handler() http.Handler { return newWebSocket(b) }

// housekeeping ends expired sessions and retained messages once a second.
func (b *Broker) housekeeping() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-b.stopped:
			return
		case now := <-tick.C:
			b.expireSessions(now)
			b.retained.expire(now)
		}
	}
}
