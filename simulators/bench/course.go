package bench

import (
	"context"
	"sync"
	"time"
)

// A course is the way of one run: it samples what happens between the beginning and the end of the measured time.
type course struct {
	b *Bench

	base, begin, end *usage
	own              time.Duration // processor time of this process at the beginning
	ownKnown         bool
	first, last      reading
	told             reading // when Progress was
	behind           int64   // events that were to come when the measured time ended
	interrupted      bool
}

// A reading is what the counters say at a moment.
type reading struct {
	at                                   int64
	values, standFor                     int64
	sent, acked, received, bytes, frames int64
	latency                              *counts
	server                               *usage
}

func newCourse(b *Bench) *course { return &course{b: b} }

func (c *course) read(ctx context.Context) reading {
	b := c.b
	before, after := b.tally.before.take(), b.tally.after.take()

	for i := range before.buckets {
		before.buckets[i] += after.buckets[i]
	}

	before.total += after.total
	before.longest = max(before.longest, after.longest)

	r := reading{
		at: b.clock(), sent: b.out.sent.Load(), acked: b.out.acked.Load(), received: b.tally.received.Load(),
		values: b.tally.values.Load(), standFor: b.tally.standFor.Load(),
		bytes: b.tally.bytes.Load(), frames: b.tally.frames.Load(), latency: before,
	}

	if b.meter != nil && b.meter.cheap {
		r.server = b.usage(ctx)
	}

	return r
}

// A run is sampled this often, at most so many times.
const (
	sampling   = 500 * time.Millisecond
	maxSamples = 600
)

// publish runs a workload that publishes.
func (b *Bench) publish(ctx context.Context, c *course) {
	// What subscribers said after their handshake may take a moment to be heard.
	start := b.clock() + int64(300*time.Millisecond)
	from := start + int64(b.load.Warmup)
	to := from + int64(b.load.Measure)
	change := to

	if b.cfg.Workload.kind == stalled {
		to += int64(b.load.Measure)
	}

	b.span.from.Store(from)
	b.span.change.Store(change)
	b.span.to.Store(to)

	// Publishers go on for a moment when ctx ends: they finish the message that they are at.
	pubCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()

	var publishing sync.WaitGroup

	for _, p := range b.publishers {
		publishing.Go(func() { p.publish(pubCtx, start) })
	}

	c.waitFor(ctx, from, "warming up")
	c.measure(ctx, from, to)

	done := make(chan struct{})

	var watching sync.WaitGroup

	watching.Go(func() {
		publishing.Wait()
		close(done)
	})

	c.drain(ctx, stop, done)
	stop()
	b.closing.Store(true)

	for _, p := range b.publishers {
		p.close()
	}

	watching.Wait()
}

// waitFor waits for a moment, and tells of it.
func (c *course) waitFor(ctx context.Context, moment int64, phase string) {
	begin := c.b.clock()
	stop := c.b.tell(func() Progress {
		return Progress{Phase: phase, Done: seconds(c.b.clock() - begin), Of: seconds(moment - begin)}
	})
	defer stop()

	sleep(ctx, time.Duration(moment-begin))
}

func seconds(ns int64) int { return int((time.Duration(ns) + time.Second/2) / time.Second) }

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()

	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// measure samples from one moment to the other, or until ctx ends.
func (c *course) measure(ctx context.Context, from, to int64) {
	b := c.b
	c.begin = b.usage(ctx)
	c.own, c.ownKnown = ownCPU()
	c.first = c.read(ctx)
	c.last, c.told = c.first, c.first

	step := max(int64(sampling), (to-from)/maxSamples)
	change := b.span.change.Load()

	for ctx.Err() == nil && c.last.at < to {
		// Not a sliver of an interval at the end, and none across the change.
		end := to
		if b.slow != nil && c.last.at < change {
			end = change
		}

		until := c.last.at + step
		if until > end-step/2 {
			until = end
		}

		c.tellUntil(ctx, from, to, until)
		c.sample(ctx, from)

		if b.slow != nil && until == change {
			b.slow.close()
		}
	}

	if ctx.Err() != nil {
		c.interrupted = true
		b.span.to.Store(min(to, b.clock()))
	}

	c.end = b.usage(ctx)

	if own, ok := ownCPU(); ok {
		c.own = own - c.own
	}

	c.behind = b.out.inSpan.Load()*int64(len(b.receivers)) - b.tally.delivered.Load()

	if b.slow != nil {
		b.slow.open()
	}
}

