// Package broker is the MQTT door: it takes what devices publish to the log and delivers what the log holds to MQTT
// subscribers. It speaks MQTT 3.1, 3.1.1 and 5.
//
// # Promises
//
// Log first: a PUBACK or PUBREC is written only after the [Sink] has said that the message is stored, and subscribers
// get a message only through [Broker.Deliver], in the log's order. A full sink blocks the reader of the device that
// publishes, so TCP slows that one device. A subscriber that does not read hurts nobody: nothing on the way in and
// nothing in Deliver waits for its socket.
//
// Nothing owed is lost: what a subscriber of QoS 1 or 2 has no room for, or is not there for, it gets from the log, in
// order, also after a restart. If the log has dropped it meanwhile, that is counted, logged and reported ([Gap]).
//
// Exactly once: the identifiers of QoS 2 survive the process on both ways, before they are acted on.
//
// No byte sequence does harm: each packet is judged by package packet before anything else sees it, memory is taken as
// bytes arrive, and whatever waits is bounded.
//
// # Life cycle
//
// [New], then [Broker.Listen] (errors of binding come from here), then [Broker.Run] until its context ends, which stops
// as [Broker.Stop] does. [Broker.Handler] may serve MQTT over WebSocket on any HTTP server in between. All methods are
// safe for concurrent use, but Deliver belongs to one goroutine.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/broker/limit"
	"pulso/broker/store"
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
	// Settle waits until everything that was taken before has been stored and given to Deliver, or refused, or ctx ends.
	Settle(ctx context.Context) error
}

