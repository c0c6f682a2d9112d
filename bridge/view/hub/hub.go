// Package hub is what the hub says of itself: a view that samples its parts once a second and keeps the last five
// minutes. It satisfies the rooms' Source.
//
// Life: [New], [View.Run] until its context ends. The other methods may be called from any goroutine.
package hub

import (
	"context"
	"sync"
	"time"
	"unicode/utf8"

	"pulso/bridge/event"
)

// Bounds of what is kept.
const (
	historySeconds = 300
	maxRefusals    = 20
	maxMissed      = 20
	maxTextBytes   = 200
)

// A Sample is what the parts say at one moment. The counts are since the start; the latencies since the last sample, 0 where there were none.
type Sample struct {
	Total, Online, Stale, Offline     int
	Connections, Screens              int
	Sessions, Behind                  int
	Events, Bytes, Frames             uint64
	Undecodable, Gaps, RefusedConnect uint64
	P50, P99                          time.Duration
	// Device and Screen are the ways before and after: from devices to the hub since the last sample, and from the hub to the
	// screens, of which Painting have told how long it took.
	Device, Screen Percentiles
	Painting       int
	// Drops are counts by reason.
	Drops []Count
	Log   Log
	// Problems are why the hub is not ready, and what else an operator should see to, one of a kind.
	Problems []Problem
}

// Percentiles are of latencies; 0 where there were none.
type Percentiles struct{ P50, P99 time.Duration }

// A Count is a number of drops for one reason.
type Count struct {
	Reason string
	Count  uint64
}

// Log is the event log's extent.
type Log struct {
	First, Next event.Position
	Bytes       uint64
	// Durable is the setting: "fsync", "os" or "memory".
	Durable string
}

// A Refusal is a connection that was turned away.
type Refusal struct {
	Time                   time.Time
	Remote, Client, Reason string
}

// A Missed is what an MQTT subscriber was owed and did not get, because the log no longer held it. Where From and To are zero it
// is a time of which nobody knows what was lost: see [UnknownAway].
type Missed struct {
	Time time.Time
	// Client is a client id or a shared subscription, or a broker's name.
	Client   string
	From, To event.Position
	Reason   string
}

// Reasons of a [Missed] that stands for what is unknown of a broker that messages are taken from.
const (
	// UnknownAway: it was away, and drops QoS 0 meanwhile.
	UnknownAway = "away"
	// UnknownForgotten: it has forgotten the session as well, and what it had kept of QoS 1.
	UnknownForgotten = "forgotten"
)

// events is how many of the log lie between; 0 where the two places are not of one log.
func (m *Missed) events() uint64 {
	if m.From.Epoch != m.To.Epoch || m.To.Offset < m.From.Offset {
		return 0
	}
	return m.To.Offset - m.From.Offset
}

// A Problem is why the hub does not store what it is given, or is not given what it should be.
type Problem struct {
	Kind ProblemKind
	Text string
}

// A ProblemKind is what is wrong, as the wire has it.
type ProblemKind string

// The kinds of problems. The full and the slow one end by themselves, the others with a restart.
const (
	LogFull     ProblemKind = "log_full"
	LogSlow     ProblemKind = "log_slow"
	LogFailed   ProblemKind = "log_failed"
	StoreFull   ProblemKind = "store_full"
	StoreFailed ProblemKind = "store_failed"
	// SourceAway and SourceRefused are of brokers that messages are taken from: one is not connected, or refuses what was
	// asked for. The hub is ready nevertheless.
	SourceAway    ProblemKind = "source_away"
	SourceRefused ProblemKind = "source_refused"
	// HistoryBehind is that values cannot be stored as time series at present: they will be, from the log. The hub is ready
	// nevertheless.
	HistoryBehind ProblemKind = "history_behind"
	// Certificate is that the hub's certificate ends soon, or that a new one could not be had. The hub is ready nevertheless.
	Certificate ProblemKind = "certificate"
)

// A Part is what there is of some topics.
type Part struct {
	Total, Online, Stale, Offline int
	// Events is messages a second.
	Events float64
}

// Config of a View.
type Config struct {
	// Sample asks the parts. It is called once a second.
	Sample func() Sample
	// Part is what there is of the topics that a scope sees, which is told to who sees a part; nil: nothing is.
	Part func(scope event.Scope) Part
	// Started is when the hub began; zero is now.
	Started time.Time
	// Version is the program's, MQTT and HTTP the addresses it listens on.
	Version, MQTT, HTTP string
}

