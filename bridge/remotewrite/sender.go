package remotewrite

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/view/series"
)

const (
	// readLimit is how many events are read at a time.
	readLimit = 1024
	// primeEvents is how many events before its position a sender looks at when it starts, so that samples whose times were
	// moved on get the same ones again.
	primeEvents = readLimit
	// retryRead is how long a sender waits after the log could not be read.
	retryRead = time.Second
)

// A sender sends to one target. All but its metrics' figures belongs to the goroutine of run.
type sender struct {
	config  Config
	name    string
	client  *client
	logger  *slog.Logger
	metrics *senderMetrics
	mapper  *series.Mapper

	at event.Position // of what is to be read next
	// until is where the round ends that the last life may have sent, or not: it is sent again as it was, without what comes
	// behind it, since a far side that has it already may refuse it as a whole.
	until   uint64
	saved   string // of at and until
	learned uint64 // what the mapper had learned when that was saved last
	sentAt  time.Time
	unsaved time.Time // when it was last logged that positions cannot be saved
	batch   *batch
}

func newSender(c Config, t Target, m *metrics) (*sender, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	s := &sender{
		config: c, name: t.EffectiveName(), logger: c.Logger.With("target", t.EffectiveName()), mapper: series.NewMapper(),
		batch: newBatch(t.Labels, c.MaxSamples, c.MaxBytes),
	}
	s.metrics = m.of(s.name)
	var err error
	s.client, err = newClient(c, t, s.logger, s.metrics)
	return s, err
}

// run sends until ctx is done.
func (s *sender) run(ctx context.Context) error {
	defer s.client.close()
	s.start()
	for {
		err := s.round(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed):
			return s.save()
		case err != nil:
			s.logger.Error("log could not be read for remote write", "error", err)
			if !sleep(ctx, retryRead) {
				return s.save()
			}
		}
	}
}

// start goes to where the last life ended; to the log's beginning, where the target is new; to its end, where no positions are kept.
func (s *sender) start() {
	first, next := s.config.Log.Bounds()
	at, err := s.load()
	s.learned = s.mapper.Learned
	switch {
	case err != nil:
		s.logger.Warn("remote write begins at the log's start", "reason", err)
		at = first
	case s.config.Dir == "":
		at = next
	case at.IsZero():
		at = first
	}
	s.at = at
	s.metrics.done.Store(&progress{next: at.Offset, arrival: time.Now()})
	prime := at
	prime.Offset -= min(primeEvents, prime.Offset)
	prime.Offset = max(prime.Offset, first.Offset)
	events, err := s.config.Log.Read(prime, primeEvents)
	if err != nil {
		return // of another life of the log, or damaged: there is nothing to learn from
	}
	for i := range events {
		if events[i].Position.Offset >= at.Offset {
			events = events[:i]
			break
		}
	}
	for _, d := range s.config.Decode(events) {
		s.mapper.Samples(&d, func(series.Sample) {})
	}
}

// round reads what comes next, waiting for it if need be, and sends it.
func (s *sender) round(ctx context.Context) error {
	if err := s.config.Log.Wait(ctx, s.at); err != nil && !errors.Is(err, eventlog.ErrEpoch) {
		return err
	}
	// What comes slowly is gathered; behind a full round there is more to send at once.
	if wait := s.config.FlushEvery - time.Since(s.sentAt); wait > 0 && !sleep(ctx, wait) {
		return ctx.Err()
	}
	for {
		limit := readLimit
		if s.until > s.at.Offset {
			limit = int(min(s.until-s.at.Offset, readLimit))
		}
		events, err := s.config.Log.Read(s.at, limit)
		if err != nil {
			return s.skip(err)
		}
		if len(events) == 0 {
			return nil
		}
		last := &events[len(events)-1]
		s.until = max(s.until, last.Position.Offset+1)
		s.note()
		if err := s.send(ctx, s.config.Decode(events)); err != nil {
			return err
		}
		s.done(last)
		if len(events) < readLimit/2 && limit == readLimit {
			return nil
		}
	}
}

// note saves what is about to be sent, and with it that what is before has been.
func (s *sender) note() {
	if err := s.save(); err != nil && time.Since(s.unsaved) >= complainEvery {
		s.unsaved = time.Now()
		s.logger.Error("position of remote write could not be saved: after a crash more is sent again", "error", err)
	}
}

// skip goes on behind what can no longer be read.
func (s *sender) skip(err error) error {
	first, _ := s.config.Log.Bounds()
	var trimmed *eventlog.TrimmedError
	switch {
	case errors.As(err, &trimmed):
		missed := trimmed.First.Offset - min(trimmed.From.Offset, trimmed.First.Offset)
		s.metrics.missed.Add(float64(missed))
		s.logger.Warn("remote write misses events", "events", missed, "reason", trimmed)
		s.at, s.until = trimmed.First, 0
	case errors.Is(err, eventlog.ErrEpoch):
		s.logger.Warn("remote write begins at the log's start", "reason", err)
		s.at, s.until = first, 0
	default:
		return err
	}
	return nil
}

// send sends the samples of events, in as many requests as that takes. Its error is the context's: everything else is tried
// until it succeeds, or given up and counted.
func (s *sender) send(ctx context.Context, events []event.Decoded) error {
	var err error
	lost := s.mapper.Lost
	for i := range events {
		s.mapper.Samples(&events[i], func(sample series.Sample) {
			if err == nil && s.batch.full() {
				err = s.client.deliver(ctx, s.batch)
				s.batch.reset()
			}
			s.batch.add(sample)
		})
		if err != nil {
			s.batch.reset()
			return err
		}
	}
	s.metrics.dropped.WithLabelValues(reasonUnfit).Add(float64(s.mapper.Lost - lost))
	err = s.client.deliver(ctx, s.batch)
	s.batch.reset()
	return err
}

// done takes note of the position after the last event that was sent, and of its arrival.
func (s *sender) done(last *event.Event) {
	s.at, s.sentAt = last.Next(), time.Now()
	s.metrics.done.Store(&progress{next: s.at.Offset, arrival: last.Arrival()})
}

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
