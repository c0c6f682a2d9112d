package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// tool is the name by which reports are known.
const tool = "pulso bench"

// Errors of running.
var (
	// ErrLost means that a message which the server had acknowledged never came.
	ErrLost     = errors.New("acknowledged messages were lost")
	errNoReport = errors.New("this is no report of " + tool)
)

// Bench measures one workload.
type Bench struct {
	cfg  Config
	load *Load
	dial *dialer
	run  uint32
	zero time.Time

	span       span
	tally      tally
	out        output
	connects   histogram
	receivers  []*receiver
	publishers []*publisher
	slow       *gate
	closing    atomic.Bool

	mu     sync.Mutex
	breaks map[string]int64 // why connections broke, how often

	meter *meter
	res   *Result
}

// Progress is how a workload is doing.
type Progress struct {
	Workload string
	// Phase is what it is doing: connecting, warming up, measuring, draining.
	Phase string
	// Done and Of are seconds of the measured time, or subscribers that are connected.
	Done, Of int
	// Sample is the last interval's; nil while nothing is measured.
	Sample *Sample
}

// New checks the configuration and returns a Bench for one Run.
func New(cfg Config) (*Bench, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}

	d, err := newDialer(&cfg.Target)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}

	load := &cfg.Workload.Load
	if limit, ok := descriptorLimit(); ok && uint64(load.Subscribers+load.Publishers+spareDescriptors) > limit {
		return nil, fmt.Errorf("%w: --subscribers %d and --publishers %d are more connections than the %d files that this process may have open (ulimit -Hn)",
			ErrConfig, load.Subscribers, load.Publishers, limit)
	}

	b := &Bench{cfg: cfg, load: load, dial: d, run: rand.Uint32(), zero: time.Now(), breaks: make(map[string]int64)}
	d.bytes = &b.tally.bytes
	b.res = &Result{Workload: cfg.Workload.Name, Load: *load, NotMeasured: []Missing{}, Notes: []string{}, Samples: []Sample{}}

	return b, nil
}

// spareDescriptors is what the rest of the process may have open.
const spareDescriptors = 64

// clock is nanoseconds since the Unix epoch, and never goes back.
func (b *Bench) clock() int64 { return b.zero.UnixNano() + int64(time.Since(b.zero)) }

// Run measures. An error means that there is no result: nothing could be connected. When ctx ends, the result is of the time until then.
func (b *Bench) Run(ctx context.Context) (*Result, error) {
	var err error
	if b.meter, err = newMeter(ctx, &b.cfg.Target); err != nil {
		b.res.missing("the server's processor time and memory", err.Error())
	}

	c := newCourse(b)
	c.base = b.usage(ctx)

	// What has begun ends in this order: who receives goes last.
	var receiving, publishing, pinging sync.WaitGroup

	pingCtx, stopPinging := context.WithCancel(context.WithoutCancel(ctx))

	defer func() {
		b.closing.Store(true)
		stopPinging()
		b.closeAll()
		publishing.Wait()
		receiving.Wait()
		pinging.Wait()
	}()

	if err := b.connect(ctx, &receiving, &publishing); err != nil {
		return nil, err
	}

	pinging.Go(func() { b.ping(pingCtx) })

	if b.cfg.Workload.kind == idle {
		c.idle(ctx)
	} else {
		b.publish(ctx, c)
	}

	b.closing.Store(true)
	stopPinging()
	b.closeAll()
	publishing.Wait()
	receiving.Wait()
	c.conclude()

	return b.res, nil
}

// usage reads the server's usage; nil if it cannot be had.
func (b *Bench) usage(ctx context.Context) *usage {
	if b.meter == nil {
		return nil
	}

	u, err := b.meter.read(context.WithoutCancel(ctx))
	if err != nil {
		b.meter = nil
		b.res.missing("the server's processor time and memory", err.Error())

		return nil
	}

	return &u
}

// dialers is how many connections are opened at the same time.
const dialers = 16

