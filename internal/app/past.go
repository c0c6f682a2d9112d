package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"pulso/bridge"
	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/gateway"
	"pulso/bridge/gateway/web"
	"pulso/bridge/gateway/ws"
	"pulso/bridge/room"
	"pulso/bridge/view"
	"pulso/bridge/view/chat"
	"pulso/bridge/view/devices"
	"pulso/bridge/view/hub"
	"pulso/bridge/view/topics"
	"pulso/bridge/wire"
)

// Bounds of hubs of the past.
const (
	// maxPasts is how many there may be at one time.
	maxPasts = 4
	// maxSpeed is how many times as fast as it was the past may be shown.
	maxSpeed = 60
	// buildWithin is how long making one may take.
	buildWithin = 3 * time.Second
	// knownBefore is how long before its beginning a hub of the past has heard everything, warmEvents at most how much that
	// may be: else it is one of shorterBefore.
	knownBefore = time.Hour
	warmEvents  = 50_000
	// lastTopics is of how many topics it knows the last message, however old.
	lastTopics = 5_000
	// pastRead is how many events are read at once.
	pastRead = 256
)

var shorterBefore = []time.Duration{knownBefore, 20 * time.Minute, 5 * time.Minute, time.Minute, 0}

// errPast refuses what somebody publishes in the past.
var errPast = wire.Errorf(wire.CodeForbidden, "this is the past: nothing can be sent there")

// A pastPublisher takes nothing.
type pastPublisher struct{}

func (pastPublisher) Ingest(context.Context, event.Event, func(event.Position, error)) error {
	return errPast
}

// A journey is what somebody asks for: the times are in nanoseconds since the Unix epoch; until is 0 where it goes on to the
// present. A speed of 0 stands still.
type journey struct {
	from, until int64
	speed       float64
}

// parseJourney reads a request's parameters, times in milliseconds.
func parseJourney(r *http.Request) (j journey, err *wire.Error) {
	query := r.URL.Query()
	times := map[string]*int64{"from": &j.from, "to": &j.until}
	for name, at := range times {
		text := query.Get(name)
		if text == "" && name == "to" {
			continue
		}
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
			return j, wire.Errorf(wire.CodeBadCommand, "%s is a time in milliseconds since 1970", name)
		}
		*at = ms * int64(time.Millisecond)
	}
	if j.until != 0 && j.until < j.from {
		return j, wire.Errorf(wire.CodeBadCommand, "to is before from")
	}
	j.speed = 1
	if text := query.Get("speed"); text != "" {
		speed, err := strconv.ParseFloat(text, 64)
		if err != nil || !(speed >= 0 && speed <= maxSpeed) { // NaN is neither
			return j, wire.Errorf(wire.CodeBadCommand, "speed is a number from 0 to %d", maxSpeed)
		}
		j.speed = speed
	}
	return j, nil
}

// pasts serves hubs of the past, each to one screen.
type pasts struct {
	hub    *Hub
	refuse *web.Refuser
	slots  chan struct{}
	ctx    context.Context //nolint:containedctx // the life of all of them
	cancel context.CancelFunc
	mu     sync.Mutex // guards stopped, and wg against it
	ended  bool
	wg     sync.WaitGroup
}

func newPasts(h *Hub) *pasts {
	p := &pasts{hub: h, refuse: web.NewRefuser(h.registry, "pulso_past_refused_total"), slots: make(chan struct{}, maxPasts)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	registerPasts(h.registry, func() float64 { return float64(len(p.slots)) })
	return p
}

// Run ends all hubs of the past when ctx does.
func (p *pasts) Run(ctx context.Context) error {
	<-ctx.Done()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.cancel()
	p.wg.Wait()
	return nil
}

// begin takes one of the places; the reason is why there is none.
func (p *pasts) begin() (reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return "the hub is stopping"
	}
	select {
	case p.slots <- struct{}{}:
		p.wg.Add(1)
		return ""
	default:
		return fmt.Sprintf("%d screens are in the past: that is the most there may be at one time", maxPasts)
	}
}

