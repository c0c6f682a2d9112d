package command

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/wire"
)

// lastStore is how long the last changes may wait for the log when the hub stops.
const lastStore = time.Second

// A Publisher takes messages for the log, as [pulso/bridge.Bridge.Ingest] does.
type Publisher interface {
	Ingest(ctx context.Context, m event.Event, done func(event.Position, error)) error
}

// Config of a Sender.
type Config struct {
	// Publisher takes what is sent, and View holds what became of it. Both are required.
	Publisher Publisher
	View      *View
	// Watch has Delivered called for an event, by its offset; Unwatch ends that. nil: what is delivered is not known.
	Watch   func(offset uint64) bool
	Unwatch func(offset uint64)
	// Reach says why a topic reaches no device; nil: all may.
	Reach func(topic string) error
	// Logger takes what could not be stored; nil: nobody does.
	Logger *slog.Logger
	// Metrics takes the package's metrics; nil: nobody.
	Metrics prometheus.Registerer
}

// A Sender sends commands. See the package comment.
type Sender struct {
	cfg     Config
	metrics metrics
	open    atomic.Int64 // commands under way: while there are none, Offer costs nothing

	mu      sync.Mutex
	running bool
	pending map[string]*pending
	devices map[string]int        // how many of them each device has
	offsets map[uint64]*pending   // of those that are published
	topics  map[string][]*pending // by where their answers may come
	changes []event.Event         // that wait for the log: at most two of each command
	wake    chan struct{}
}

// A pending command is under way. It is guarded by the Sender's lock.
type pending struct {
	id, device string
	from       string
	replies    []reply
	offset     uint64 // of the publish
	published  bool
	delivered  bool
	retain     bool
	nobody     bool
	sent       time.Time
	deadline   time.Time
}

// New makes a Sender.
func New(cfg Config) (*Sender, error) {
	if cfg.Publisher == nil || cfg.View == nil {
		return nil, errors.New("command: Publisher and View are needed")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Sender{
		cfg: cfg, pending: map[string]*pending{}, devices: map[string]int{}, offsets: map[uint64]*pending{},
		topics: map[string][]*pending{}, wake: make(chan struct{}, 1),
	}
	s.metrics = newMetrics(cfg.Metrics, s)
	return s, nil
}

// Send publishes a command and returns its id when the log has it.
func (s *Sender) Send(ctx context.Context, r *Request) (id string, bad *wire.Error) {
	if s.cfg.Reach != nil {
		if err := s.cfg.Reach(r.Topic); err != nil {
			return "", wire.Errorf(wire.CodeUnavailable, "topic: %v", err)
		}
	}
	p := newPending(r)
	if bad := s.begin(p); bad != nil {
		return "", bad
	}
	stored := make(chan error, 1)
	first := Record{
		ID: p.id, State: Sent, At: p.sent.UnixMilli(), Device: r.Device, Topic: r.Topic, Payload: cut(r.Payload), Size: len(r.Payload),
		QoS: r.QoS, Retain: r.Retain, Timeout: r.Timeout.Milliseconds(),
	}
	for i := range p.replies {
		first.Expected = append(first.Expected, p.replies[i].topic)
	}
	if err := s.cfg.Publisher.Ingest(ctx, p.event(&first), nil); err != nil {
		s.abandon(p)
		return "", unavailable(err)
	}
	message := event.Event{
		Time: p.sent.UnixNano(), Topic: r.Topic, Client: r.From, Payload: r.Payload, Source: event.SourceGateway, QoS: r.QoS,
		Retain: r.Retain, Properties: properties(p.id, r),
	}
	err := s.cfg.Publisher.Ingest(ctx, message, func(next event.Position, err error) {
		s.published(p, next, err)
		stored <- err
	})
	if err == nil {
		select {
		case err = <-stored:
		case <-ctx.Done(): // it may yet be stored, and is followed then
			return p.id, nil
		}
	} else {
		s.published(p, event.Position{}, err)
	}
	if err != nil {
		return "", unavailable(err)
	}
	return p.id, nil
}

func unavailable(err error) *wire.Error {
	if told := (*wire.Error)(nil); errors.As(err, &told) {
		return told
	}
	return &wire.Error{Code: wire.CodeUnavailable, Message: fmt.Sprintf("the command was not stored: %v", err), Retry: true}
}

func newPending(r *Request) *pending {
	var random [12]byte
	_, _ = rand.Read(random[:]) // it never fails
	p := &pending{
		id: base64.RawURLEncoding.EncodeToString(random[:]), device: r.Device, from: r.From, retain: r.Retain, sent: time.Now(),
	}
	p.deadline = p.sent.Add(r.Timeout)
	if r.Expect != nil {
		p.replies = []reply{expected(r.Expect)}
	} else {
		p.replies = replies(r.Topic, r.Payload)
	}
	p.replies = p.replies[:min(len(p.replies), maxReplies)]
	return p
}

// begin takes a command's place among those under way.
func (s *Sender) begin(p *pending) *wire.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.running:
		return &wire.Error{Code: wire.CodeUnavailable, Message: "the hub is starting or stopping", Retry: true}
	case len(s.pending) >= MaxPending:
		return &wire.Error{Code: wire.CodeTooMany, Message: fmt.Sprintf("%d commands are under way, the most there may be", MaxPending), Retry: true}
	case s.devices[p.device] >= MaxDevicePending:
		return &wire.Error{
			Code: wire.CodeTooMany, Message: fmt.Sprintf("device: %d commands to it are under way, the most there may be", MaxDevicePending), Retry: true,
		}
	}
	s.pending[p.id] = p
	s.devices[p.device]++
	for i := range p.replies {
		topic := p.replies[i].topic
		s.topics[topic] = append(s.topics[topic], p)
	}
	s.open.Add(1)
	s.nudge()
	return nil
}