// connect opens all connections and begins to receive.
func (b *Bench) connect(ctx context.Context, receiving, publishing *sync.WaitGroup) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	if b.load.Slow > 0 && b.cfg.Workload.kind == stalled {
		b.slow = &gate{}
	}

	b.receivers = make([]*receiver, b.load.Subscribers)
	b.publishers = make([]*publisher, b.load.Publishers)
	// So that all receivers together take no more than a quarter GiB.
	buf := min(64<<10, max(4<<10, 256<<20/max(1, b.load.Subscribers)))

	var done atomic.Int64

	stop := b.tell(func() Progress {
		return Progress{Phase: phaseConnecting, Done: int(done.Load()), Of: b.load.Subscribers + b.load.Publishers}
	})
	defer stop()

	each(len(b.receivers), func(i int) {
		r := b.newReceiver(i, buf)
		begin := time.Now()

		if ctx.Err() != nil {
			return
		}

		if err := r.subscribe(ctx, b.dial, fmt.Sprintf("bench-%08x-s%d", b.run, i), b.load.QoS); err != nil {
			cancel(fmt.Errorf("subscriber %d of %d: %w", i+1, len(b.receivers), err))

			return
		}

		b.connects.add(time.Since(begin))
		b.receivers[i] = r
		receiving.Go(func() { b.receive(r) })
		done.Add(1)
	})

	dial := *b.dial
	dial.bytes = nil // what counts is what subscribers receive

	each(len(b.publishers), func(i int) {
		p := newPublisher(&publisher{
			out: &b.out, span: &b.span, clock: b.clock, load: b.load, run: b.run, index: i, topic: b.cfg.Target.Prefix,
		})

		if ctx.Err() != nil {
			return
		}

		if err := p.connect(ctx, &dial, fmt.Sprintf("bench-%08x-p%d", b.run, i)); err != nil {
			cancel(fmt.Errorf("publisher %d of %d: %w", i+1, len(b.publishers), err))

			return
		}

		b.publishers[i] = p
		publishing.Go(func() { b.acknowledge(p) })
		done.Add(1)
	})

	return context.Cause(ctx)
}

// each calls work for 0 to n-1, some at the same time, and returns when all have been.
func each(n int, work func(i int)) {
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)

	for range min(n, dialers) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				work(int(i))
			}
		})
	}

	wg.Wait()
}

func (b *Bench) newReceiver(i, buf int) *receiver {
	r := &receiver{
		tally: &b.tally, span: &b.span, clock: b.clock, count: b.cfg.Target.counted(), buf: buf,
		scan: scanner{run: b.run, devices: int32(b.load.Devices)},
	}

	if b.cfg.Workload.kind != idle {
		r.track = newTracker(b.load.Devices)
	} else {
		r.track = newTracker(0)
		r.scan.devices = 0
	}

	if i < b.load.Slow {
		r.slow = b.slow
	}

	return r
}

func (b *Bench) receive(r *receiver) {
	r.run()

	if !b.closing.Load() {
		r.broke = true
		b.tally.broken.Add(1)
		b.broke("subscriber", r.end)
	}
}

// acknowledge reads what comes back to a publisher.
func (b *Bench) acknowledge(p *publisher) {
	err := p.read()
	if !b.closing.Load() {
		p.lost.Store(true)
		b.broke("publisher", err)
	}

	close(p.gone)
}

// maxBreaks is how many different reasons are told apart.
const maxBreaks = 20

func (b *Bench) broke(who string, err error) {
	b.cfg.Log.Warn("connection broke", slog.String("who", who), slog.Any("error", err))
	b.mu.Lock()
	defer b.mu.Unlock()

	why := who + ": " + closing(err)
	if _, known := b.breaks[why]; !known && len(b.breaks) >= maxBreaks {
		why = who + ": other reasons"
	}

	b.breaks[why]++
}

// pingInterval keeps MQTT connections alive where the server wants to hear of them every minute.
const pingInterval = 20 * time.Second

func (b *Bench) ping(ctx context.Context) {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, r := range b.receivers {
				r.ping()
			}
		}
	}
}

func (b *Bench) closeAll() {
	if b.slow != nil {
		b.slow.open()
	}

	each(len(b.receivers), func(i int) {
		if r := b.receivers[i]; r != nil {
			r.close()
		}
	})

	for _, p := range b.publishers {
		if p != nil {
			p.close()
		}
	}
}

// tell calls Progress with what now says until stop is called.
func (b *Bench) tell(now func() Progress) (stop func()) {
	if b.cfg.Progress == nil {
		return func() {}
	}

	done := make(chan struct{})

	var telling sync.WaitGroup

	telling.Go(func() {
		ticker := time.NewTicker(b.cfg.Interval)
		defer ticker.Stop()

		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				p := now()
				p.Workload = b.cfg.Workload.Name
				b.cfg.Progress(p)
			}
		}
	})

	return func() {
		close(done)
		telling.Wait()
	}
}
