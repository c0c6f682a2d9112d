package view

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// Config configures a Runner.
type Config struct {
	// View is fed. Required.
	View View
	// Log is where it reads what it has not been offered. Required.
	Log eventlog.Log
	// Decode decodes what was read from the log. Required.
	Decode func(events []event.Event) []event.Decoded
	// Dir is the folder of the snapshot file; empty: none is read or written, so each start reads the whole log.
	Dir string
	// SaveEvery is the least time between two snapshots; 0: 10 s.
	SaveEvery time.Duration
	// Queue bounds the batches that wait for the view; 0: 64. Beyond it, the view reads from the log.
	Queue int
	// ReadLimit is how many events are read from the log at a time; 0: 1,024.
	ReadLimit int
	// Logger is where notable events are logged; nil: nowhere.
	Logger *slog.Logger
	// Metrics registers the runner's metrics, with the label "view"; nil: they are not registered.
	Metrics prometheus.Registerer
}

func (c *Config) setDefaults() {
	if c.SaveEvery == 0 {
		c.SaveEvery = 10 * time.Second
	}
	if c.Queue == 0 {
		c.Queue = 64
	}
	if c.ReadLimit == 0 {
		c.ReadLimit = 1024
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// tickEvery is how often a Ticker is told the time, and how often a snapshot may fall due.
const tickEvery = time.Second

// retryEvery is how long a Runner waits after the log could not be read.
const retryEvery = time.Second

// A Runner feeds one View. Run is its only goroutine; the other methods may be called from any.
type Runner struct {
	config  Config
	view    View
	log     eventlog.Log
	logger  *slog.Logger
	metrics *metrics

	batches chan []event.Decoded
	// missed has a token when a batch could not be queued.
	missed   chan struct{}
	caughtUp chan struct{}
	once     sync.Once

	position atomic.Pointer[event.Position]
	// moved says that position has.
	moved eventlog.Signal
	// saved is the position of the newest snapshot, savedAt when it was written; of Run's goroutine alone.
	saved   event.Position
	savedAt time.Time
}

// New returns a Runner. Its error says what Config lacks, or that the metrics could not be registered.
func New(c Config) (*Runner, error) {
	if c.View == nil || c.Log == nil || c.Decode == nil {
		return nil, errors.New("view runner: View, Log and Decode are required")
	}
	c.setDefaults()
	r := &Runner{
		config: c, view: c.View, log: c.Log, logger: c.Logger.With("view", c.View.Name()),
		batches: make(chan []event.Decoded, c.Queue), missed: make(chan struct{}, 1), caughtUp: make(chan struct{}),
	}
	r.position.Store(&event.Position{})
	m, err := newMetrics(c.Metrics, r)
	if err != nil {
		return nil, fmt.Errorf("view runner %s: register metrics: %w", c.View.Name(), err)
	}
	r.metrics = m
	return r, nil
}

// Offer hands over a batch of the log's newest events. It never blocks and keeps the slice, which nobody may write to
// any more. A batch that finds the queue full is read from the log instead.
func (r *Runner) Offer(batch []event.Decoded) {
	if len(batch) == 0 {
		return
	}
	select {
	case r.batches <- batch:
	default:
		select {
		case r.missed <- struct{}{}:
		default:
		}
	}
}

// Position is the place after the last event that the view has applied; zero before Run has found where to begin.
func (r *Runner) Position() event.Position { return *r.position.Load() }

// Reach waits until the view has applied everything before a position of the log's present life. Its error is the context's.
func (r *Runner) Reach(ctx context.Context, p event.Position) error {
	for {
		moved := r.moved.C()
		if at := r.Position(); at.Epoch == p.Epoch && at.Offset >= p.Offset {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for the view %s: %w", r.view.Name(), context.Cause(ctx))
		}
	}
}

// CaughtUp is closed once the view has reached what was the log's end.
func (r *Runner) CaughtUp() <-chan struct{} { return r.caughtUp }

// Run restores the view, reads what it missed and then follows, until ctx is done; then it saves. It returns nil then,
// and an error if the log was closed before or the snapshot could not be written at the end.
func (r *Runner) Run(ctx context.Context) error {
	if err := r.restore(); err != nil {
		return err
	}
	if err := r.catchUp(ctx); err != nil {
		return r.stop(ctx, err)
	}
	r.once.Do(func() { close(r.caughtUp) })
	r.tick(time.Now())
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return r.stop(ctx, nil)
		case batch := <-r.batches:
			err = r.take(ctx, batch)
		case <-r.missed:
			r.metrics.behind.Inc()
			err = r.catchUp(ctx)
		case now := <-ticker.C:
			r.tick(now)
			if now.Sub(r.savedAt) >= r.config.SaveEvery {
				if err := r.save(); err != nil {
					r.metrics.failed.Inc()
					r.logger.Error("snapshot of a view could not be written", "error", err)
				}
			}
		}
		if err != nil {
			return r.stop(ctx, err)
		}
	}
}

// stop saves and returns why Run ends.
func (r *Runner) stop(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	return errors.Join(err, r.save())
}

func (r *Runner) tick(now time.Time) {
	if t, ok := r.view.(Ticker); ok {
		t.Tick(now)
	}
}

// take applies an offered batch, or what of it is new; where it does not connect, the log fills the hole.
func (r *Runner) take(ctx context.Context, batch []event.Decoded) error {
	next := r.Position()
	first := batch[0].Position.Offset
	if first > next.Offset {
		r.metrics.behind.Inc()
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		next = r.Position()
	}
	if first < next.Offset {
		batch = batch[min(next.Offset-first, uint64(len(batch))):]
	}
	r.apply(batch)
	return nil
}

func (r *Runner) apply(batch []event.Decoded) {
	if len(batch) == 0 {
		return
	}
	r.view.Apply(batch)
	next := batch[len(batch)-1].Next()
	r.position.Store(&next)
	r.moved.Wake()
	r.metrics.events.Add(float64(len(batch)))
}

// catchUp reads from the log until its end. Errors: the context's, ErrClosed.
func (r *Runner) catchUp(ctx context.Context) error {
	for ctx.Err() == nil {
		events, err := r.log.Read(r.Position(), r.config.ReadLimit)
		var trimmed *eventlog.TrimmedError
		switch {
		case err == nil && len(events) == 0:
			return nil
		case err == nil:
			r.apply(r.config.Decode(events))
		case errors.As(err, &trimmed):
			missed := trimmed.First.Offset - min(trimmed.From.Offset, trimmed.First.Offset)
			r.metrics.missed.Add(float64(missed))
			r.logger.Warn("a view misses events", "events", missed, "reason", trimmed)
			r.position.Store(&trimmed.First)
		case errors.Is(err, eventlog.ErrEpoch):
			if err := r.rebuild("its position is not of this log"); err != nil {
				return err
			}
		case errors.Is(err, eventlog.ErrClosed):
			return fmt.Errorf("view %s: read from the log: %w", r.view.Name(), err)
		default:
			r.logger.Error("log could not be read for a view", "error", err)
			if !sleep(ctx, retryEvery) {
				return ctx.Err()
			}
		}
	}
	return ctx.Err()
}

// sleep waits and reports whether it did so to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