// ServeHTTP begins a hub of the past on a WebSocket.
func (p *pasts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	j, bad := parseJourney(r)
	if bad != nil {
		p.refuse.Error(w, bad)
		return
	}
	if reason := p.begin(); reason != "" {
		p.refuse.Error(w, &wire.Error{Code: wire.CodeUnavailable, Message: reason, Retry: true})
		return
	}
	done := func() { <-p.slots; p.wg.Done() }
	ctx, cancel := context.WithTimeout(r.Context(), buildWithin)
	defer cancel()
	replay, err := newReplay(ctx, p.hub, j)
	if err != nil {
		done()
		p.hub.logger.Warn("the past could not be shown", "part", "past", "error", err)
		p.refuse.Error(w, &wire.Error{Code: wire.CodeUnavailable, Message: "the past could not be read in time", Retry: true})
		return
	}
	replay.stream.ServeHTTP(w, r)
	go func() {
		defer done()
		replay.run(p.ctx)
	}()
}

// ServeSpan tells from when to when the log reaches, and how many are in the past.
func (p *pasts) ServeSpan(w http.ResponseWriter, r *http.Request) {
	if p.refuse.Method(w, r, http.MethodGet) {
		return
	}
	now := time.Now().UnixMilli()
	first := now
	begin, _ := p.hub.log.Bounds()
	if found, err := p.hub.log.Read(begin, 1); err == nil && len(found) > 0 {
		first = found[0].Time / int64(time.Millisecond)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = fmt.Fprintf(w, "{\"first\":%d,\"now\":%d,\"max_speed\":%d,\"open\":%d,\"max_open\":%d}\n",
		first, now, maxSpeed, len(p.slots), maxPasts)
}

// pastLog is the log as it was: it ends where the replay stands.
type pastLog struct {
	eventlog.Log

	end atomic.Pointer[event.Position]
}

// Bounds implements [eventlog.Log].
func (l *pastLog) Bounds() (first, next event.Position) {
	first, _ = l.Log.Bounds()
	return first, *l.end.Load()
}

// Read implements [eventlog.Log].
func (l *pastLog) Read(from event.Position, limit int) ([]event.Event, error) {
	end := l.end.Load().Offset
	if from.Offset >= end {
		return nil, nil
	}
	return l.Log.Read(from, int(min(uint64(limit), end-from.Offset))) //nolint:wrapcheck // as of the log
}

// Last implements [eventlog.Log].
func (l *pastLog) Last(topic string, before event.Position, limit int) ([]event.Event, error) {
	if end := *l.end.Load(); before.IsZero() || before.Offset > end.Offset {
		before = end
	}
	return l.Log.Last(topic, before, limit) //nolint:wrapcheck // as of the log
}

// A replay is a hub of the past: parts of its own, fed from the log by a clock of its own. What devices had announced is
// taken from the present, since it is learnt over days; it learns on by itself.
type replay struct {
	journey

	hub     *Hub
	log     *pastLog
	bridge  *bridge.Bridge // it only decodes
	devices *devices.View
	topics  *topics.View
	chat    *chat.View
	figures *hub.View
	rooms   *room.Registry
	gateway *gateway.Gateway
	stream  *ws.Handler

	now   atomic.Int64  // the past's clock, in nanoseconds since the Unix epoch
	read  []event.Event // what has been read and is yet to happen
	count hub.Sample    // events, bytes and undecodable so far
}

// newReplay makes a hub of the past as it was when the journey begins.
func newReplay(ctx context.Context, h *Hub, j journey) (*replay, error) {
	p := &replay{journey: j, hub: h, log: &pastLog{Log: h.log}}
	first, _ := h.log.Bounds()
	if found, err := h.log.Read(first, 1); err == nil && len(found) > 0 {
		p.from = max(p.from, found[0].Time)
	}
	p.from = min(p.from, time.Now().UnixNano())
	p.now.Store(p.from)
	at, err := eventlog.Seek(h.log, time.Unix(0, p.from))
	if err != nil {
		return nil, fmt.Errorf("find %s in the log: %w", time.Unix(0, p.from).UTC(), err)
	}
	p.log.end.Store(&at)
	if err := p.build(at); err != nil {
		return nil, err
	}
	if err := p.warmUp(ctx, at); err != nil {
		return nil, err
	}
	for v := range p.devices.Values([]string{"#"}, nil) {
		p.rooms.Seed(v.Series, v.Time, v.Value)
	}
	return p, nil
}

func (p *replay) build(at event.Position) error {
	h := p.hub
	decoder, err := decode.New(decode.Config{})
	if err != nil {
		return err
	}
	kept, configured, _ := h.overrides.Overrides()
	var facts bytes.Buffer
	if err := errors.Join(decoder.Override(slices.Concat(kept, configured)), h.decoder.SaveFacts(&facts), decoder.RestoreFacts(&facts)); err != nil {
		return fmt.Errorf("what devices announced: %w", err)
	}
	if p.bridge, err = bridge.New(bridge.Config{Log: p.log, Decoder: decoder}); err != nil {
		return err
	}
	if p.devices, err = devices.New(devices.Config{Intern: p.bridge.Intern, MaxDevices: h.cfg.MaxDevices}); err != nil {
		return err
	}
	if p.topics, err = topics.New(topics.Config{}); err != nil {
		return err
	}
	if p.chat, err = chat.New(chat.Config{}); err != nil {
		return err
	}
	p.figures = hub.New(hub.Config{
		Sample: p.sample, Started: h.figures.Started(), Version: h.version, MQTT: h.deviceAddr(), HTTP: h.HTTPAddr(),
	})
	p.rooms = room.New(room.Config{
		Past: bridge.Past{Bridge: p.bridge, FindTopics: p.findTopics},
		Sources: map[wire.Form]room.Source{
			wire.FormDevices: p.devices, wire.FormTopics: p.topics, wire.FormHub: p.figures, wire.FormChat: p.chat,
		},
	}, at)
	p.gateway = gateway.New(gateway.Config{
		Rooms: p.rooms, Publisher: pastPublisher{}, Node: nodeName(at.Epoch), Version: h.version, MaxSessions: 1,
		Now: p.clock, Admit: h.admitStream, Logger: h.logger.With("part", "past"),
	})
	p.stream = ws.New(ws.Config{Gateway: p.gateway, CheckOrigin: h.checkOrigin, Logger: h.logger.With("part", "past")})
	return nil
}

func (p *replay) findTopics(filters, ids []string, scope event.Scope, limit int) ([]string, bool) {
	if len(ids) > 0 {
		return p.devices.Topics(filters, ids, scope, limit)
	}
	return p.topics.Topics(filters, nil, scope, limit)
}

// clock is the past's now.
func (p *replay) clock() time.Time { return time.Unix(0, p.now.Load()) }

// views are those that are fed, in their order.
func (p *replay) views() []view.View { return []view.View{p.devices, p.topics, p.chat} }

// apply lets events happen to the views and counts them.
func (p *replay) apply(batch []event.Decoded) {
	for i := range batch {
		if d := &batch[i]; d.Kind.IsMessage() {
			p.count.Events++
			p.count.Bytes += uint64(len(d.Payload))
			if d.Problem != "" {
				p.count.Undecodable++
			}
		}
	}
	for _, v := range p.views() {
		v.Apply(batch)
	}
}

// tick tells the views what time it is.
func (p *replay) tick(now time.Time) {
	p.devices.Tick(now)
	p.topics.Tick(now)
	p.figures.Tick(now)
}

// sample is what can be told of the past: devices, and what came in. Latencies and drops are not in the log.
func (p *replay) sample() hub.Sample {
	s := p.count
	s.Total, s.Online, s.Stale, s.Offline = p.devices.Counts()
	s.Screens = p.gateway.Sessions()
	_, s.Frames, s.Gaps = p.rooms.Stats()
	s.Log.First, s.Log.Next = p.log.Bounds()
	s.Log.Durable = p.hub.durable()
	return s
}
