// Package source takes messages from brokers that exist: it subscribes to Mosquitto, EMQX or any other MQTT broker, hands
// what comes to the log, and sends what screens and services publish back to the broker. It speaks MQTT 5 and 3.1.1.
//
// # Promises
//
// Log first: a message of QoS 1 is acknowledged to the broker only after the [Sink] has said that it is stored, in the order
// of arrival. The session at the broker outlives the connection, so what is not acknowledged comes again; after a crash
// some of it may then be in the log twice, which QoS 1 allows, and none is missing. Messages of QoS 2 are taken at QoS 1.
//
// What is not known is said: what a broker dropped of QoS 0 while it was away, or of QoS 1 when it has forgotten the
// session, nobody can count. Outages, their seconds and forgotten sessions are counted instead, logged and reported ([Loss]).
//
// Nothing grows without bound: while the log has no room, nothing more is read from the socket. A packet is bounded before
// memory is taken for it.
//
// What screens and services publish ([event.SourceGateway]) goes to the broker whose prefix fits best, in the log's order, by a
// cursor that outlives the process: at QoS 1 each reaches the broker, after a cut or a crash perhaps twice. What came from a
// broker, or from a device of this hub, is never sent to one; so there are no loops. A hub's own message that comes
// back is no new one: MQTT 5 leaves it out (No Local), in shared subscriptions it is known by a user property, and in MQTT 3.1.1
// by its topic and payload within half a minute.
//
// # Life cycle
//
// [New], then [Sources.Run] until its context ends; [Sources.Offer] is called by the one goroutine that hands on what was
// committed, from before Run on. The other methods are safe for concurrent use.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
)

// A Sink takes what comes from the brokers.
type Sink interface {
	// Ingest hands over a message. It blocks while the sink is full, until ctx ends. An error means that m was not taken.
	//
	// done, if not nil, is called exactly once for what was taken, in log order: with a nil error when m is stored, else
	// with the reason why it never will be. It does not block and may be called before Ingest returns.
	Ingest(ctx context.Context, m event.Event, done func(event.Position, error)) error
}

// A Log is where what was published for a broker is read from, as far as it is not in memory. See
// [pulso/bridge/eventlog.Log], which it is a part of.
type Log interface {
	Scan(from event.Position, want func(topic string) bool, limit int) (found []event.Event, next event.Position, err error)
	Bounds() (first, next event.Position)
}

// Config configures [Sources]. Zero values mean the defaults given.
type Config struct {
	// Sink takes what comes. Required.
	Sink Sink
	// Log is what the sink stores to, and Offer is called with. Required.
	Log Log
	// Remotes are the brokers, at most MaxRemotes; there may be none.
	Remotes []Remote
	// Dir is a folder for client ids and cursors, made where there is none; empty: they end with the process, and so do the sessions.
	Dir string
	// MaxPacket bounds one packet, in bytes (1 MiB). Brokers of MQTT 5 are told; what is larger is left out and counted.
	MaxPacket int
	// OnLoss hears of what is unknown; it must not block. nil: nobody does.
	OnLoss func(Loss)
	// Logger gets what an operator should know; nil: nothing is logged.
	Logger *slog.Logger
	// Metrics is where the package's metrics are registered; nil: nowhere.
	Metrics prometheus.Registerer
}

// A Loss is a time of which it is unknown what a broker has dropped.
type Loss struct {
	// Time is when the broker was there again, Away how long it was not.
	Time time.Time
	Away time.Duration
	// Source is the remote's name.
	Source string
	// Forgotten says that the broker had forgotten the session, so that QoS 1 is concerned as well as QoS 0.
	Forgotten bool
}

// A State is how one broker is at present.
type State struct {
	// Name and URL are the remote's.
	Name, URL string
	// Connected says that it is connected and its subscriptions stand; Since is when this began, or when the opposite did.
	Connected bool
	Since     time.Time
	// Problem is why it is not connected, or what is wrong although it is; empty: nothing.
	Problem string
}

const defaultMaxPacket = 1 << 20

// Sources are the brokers that messages are taken from. See the package comment.
type Sources struct {
	remotes []*remote
}

