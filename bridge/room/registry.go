package room

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/event"
	"pulso/bridge/wire"
	pulsov1 "pulso/internal/gen/pulso/v1"
)

// Source is a view that rooms of one form show. It may be called from any goroutine.
type Source interface {
	// Version grows with each visible change.
	Version() uint64
	// Since is what changed after version since of what filters select and a scope (nil: any) may see, nil for nothing; since
	// 0 is a whole snapshot. It returns the version that this brings a reader up to. The frame is never written to again.
	Since(filters []string, scope event.Scope, since uint64) (*pulsov1.Frame, uint64)
}

// Past is the log as members that missed something see it: decoded. It may be called from any goroutine.
type Past interface {
	// Read returns up to limit events from a position on. Errors as of eventlog.Log.
	Read(from event.Position, limit int) ([]event.Decoded, error)
	// Last returns up to limit of a topic's newest events before a position, oldest first.
	Last(topic string, before event.Position, limit int) ([]event.Decoded, error)
	// Bounds returns the oldest position held and the position after the newest event.
	Bounds() (first, next event.Position)
	// Topics returns up to limit topics that match a filter, belong to one of devices (none: all) and are seen by a scope (nil:
	// any), and whether there are more.
	Topics(filters, devices []string, scope event.Scope, limit int) (topics []string, more bool)
}

// Config of a Registry.
type Config struct {
	// Past is needed.
	Past Past
	// Sources are the views by form; a form without one cannot be subscribed to.
	Sources map[wire.Form]Source
	// RingBytes bounds the frames a room keeps, in bytes; 0 is 4 MiB.
	RingBytes int
	// AllRingsBytes bounds the frames that all rooms keep together, in bytes, as long as it leaves each room 16 KiB:
	// with many rooms, each keeps less; 0 is 512 MiB.
	AllRingsBytes int
	// MaxRooms bounds the rooms; 0 is 100,000.
	MaxRooms int
	// Metrics takes the package's metrics; nil is nowhere.
	Metrics prometheus.Registerer
}

// Bounds inside the package.
const (
	defaultRingBytes     = 4 << 20
	defaultAllRingsBytes = 512 << 20
	// minRingBytes is what each room may keep however many there are, unless RingBytes is less.
	minRingBytes = 16 << 10
	// latestRingBytes bounds the ring where only the current state counts: who falls out of it gets that, in one frame.
	latestRingBytes = 256 << 10
	defaultMaxRooms = 100_000
	// flushBytes is what a room gathers before it makes a frame although its time has not come.
	flushBytes = 256 << 10
	// maxCachedTopics bounds the topic cache; beyond it starts anew.
	maxCachedTopics = 200_000
	// positionInterval is how often a room in which nothing happens tells its members where the log is.
	positionInterval = 10 * time.Second
)

// Errors of Join.
var (
	ErrTooManyRooms = errors.New("the hub has as many rooms as it may")
	ErrNoSource     = errors.New("this hub does not serve this form")
)

// A Registry holds all rooms of a node.
type Registry struct {
	cfg     Config
	metrics metrics

	mu      sync.Mutex
	rooms   map[string]*Room
	nextID  uint64
	pos     event.Position // after the last event that was offered
	trie    node
	devices map[string][]*Room  // rooms that name devices
	cache   map[string]*reached // by topic
	shape   uint64              // grows when a filter with wildcards comes or goes, and when the cache is emptied
	touched []*Room
	dirty   []*Room
	views   []*Room
	current values
	pace    pacer
	crowd   crowd
	scratch []byte // of frames that are being made

	kick   chan struct{}
	frames atomic.Uint64
	gaps   atomic.Uint64
}

// New makes a Registry that begins at a position: the end of the log at start.
func New(cfg Config, begin event.Position) *Registry {
	if cfg.RingBytes == 0 {
		cfg.RingBytes = defaultRingBytes
	}
	if cfg.AllRingsBytes == 0 {
		cfg.AllRingsBytes = defaultAllRingsBytes
	}
	if cfg.MaxRooms == 0 {
		cfg.MaxRooms = defaultMaxRooms
	}
	r := &Registry{
		cfg: cfg, rooms: make(map[string]*Room), pos: begin, devices: make(map[string][]*Room),
		cache: make(map[string]*reached), kick: make(chan struct{}, 1), pace: newPacer(), crowd: newCrowd(),
	}
	r.metrics = newMetrics(cfg.Metrics, r)
	return r
}

// ringLimit is what each room's ring may hold now, in bytes.
func (r *Registry) ringLimit() int {
	return min(r.cfg.RingBytes, max(r.cfg.AllRingsBytes/max(len(r.rooms), 1), minRingBytes))
}

// keepScratch keeps a slice for the next frame, unless it has become large.
func (r *Registry) keepScratch(b []byte) {
	if cap(b) <= 4*flushBytes {
		r.scratch = b[:0]
	}
}

// Seed sets the current value of a series before the first Offer: what views knew from before the start.
func (r *Registry) Seed(s *event.Series, time int64, v float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current.set(s, time, v)
}

// Stats counts rooms, frames handed to members, and gaps told to them, since the start.
func (r *Registry) Stats() (rooms int, frames, gaps uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rooms), r.frames.Load(), r.gaps.Load()
}

