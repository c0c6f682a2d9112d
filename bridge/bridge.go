// Package bridge is the way of a message: it takes messages in, appends them to the log in groups, acknowledges them,
// decodes what was committed once, and hands the same immutable batch to everyone who follows: local MQTT delivery,
// rooms, views.
//
// Life: [New], then [Bridge.Run]. Ingest may be called from any number of goroutines, before Run as well as during it;
// after Run's context has ended it refuses, and Run returns when everything that was taken in has been stored,
// acknowledged and handed on.
//
// While the log has no room, the batch at hand is kept and tried again and again, the queue behind it fills, and Ingest
// blocks: nothing is refused, nothing is acknowledged, and it goes on by itself. What still finds no room when the context
// ends is refused. After a failure of the log everything is refused: see [Bridge.Err].
//
// Two goroutines work in a chain: one appends and acknowledges, the other decodes and hands on, so that a batch is being
// decoded while the next one waits for the disk.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// ErrStopped is returned by Ingest once the bridge is stopping.
var ErrStopped = errors.New("the bridge is stopping")

// A Follower takes committed batches in the log's order, from one goroutine. It must not block for a client, and must
// not change the batch, ever.
type Follower interface {
	Offer(batch []event.Decoded)
}

// FollowerFunc is a function that follows.
type FollowerFunc func(batch []event.Decoded)

// Offer implements [Follower].
func (f FollowerFunc) Offer(batch []event.Decoded) { f(batch) }

// Config of a Bridge.
type Config struct {
	Log     eventlog.Log
	Decoder *decode.Decoder
	// MaxQueued is how many messages wait for the log before Ingest blocks; 0 is 4,096.
	MaxQueued int
	// MaxQueuedBytes is how many payload bytes wait; 0 is 4 MiB.
	MaxQueuedBytes int
	// MaxBatch is how many messages one commit takes; 0 is 1,024.
	MaxBatch int
	// Gather is the shortest time between two commits that need not be durable: under load, messages that arrive within
	// it share a commit. A lone message never waits. 0 is 2 ms.
	Gather time.Duration
	// Requests takes what should be published so that devices can be understood: at most one a minute for each topic, and
	// none for messages of the past. One that finds no room is asked for again. nil: nothing is asked.
	Requests chan<- decode.Request
	// MaxSeries bounds the series; 0 is 1,000,000. Readings beyond it are left out and counted.
	MaxSeries int
	// MaxDeviceSeries bounds those of one device; 0 is 10,000.
	MaxDeviceSeries int
	// Logger takes what an operator should know; nil is nowhere.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
}

const (
	defaultMaxQueued      = 4096
	defaultMaxQueuedBytes = 4 << 20
	defaultMaxBatch       = 1024
	defaultGather         = 2 * time.Millisecond
	defaultMaxSeries      = 1_000_000
	defaultDeviceSeries   = 10_000
	// queueChunk is how many messages the queue has memory for when it begins a new array.
	queueChunk = 128
	// firstRetry and lastRetry bound the time until a batch that found no room is tried again.
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Second
	// stuckAfter is how long one commit may take before Err says that nothing is being stored.
	stuckAfter = 3 * time.Second
	// commitsAhead is how many committed batches wait for the decoding goroutine before the log waits for it.
	commitsAhead = 4
	// wholeBatch is how many messages of one sender are taken at once, although it waits for them to be durable.
	wholeBatch = 32
	// worthGathering is how many messages the last commit must have had for the next to wait for more. Where they come one by
	// one, waiting costs more than it saves: the process would be woken for the message, and once more for the commit.
	worthGathering = 4
	// maxBatchBytes is how many payload bytes one commit takes, or one message.
	maxBatchBytes = 2 << 20
)

// DoneFunc hears that a message was stored, with the position after it, or refused.
type DoneFunc = func(event.Position, error)

