// Package remotewrite sends what the log holds to other time series stores: Mimir, VictoriaMetrics, Thanos, Prometheus, and
// whatever else takes Prometheus' remote write 1.0 (https://prometheus.io/docs/specs/prw/remote_write_spec).
//
// Each [Target] has a position in the log of its own, which moves on when the far side has taken, or finally refused, what is
// before it. So an outage of the far side loses nothing that the log still holds when it is over, and one target never
// holds up another, nor the hub. Samples are those of the history, by the rules of package series. They are sent at least
// once, those of one series in order; after a crash some are sent again, with the times and values that they had.
//
// A new target gets what the log holds, from its beginning.
//
// Life: [New], then [Writer.Run], which has one goroutine for each target.
package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// Config of a Writer.
type Config struct {
	// Targets are where samples go. Each must be good by its Check, and have a name of its own.
	Targets []Target
	// Log is what is read. Required.
	Log eventlog.Log
	// Decode decodes what was read. Required.
	Decode func(events []event.Event) []event.Decoded
	// Dir is the folder that positions are kept in; empty: none are, and each start begins at the log's end.
	Dir string
	// MaxSamples and MaxBytes bound a request's samples, and its bytes before compression; 0: 2,000 and 1 MiB.
	MaxSamples, MaxBytes int
	// FlushEvery is how long samples are gathered for one request; 0: 1 s. While there is much to send nothing waits.
	FlushEvery time.Duration
	// Timeout is how long a request may take; 0: 30 s.
	Timeout time.Duration
	// MinBackoff and MaxBackoff bound the time until a request that failed is sent again; 0: 500 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// Version is the hub's.
	Version string
	// Logger is where notable events are logged; nil: nowhere.
	Logger *slog.Logger
	// Metrics registers the package's metrics, with the label "target"; nil: they are not registered.
	Metrics prometheus.Registerer
}

func (c *Config) setDefaults() {
	setDefault(&c.MaxSamples, 2000)
	setDefault(&c.MaxBytes, 1<<20)
	setDefault(&c.FlushEvery, time.Second)
	setDefault(&c.Timeout, 30*time.Second)
	setDefault(&c.MinBackoff, 500*time.Millisecond)
	setDefault(&c.MaxBackoff, 30*time.Second)
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

// A Writer sends samples to its targets.
type Writer struct{ senders []*sender }

// New makes a Writer. Its error says what Config lacks, or which target is not good.
func New(c Config) (*Writer, error) {
	if c.Log == nil || c.Decode == nil {
		return nil, errors.New("remote write: Log and Decode are required")
	}
	c.setDefaults()
	m, err := newMetrics(c.Metrics, c.Log)
	if err != nil {
		return nil, fmt.Errorf("remote write: register metrics: %w", err)
	}
	w := &Writer{}
	for _, t := range c.Targets {
		s, err := newSender(c, t, m)
		if err != nil {
			return nil, fmt.Errorf("remote write to %s: %w", t.EffectiveName(), err)
		}
		w.senders = append(w.senders, s)
	}
	return w, nil
}

// Run sends until ctx is done, or the log is closed. It returns nil then; what was not sent is sent after the next start. An
// error says that a position could not be saved at the end.
func (w *Writer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(w.senders))
	for i, s := range w.senders {
		wg.Go(func() { errs[i] = s.run(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
