package bench

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"
)

// conclude puts what the course has seen into the result. All goroutines of the run have ended.
func (c *course) conclude() {
	b := c.b
	res := b.res
	res.Interrupted = c.interrupted
	res.Seconds = round(time.Duration(c.last.at-c.first.at).Seconds(), 3)
	res.Connect = latencyOf(b.connects.take())

	if c.interrupted {
		res.notef("It was interrupted: the figures are those of the time until then.")
	}

	if b.cfg.Workload.kind != idle {
		c.sent()
		c.received()
		c.latencies()
	}

	c.server()
	c.generator()
	c.breaks()
}

// perSecond is a number that came between the first and the last reading, a second.
func (c *course) perSecond(n int64) float64 {
	return round(float64(n)/max(c.b.res.Seconds, 1e-9), 1)
}

func (c *course) sent() {
	b := c.b
	s := &b.res.Sent
	s.Messages = b.out.inSpan.Load()
	s.PerSecond = c.perSecond(c.last.sent - c.first.sent)
	s.Unsent = b.out.unsent.Load()

	for _, p := range b.publishers {
		if p.lost.Load() || p.end != nil {
			s.Broken++
		}
	}

	if b.load.QoS == 0 {
		return
	}

	waiting := int64(0)
	for _, p := range b.publishers {
		waiting += int64(len(p.unacknowledged()))
	}

	s.AcknowledgedPerSecond = new(c.perSecond(c.last.acked - c.first.acked))
	s.Unacknowledged = &waiting
	b.res.Acknowledgement = latencyOf(b.out.acking.take())
}

func (c *course) received() {
	b := c.b
	if len(b.receivers) == 0 {
		b.res.missing("delivery and latency", "there were no subscribers")

		return
	}

	r := &Received{
		Gaps: b.tally.gaps.Load(), GapEvents: b.tally.gapEvents.Load(), Broken: b.tally.broken.Load(),
		BytesPerSecond: c.perSecond(c.last.bytes - c.first.bytes), FramesPerSecond: c.perSecond(c.last.frames - c.first.frames),
	}
	b.res.Received = r

	if !b.cfg.Target.counted() {
		values, standFor := c.last.values-c.first.values, c.last.standFor-c.first.standFor
		r.ValuesPerSecond, r.ValuesStandFor = new(c.perSecond(values)), new(c.perSecond(standFor))

		if values > 0 {
			r.BytesPerValue = new(round(float64(c.last.bytes-c.first.bytes)/float64(values), 2))
		}

		b.res.missing("delivery and latency", "the values form carries numbers, not the payloads with their time stamps: values, bytes and frames were counted")

		return
	}

	r.EventsPerSecond = new(c.perSecond(c.last.received - c.first.received))
	r.Doublets, r.Disorder = new(b.tally.doublets.Load()), new(b.tally.late.Load())

	if n := b.tally.strange.Load(); n > 0 {
		b.res.notef("%d payloads that came were of another run, or changed on their way: they do not count.", n)
	}

	if !b.cfg.Target.complete() {
		b.res.missing("delivered share and loss", "latest merges events: those that did not come were not lost")

		return
	}

	delivered := b.tally.delivered.Load()
	expected := b.res.Sent.Messages * int64(len(b.receivers))
	r.Expected, r.Delivered, r.Missing, r.Behind = &expected, &delivered, new(expected-delivered), &c.behind

	if expected > 0 {
		r.Share = new(float64(delivered) / float64(expected))
	} else {
		b.res.missing("delivered share", "nothing was published in the measured time")
	}

	c.acknowledgedLost(r)
	c.fellBehind()
}

// acknowledgedLost counts the messages that were acknowledged and never came to a subscriber to whom all are promised.
func (c *course) acknowledgedLost(r *Received) {
	b := c.b

	switch {
	case b.load.QoS == 0:
		b.res.missing("loss of acknowledged messages", "nothing is acknowledged at QoS 0 (--qos 1)")

		return
	case b.cfg.Target.Via == viaRaw:
		b.res.missing("loss of acknowledged messages", "a raw WebSocket promises nothing")

		return
	}

	var (
		all     int64
		waiting []flying
		lost    int64
		forgot  int64
		asked   int
	)

	for _, p := range b.publishers {
		for _, seq := range p.seqs {
			all += int64(seq)
		}

		waiting = append(waiting, p.unacknowledged()...)
	}

	for _, s := range b.receivers {
		if s.broke {
			continue
		}

		asked++
		forgot += s.track.forgot
		lost += all - s.track.have

		for _, f := range waiting {
			if !s.track.has(f.device, f.seq) {
				lost--
			}
		}
	}

	if asked == 0 {
		b.res.missing("loss of acknowledged messages", "every subscriber lost its connection")

		return
	}

	if lost > 0 && c.interrupted {
		b.res.missing("loss of acknowledged messages", "after an interrupt nothing is waited for long enough")

		return
	}

	r.AcknowledgedLost = &lost

	if forgot > 0 {
		b.res.notef("More was out of order than is kept track of: up to %d of the messages that count as lost may have come late.", forgot)
	}

	if asked < len(b.receivers) {
		b.res.notef("%d subscribers lost their connection: loss of acknowledged messages is that of the other %d.", len(b.receivers)-asked, asked)
	}
}

// Where a server is said to fall behind: the part of the events that had not come when the measured time ended.
const behindShare = 0.05

