package app

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/access/meter"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

const (
	// pastStep is how often the past goes on, and stepWork how much of that it may work: the rest is the present's.
	pastStep = 50 * time.Millisecond
	stepWork = 25 * time.Millisecond
	// pastTick is how often the views hear the time: a little more often than screens hear of it, so that there is always news.
	pastTick = 900 * time.Millisecond
	// sampledBefore is how long before a journey's beginning the hub's figures begin.
	sampledBefore = 5 * time.Minute
	// coarse is how often presence is looked at before that.
	coarse = 10 * time.Second
)

func registerPasts(reg prometheus.Registerer, open func() float64) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pulso_past_sessions", Help: "Screens that are shown the past.",
	}, open))
}

// warmUp makes the views know what was known at a place: the last message of each topic, however old, and everything since
// a while before.
func (p *replay) warmUp(ctx context.Context, at event.Position) error {
	begin, since, err := p.warmFrom(at)
	if err != nil {
		return err
	}
	p.devices.Tick(time.Unix(0, since))
	if err := p.applyLast(ctx, begin); err != nil {
		return err
	}
	next, ticked := begin, since
	for next.Offset < at.Offset {
		if err := ctx.Err(); err != nil {
			return err
		}
		events, err := p.log.Read(next, pastRead)
		if trimmed, ok := errors.AsType[*eventlog.TrimmedError](err); ok {
			next = trimmed.First
			continue
		}
		if err != nil {
			return err
		}
		if len(events) == 0 {
			break
		}
		meter.Of(ctx).Read(len(events))
		next = events[len(events)-1].Next()
		decoded := p.bridge.Decode(events)
		for len(decoded) > 0 {
			every := coarse
			if p.from-ticked <= int64(sampledBefore) {
				every = time.Second
			}
			due := ticked + int64(every)
			n := slices.IndexFunc(decoded, func(d event.Decoded) bool { return d.Time >= due })
			if n < 0 {
				p.apply(decoded)
				break
			}
			if n > 0 {
				p.apply(decoded[:n])
			}
			// Where nothing came for long there is nothing to tell but that.
			ticked = max(due, decoded[n].Time-int64(every))
			p.tick(time.Unix(0, ticked))
			decoded = decoded[n:]
		}
	}
	p.tick(p.clock())
	return nil
}

// warmFrom is where to begin reading: as long before as does not take too long.
func (p *replay) warmFrom(at event.Position) (begin event.Position, since int64, err error) {
	for _, before := range shorterBefore {
		since = p.from - int64(before)
		if begin, err = eventlog.Seek(p.hub.log, time.Unix(0, since)); err != nil {
			return begin, since, err
		}
		if begin.Offset <= at.Offset && at.Offset-begin.Offset <= warmEvents {
			return begin, since, nil
		}
	}
	return at, p.from, nil
}

// applyLast applies the last message that each known topic had before a place.
func (p *replay) applyLast(ctx context.Context, before event.Position) error {
	names, _ := p.hub.topics.Topics([]string{"#"}, nil, nil, lastTopics)
	var last []event.Event
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		found, err := p.log.Last(name, before, 1)
		if err != nil {
			return err
		}
		last = append(last, found...)
	}
	meter.Of(ctx).Read(len(last))
	slices.SortFunc(last, func(a, b event.Event) int { return cmp.Compare(a.Position.Offset, b.Position.Offset) })
	for piece := range slices.Chunk(last, pastRead) {
		p.apply(p.bridge.Decode(piece))
	}
	return nil
}

// run lets the past go on until its screen has gone, or ctx ends.
func (p *replay) run(ctx context.Context) {
	life := context.WithoutCancel(ctx)
	rooms, stream := start(life, p.rooms.Run), start(life, p.stream.Run)
	defer func() {
		ctx, cancel := context.WithTimeout(life, stopGateway)
		defer cancel()
		_ = p.gateway.Stop(ctx) // whoever is still being told is cut off
		_, _ = stream.stop(), rooms.stop()
	}()
	ticker := time.NewTicker(pastStep)
	defer ticker.Stop()
	last, figures := time.Now(), time.Now()
	for p.gateway.Sessions() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		if !p.step(now.Sub(last), now) {
			return
		}
		last = now
		if now.Sub(figures) >= pastTick {
			figures = now
			p.tick(p.clock())
		}
	}
}

// step lets as much of the past happen as a time of the present stands for; less where that is too much work, and then the
// clock is held back to what has happened. It reports whether the log can be read.
func (p *replay) step(elapsed time.Duration, present time.Time) bool {
	end := present.UnixNano()
	if p.until != 0 {
		end = min(end, p.until)
	}
	now := p.now.Load()
	target := min(now+int64(float64(elapsed)*p.speed), max(end, now))
	if p.speed == 0 {
		return true
	}
	for deadline := present.Add(stepWork); ; {
		if len(p.read) == 0 {
			events, err := p.hub.log.Read(*p.log.end.Load(), pastRead)
			var trimmed *eventlog.TrimmedError
			switch {
			case errors.As(err, &trimmed):
				p.log.end.Store(&trimmed.First)
				continue
			case err != nil:
				p.hub.logger.Warn("the past ends: the log cannot be read", "part", "past", "error", err)
				return false
			}
			p.read = events
		}
		n := slices.IndexFunc(p.read, func(e event.Event) bool { return e.Time > target })
		if n < 0 {
			n = len(p.read)
		}
		if n == 0 {
			p.now.Store(target)
			return true
		}
		p.happen(p.read[:n])
		newest := p.read[n-1].Time
		p.read = p.read[n:]
		if len(p.read) == 0 && time.Now().After(deadline) {
			p.now.Store(max(now, min(newest, target)))
			return true
		}
	}
}

// happen gives events to the rooms and the views.
func (p *replay) happen(events []event.Event) {
	decoded := p.bridge.Decode(events)
	next := events[len(events)-1].Next()
	p.log.end.Store(&next)
	p.rooms.Offer(decoded)
	p.apply(decoded)
}