// abandon forgets a command of which the log knows nothing.
func (s *Sender) abandon(p *pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(p)
}

// forget takes a command out. The lock is held.
func (s *Sender) forget(p *pending) {
	delete(s.pending, p.id)
	if s.devices[p.device]--; s.devices[p.device] <= 0 {
		delete(s.devices, p.device)
	}
	if p.published {
		delete(s.offsets, p.offset)
		if s.cfg.Unwatch != nil && !p.delivered {
			s.cfg.Unwatch(p.offset)
		}
	}
	for i := range p.replies {
		topic := p.replies[i].topic
		var rest []*pending
		for _, other := range s.topics[topic] {
			if other != p {
				rest = append(rest, other)
			}
		}
		if s.topics[topic] = rest; len(rest) == 0 {
			delete(s.topics, topic)
		}
	}
	s.open.Add(-1)
}

// published takes note that a command is in the log, before anybody is given it; or why it is not. It runs on the log's goroutine.
func (s *Sender) published(p *pending, next event.Position, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[p.id] != p {
		return
	}
	if err != nil {
		s.end(p, &Record{State: Failed, Reason: reasonNotStored + err.Error()})
		return
	}
	s.metrics.sent.Inc()
	p.offset, p.published = next.Offset-1, true
	s.offsets[p.offset] = p
	if s.cfg.Watch != nil {
		s.cfg.Watch(p.offset)
	}
}

// Delivered takes note that a client has a command, or that nobody listens where it was published: client is empty then.
func (s *Sender) Delivered(offset uint64, client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.offsets[offset]
	switch {
	case p == nil || p.delivered:
	case client != "":
		p.delivered = true
		s.change(p, &Record{State: Delivered, To: client})
	case p.retain:
		p.nobody = true
	default:
		p.delivered = true // it is not watched any more
		s.end(p, &Record{State: Failed, Reason: ReasonNobody})
	}
}

// Offer looks for answers among what was committed.
func (s *Sender) Offer(batch []event.Decoded) {
	if s.open.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range batch {
		e := &batch[i].Event
		if !e.Kind.IsMessage() {
			continue
		}
		if e.Topic == event.ResponseTopic {
			if e.Properties != nil {
				s.answered(s.pending[string(e.Properties.CorrelationData)], e)
			}
			continue
		}
		for _, p := range s.topics[e.Topic] {
			if p.published && p.offset < e.Position.Offset && p.accepts(e) {
				s.answered(p, e)
			}
		}
	}
}