// Offer takes a committed batch. The batch must not change afterwards.
func (r *Registry) Offer(batch []event.Decoded) {
	if len(batch) == 0 {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.touched = r.touched[:0]
	for i := range batch {
		d := &batch[i]
		if device, ok := d.Forgets(); ok {
			r.current.forget(device)
		}
		if !d.Kind.IsMessage() {
			continue
		}
		for _, m := range d.Metrics {
			r.current.set(m.Series, d.Taken(), m.Value)
		}
		for _, room := range r.roomsOf(d.Topic, d.Ref) {
			r.give(room, d, now)
		}
		if len(r.devices) == 0 || d.Device == "" {
			continue
		}
		for _, room := range r.devices[d.Device] {
			if room.spec.selects(d.Topic) {
				r.give(room, d, now)
			}
		}
	}
	r.pos = batch[len(batch)-1].Next()
	scheduled := false
	for _, room := range r.touched {
		room.touched = false
		if room.dirty {
			continue
		}
		if !now.Before(room.due) {
			room.flush(r.pos, now)
			continue
		}
		if !room.gathered.empty() {
			room.dirty = true
			r.dirty = append(r.dirty, room)
			scheduled = true
		}
	}
	clear(r.touched) // rooms that end are not to be kept
	if scheduled {
		r.wakeRun()
	}
}

func (r *Registry) give(room *Room, d *event.Decoded, now time.Time) {
	room.gathered.add(d, &room.takers)
	if !room.touched {
		room.touched = true
		r.touched = append(r.touched, room)
	}
	if room.gathered.size() > flushBytes {
		room.flush(d.Next(), now)
	}
}

// reached are the rooms, of those that name no devices, that a topic reaches: whose filters match it, and whose members may read
// it.
type reached struct {
	rooms []*Room
	shape uint64 // of the registry when they were looked up
	gone  bool   // a room of this very topic has come or gone since
}

func (r *Registry) roomsOf(topic string, ref *event.Ref) []*Room {
	if c, ok := event.Slot[*reached](ref, event.SlotRooms); ok && c.shape == r.shape && !c.gone {
		return c.rooms
	}
	if c, ok := r.cache[topic]; ok && c.shape == r.shape {
		ref.Keep(event.SlotRooms, c)
		return c.rooms
	}
	if len(r.cache) >= maxCachedTopics {
		clear(r.cache)
		r.shape++ // what a Ref still has could not be told that it is gone
	}
	rooms := slices.DeleteFunc(r.trie.match(topic), func(room *Room) bool { return !event.Sees(room.spec.Scope, topic) })
	c := &reached{rooms: rooms, shape: r.shape}
	r.cache[topic] = c
	ref.Keep(event.SlotRooms, c)
	return rooms
}

func (r *Registry) wakeRun() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// Run flushes rooms when they are due, until ctx ends.
func (r *Registry) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	quiet := time.NewTicker(positionInterval)
	defer quiet.Stop()
	crowd := time.NewTicker(crowdInterval)
	defer crowd.Stop()
	due := time.Now().Add(time.Hour)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.kick:
		case <-timer.C:
			r.late(time.Since(due))
		case <-quiet.C:
			r.tellPositions()
		case <-crowd.C:
			r.tellViewers()
		}
		next := max(min(r.flushDirty(), r.flushViews()), time.Millisecond)
		due = time.Now().Add(next)
		timer.Reset(next)
	}
}

// stretch is by how much the load of the machine stretches the rooms' intervals.
func (r *Registry) stretch() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pace.factor
}

// late takes note of how late the rooms were served.
func (r *Registry) late(by time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pace.observe(by, time.Now())
}

// flushDirty flushes the rooms whose time has come and returns how long until the next one's.
func (r *Registry) flushDirty() time.Duration {
	now := time.Now()
	next := time.Hour
	r.mu.Lock()
	defer r.mu.Unlock()
	keep := r.dirty[:0]
	for _, room := range r.dirty {
		wait := room.due.Sub(now)
		if wait > 0 {
			keep = append(keep, room)
			next = min(next, wait)
			continue
		}
		room.dirty = false
		room.flush(r.pos, now)
	}
	clear(r.dirty[len(keep):])
	r.dirty = keep
	return next
}

// flushViews makes frames for the view rooms whose time has come and returns how long until the next one's. Views are
// asked without the registry's lock: they may be busy with a large answer.
func (r *Registry) flushViews() time.Duration {
	now := time.Now()
	next := time.Hour
	var due []*Room
	r.mu.Lock()
	for _, room := range r.views {
		wait := room.due.Sub(now)
		if wait <= 0 {
			wait = room.interval
			room.due = now.Add(wait)
			due = append(due, room)
		}
		next = min(next, wait)
	}
	r.mu.Unlock()
	for _, room := range due {
		r.flushView(room)
	}
	return next
}

// flushView makes a frame of what changed in a room's view. Only Run's goroutine calls it, and room.version is its own.
func (r *Registry) flushView(room *Room) {
	if room.source.Version() == room.version {
		return
	}
	changed, version := room.since(room.version)
	room.version = version
	if changed == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &frame{to: r.pos, version: version}
	for e, n := range room.takers {
		if n > 0 {
			f.messages[e] = viewFrame(wire.Encoding(e), room.id, r.pos, changed)
		}
	}
	room.put(f)
}

// viewFrame is a frame of what changed in a view.
func viewFrame(e wire.Encoding, room uint64, pos event.Position, changed *pulsov1.Frame) *wire.Message {
	return e.Frame(room, pos, e.AppendView(nil, changed))
}

// tellPositions tells the members of rooms in which nothing happens where the log is, so that they resume without
// reading what was not for them.
func (r *Registry) tellPositions() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, room := range r.rooms {
		room.closeEntrances(now)
		if room.source != nil || room.pos == r.pos || !room.gathered.empty() {
			continue
		}
		f := &frame{to: r.pos}
		for e, n := range room.takers {
			if n > 0 {
				f.messages[e] = wire.Encoding(e).Frame(room.id, r.pos, nil)
			}
		}
		room.put(f)
	}
}