// A View is the hub's figures.
type View struct {
	cfg     Config
	started time.Time

	mu      sync.Mutex
	version uint64
	at      time.Time
	now     Sample
	before  Sample
	rates   rates
	history []second // ring once it is full; next is the oldest
	next    int
	refused []Refusal
	turned  uint64 // refusals since the start
	missed  []Missed
	passed  uint64                    // gaps of MQTT subscribers since the start
	since   map[ProblemKind]time.Time // when each kind of problem began
}

type rates struct{ events, bytes, frames float64 }

// A second is one row of the history.
type second struct {
	time          int64
	events        float64
	p50, p99      time.Duration
	device, paint Percentiles
	online, total int
	errors        uint64
}

// New makes a View.
func New(cfg Config) *View {
	if cfg.Started.IsZero() {
		cfg.Started = time.Now()
	}
	return &View{cfg: cfg, started: cfg.Started}
}

// Started is when the hub began.
func (v *View) Started() time.Time { return v.started }

// Refused notes a refused connection.
func (v *View) Refused(r Refusal) {
	v.mu.Lock()
	defer v.mu.Unlock()
	// What the other side chose is as long as it chose.
	r.Reason, r.Client = cut(r.Reason), cut(r.Client)
	v.refused = keep(v.refused, r, maxRefusals)
	v.turned++
}

// Missed notes that an MQTT subscriber was passed by; or, without places in the log, that it is unknown what a broker that
// messages are taken from has lost, which is no gap.
func (v *View) Missed(m Missed) {
	v.mu.Lock()
	defer v.mu.Unlock()
	m.Client, m.Reason = cut(m.Client), cut(m.Reason)
	v.missed = keep(v.missed, m, maxMissed)
	if !m.From.IsZero() {
		v.passed++
	}
}

// keep puts the newest first and forgets the oldest beyond the limit.
func keep[T any](list []T, newest T, limit int) []T {
	if len(list) < limit {
		list = append(list, newest)
	}
	copy(list[1:], list)
	list[0] = newest
	return list
}

// cut bounds a text, between two characters.
func cut(s string) string {
	n := min(len(s), maxTextBytes)
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Run samples once a second until ctx ends.
func (v *View) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	v.Tick(time.Now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			v.Tick(now)
		}
	}
}

// Tick samples as of a moment: what Run does by the machine's clock, and who has another does by that, from one goroutine.
func (v *View) Tick(now time.Time) {
	s := v.cfg.Sample()
	v.mu.Lock()
	defer v.mu.Unlock()
	s.RefusedConnect = v.turned
	s.Gaps += v.passed
	v.date(s.Problems, now)
	first := v.at.IsZero()
	elapsed := now.Sub(v.at).Seconds()
	v.before, v.now, v.at = v.now, s, now
	v.version++
	if first || elapsed <= 0 {
		return
	}
	v.rates = rates{
		events: float64(s.Events-v.before.Events) / elapsed,
		bytes:  float64(s.Bytes-v.before.Bytes) / elapsed,
		frames: float64(s.Frames-v.before.Frames) / elapsed,
	}
	row := second{
		time: now.UnixMilli(), events: v.rates.events, p50: s.P50, p99: s.P99, device: s.Device, paint: s.Screen,
		online: s.Online, total: s.Total, errors: s.errors() - min(v.before.errors(), s.errors()),
	}
	if len(v.history) < historySeconds {
		v.history = append(v.history, row)
		return
	}
	v.history[v.next] = row
	v.next = (v.next + 1) % historySeconds
}

// date notes when each problem began, and forgets those that have ended.
func (v *View) date(problems []Problem, now time.Time) {
	since := make(map[ProblemKind]time.Time, len(problems))
	for i := range problems {
		p := &problems[i]
		p.Text = cut(p.Text)
		since[p.Kind] = now
		if began, ok := v.since[p.Kind]; ok {
			since[p.Kind] = began
		}
	}
	v.since = since
}

func (s *Sample) errors() uint64 {
	n := s.Undecodable + s.Gaps + s.RefusedConnect
	for _, d := range s.Drops {
		n += d.Count
	}
	return n
}

// Version implements the rooms' Source.
func (v *View) Version() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.version
}
