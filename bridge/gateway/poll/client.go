package poll

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"pulso/bridge/gateway"
	"pulso/bridge/wire"
)

// Bounds of a session.
const (
	// maxPending is how many bytes of messages wait for a poll before their rooms do: those are read anew from then on.
	maxPending = 256 << 10
	// maxAnswer is how many bytes of messages one answer carries, about; one message may be larger.
	maxAnswer = 256 << 10
	// maxQueued is how many commands wait for those before them, and maxQueuedBytes how many bytes before another is refused.
	maxQueued      = 256
	maxQueuedBytes = wire.MaxMessage
	// farewell is for how long a session that has ended can say so.
	farewell = 10 * time.Second
)

// client is one session and what there is of its polls, a [gateway.Transport].
type client struct {
	handler *Handler
	token   string
	session *gateway.Session
	opened  chan struct{}  // closed when session is set
	runner  sync.WaitGroup // of the goroutine that runs commands, while there are any

	space   chan struct{} // has an element when there is room for more messages
	due     chan struct{} // has an element when there may be something to answer with
	hurried chan struct{} // closed when the session ends
	hurry   sync.Once

	mu      sync.Mutex
	pending []*wire.Message
	bytes   int // of pending

	n      uint64        // the newest poll
	answer []byte        // to it; nil while there is none
	turn   chan struct{} // of the request that waits; closed when another takes its place

	queue   []json.RawMessage
	queued  int  // bytes of queue
	running bool // somebody runs the queue

	over    bool // the farewell has been said
	code    wire.CloseCode
	silence *time.Timer
}

func newClient(h *Handler, token string) *client {
	c := &client{
		handler: h, token: token, opened: make(chan struct{}), space: make(chan struct{}, 1), due: make(chan struct{}, 1),
		hurried: make(chan struct{}),
	}
	c.silence = time.AfterFunc(h.cfg.Silence, c.silent)
	return c
}

// silent is called when there was no poll for a while.
func (c *client) silent() {
	c.mu.Lock()
	waiting, over := c.turn != nil, c.over
	c.mu.Unlock()
	switch {
	case over:
		c.handler.clients.Remove(c.token)
	case !waiting:
		<-c.opened
		c.session.Close(wire.CloseSilent)
	}
}

// forget stops the clock.
func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silence.Stop()
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Write implements [gateway.Transport].
func (c *client) Write(messages []*wire.Message) error {
	for !c.room() {
		select {
		case <-c.space:
		case <-c.hurried:
			c.add(messages) // the last, which are not many
			return nil
		}
	}
	c.add(messages)
	return nil
}

// TryWrite is Write without waiting: what goes beyond the bound makes the next Write wait.
func (c *client) TryWrite(messages []*wire.Message, _ []byte) (bool, error) {
	c.add(messages)
	return c.room(), nil
}

// room reports whether more messages may wait.
func (c *client) room() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes < maxPending
}

func (c *client) add(messages []*wire.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending, messages...)
	for _, m := range messages {
		c.bytes += len(m.Bytes())
	}
	if len(messages) > 0 {
		signal(c.due)
	}
}

// Hurry implements [gateway.Transport].
func (c *client) Hurry() { c.hurry.Do(func() { close(c.hurried) }) }

// Close implements [gateway.Transport]. The code waits for a while for a poll that takes it.
func (c *client) Close(code wire.CloseCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over, c.code = true, code
	c.silence.Reset(farewell)
	signal(c.due)
	go func() { // the session waits for Close, and its end for the session
		defer c.handler.wg.Done()
		<-c.opened
		c.runner.Wait()
		c.session.End()
	}()
}

// poll takes a request's commands, waits for something to answer with, and returns the answer; nil if the client has
// gone.
func (c *client) poll(ctx context.Context, q *request) ([]byte, *wire.Error) {
	turn, answer, err := c.take(q)
	if turn == nil {
		return answer, err
	}
	for _, phase := range []struct {
		time  time.Duration
		until func() bool
	}{{q.wait(), c.hasNews}, {linger, c.isFull}} {
		switch c.await(ctx, turn, phase.time, phase.until) {
		case ready:
		case replaced:
			return nil, errReplaced()
		case left:
			c.leave(turn)
			return nil, nil
		}
	}
	return c.give(turn, q)
}

func errReplaced() *wire.Error {
	return wire.Errorf(wire.CodeTooMany, "another poll has taken this one's place")
}