// tellUntil waits until a moment and tells of what happens, as often as is asked for.
func (c *course) tellUntil(ctx context.Context, from, to, until int64) {
	b := c.b

	for ctx.Err() == nil {
		next := c.told.at + int64(b.cfg.Interval)
		sleep(ctx, time.Duration(min(next, until)-b.clock()))

		if next > until+int64(b.cfg.Interval)/4 {
			return
		}

		now := c.read(ctx)
		if s, ok := between(&c.told, &now, from); ok && b.cfg.Progress != nil {
			b.cfg.Progress(Progress{
				Workload: b.cfg.Workload.Name, Phase: "measuring", Done: seconds(now.at - from), Of: seconds(to - from), Sample: &s,
			})
		}

		c.told = now
	}
}

// sample adds what has happened since the last sample to the result.
func (c *course) sample(ctx context.Context, from int64) {
	now := c.read(ctx)
	if s, ok := between(&c.last, &now, from); ok {
		c.b.res.Samples = append(c.b.res.Samples, s)
	}

	c.last = now
}

// between is what has happened between two readings.
func between(before, now *reading, from int64) (s Sample, ok bool) {
	took := time.Duration(now.at - before.at).Seconds()
	if took <= 0 {
		return s, false
	}

	a := func(n int64) float64 { return round(float64(n)/took, 1) }
	s = Sample{
		Second: round(time.Duration(now.at-from).Seconds(), 3),
		Sent:   a(now.sent - before.sent), Acknowledged: a(now.acked - before.acked), Received: a(now.received - before.received),
	}

	if l := now.latency.since(before.latency); l.total > 0 {
		s.P50, s.P99, s.Max = new(ms(l.at(.5))), new(ms(l.at(.99))), new(ms(l.at(1)))
	}

	if now.server != nil && before.server != nil {
		s.Cores = new(round((now.server.cpu-before.server.cpu).Seconds()/took, 3))
		s.RSS = new(now.server.rss)
	}

	return s, true
}

// quiet is how long nothing may come before what has not come is taken for lost: unless the server has promised it, by an
// acknowledgement. Then it has the whole time.
const quiet = 2 * time.Second

// drain waits for what is still on its way: until all has come, nothing comes any more, or the time for it has passed.
func (c *course) drain(ctx context.Context, stop func(), published <-chan struct{}) {
	b := c.b
	begin := time.Now()
	tell := b.tell(func() Progress {
		return Progress{Phase: "draining", Done: seconds(int64(time.Since(begin))), Of: seconds(int64(b.load.Drain))}
	})
	defer tell()

	// One more interrupt ends the program; this one leaves a moment for what is on its way.
	limit := time.Duration(b.load.Drain)
	if ctx.Err() != nil {
		limit = min(limit, quiet)

		stop()
	}

	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()

	moved := time.Now()
	promised := b.load.QoS > 0 && b.cfg.Target.complete() && b.cfg.Target.Via != viaRaw

	for last := int64(-1); time.Since(begin) < limit && (promised || time.Since(moved) < quiet); {
		<-ticker.C

		if now := b.tally.received.Load() + b.out.acked.Load() + b.tally.frames.Load(); now != last {
			last, moved = now, time.Now()
		}

		select {
		case <-published:
			if c.complete() {
				return
			}
		default:
		}

		if limit > quiet && ctx.Err() != nil {
			limit = quiet

			stop()
		}
	}
}

// complete reports whether all has come that was sent in the measured time.
func (c *course) complete() bool {
	b := c.b
	if b.load.QoS > 0 && b.out.acked.Load() < b.out.sent.Load() {
		return false
	}

	if !b.cfg.Target.complete() {
		return true
	}

	return b.tally.delivered.Load() >= b.out.inSpan.Load()*int64(len(b.receivers))
}

// idle holds the connections with nothing published.
func (c *course) idle(ctx context.Context) {
	b := c.b
	from := b.clock()
	to := from + int64(b.load.Measure)
	b.span.to.Store(to)
	c.measure(ctx, from, to)
}
