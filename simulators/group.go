package simulators

import (
	"context"
	"sync"
	"time"
)

// group is the links of one simulation: it runs them, keeps them alive, and ends them together.
type group struct {
	counters *counters
	links    []*link

	mu     sync.Mutex
	failed error
}

// How long a group that ends waits for outstanding acknowledgements, and then for the broker to close the connections.
const (
	lastAcks  = 1500 * time.Millisecond
	lastClose = 500 * time.Millisecond
)

// run keeps the links up while work is done, and then ends them: each publishes its farewell, the acknowledgements are
// awaited for a while, and then each disconnects. Farewell may be nil. Work's context ends with ctx, or when the broker refuses the devices;
// run returns that refusal, or else work's error.
func (g *group) run(ctx context.Context, farewell func(i int) message, work func(context.Context) error) error {
	g.counters.begin()
	g.counters.devices.Store(int64(len(g.links)))

	working, stopWork := context.WithCancel(ctx)
	defer stopWork()

	living, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()

	var links, keeper sync.WaitGroup

	for _, l := range g.links {
		links.Go(func() {
			if err := l.run(living); err != nil {
				g.fail(err)
				stopWork()
			}
		})
	}

	keeper.Go(func() { g.keepAlive(living) })

	err := work(working)

	if farewell != nil {
		g.each(func(i int, l *link) { l.farewell(farewell(i)) })
	}

	g.settle(lastAcks)

	g.each(func(_ int, l *link) { l.close() })
	g.hungUp(lastClose)
	kill()

	for _, l := range g.links {
		l.abandon()
	}

	links.Wait()
	keeper.Wait()

	if refused := g.failure(); refused != nil {
		return refused
	}

	return err
}

// keepAlive looks after each link every fifteen seconds, a fifteenth of them at a time.
func (g *group) keepAlive(ctx context.Context) {
	const parts = 15

	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()

	for part := 0; ; part = (part + 1) % parts {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for i := part; i < len(g.links); i += parts {
				g.links[i].ping(now)
			}
		}
	}
}

// each calls do for all links, for some of them at the same time, because each call may wait for a slow connection.
func (g *group) each(do func(i int, l *link)) {
	const workers = 32

	var all sync.WaitGroup

	for first := range workers {
		all.Go(func() {
			for i := first; i < len(g.links); i += workers {
				do(i, g.links[i])
			}
		})
	}

	all.Wait()
}

// settle waits until every link that is up has all its acknowledgements, at most for the limit.
func (g *group) settle(limit time.Duration) {
	poll(limit, func() bool {
		for _, l := range g.links {
			if l.up() && l.unacknowledged() > 0 {
				return false
			}
		}

		return true
	})
}

// hungUp waits until the broker has closed all connections, at most for the limit.
func (g *group) hungUp(limit time.Duration) {
	poll(limit, func() bool { return g.counters.connected.Load() == 0 })
}

// poll asks done every few milliseconds until it says yes or the limit has passed. It has no context: what calls it is
// what happens after the context has ended.
func poll(limit time.Duration, done func() bool) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()

	for deadline := time.Now().Add(limit); !done() && time.Now().Before(deadline); {
		<-ticker.C
	}
}

func (g *group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()

	if g.failed == nil {
		g.failed = err
	}
}

func (g *group) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()

	return g.failed
}