func (p *pending) accepts(e *event.Event) bool {
	for i := range p.replies {
		if r := &p.replies[i]; r.topic == e.Topic && (r.match == nil || r.match(e.Payload)) {
			return true
		}
	}
	return false
}

func (s *Sender) answered(p *pending, e *event.Event) {
	if p == nil || !p.published {
		return
	}
	s.metrics.seconds.Observe(time.Since(p.sent).Seconds())
	s.end(p, &Record{State: Acknowledged, Response: cut(e.Payload), Answered: e.Topic, At: e.Time / int64(time.Millisecond)})
}

// end ends a command. The lock is held.
func (s *Sender) end(p *pending, r *Record) {
	s.metrics.ended.WithLabelValues(string(r.State)).Inc()
	s.change(p, r)
	s.forget(p)
}

// change notes what became of a command, for Run to store. The lock is held.
func (s *Sender) change(p *pending, r *Record) {
	r.ID = p.id
	if r.At == 0 {
		r.At = time.Now().UnixMilli()
	}
	r.At = max(r.At, p.sent.UnixMilli())
	s.changes = append(s.changes, p.event(r))
	s.nudge()
}

func (s *Sender) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// event is a record as the log takes it: durable.
func (p *pending) event(r *Record) event.Event {
	payload, _ := json.Marshal(r) //nolint:errchkjson // a struct of texts and numbers always can be
	return event.Event{
		Kind: event.KindCommand, Time: r.At * int64(time.Millisecond), Client: p.from, Payload: payload, Source: event.SourceHub, QoS: 1,
	}
}

// Run takes commands and ends those that nobody answers, until ctx ends. The view must have caught up with the log before: what
// was under way then is ended first.
func (s *Sender) Run(ctx context.Context) error {
	s.mu.Lock()
	s.running = true
	for _, id := range s.cfg.View.pending() {
		p := &pending{id: id}
		s.metrics.ended.WithLabelValues(string(TimedOut)).Inc()
		s.change(p, &Record{State: TimedOut, Reason: ReasonRestart})
	}
	s.mu.Unlock()
	timer := time.NewTimer(MaxTimeout)
	defer timer.Stop()
	for {
		timer.Reset(s.expire(time.Now()))
		if !s.store(ctx) {
			break
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		if ctx.Err() != nil {
			break
		}
	}
	s.mu.Lock()
	s.running = false
	s.mu.Unlock()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastStore)
	defer cancel()
	s.store(last)
	return nil
}

// expire ends the commands whose time is over and returns how long the next has.
func (s *Sender) expire(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := MaxTimeout
	for _, p := range s.pending {
		left := p.deadline.Sub(now)
		switch {
		case left > 0:
			next = min(next, left)
		case p.published:
			s.end(p, &Record{State: TimedOut, Reason: s.whyLate(p)})
		default:
			next = min(next, MinTimeout) // the log has no room at present: it is not sent yet
		}
	}
	return next
}

func (s *Sender) whyLate(p *pending) string {
	switch {
	case s.cfg.Watch == nil:
		return ReasonNoAnswer
	case p.delivered:
		return ReasonSilent
	case p.nobody:
		return ReasonRetained
	default:
		return ReasonUntaken
	}
}

// store hands the changes to the log, and reports whether it takes any more.
func (s *Sender) store(ctx context.Context) bool {
	for {
		s.mu.Lock()
		changes := s.changes
		s.changes = nil
		s.mu.Unlock()
		if len(changes) == 0 {
			return true
		}
		for i := range changes {
			if err := s.cfg.Publisher.Ingest(ctx, changes[i], nil); err != nil {
				if ctx.Err() == nil {
					s.cfg.Logger.Warn("what became of commands could not be stored", "changes", len(changes)-i, "error", err)
				}
				return false
			}
		}
	}
}