// take begins a poll: it takes its commands and the place of the one that waits. There is no turn where there is
// an answer already, or the poll is not good.
func (c *client) take(q *request) (turn chan struct{}, answer []byte, bad *wire.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case q.N == c.n && c.answer != nil:
		c.handler.metrics.repeated.Inc()
		return nil, c.answer, nil
	case q.N == c.n:
	case q.N == c.n+1:
		if err := c.enqueue(q.Commands); err != nil {
			return nil, nil, err
		}
		c.n, c.answer = q.N, nil
	default:
		return nil, nil, wire.Errorf(wire.CodeBadCommand, "n is %d: it must be %d, or %d again", q.N, c.n+1, c.n)
	}
	if c.turn != nil {
		close(c.turn)
	}
	c.turn = make(chan struct{})
	if !c.over {
		c.silence.Stop()
	}
	return c.turn, nil, nil
}

// enqueue sees to it that commands are run, in their order, after those before them. c.mu is held.
func (c *client) enqueue(commands []json.RawMessage) *wire.Error {
	if len(c.queue)+len(commands) > maxQueued || c.queued > maxQueuedBytes {
		err := wire.Errorf(wire.CodeTooMany, "%d commands wait to be run", len(c.queue))
		err.Retry = true
		return err
	}
	for _, command := range commands {
		c.queue = append(c.queue, command)
		c.queued += len(command)
	}
	if len(c.queue) > 0 && !c.running && !c.over {
		c.running = true
		c.runner.Go(c.run)
	}
	return nil
}

// run runs commands as long as there are any.
func (c *client) run() {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 || c.over {
			c.queue, c.running = nil, false
			c.mu.Unlock()
			return
		}
		command := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		c.queued -= len(command)
		c.mu.Unlock()
		if len(command) > wire.MaxMessage {
			c.session.Refuse(0, wire.Errorf(wire.CodeTooLarge, "the command is larger than %d bytes", wire.MaxMessage))
			continue
		}
		c.session.Handle(command)
	}
}

// An outcome is how waiting ended.
type outcome byte

const (
	ready    outcome = iota
	replaced         // another request has taken the place
	left             // the client has gone
)

// await waits until something holds, for a while at most.
func (c *client) await(ctx context.Context, turn chan struct{}, while time.Duration, holds func() bool) outcome {
	timer := time.NewTimer(while)
	defer timer.Stop()
	for !holds() {
		select {
		case <-c.due:
		case <-timer.C:
			return ready
		case <-turn:
			signal(c.due) // it may have been the other one's
			return replaced
		case <-ctx.Done():
			return left
		}
	}
	return ready
}

// hasNews reports whether there is something to answer with.
func (c *client) hasNews() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) > 0 || c.over
}

// isFull reports whether nothing is worth waiting for.
func (c *client) isFull() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes >= maxAnswer || c.over
}

// leave ends a request without an answer: the same poll may come again.
func (c *client) leave(turn chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn == turn {
		c.turn = nil
		c.rest()
	}
}

// rest lets the client be silent for a while. c.mu is held.
func (c *client) rest() {
	if !c.over {
		c.silence.Reset(c.handler.cfg.Silence)
	}
}

// give makes the answer, which is kept until it is acknowledged.
func (c *client) give(turn chan struct{}, q *request) ([]byte, *wire.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != turn {
		return nil, errReplaced()
	}
	c.turn = nil
	b := append(make([]byte, 0, min(c.bytes, maxAnswer)+128), `{"n":`...)
	b = strconv.AppendUint(b, q.N, 10)
	if q.N == 1 {
		b = append(b, `,"session":`...)
		b = wire.AppendString(b, c.token)
	}
	b = append(b, `,"messages":[`...)
	taken, size := 0, 0
	for ; taken < len(c.pending) && size < maxAnswer; taken++ {
		if taken > 0 {
			b = append(b, ',')
		}
		b = append(b, c.pending[taken].Bytes()...)
		size += len(c.pending[taken].Bytes())
	}
	clear(c.pending[:taken])
	if c.pending = c.pending[taken:]; len(c.pending) == 0 {
		c.pending = nil
	}
	c.bytes -= size
	b = append(b, ']')
	if c.over && len(c.pending) == 0 {
		b = append(b, `,"closed":{"code":`...)
		b = strconv.AppendUint(b, uint64(c.code), 10)
		b = append(b, `,"name":`...)
		b = wire.AppendString(b, c.code.Info().Name)
		b = append(b, '}')
	}
	b = append(b, "}\n"...)
	c.answer = b
	signal(c.space)
	c.rest()
	return c.answer, nil
}