// A Bridge is the pipeline. See the package comment.
type Bridge struct {
	cfg       Config
	metrics   *metrics
	series    *seriesTable
	followers []Follower
	committed chan []event.Event
	settled   atomic.Uint64   // messages that are done with, ever
	progress  eventlog.Signal // that settled has grown

	mu       sync.Mutex
	events   []event.Event
	dones    []DoneFunc
	bytes    int
	taken    uint64 // messages taken in, ever
	durable  bool
	sender   string        // of all messages in the last commits
	alone    int           // how many those were
	space    chan struct{} // closed when the queue has been taken
	stopping bool
	ready    chan struct{} // has an element when the queue is not empty
	since    time.Time     // when the commit at work began; zero: none is
	trouble  error         // why the last commit has stored nothing

	// Of the committing goroutine.
	complained time.Time
	silently   int // messages refused since then

	replaying sync.Mutex // held by the one reader of the past who may want decoding
	decoding  sync.Mutex // guards result, series and asked
	result    decode.Result
	asked     requests
	traffic   traffic
	chunks    *chunkCache
}

// New makes a Bridge.
func New(cfg Config) (*Bridge, error) {
	if cfg.Log == nil || cfg.Decoder == nil {
		return nil, errors.New("bridge: Log and Decoder are needed")
	}
	setDefault(&cfg.MaxQueued, defaultMaxQueued)
	setDefault(&cfg.MaxQueuedBytes, defaultMaxQueuedBytes)
	setDefault(&cfg.MaxBatch, defaultMaxBatch)
	setDefault(&cfg.MaxSeries, defaultMaxSeries)
	setDefault(&cfg.MaxDeviceSeries, defaultDeviceSeries)
	setDefault(&cfg.Gather, defaultGather)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Bridge{
		cfg: cfg, series: newSeriesTable(cfg.MaxSeries, cfg.MaxDeviceSeries), asked: requests{}, committed: make(chan []event.Event, commitsAhead),
		space: make(chan struct{}), ready: make(chan struct{}, 1),
	}
	b.metrics, b.chunks = newMetrics(cfg.Metrics, b), newChunkCache(b.readLog)
	return b, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Follow adds a follower. It must be called before Run.
func (b *Bridge) Follow(f Follower) { b.followers = append(b.followers, f) }

// Ingest hands over one message for the log. It blocks while the queue is full, until ctx ends. If it returns nil, done
// (if not nil) is called exactly once, in the log's order, from the goroutine that appends: it must not block. A message
// with QoS > 0 is durable when done hears of it.
func (b *Bridge) Ingest(ctx context.Context, m event.Event, done func(event.Position, error)) error {
	for {
		b.mu.Lock()
		if b.stopping {
			b.mu.Unlock()
			return ErrStopped
		}
		if len(b.events) < b.cfg.MaxQueued && (b.bytes == 0 || b.bytes+len(m.Payload) <= b.cfg.MaxQueuedBytes) {
			break
		}
		space := b.space
		b.mu.Unlock()
		b.metrics.queueFull.Inc()
		select {
		case <-space:
		case <-ctx.Done():
			return fmt.Errorf("message on %.80q waited for the log: %w", m.Topic, context.Cause(ctx))
		}
	}
	if len(b.events) == 0 && cap(b.events) == 0 {
		b.events, b.dones = make([]event.Event, 0, queueChunk), make([]DoneFunc, 0, queueChunk)
	}
	b.events = append(b.events, m)
	b.dones = append(b.dones, done)
	b.bytes += len(m.Payload)
	b.taken++
	b.durable = b.durable || m.QoS > 0
	b.mu.Unlock()
	b.wake()
	return nil
}

// Settle waits until everything that was taken in before has been stored and given to all followers, or refused. Its
// error is the context's.
func (b *Bridge) Settle(ctx context.Context) error {
	b.mu.Lock()
	target := b.taken
	b.mu.Unlock()
	for b.settled.Load() < target {
		moved := b.progress.C()
		if b.settled.Load() >= target {
			break
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for the log: %w", context.Cause(ctx))
		}
	}
	return nil
}

// settle takes note of messages that are done with.
func (b *Bridge) settle(count int) {
	b.settled.Add(uint64(count))
	b.progress.Wake()
}

// Queued is how many messages wait for the log.
func (b *Bridge) Queued() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events)
}