// A Log is where subscribers are served from that are behind. See [pulso/bridge/eventlog.Log], which it is a part of.
type Log interface {
	Scan(from event.Position, want func(topic string) bool, limit int) (found []event.Event, next event.Position, err error)
	Bounds() (first, next event.Position)
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
	// Log is what the sink stores to, and Deliver is called with. Required.
	Log Log
	// Store keeps sessions, retained messages and delayed wills over a restart; nil: they end with the process. The broker
	// does not close it.
	Store *store.Store
	// Address is the host and port of MQTT over TCP; empty: no TCP.
	Address string
	// TLSAddress is the host and port of MQTT over TLS; empty: no TLS. TLS, required there, says all about it; its GetCertificate must not
	// block. A handshake is part of the time for the CONNECT.
	TLSAddress string
	TLS        *tls.Config
	// AllowedOrigins are the origins ("https://example.org") that browsers may open MQTT over WebSocket from, besides
	// the host that serves it; "*" allows all.
	AllowedOrigins []string
	// Authenticate finds out who connects, and what they may do. It may take up to ConnectTimeout, when ctx ends. Its error is
	// [ErrBusy] or any other, which means that the credentials are not good. nil: everyone may do everything. A session belongs to the
	// account that began it; one from before there were accounts belongs to the first who comes.
	Authenticate func(ctx context.Context, c Credentials) (Guest, error)
	// MayPublish reports whether an account may still publish to a topic; it is asked about wills when they are due. nil: every account may.
	MayPublish func(account, client, topic string) bool
	// OnSubscribe hears of each subscription that is accepted of an account, without its share's name. It must not block. nil: nobody does.
	OnSubscribe func(account, client, filter string)
	// Admit judges a message before it is taken, and may change where it goes. Its error refuses it: it is asked for one only where the
	// sender can be told, or expects no answer. nil: all is taken.
	Admit func(e *event.Event, canRefuse bool) error
	// Presence hears of subscriptions; nil: nobody does.
	Presence Presence
	// OnRefused hears of every connection that is turned away, or cut off for what its client did; it must not block. nil:
	// nobody does.
	OnRefused func(Refusal)
	// OnGap hears of subscribers that the log's retention has passed by; it must not block. nil: nobody does.
	OnGap func(Gap)
	// OnDelivery hears what became of the events that Watch was called for; it must not block, nor call the Broker. nil:
	// nothing can be watched.
	OnDelivery func(Delivery)
	// Memory says when new work is to be refused, because memory is short; nil: never.
	Memory *limit.Memory
	// Logger gets what an operator should know; nil: nothing is logged.
	Logger *slog.Logger
	// Metrics is where the package's metrics are registered; nil: nowhere.
	Metrics prometheus.Registerer

	// ConnectTimeout is how long a connection may take until its CONNECT is complete (5 s).
	ConnectTimeout time.Duration
	// KeepAlive is given to MQTT 5 clients that ask for none (60 s). Older clients may stay idle without one, but a packet
	// that they begin must be complete within it.
	KeepAlive time.Duration
	// WriteTimeout is how long a peer may take to accept 16 KiB before it is closed as slow (60 s).
	WriteTimeout time.Duration
	// SessionExpiry is how long a session without a connection is kept at most (7 days).
	SessionExpiry time.Duration

	// WriteBuffer bounds the bytes that wait for one peer's socket (256 KiB). A quarter of it is for messages, the rest
	// for acknowledgements; a peer that exceeds it is closed as slow.
	WriteBuffer int
	// MaxPacket bounds one packet, in bytes (1 MiB).
	MaxPacket int
	// MaxTopicLevels bounds the levels of topics and filters (128, which is also the most).
	MaxTopicLevels int
	// MaxConnections bounds the connections at one time (100,000), MaxConnectionsPerAddress those of one address (50,000).
	MaxConnections, MaxConnectionsPerAddress int
	// ConnectRate is the new connections a second (5,000): more wait. ConnectRatePerAddress is the same for one address
	// (2,000): more are refused. Ten seconds' worth may come at once. Negative: no bound.
	ConnectRate, ConnectRatePerAddress int
	// ClientMessages and ClientBytes bound what one client may publish a second; it is slowed to that. 0: no bound.
	ClientMessages, ClientBytes int
	// MaxSessions bounds the sessions, connected or not (200,000).
	MaxSessions int
	// MaxSubscriptions bounds the filters of one client (1,000).
	MaxSubscriptions int
	// MaxQueue bounds the messages that wait in memory for one subscriber beyond its window (1,000), MaxQueueBytes their
	// payload (1 MiB). A subscriber that exceeds it is served from the log until it has caught up.
	MaxQueue, MaxQueueBytes int
	// MaxInflight bounds the messages sent to one subscriber and not yet acknowledged (256); an MQTT 5 client's Receive
	// Maximum counts where it is smaller.
	MaxInflight int
	// ReceiveMaximum is how many messages of QoS 1 and 2 an MQTT 5 client may send before it is answered (1,024).
	ReceiveMaximum int
	// MaxRetained bounds the retained messages (1,000,000), MaxRetainedBytes their topics and payloads (256 MiB). What
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
	dur(&c.WriteTimeout, time.Minute)
	dur(&c.SessionExpiry, 7*24*time.Hour)
	def(&c.WriteBuffer, 256<<10)
	def(&c.MaxPacket, 1<<20)
	def(&c.MaxConnections, 100_000)
	def(&c.MaxSessions, 200_000)
	def(&c.MaxSubscriptions, 1_000)
	def(&c.MaxTopicLevels, event.MaxLevels)
	c.MaxTopicLevels = min(c.MaxTopicLevels, event.MaxLevels)
	def(&c.MaxQueue, 1_000)
	def(&c.MaxQueueBytes, 1<<20)
	def(&c.MaxInflight, 256)
	def(&c.ReceiveMaximum, 1_024)
	def(&c.MaxRetained, 1_000_000)
	def(&c.MaxRetainedBytes, 256<<20)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// A Broker is one MQTT broker. See the package comment for its life cycle.
type Broker struct {
	cfg       Config
	log       *slog.Logger
	metrics   *metrics
	retained  *retained
	wills     *wills
	journal   *journal
	flushers  *flushers
	addresses *limit.Addresses
	rates     *limit.Rates
	beat      beat
	topics    topicNames
	matches   matches       // of Deliver's goroutine
	scans     chan struct{} // bounds the readings of the log at one time

	// ctx ends when the broker gives up on finishing what is under way; connections live under it.
	ctx    context.Context //nolint:containedctx // it is the life of the broker's own goroutines, not of a call
	cancel context.CancelFunc

	base    event.Position                 // the log's end when the broker began
	tail    atomic.Uint64                  // offset after the newest event that Deliver has begun with
	reached atomic.Pointer[event.Position] // the place after the newest event that Deliver is done with

	// delivering is held while a batch is offered, and while subscriptions are made, which so stand at one place in the log.
	// It comes before all other locks but those of the registry of sessions.
	delivering sync.Mutex

	index         index
	subscriptions atomic.Int64 // accepted filters over all sessions
	behind        atomic.Int64 // sessions and groups that are served from the log, or will be
	lastRefused   atomic.Int64 // when a refusal was last logged, in Unix seconds, see refuse
	complaints    complaints
	watched       watched

	groupsMu sync.Mutex // before a group's own lock
	groups   map[groupKey]*group

	helpers  sync.WaitGroup // flushers
	wg       sync.WaitGroup // accept loop, connections, housekeeping, readers of the log
	mu       sync.Mutex
	listener net.Listener
	secured  net.Listener // below TLS
	stopping bool
	stopped  chan struct{} // closed when Stop begins
	links    map[*link]struct{}
	owners   map[string]*link // client id -> the connection that has it
	sessions map[string]*session
	offline  map[string]*session // those without a connection
}

// New makes a broker with the sessions, retained messages and wills that the store holds. It opens nothing yet. Deliver is
// to be called with everything that is appended to the log from now on. The context is for New alone.
func New(ctx context.Context, cfg Config) (*Broker, error) {
	if cfg.Sink == nil || cfg.Log == nil {
		return nil, errors.New("broker needs a sink and its log")
	}
	if cfg.TLSAddress != "" && cfg.TLS == nil {
		return nil, fmt.Errorf("MQTT over TLS on %s: there is no TLS configuration", cfg.TLSAddress)
	}
	cfg = cfg.withDefaults()
	b := &Broker{
		cfg:      cfg,
		watched:  watched{tell: cfg.OnDelivery},
		log:      cfg.Logger,
		metrics:  newMetrics(),
		flushers: newFlushers(),
		scans:    make(chan struct{}, maxScans),
		stopped:  make(chan struct{}),
		links:    map[*link]struct{}{},
		owners:   map[string]*link{},
		sessions: map[string]*session{},
		offline:  map[string]*session{},
		groups:   map[groupKey]*group{},
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.retained = &retained{maxCount: int64(cfg.MaxRetained), maxBytes: int64(cfg.MaxRetainedBytes)}
	b.wills = &wills{pending: map[string]*pendingWill{}}
	b.journal = newJournal(b, cfg.Store)
	var err error
	b.addresses, err = limit.NewAddresses(limit.AddressesConfig{
		MaxConnections: cfg.MaxConnections, MaxPerAddress: cfg.MaxConnectionsPerAddress,
		Rate: cfg.ConnectRate, RatePerAddress: cfg.ConnectRatePerAddress, Metrics: cfg.Metrics,
	})
	if err != nil {
		return nil, err
	}
	b.rates, err = limit.NewRates(limit.RatesConfig{
		Messages: cfg.ClientMessages, Bytes: int64(cfg.ClientBytes), Metrics: cfg.Metrics,
	})
	if err != nil {
		return nil, err
	}
	if cfg.Metrics != nil {
		if err := b.metrics.register(cfg.Metrics, b); err != nil {
			return nil, err
		}
	}
	if err := b.recover(ctx); err != nil {
		b.wills.stop()
		b.cancel()
		return nil, err
	}
	return b, nil
}

// Listen binds the addresses, so that connections wait in the system's queue until [Broker.Run] takes them. Without
// an address it does nothing. Its error names the address.
func (b *Broker) Listen(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopping {
		return ErrStopped
	}
	return errors.Join(listen(ctx, &b.listener, b.cfg.Address), listen(ctx, &b.secured, b.cfg.TLSAddress))
}

// listen binds an address, if there is one and it is not bound.
func listen(ctx context.Context, to *net.Listener, address string) error {
	if address == "" || *to != nil {
		return nil
	}
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
	}}
	ln, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for MQTT on %s: %w", address, err)
	}
	*to = ln
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

