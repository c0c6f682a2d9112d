package limit

import (
	"context"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Level says how much of the memory is taken.
type Level int32

// The levels. The guard takes back a level only at five hundredths less than what made it say so.
const (
	// Normal: everything is served.
	Normal Level = iota
	// Tight: 85 % of the limit are in use. New work is refused.
	Tight
	// Critical: 95 % are in use. No connection is taken, and who publishes is slowed.
	Critical
)

// Parts of the limit.
const (
	tightAt    = 0.85
	criticalAt = 0.95
	hysteresis = 0.05
)

const (
	// slowBy is how long a connection waits before each packet that it publishes at the level Critical: ten messages a
	// second get through, so who sends now and then does not notice, and who sends as fast as possible does.
	slowBy = 100 * time.Millisecond
	// collectEvery is how often the garbage collector is called at the other levels if it does not run by itself: what is
	// in use is known only after it ran, and a hub that refuses work may have little to collect.
	collectEvery = 10 * time.Second
)

// String is the level's name in logs.
func (l Level) String() string { return [...]string{"normal", "tight", "critical"}[l] }

// Work is what takes memory that the process does not have yet.
type Work int

// The kinds of work, and the level that refuses them.
const (
	// NewConnection is a connection before its first byte (refused when Critical: it may be of a client whose session
	// exists, which is old work).
	NewConnection Work = iota
	// NewSession is a CONNECT of a client that has no session here (refused when Tight).
	NewSession
	// NewSubscription is a filter that the session does not have (refused when Tight).
	NewSubscription
	// NewRetained is a retained message on a topic that has none (refused when Tight; its delivery is not).
	NewRetained
	// NewStream is a session of a screen or a service on the stream (refused when Tight).
	NewStream
)

const workKinds = int(NewStream) + 1

// String is the kind's label in metrics.
func (w Work) String() string {
	return [...]string{"connection", "session", "subscription", "retained", "stream"}[w]
}

func (w Work) refusedAt() Level {
	if w == NewConnection {
		return Critical
	}
	return Tight
}

// A MemoryConfig says how much memory there is.
type MemoryConfig struct {
	// Limit is the bytes that the process may take; 0: what [FindMemory] finds.
	Limit int64
	// Interval is how often the memory is looked at; 0: 250 ms.
	Interval time.Duration
	// Logger gets a line whenever the level changes; nil: nothing is logged.
	Logger *slog.Logger
	// Metrics gets the package's metrics about memory; nil: they are not registered.
	Metrics prometheus.Registerer

	used    func() usage // tests put their own figures here
	collect func()       // and their own garbage collector
	release func()       // and what gives memory back to the system
}

// Memory guards the memory of the process. Level, Allow and Delay cost one atomic read when all is well, and may be called
// from anywhere.
type Memory struct {
	cfg     MemoryConfig
	limit   int64
	source  string
	level   atomic.Int32
	in      atomic.Int64 // bytes in use
	metrics *memoryMetrics

	// Of Run's goroutine: the garbage collections so far, and when their number last changed.
	cycles  uint64
	changed time.Time
	rest    rest
}

// NewMemory makes a guard for the limit configured or found. Unless there is a soft limit already (GOMEMLIMIT), it makes
// its own the one of Go's garbage collector, which then works harder before the guard refuses anything. The error is
// that of registering the metrics.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	if cfg.Interval <= 0 {
		cfg.Interval = 250 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.collect == nil {
		cfg.collect = runtime.GC
	}
	if cfg.release == nil {
		cfg.release = debug.FreeOSMemory
	}
	m := &Memory{cfg: cfg, limit: cfg.Limit, source: SourceConfigured}
	if m.limit <= 0 {
		m.limit, m.source = FindMemory()
	}
	if cfg.used == nil && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(m.limit)
	}
	m.metrics = newMemoryMetrics(m)
	return m, m.metrics.register(cfg.Metrics)
}

// Run looks at the memory until ctx ends. It returns nil.
func (m *Memory) Run(ctx context.Context) error {
	used := m.cfg.used
	if used == nil {
		meter := newMeter()
		defer meter.close()
		used = meter.read
	}
	m.cfg.Logger.Info("memory is guarded", "limit_bytes", m.limit, "source", m.source)
	m.changed = time.Now()
	tick := time.NewTicker(m.cfg.Interval)
	defer tick.Stop()
	for {
		m.look(used())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (m *Memory) look(u usage) {
	now := time.Now()
	if u.cycles != m.cycles {
		m.cycles, m.changed = u.cycles, now
	}
	m.in.Store(u.bytes)
	if m.rest.over(u, now) {
		m.cfg.release()
	}
	was := m.Level()
	is := levelOf(was, float64(u.bytes)/float64(m.limit))
	if is != was {
		m.level.Store(int32(is))
		m.metrics.changes[is].Inc()
		m.report(was, is, u.bytes)
	}
	if is != Normal && now.Sub(m.changed) >= collectEvery {
		m.changed = now
		m.cfg.collect()
	}
}

func (m *Memory) report(was, is Level, bytes int64) {
	figures := []any{"level", is.String(), "was", was.String(), "bytes", bytes, "limit_bytes", m.limit}
	switch is {
	case Normal:
		m.cfg.Logger.Info("memory is enough again: everything is served", figures...)
	case Tight:
		m.cfg.Logger.Warn("memory is tight: new sessions, subscriptions, retained topics and screens are refused", figures...)
	case Critical:
		m.cfg.Logger.Error("memory is critical: connections are refused and publishers slowed", figures...)
	}
}

// levelOf is the level at a part of the limit, given what it was before.
func levelOf(was Level, part float64) Level {
	at := func(l Level, from float64) bool {
		if was >= l {
			from -= hysteresis
		}
		return part >= from
	}
	switch {
	case at(Critical, criticalAt):
		return Critical
	case at(Tight, tightAt):
		return Tight
	}
	return Normal
}

// Level is the level as it was last found. A nil Memory is always Normal.
func (m *Memory) Level() Level {
	if m == nil {
		return Normal
	}
	return Level(m.level.Load())
}

// Allow reports whether new work may be taken on, and counts what may not.
func (m *Memory) Allow(w Work) bool {
	if m.Level() < w.refusedAt() {
		return true
	}
	m.metrics.refused[w].Inc()
	return false
}

// Delay is how long a reader is to wait before it takes what its client publishes: 0 unless the level is Critical.
func (m *Memory) Delay() time.Duration {
	if m.Level() < Critical {
		return 0
	}
	m.metrics.slowed.Inc()
	return slowBy
}

// Limit is the bytes that may be in use, and where the figure is from: one of the Source constants.
func (m *Memory) Limit() (bytes int64, source string) { return m.limit, m.source }

// Used is the bytes in use, as last found: 0 before [Memory.Run].
func (m *Memory) Used() int64 { return m.in.Load() }
