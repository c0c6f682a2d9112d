// Package history keeps every numeric metric as a time series, in Prometheus' storage, and answers what the past looked like.
//
// A series is named after the last key of the metric's path ("BME280.Temperature" is temperature) and carries the labels
// device, topic, field (the whole path), unit and kind (of device). A device may say its unit or kind late: the storage
// then has a second series, and [View.Range] and [View.Walk] join what differs in nothing else.
//
// Times are milliseconds. A sample's time is the device's where that can be trusted, else the arrival. Two samples of a
// series at one time are both kept: the second is moved on by a millisecond, and so are those after it. What was decided
// is part of the saved state, so reading the log again after a crash decides the same, and what the storage already has
// is not stored twice.
//
// Life: [New] opens the storage, a view.Runner applies events, [View.Close] ends it. The Runner's methods are for one
// goroutine, all others may be called from any.
package history

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/tsdb"
)

// ErrClosed is returned by queries after Close.
var ErrClosed = errors.New("the history is closed")

// ErrTooMuch is wrapped by the error of a query that would read more than it may.
var ErrTooMuch = errors.New("the query asks for too much")

// Config configures a View.
type Config struct {
	// Dir is the folder of the storage; empty: a temporary folder that Close removes, and nothing is saved.
	Dir string
	// RetainAge is for how long samples are kept; 0: 400 days.
	RetainAge time.Duration
	// RetainBytes bounds the storage on disk in bytes, the oldest samples going first; 0: 10 GiB.
	RetainBytes int64
	// OutOfOrder is how much older than the newest sample of all series a sample may be; 0: 48 h. Older ones are refused.
	OutOfOrder time.Duration
	// MaxSeries bounds the series in all; 0: 1,000,000.
	MaxSeries int
	// MaxDeviceSeries bounds the series of a device; 0: 1,000.
	MaxDeviceSeries int
	// MaxQuerySamples is how many samples one Range reads; 0: 50,000,000.
	MaxQuerySamples int
	// MaxQuerySeries is how many series one Range or Walk returns; 0: 1,000.
	MaxQuerySeries int
	// Logger takes what an operator should know; nil: nowhere.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil: they are not registered.
	Metrics prometheus.Registerer
}

func (c *Config) setDefaults() {
	setDefault(&c.RetainAge, 400*24*time.Hour)
	setDefault(&c.RetainBytes, 10<<30)
	setDefault(&c.OutOfOrder, 48*time.Hour)
	setDefault(&c.MaxSeries, 1_000_000)
	setDefault(&c.MaxDeviceSeries, 1000)
	setDefault(&c.MaxQuerySamples, 50_000_000)
	setDefault(&c.MaxQuerySeries, 1000)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// A View is the history of all metrics. It implements view.View and view.Ticker.
type View struct {
	table

	cfg    Config
	logger *slog.Logger
	dir    string
	// keep reports whether the storage outlives the process.
	keep     bool
	identity string
	db       *tsdb.DB
	figures  figures

	// mu guards the table, and what follows.
	mu sync.Mutex
	// pending are samples that have their time and series and are not in the storage yet; since is when the first came.
	pending []sample
	since   time.Time
	// marks are how far the write-ahead logs were on the disk at the last Save.
	marks marks
	// lateUntil is how far the log of late samples could be read after a crash; nil: to its end.
	lateUntil *mark
	// trouble is why samples cannot be stored; given up, why what was applied since the last Save will not be.
	trouble, givenUp error

	cleaning  sync.WaitGroup
	uncleaned bool
	cleanedAt time.Time

	stop     chan struct{}
	stopping sync.Once
	// readers are the queries at work; no new ones begin once closed is set.
	gate    sync.Mutex
	closed  bool
	readers sync.WaitGroup
}

// New opens the storage, repairing what a crash has left behind. Its error names the folder.
func New(c Config) (*View, error) {
	c.setDefaults()
	v := &View{
		cfg: c, logger: c.Logger, dir: c.Dir, keep: c.Dir != "", table: newTable(&c),
		stop: make(chan struct{}),
	}
	if err := v.open(); err != nil {
		return nil, fmt.Errorf("history in %s: %w", v.dir, err)
	}
	if err := v.register(c.Metrics); err != nil {
		return nil, errors.Join(fmt.Errorf("register metrics of the history: %w", err), v.Close())
	}
	return v, nil
}

// Name implements view.View.
func (*View) Name() string { return "history" }

// Stop makes an Apply that waits for room on the disk give up, and every later one. What could not be stored is read from
// the log again after the next start. It is called before the view's Runner is stopped.
func (v *View) Stop() { v.stopping.Do(func() { close(v.stop) }) }

// Err is why samples cannot be stored at the moment; nil while all is well.
func (v *View) Err() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return errors.Join(v.trouble, v.givenUp)
}

// Close waits for queries and closes the storage. The Runner must have ended before.
func (v *View) Close() error {
	v.Stop()
	v.gate.Lock()
	already := v.closed
	v.closed = true
	v.gate.Unlock()
	if already {
		return nil
	}
	v.readers.Wait()
	v.cleaning.Wait()
	v.mu.Lock()
	err := v.flush()
	v.mu.Unlock()
	return errors.Join(err, v.shut())
}

// enter begins a query, which ends with leave.
func (v *View) enter() error {
	v.gate.Lock()
	defer v.gate.Unlock()
	if v.closed {
		return ErrClosed
	}
	v.readers.Add(1)
	return nil
}

func (v *View) leave() { v.readers.Done() }
