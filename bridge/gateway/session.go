package gateway

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"pulso/access/meter"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

// Bounds of a session.
const (
	// maxReplies is how many replies wait for a client that does not read them before its commands wait, too.
	maxReplies = 256
	// maxPublishes is how many publishes of a session may be on their way into the log.
	maxPublishes = 256
	// maxBadCommands in a row end a session.
	maxBadCommands = 20
)

// An item is something that the writing side does for the reading one: write a reply, begin or leave a room.
type item struct {
	reply *wire.Message
	id    uint64
	begin *room.Sub
	leave *room.Sub
}

// A Session is one client. Handle, Refuse and End belong to the transport's reading goroutine.
type Session struct {
	gateway   *Gateway
	transport Transport
	id        string
	client    Client
	meter     *meter.Chain // of the person's account; nil: nothing is bounded

	// Of the reading goroutine.
	subs []*room.Sub
	// counted is how many of them the meter knows of.
	counted int
	chats   map[uint64][]string
	name    string
	bad     int
	// reported is when the last report of paints came, or the session began.
	reported time.Time

	// Of whoever has the writing side.
	active []*room.Sub

	flusher *flusher
	mu      sync.Mutex
	writing writing
	items   []item

	space   chan struct{} // made when somebody waits for it
	pending atomic.Int32  // publishes on their way

	release func() // says that the person's rights are of no interest any more

	once    sync.Once
	done    chan struct{}  // closed when the session ends
	code    wire.CloseCode // why; set before done is closed, 0 where the client left
	written chan struct{}  // closed when the farewell has been said
}

// ID is the session's name, unique on this node.
func (s *Session) ID() string { return s.id }

// Done is closed when the session ends, whoever ended it.
func (s *Session) Done() <-chan struct{} { return s.done }

// Close ends the session with a code: the replies that wait and the code are written, then the transport is closed. It
// does not wait for that. It may be called from anywhere, more than once; the first code counts.
func (s *Session) Close(code wire.CloseCode) { s.finish(code, code.Info().Name) }

// finish reports whether it was this call that ended the session.
func (s *Session) finish(code wire.CloseCode, label string) bool {
	first := false
	s.once.Do(func() {
		first = true
		s.code = code
		s.gateway.metrics.closed.WithLabelValues(label).Inc()
		close(s.done)
		s.transport.Hurry()
	})
	s.Wake()
	return first
}