// Run works until ctx ends and everything taken in is stored and handed on.
func (b *Bridge) Run(ctx context.Context) error {
	var decoding sync.WaitGroup
	decoding.Go(b.handOn)
	defer decoding.Wait()
	defer close(b.committed)
	var batch batch
	var last time.Time
	gather := time.NewTimer(b.cfg.Gather)
	defer gather.Stop()
	for {
		select {
		case <-b.ready:
		case <-ctx.Done():
			b.mu.Lock()
			b.stopping = true
			b.mu.Unlock()
			for b.take(&batch) {
				b.commit(ctx, &batch)
			}
			return nil
		}
		if wait := b.cfg.Gather - time.Since(last); wait > 0 && len(batch.events) >= worthGathering && b.mayWait() {
			gather.Reset(wait)
			select {
			case <-gather.C:
			case <-ctx.Done():
			}
		}
		if b.take(&batch) {
			b.commit(ctx, &batch)
		}
		last = time.Now()
		if b.Queued() > 0 {
			b.wake() // what has come meanwhile gathers, too
		}
	}
}

func (b *Bridge) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// mayWait reports whether nobody waits for what is queued to be durable.
func (b *Bridge) mayWait() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.durable && len(b.events) < b.cfg.MaxBatch
}

// share is how much of the queue one commit takes. A single sender that waits for its messages to be durable waits with its
// window full of them: with all in one commit, it would wait while the log works, and the log while it does. With half
// of them, both work at the same time.
func (b *Bridge) share() int {
	n := len(b.events)
	if n <= wholeBatch || !b.durable {
		return n
	}
	sender := b.events[0].Client
	if sender != b.sender || sender != b.events[n/2].Client || sender != b.events[n-1].Client {
		b.sender, b.alone = sender, 0
		return n
	}
	if b.alone++; b.alone < wholeBatch { // it may be one of several who take turns
		return n
	}
	return max(n/2, wholeBatch)
}

// A batch is what one commit takes.
type batch struct {
	events  []event.Event
	dones   []DoneFunc
	durable bool
}

// take moves the queue, or as much as one commit takes, into to.
func (b *Bridge) take(to *batch) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, size := 0, 0
	for share := min(b.share(), b.cfg.MaxBatch); n < share && (n == 0 || size+len(b.events[n].Payload) <= maxBatchBytes); n++ {
		size += len(b.events[n].Payload)
	}
	if n == 0 {
		return false
	}
	// The batch keeps its part of the queue's array, since its events go on to the followers; the queue goes on behind it.
	to.events, b.events = b.events[:n:n], b.events[n:]
	to.dones, b.dones = b.dones[:n:n], b.dones[n:]
	to.durable = b.durable
	b.bytes, b.durable = 0, false
	for i := range b.events {
		b.bytes += len(b.events[i].Payload)
		b.durable = b.durable || b.events[i].QoS > 0
	}
	close(b.space)
	b.space = make(chan struct{})
	return true
}

// commit appends a batch, tells those who wait for it, and hands it on.
func (b *Bridge) commit(ctx context.Context, t *batch) {
	err := b.store(ctx, t)
	if errors.Is(err, eventlog.ErrTooLarge) && len(t.events) > 1 {
		// One event is too large, and the others are not to suffer for it. Halves find it in few commits.
		half := len(t.events) / 2
		b.commit(ctx, &batch{events: t.events[:half:half], dones: t.dones[:half], durable: t.durable})
		b.commit(ctx, &batch{events: t.events[half:], dones: t.dones[half:], durable: t.durable})
		return
	}
	if err != nil {
		b.refused(len(t.events), err)
	}
	for i, done := range t.dones {
		if done == nil {
			continue
		}
		if err != nil {
			done(event.Position{}, err)
		} else {
			done(t.events[i].Next(), nil)
		}
	}
	// The queue's array lives on: what has been dealt with must not live with it.
	clear(t.dones)
	if err != nil {
		clear(t.events)
		b.settle(len(t.events))
		return
	}
	b.committed <- t.events
}

// handOn decodes committed batches and gives them to the followers.
func (b *Bridge) handOn() {
	for events := range b.committed {
		decoded := b.decode(events, len(events))
		clear(events)
		b.traffic.add(decoded)
		for _, f := range b.followers {
			f.Offer(decoded)
		}
		now := time.Now().UnixNano()
		b.metrics.observe(decoded, now)
		b.traffic.latency(now - decoded[len(decoded)-1].Time)
		b.settle(len(decoded))
	}
}