// New reads what was saved of each source and makes Sources.
func New(cfg Config) (*Sources, error) {
	if cfg.Sink == nil || cfg.Log == nil {
		return nil, errors.New("source: Sink and Log are needed")
	}
	if cfg.MaxPacket == 0 {
		cfg.MaxPacket = defaultMaxPacket
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Remotes) > MaxRemotes {
		return nil, fmt.Errorf("source: %d brokers, at most %d", len(cfg.Remotes), MaxRemotes)
	}
	if cfg.Dir != "" && len(cfg.Remotes) > 0 {
		if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
			return nil, fmt.Errorf("folder of the sources: %w", err)
		}
	}
	metrics := newMetrics(cfg.Metrics)
	s := &Sources{}
	for i := range cfg.Remotes {
		c := cfg.Remotes[i].withDefaults()
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("source %s: %w", c.Name, err)
		}
		r, err := newRemote(c, &cfg, metrics)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(s.remotes, func(o *remote) bool { return o.cfg.Name == r.cfg.Name }) {
			return nil, fmt.Errorf("source: two are called %s", r.cfg.Name)
		}
		s.remotes = append(s.remotes, r)
	}
	for _, r := range s.remotes {
		for _, o := range s.remotes {
			if p := o.cfg.Prefix; p != r.cfg.Prefix && strings.HasPrefix(p, r.cfg.Prefix) {
				r.outbox.rivals = append(r.outbox.rivals, p)
			}
		}
	}
	return s, nil
}

// Run takes messages until ctx ends. Then what came is stored and acknowledged, for a second at most, and the brokers are
// told goodbye. Its error is that of saving.
func (s *Sources) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(s.remotes))
	for i, r := range s.remotes {
		wg.Go(func() { errs[i] = r.run(ctx) })
	}
	wg.Wait()
	<-ctx.Done()
	return errors.Join(errs...)
}

// Offer takes events that the log has committed, in its order and without holes. It never waits for a broker, and only
// reads the batch.
func (s *Sources) Offer(batch []event.Decoded) {
	for _, r := range s.remotes {
		r.outbox.offer(batch)
	}
}

// Takes reports whether what is published on a topic goes to one of the brokers.
func (s *Sources) Takes(topic string) bool {
	return slices.ContainsFunc(s.remotes, func(r *remote) bool { return r.outbox.wants(topic) })
}

// States are how the brokers are, in the order of the configuration.
func (s *Sources) States() []State {
	out := make([]State, len(s.remotes))
	for i, r := range s.remotes {
		r.mu.Lock()
		out[i] = r.state
		r.mu.Unlock()
	}
	return out
}

// A remote is one broker, over all connections to it.
type remote struct {
	cfg       *Remote
	sink      Sink
	maxPacket int
	logger    *slog.Logger
	metrics   *metrics
	onLoss    func(Loss)
	keeper    *keeper
	outbox    *outbox
	memory    *memory

	mu      sync.Mutex
	state   State
	away    time.Time // until when what was missed is counted; zero: the broker was never there
	unknown time.Time // since when the broker is away, for the report; zero: it is not
	lost    bool      // it has forgotten the session
}

func newRemote(c *Remote, cfg *Config, m *metrics) (*remote, error) {
	k, err := openKeeper(cfg.Dir, c)
	if err != nil {
		return nil, err
	}
	now := k.get()
	r := &remote{
		cfg: c, sink: cfg.Sink, maxPacket: cfg.MaxPacket, logger: cfg.Logger.With("source", c.Name), metrics: m, onLoss: cfg.OnLoss,
		keeper: k, outbox: newOutbox(now.Forwarded, cfg.Log), memory: newMemory(),
	}
	r.state = State{Name: c.Name, URL: c.URL, Since: time.Now(), Problem: "not connected yet"}
	if now.Seen > 0 { // it was there in an earlier life of this hub
		r.away = time.UnixMilli(now.Seen)
		r.unknown = r.away
		m.unknownOutages.WithLabelValues(c.Name).Inc()
	}
	r.outbox.name, r.outbox.prefix, r.outbox.metrics = c.Name, c.Prefix, m
	r.outbox.missed = func(events uint64, why error) {
		m.forwardMissed.WithLabelValues(c.Name).Add(float64(events))
		r.logger.Error("messages for the broker are gone from the log", "events", events, "error", why)
	}
	r.touch()
	return r, nil
}

