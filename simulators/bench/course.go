package bench

import (
	"context"
	"sync"
	"time"
)

// A course is the way of one run: it samples what happens between the beginning and the end of the measured time.
type course struct {
	b *Bench

	base, begin, change, end *usage
	own                      time.Duration // processor time of this process at the beginning
	ownKnown                 bool
	first, last              reading
	behind                   int64 // events that were to come when the measured time ended
	interrupted              bool
}

// A reading is what the counters say at a moment.
type reading struct {
	at                                   int64
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
		bytes: b.tally.bytes.Load(), frames: b.tally.frames.Load(), latency: before,
	}

	if b.meter != nil && b.meter.cheap {
		r.server = b.usage(ctx)
	}

	return r
}

// maxSamples is how many samples a run has at most.
const maxSamples = 600

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
	c.last = c.first

	step := max(int64(b.cfg.Interval), (to-from)/maxSamples)
	change := b.span.change.Load()

	for next := from + step; ctx.Err() == nil && c.last.at < to; next += step {
		// Not a sliver of an interval at the end, and none across the change.
		until := next
		if until > to-step/2 {
			until = to
		}

		if b.slow != nil && c.last.at < change && until > change-step/2 {
			until, next = change, change
		}

		sleep(ctx, time.Duration(until-b.clock()))
		c.sample(ctx, from, to)

		if b.slow != nil && until == change {
			c.change = b.usage(ctx)
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

func (c *course) sample(ctx context.Context, from, to int64) {
	now, before := c.read(ctx), c.last
	c.last = now
	took := time.Duration(now.at - before.at).Seconds()

	if took <= 0 {
		return
	}

	a := func(n int64) float64 { return round(float64(n)/took, 1) }
	s := Sample{
		Second: round(time.Duration(now.at-from).Seconds(), 3),
		Sent:   a(now.sent - before.sent), Acknowledged: a(now.acked - before.acked), Received: a(now.received - before.received),
	}

	if l := now.latency.since(before.latency); l.total > 0 {
		s.P50, s.P99, s.Max = some(ms(l.at(.5))), some(ms(l.at(.99))), some(ms(l.at(1)))
	}

	if now.server != nil && before.server != nil {
		s.Cores = some(round((now.server.cpu-before.server.cpu).Seconds()/took, 3))
		s.RSS = some(now.server.rss)
	}

	c.b.res.Samples = append(c.b.res.Samples, s)

	if c.b.cfg.Progress != nil {
		c.b.cfg.Progress(Progress{
			Workload: c.b.cfg.Workload.Name, Phase: "measuring", Done: seconds(now.at - from), Of: seconds(to - from), Sample: &s,
		})
	}
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