// TLSAddr is the address of MQTT over TLS that Listen has bound, nil before that and without one.
func (b *Broker) TLSAddr() net.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.secured == nil {
		return nil
	}
	return b.secured.Addr()
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
	listeners := b.listeners()
	b.journal.ended = make(chan struct{})
	go b.journal.run() //nolint:contextcheck // what it commits must survive the end of ctx
	for _, f := range b.flushers.all {
		b.helpers.Go(func() { f.run(b.ctx) })
	}
	for _, ln := range listeners {
		b.wg.Go(func() { b.accept(ln) }) //nolint:contextcheck // connections live under b.ctx
	}
	b.wg.Go(b.housekeeping)
	b.mu.Unlock()
	for _, ln := range listeners {
		b.log.Info("MQTT is listening", "address", ln.Addr().String(), "tls", ln.Addr() == b.TLSAddr())
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
// wills, hands the end of each session to the sink, stores what must survive and waits for all goroutines. When ctx ends
// first it gives up waiting for the sink and returns ctx's error. It may be called more than once.
func (b *Broker) Stop(ctx context.Context) error {
	b.mu.Lock()
	if !b.stopping {
		b.stopping = true
		close(b.stopped)
		for _, ln := range b.listeners() {
			_ = ln.Close() // an error would say that it is closed
		}
	}
	for l := range b.links {
		l.end(causeShutdown)
	}
	b.mu.Unlock()
	b.wills.stop()

	finished := make(chan struct{})
	go func() {
		defer close(finished)
		b.wg.Wait()
		b.journal.stop()
		b.cancel()
		b.helpers.Wait()
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

// listeners are those that are bound; b.mu is held.
func (b *Broker) listeners() (all []net.Listener) {
	if b.listener != nil {
		all = append(all, b.listener)
	}
	if b.secured != nil {
		all = append(all, &tlsListener{Listener: b.secured, config: b.cfg.TLS, timeout: b.cfg.WriteTimeout})
	}
	return all
}

// begin says that something begins that Stop waits for; false: it is too late. The caller calls wg.Done.
func (b *Broker) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopping {
		b.wg.Add(1)
	}
	return !b.stopping
}

// stops reports whether Stop has begun.
func (b *Broker) stops() bool {
	select {
	case <-b.stopped:
		return true
	default:
		return false
	}
}

// Err says why sessions are not stored at present, nil if they are.
func (b *Broker) Err() error { return b.journal.Err() }

// allows asks the guard of memory whether new work may be taken on.
func (b *Broker) allows(w limit.Work) bool { return b.cfg.Memory == nil || b.cfg.Memory.Allow(w) }

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
			for _, topic := range b.retained.expire(now) {
				b.journal.retained(topic)
			}
		}
	}
}