func (s *Session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// End ends the session after its connection has ended, waits for what is still being written, and takes the session out
// of its rooms.
func (s *Session) End() {
	s.finish(0, "client")
	<-s.written
	if s.release != nil {
		s.release()
	}
	s.meter.Close()
	for _, sub := range s.subs {
		s.gateway.cfg.Rooms.Leave(sub)
	}
	s.subs = nil
	if s.gateway.cfg.Presence != nil && len(s.chats) > 0 {
		s.gateway.cfg.Presence.Leave(s.id)
	}
	s.gateway.forget(s)
}

// Handle runs one command, written in the session's encoding. It blocks while the client does not take the replies to
// earlier ones.
func (s *Session) Handle(message []byte) { s.HandleIn(s.client.Encoding, message) }

// HandleIn is Handle for a command that is written in another encoding than the session's.
func (s *Session) HandleIn(e wire.Encoding, message []byte) { s.Take(e.ParseCommand(message)) }

// Take is Handle for a command that has been read; err is what is wrong with it, if anything is.
func (s *Session) Take(c wire.Command, err *wire.Error) {
	s.await()
	if s.ended() {
		return
	}
	if err == nil {
		err = s.run(&c)
	}
	if err != nil {
		s.refuse(c.ID, err)
		return
	}
	s.bad = 0
}

// Do runs a command that has been checked, as Handle does, for a transport that has its own way to say that it failed. An
// error is counted, not replied to.
func (s *Session) Do(c *wire.Command) *wire.Error {
	s.await()
	if s.ended() {
		return &wire.Error{Code: wire.CodeUnavailable, Message: "the session has ended", Retry: true}
	}
	err := s.run(c)
	if err != nil {
		s.gateway.metrics.refusedCommands.WithLabelValues(err.Code).Inc()
	}
	return err
}

// Refuse replies with an error to what the transport could not hand to Handle, and ends a session that gets too many of
// them. It blocks as Handle does.
func (s *Session) Refuse(id uint64, err *wire.Error) {
	s.await()
	s.refuse(id, err)
}

func (s *Session) refuse(id uint64, err *wire.Error) {
	s.gateway.metrics.refusedCommands.WithLabelValues(err.Code).Inc()
	s.reply(s.client.Encoding.Error(id, err))
	if err.Retry {
		return
	}
	if s.bad++; s.bad >= maxBadCommands {
		s.Close(wire.CloseBadCommands)
	}
}

func (s *Session) run(c *wire.Command) *wire.Error {
	switch {
	case c.Hello != nil:
		if c.Hello.Name != s.name {
			s.name = c.Hello.Name
			s.tellPresence()
			for _, sub := range s.subs {
				sub.Rename(s.name)
			}
		}
		s.reply(s.client.Encoding.Welcome(c.ID, s.id, s.gateway.cfg.Node, s.gateway.cfg.Version, s.gateway.millisNow()))
		return nil
	case c.Subscribe != nil:
		return s.subscribe(c.ID, c.Subscribe)
	case c.Unsubscribe != nil:
		return s.unsubscribe(c.ID, c.Unsubscribe.Room)
	case c.Publish != nil:
		return s.publish(c.ID, c.Publish)
	case c.Change != nil:
		return s.change(c.ID, c.Change)
	case c.Painted != nil:
		s.painted(c.Painted.Counts)
		fallthrough
	default:
		s.reply(s.client.Encoding.Pong(c.ID, s.gateway.millisNow()))
		return nil
	}
}

// tellPresence says which channels the session watches, and under which name.
func (s *Session) tellPresence() {
	if s.gateway.cfg.Presence == nil || s.chats == nil {
		return
	}
	var filters []string
	for _, f := range s.chats {
		filters = append(filters, f...)
	}
	if len(filters) == 0 {
		s.gateway.cfg.Presence.Leave(s.id)
		return
	}
	s.gateway.cfg.Presence.Join(s.id, s.name, filters, s.client.Scope)
}

func (s *Session) publish(id uint64, c *wire.Publish) *wire.Error {
	if err := MayPublish(s.client.Person, c.Topic); err != nil {
		return err
	}
	if s.pending.Load() >= maxPublishes {
		e := wire.Errorf(wire.CodeTooMany, "%d publishes of this session are on their way: wait for a reply", maxPublishes)
		e.Retry = true
		return e
	}
	if e := allow(s.meter, c.Size()); e != nil {
		return e
	}
	s.pending.Add(1)
	err := s.gateway.cfg.Publisher.Ingest(s.gateway.ctx, message(s.id, c), func(pos event.Position, err error) {
		s.pending.Add(-1)
		if err != nil {
			s.push(item{reply: s.client.Encoding.Error(id, unavailable(err))})
			return
		}
		s.push(item{reply: s.client.Encoding.Published(id, pos)})
	})
	if err != nil {
		s.pending.Add(-1)
		return unavailable(err)
	}
	return nil
}

// unavailable says why a message was not stored.
func unavailable(err error) *wire.Error {
	if told := (*wire.Error)(nil); errors.As(err, &told) {
		return told
	}
	if errors.Is(err, eventlog.ErrTooLarge) {
		return wire.Errorf(wire.CodeTooLarge, "the message was not stored: %v", err)
	}
	return &wire.Error{Code: wire.CodeUnavailable, Message: fmt.Sprintf("the message was not stored: %v", err), Retry: true}
}

func (s *Session) reply(m *wire.Message) { s.push(item{reply: m}) }

// push hands an item to the writing side. How many wait is bounded by await, which stands before each command, and
// by maxPublishes.
func (s *Session) push(i item) {
	s.mu.Lock()
	s.items = append(s.items, i)
	s.mu.Unlock()
	s.Wake()
}

// await waits while the client does not take the replies that it has coming.
func (s *Session) await() {
	for {
		s.mu.Lock()
		full := len(s.items) >= maxReplies
		if full && s.space == nil {
			s.space = make(chan struct{}, 1)
		}
		space := s.space
		s.mu.Unlock()
		if !full {
			return
		}
		select {
		case <-space:
		case <-s.done:
			return
		}
	}
}

func (s *Session) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items)
}

// pop takes the first item that waits.
func (s *Session) pop() (i item, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.items) == 0 {
		return item{}, false
	}
	i = s.items[0]
	s.items[0] = item{}
	if s.items = s.items[1:]; len(s.items) == 0 {
		s.items = nil
	}
	if len(s.items) < maxReplies && s.space != nil {
		select {
		case s.space <- struct{}{}:
		default:
		}
	}
	return i, true
}