// touch makes the metrics of a source exist before they count.
func (r *remote) touch() {
	m, name := r.metrics, r.cfg.Name
	m.connected.WithLabelValues(name)
	for _, v := range []*prometheus.CounterVec{
		m.connects, m.failures, m.acks, m.redelivered, m.echoes, m.repeated, m.unknownOutages, m.unknownSeconds, m.sessionsLost,
		m.forwarded, m.forwardMissed,
	} {
		v.WithLabelValues(name)
	}
}

// transient reports whether nothing of this source outlives the process.
func (r *remote) transient() bool { return r.keeper.path == "" }

// Times between attempts to connect.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 30 * time.Second
	// goodAfter is how long a connection must have lasted for the next pause to be short again.
	goodAfter     = 10 * time.Second
	savePause     = time.Second
	idleSavePause = 10 * time.Second
)

// run connects again and again until ctx ends.
func (r *remote) run(ctx context.Context) error {
	var saving sync.WaitGroup
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	saving.Go(func() { r.keepSaving(life) })
	if err := r.save(); err != nil { // before the broker hears of the client id
		r.logger.Error("the state of a source cannot be saved", "error", err)
	}
	pause := firstPause
	v := versions{fixed: r.cfg.Protocol}
	for ctx.Err() == nil {
		began := time.Now()
		l, err := r.open(ctx, v.next())
		if err == nil {
			err = l.serve(ctx)
		} else if v.refused(err) {
			r.logger.Info("trying MQTT 3.1.1", "error", err)
			continue
		}
		if ctx.Err() != nil {
			break
		}
		r.failed(err, l != nil)
		if l != nil && time.Since(began) > goodAfter {
			pause = firstPause
		}
		wait(ctx, pause/2+rand.N(pause)) //nolint:gosec // jitter is no secret
		pause = min(2*pause, lastPause)
	}
	r.down("the hub is stopping")
	stop()
	saving.Wait()
	return r.save()
}

// versions finds out which version of MQTT a broker speaks.
type versions struct {
	fixed   string // by the configuration; empty: to be found out
	old     bool   // it does not speak MQTT 5
	silence int    // how often it hung up on CONNECT since it last answered
}

// silentTries is how often a broker may hang up on a CONNECT of MQTT 5 before it is taken for one that does not know it.
const silentTries = 3

// next is the version to try: 5, or 4 for 3.1.1.
func (v *versions) next() int {
	if v.fixed == "3.1.1" || v.fixed == "" && (v.old || v.silence >= silentTries && v.silence%2 == 1) {
		return 4
	}
	return 5
}

// refused takes note of a connection that did not come about, and reports whether the other version may be tried at once.
func (v *versions) refused(err error) bool {
	switch {
	case errors.Is(err, errNoHello):
		v.silence++
	case errors.Is(err, errVersion) && v.fixed == "" && v.next() == 5:
		v.old = true
		return true
	case errors.Is(err, errVersion): // it may have been replaced by another
		v.old = false
	}
	return false
}

func versionName(version int) string {
	if version == 4 {
		return "3.1.1"
	}
	return "5"
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// keeps decides whether a message goes to the log.
func (r *remote) keeps(l *link, m *incoming, f *frame, topic string) bool {
	now := time.Now()
	switch {
	case f.tooLarge:
		r.metrics.dropped.WithLabelValues(r.cfg.Name, dropTooLarge).Inc()
		r.logger.Warn("a message is too large and was left out", "topic", fmt.Sprintf("%.200q", topic), "bytes", f.size, "limit", r.maxPacket)
	case event.CheckTopic(topic) != nil:
		r.metrics.dropped.WithLabelValues(r.cfg.Name, dropTopic).Inc()
		r.logger.Warn("a message was left out", "error", event.CheckTopic(topic))
	case l.version == 4 && r.memory.isEcho(m.topic, m.payload, now), l.shared.Load() && m.properties != nil && slices.Contains(
		m.properties.User, event.UserProperty{Name: originProperty, Value: r.keeper.get().ClientID}):
		r.metrics.echoes.WithLabelValues(r.cfg.Name).Inc()
	case m.retain && r.memory.isRepeated(m.topic, m.payload):
		r.metrics.repeated.WithLabelValues(r.cfg.Name).Inc()
	default:
		return true
	}
	return false
}

// save brings what is to be saved to the disk.
func (r *remote) save() error {
	if cursor := r.outbox.cursor(); r.keeper.get().Forwarded != cursor {
		r.keeper.set(func(s *saved) { s.Forwarded = cursor })
	}
	return r.keeper.write()
}