func (c *course) fellBehind() {
	b := c.b

	readers := int64(len(b.receivers))
	if b.slow != nil {
		readers -= int64(b.load.Slow)
	}

	expected := b.res.Sent.Messages * readers
	if b.slow == nil && expected > 0 && float64(c.behind) > behindShare*float64(expected) {
		b.res.notef("The server fell behind: %s of the %s events had not come when the measured time ended.", count(c.behind), count(expected))
	}

	if missing := expected - b.tally.kept.Load(); b.slow != nil && missing > 0 {
		b.res.notef("Subscribers that never stopped reading miss %s of %s events.", count(missing), count(expected))
	}
}

func (c *course) latencies() {
	b := c.b
	if b.res.Received == nil || !b.cfg.Target.counted() {
		return
	}

	before, after := b.tally.before.take(), b.tally.after.take()
	if b.slow == nil {
		b.res.Latency = latencyOf(before)
	} else {
		b.res.Before, b.res.Latency = latencyOf(before), latencyOf(after)
	}

	switch {
	case b.res.Latency == nil:
		b.res.missing("latency", "nothing came of what was published in that time")
	case b.load.Rate > 0:
		b.res.notef("Latency counts from when a message should have been sent, whenever it was (corrected for coordinated omission).")
	default:
		b.res.notef("There is no schedule at full speed: latency counts from when a message was handed to the socket's buffer.")
	}

	if b.res.Sent.Unsent > 0 {
		b.res.notef("%s messages that were due could not be sent in time: no latency is known of them.", count(b.res.Sent.Unsent))
	}
}

func (c *course) server() {
	b := c.b
	if b.meter == nil || c.base == nil || c.begin == nil || c.end == nil {
		return
	}

	cpu := c.end.cpu - c.begin.cpu
	s := &Server{
		Source: b.meter.source, CPUSeconds: round(cpu.Seconds(), 3), Cores: round(cpu.Seconds()/max(b.res.Seconds, 1e-9), 3),
		RSSBase: c.base.rss, RSS: c.end.rss,
	}
	b.res.Server = s

	if b.cfg.Workload.kind == idle {
		if n := len(b.receivers) - int(b.tally.broken.Load()); n > 0 {
			s.PerConnection = new(round(float64(c.end.rss-c.base.rss)/1024/float64(n), 1))
		}

		b.res.notef("Memory of a connection is what the process grew by, divided: pages that it has not given back to the system count.")

		return
	}

	per := func(n int64) *float64 {
		if n <= 0 {
			return nil
		}

		return new(round(float64(cpu)/float64(time.Microsecond)/float64(n), 3))
	}
	sent := c.last.sent - c.first.sent
	s.PerMessage, s.PerScreen = per(sent), per(sent*int64(len(b.receivers)))

	if b.cfg.Target.counted() {
		s.PerEvent = per(c.last.received - c.first.received)
	}

	if cpu < 10*tick {
		b.res.notef("The server used %v of processor time in all: too little to divide it exactly.", cpu.Round(time.Millisecond))
	}
}

// Where the load generator is said to be the limit, or to be near it.
const (
	busyShare = 0.85 // of the processors
	rateShare = 0.99 // of the rate asked for
	lagShare  = 0.25 // of the latency, at p99
	leastLag  = 0.5  // ms, below which it does not matter
)

func (c *course) generator() {
	b := c.b
	g := &b.res.Generator
	g.Lag = latencyOf(b.out.lag.take())

	processors := float64(min(runtime.NumCPU(), runtime.GOMAXPROCS(0)))
	busy := false

	if c.ownKnown {
		g.Cores = new(round(c.own.Seconds()/max(b.res.Seconds, 1e-9), 3))
		busy = *g.Cores > busyShare*processors
	} else {
		b.res.missing("the load generator's processor time", "this system does not tell")
	}

	slowRate := b.load.Rate > 0 && b.cfg.Workload.kind != idle && b.res.Sent.PerSecond < rateShare*float64(b.load.Rate)
	late := b.load.Rate > 0 && g.Lag != nil && g.Lag.P99 > leastLag && (b.res.Latency == nil || g.Lag.P99 > lagShare*b.res.Latency.P99)

	if slowRate {
		b.res.notef("%s messages a second were sent of the %s asked for.", count(int64(b.res.Sent.PerSecond+.5)), count(int64(b.load.Rate)))
	}

	switch {
	case busy:
		g.Limited = true

		b.res.notef("The load generator was the limit: it kept %.2f of %.0f processors busy.", *g.Cores, processors)
	case (slowRate || late) && g.Lag != nil:
		b.res.notef("Messages went out late (p99 %s ms) though the load generator had processor time left: the server made the publishers wait, "+
			"or other programs kept the processors busy. Latency contains it.", number3(g.Lag.P99))
	}

	if s := b.res.Server; s != nil && c.ownKnown && b.meter.cheap && sameProcessors(b.cfg.Target.PID) && s.Cores+*g.Cores > .9*processors {
		b.res.notef("Server and load generator share %.0f processors and kept %.2f busy: each took time from the other.", processors, s.Cores+*g.Cores)
	}
}

func (c *course) breaks() {
	b := c.b

	b.mu.Lock()
	defer b.mu.Unlock()

	for _, why := range slices.Sorted(maps.Keys(b.breaks)) {
		b.res.notef("Lost connections: %s × %s.", count(b.breaks[why]), why)
	}
}

// number3 writes a number with three significant digits or more.
func number3(f float64) string {
	switch {
	case f >= 100:
		return count(int64(f + .5))
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	case f >= 1:
		return fmt.Sprintf("%.2f", f)
	default:
		return fmt.Sprintf("%.3f", f)
	}
}
