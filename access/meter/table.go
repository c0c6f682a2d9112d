package meter

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxIdle bounds the meters that nobody goes by and that are remembered because something is owed. Beyond it one of them is
// forgotten, which is counted.
const maxIdle = 1 << 16

// A Table is the meters by their keys. There is one of a key while somebody goes by it, or something is owed. Its methods are safe for
// concurrent use.
type Table struct {
	began   time.Time
	logger  *slog.Logger
	bounded [kinds]prometheus.Counter
	lost    prometheus.Counter

	mu     sync.Mutex
	meters map[string]*Meter
	idle   map[string]*Meter // those of them that nobody goes by

	told   atomic.Int64 // the second in which the last line was written
	unsaid atomic.Int64 // what has happened since
}

// NewTable makes a Table. logger takes who is held back, at most a line a second, nil is nowhere; reg takes the metrics and may be nil.
func NewTable(logger *slog.Logger, reg prometheus.Registerer) *Table {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	t := &Table{began: time.Now(), logger: logger, meters: make(map[string]*Meter), idle: make(map[string]*Meter)}
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pulso_access_limited_total", Help: "What accounts did beyond a limit of theirs, and were refused or made to wait for, by the limit.",
	}, []string{"limit"})
	for _, k := range Kinds() {
		t.bounded[k] = vec.WithLabelValues(k.String())
	}
	t.lost = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pulso_access_meters_forgotten_total", Help: "Accounts whose debt was forgotten because too many owed something.",
	})
	if reg != nil {
		reg.MustRegister(vec, t.lost, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pulso_access_meters", Help: "Accounts that are counted at this time: they are connected, or owe something.",
		}, func() float64 { return float64(t.Len()) }))
	}
	return t
}

// Len is how many meters there are.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.meters)
}

func (t *Table) now() time.Duration { return time.Since(t.began) }

// A Key names a meter, and says what its limits are at any time. Limits must not block, nor call the Table.
type Key struct {
	Name   string
	Limits func() Limits
}

// Open is the chain of some keys' meters. Who opens it closes it.
func (t *Table) Open(keys ...Key) *Chain {
	c := &Chain{meters: make([]*Meter, len(keys))}
	t.mu.Lock()
	for i, k := range keys {
		m := t.meters[k.Name]
		if m == nil {
			m = &Meter{table: t, key: k.Name, changed: make(chan struct{})}
			t.meters[k.Name] = m
		}
		delete(t.idle, k.Name)
		m.chains++
		c.meters[i] = m
	}
	t.mu.Unlock()
	for i, m := range c.meters {
		m.mu.Lock()
		m.of = keys[i].Limits
		m.mu.Unlock()
		m.update()
	}
	return c
}

// leave says that a chain is without a meter.
func (t *Table) leave(m *Meter) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.chains--; m.chains > 0 {
		return
	}
	if m.rests(now) {
		delete(t.meters, m.key)
		return
	}
	t.idle[m.key] = m
	for key := range t.idle {
		if len(t.idle) <= maxIdle {
			break
		}
		if key != m.key {
			delete(t.idle, key)
			delete(t.meters, key)
			t.lost.Inc()
		}
	}
}

// Refresh has all meters take the limits as they are now.
func (t *Table) Refresh() {
	t.mu.Lock()
	all := make([]*Meter, 0, len(t.meters))
	for _, m := range t.meters {
		all = append(all, m)
	}
	t.mu.Unlock()
	for _, m := range all {
		if m.ready() {
			m.update()
		}
	}
}

// ready reports whether it is known what the limits are: Open may be about to say so.
func (m *Meter) ready() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of != nil
}

// Sweep forgets the meters that nobody goes by and that owe nothing any more.
func (t *Table) Sweep() {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, m := range t.idle {
		if m.rests(now) {
			delete(t.idle, key)
			delete(t.meters, key)
		}
	}
}

// note counts that somebody is at a limit, and tells of it, once a second at most.
func (t *Table) note(k Kind, key string) {
	t.bounded[k].Inc()
	second := int64(t.now()/time.Second) + 1
	if t.told.Swap(second) == second {
		t.unsaid.Add(1)
		return
	}
	t.logger.Warn("an account is at a limit of its own", "account", key, "limit", k.String(), "more_since", t.unsaid.Swap(0))
}
