package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"pulso/internal/nowait"
)

const (
	writeChunk    = 16 << 10               // bytes that a peer must take within the write timeout
	lingerTimeout = time.Second            // to write the rest when a connection is closed
	drainTimeout  = 250 * time.Millisecond // for the peer to close after our last packet
	maxSpare      = 64 << 10               // larger write buffers are not kept for reuse
	deadlineSlack = 200 * time.Millisecond // by which read deadlines may be late, never early, so that few packets set one
)

var buffers sync.Pool // of *[]byte

// A conn is one client's socket. One goroutine reads. Writes never block who asks for them: they are queued, and what is
// queued is written in one go, by a [flusher] as long as the socket takes everything at once, else by a goroutine that
// lives until the peer has caught up. So neither the log's goroutine nor another client ever waits for a socket.
type conn struct {
	nc    net.Conn
	raw   syscall.RawConn // writes without waiting; nil where the socket has no such thing
	frame framer          // what stands around queued packets on this transport; nil: nothing
	link  *link
	flush *flusher

	idle     time.Duration // 1.5 times the keep-alive; 0 for none. Reader's goroutine only, as the next two
	deadline time.Time     // until when the next packet must have been read
	applied  time.Time     // the deadline that the socket has

	wanted atomic.Bool // the session waits for room

	mu      sync.Mutex
	out     []byte    // queued packets, behind the frame's head room
	sending int       // bytes that are being written
	answers int       // bytes of out that are answers
	queue   queueing  // whether the flusher knows of it
	busy    bool      // somebody writes
	closing bool      // nothing more is taken
	deaf    bool      // reads fail
	idling  sync.Cond // tells that busy has become false
}

// A framer is a transport that wraps what is written in frames.
type framer interface {
	// headroom is how many bytes must be free in front of what is framed.
	headroom() int
	// onAnswer sets what the transport calls when it has an answer of its own for the peer, which wrap then adds.
	onAnswer(poke func())
	// wrap frames what follows the head room and returns the part of p to be written.
	wrap(p []byte) []byte
}

type queueing byte

const (
	notQueued queueing = iota
	queuedLazily
	queuedNow
)

func newConn(nc net.Conn, l *link) *conn {
	c := &conn{nc: nc, link: l, flush: l.broker.flushers.next()}
	c.idling.L = &c.mu
	c.raw = nowait.Writer(nc)
	if f, ok := nc.(framer); ok {
		c.frame = f
		f.onAnswer(func() { c.put(nil, putAnswer) })
	}
	c.deadline = time.Now().Add(l.broker.cfg.ConnectTimeout)
	return c
}

// Read reads the socket under the deadline that holds.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.applyDeadline(); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(p)
	c.link.broker.metrics.bytesIn.Add(float64(n))
	return n, err
}

func (c *conn) applyDeadline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deaf {
		return net.ErrClosed
	}
	if c.deadline.IsZero() && c.link.reader.midPacket() { // without a keep-alive, what was begun must be finished all the same
		c.deadline = time.Now().Add(c.link.broker.cfg.KeepAlive)
	}
	if c.deadline.Equal(c.applied) || !c.deadline.IsZero() && !c.applied.IsZero() &&
		c.deadline.Before(c.applied) && c.applied.Sub(c.deadline) < deadlineSlack {
		return nil
	}
	c.applied = c.deadline
	if !c.applied.IsZero() && c.link.established.Load() {
		c.applied = c.applied.Add(deadlineSlack / 2)
	}
	return c.nc.SetReadDeadline(c.applied)
}

// refresh begins the keep-alive anew [MQTT-3.1.2-22].
func (c *conn) refresh(now time.Time) {
	c.deadline = time.Time{}
	if c.idle > 0 {
		c.deadline = now.Add(c.idle)
	}
}

// A putting is how packets are queued.
type putting byte

const (
	putAnswer  putting = iota // an answer, at once
	putMessage                // a message, at once; the caller has asked whether there is room
	putLazily                 // a message, if there is room, that may wait some milliseconds for others
)

// A putResult is what became of packets.
type putResult byte

const (
	putTaken putResult = iota
	putFull            // no room: the session is told when there is
	putGone            // the connection takes nothing any more
)

// put queues whole packets. It never blocks. Answers that exceed the write buffer end the connection: its peer asks and
// does not read.
func (c *conn) put(p []byte, how putting) putResult {
	c.mu.Lock()
	switch {
	case c.closing:
		c.mu.Unlock()
		return putGone
	case how == putLazily && len(c.out)+c.sending >= c.link.broker.cfg.WriteBuffer/4:
		c.wanted.Store(true)
		c.mu.Unlock()
		return putFull
	case how == putAnswer && c.answers > c.link.broker.cfg.WriteBuffer:
		c.mu.Unlock()
		c.link.end(causeSlow)
		return putGone
	}
	if how == putAnswer {
		c.answers += len(p)
	}
	if c.out == nil {
		c.out = c.borrow()
	}
	c.out = append(c.out, p...)
	want := queuedNow
	if how == putLazily {
		want = queuedLazily
	}
	tell := !c.busy && c.queue < want
	if tell {
		c.queue = want
	}
	c.mu.Unlock()
	if tell {
		c.flush.add(c, how == putLazily)
	}
	return putTaken
}

// answer queues an answer and reports whether the connection takes it.
func (c *conn) answer(p []byte) bool { return c.put(p, putAnswer) == putTaken }

// hasRoom reports whether messages may be queued; if not, the session is told when they may.
func (c *conn) hasRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out)+c.sending < c.link.broker.cfg.WriteBuffer/4 {
		return true
	}
	c.wanted.Store(true)
	return false
}

// writeQueued writes what is queued, from the caller's goroutine and without waiting: what the socket does not take at
// once is left to a goroutine.
func (c *conn) writeQueued() {
	p := c.begin()
	if p == nil {
		return
	}
	data := c.wrap(p)
	written := 0
	if c.raw != nil {
		var err error
		if written, err = nowait.Write(c.raw, data); err != nil {
			c.discard(err)
			return
		}
	}
	if written < len(data) {
		go c.writeRest(p, data[written:])
		return
	}
	c.done(p)
}

// begin takes what is queued, unless somebody writes already. The caller must go on to done or discard.
func (c *conn) begin() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = notQueued
	if c.busy || len(c.out) == 0 {
		return nil
	}
	p := c.out
	c.out, c.sending, c.answers, c.busy = nil, len(p), 0, true
	return p
}

func (c *conn) wrap(p []byte) []byte {
	c.link.broker.metrics.bytesOut.Add(float64(len(p)))
	if c.frame == nil {
		return p
	}
	return c.frame.wrap(p)
}

// done ends a write that has succeeded.
func (c *conn) done(p []byte) {
	keep(p)
	c.mu.Lock()
	c.sending, c.busy = 0, false
	again := len(c.out) > 0
	if again {
		c.queue = queuedNow
	}
	c.idling.Broadcast()
	c.mu.Unlock()
	if again {
		c.flush.add(c, false)
	}
	if c.wanted.Load() && c.wanted.Swap(false) {
		c.link.drained()
	}
}

// writeRest writes with deadlines until nothing is queued.
func (c *conn) writeRest(p, data []byte) {
	for {
		if err := c.writeBlocking(data); err != nil {
			c.discard(err)
			return
		}
		keep(p)
		c.mu.Lock()
		if len(c.out) == 0 {
			_ = c.nc.SetWriteDeadline(time.Time{}) // a socket without deadlines has none to take away
			c.mu.Unlock()
			c.done(nil)
			return
		}
		p = c.out
		c.out, c.sending, c.answers = nil, len(p), 0
		c.mu.Unlock()
		data = c.wrap(p)
		if c.wanted.Load() && c.wanted.Swap(false) {
			c.link.drained()
		}
	}
}

// writeBlocking writes p chunk by chunk, so that a slow peer that makes progress stays.
func (c *conn) writeBlocking(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), writeChunk)
		if err := c.setWriteDeadline(); err != nil {
			return err
		}
		if _, err := c.nc.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (c *conn) setWriteDeadline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	timeout := c.link.broker.cfg.WriteTimeout
	if c.closing {
		timeout = min(timeout, lingerTimeout)
	}
	return c.nc.SetWriteDeadline(time.Now().Add(timeout))
}

// discard ends the connection after a failed write.
func (c *conn) discard(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.link.end(causeSlow)
	} else {
		c.link.end(causeLost)
	}
	c.mu.Lock()
	c.out, c.sending, c.busy, c.closing = nil, 0, false, true
	c.idling.Broadcast()
	c.mu.Unlock()
	_ = c.nc.Close() // the write has failed: there is nothing left to lose
}

// close begins the end: the last packet is queued, no more is taken, reads fail at once, and what is queued is still
// written. [conn.finish] completes it.
func (c *conn) close(last []byte) {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	if len(last) > 0 {
		if c.out == nil {
			c.out = c.borrow()
		}
		c.out = append(c.out, last...)
	}
	c.closing, c.deaf = true, true
	if c.busy { // the peer has the linger timeout from now on, not the rest of the ordinary one
		_ = c.nc.SetWriteDeadline(time.Now().Add(lingerTimeout))
	}
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // it only fails if the socket is gone already
	c.mu.Unlock()
}

// interrupt makes reads fail at once.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaf = true
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // as in close
}

// finish writes what is left, gives the peer a moment to read our last packet, which a reset would destroy, and closes
// the socket. The reader must have ended.
func (c *conn) finish() {
	c.close(nil)
	c.mu.Lock()
	for c.busy {
		c.idling.Wait()
	}
	p := c.out
	c.out, c.busy = nil, true // whoever comes now finds somebody writing
	c.mu.Unlock()
	if len(p) > 0 {
		_ = c.writeBlocking(c.wrap(p)) // the connection ends either way
		keep(p)
	}
	defer c.nc.Close()
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if c.nc.SetReadDeadline(time.Now().Add(drainTimeout)) == nil {
		_, _ = io.CopyN(io.Discard, c.nc, 1<<20) // what it says does not matter any more
	}
}

// borrow returns an empty buffer with the frame's head room, and keep gives one back.
func (c *conn) borrow() []byte {
	b := borrow()
	if c.frame != nil {
		b = append(b, make([]byte, c.frame.headroom())...)
	}
	return b
}

func borrow() []byte {
	if b, ok := buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 1<<10)
}

func keep(b []byte) {
	if cap(b) > 0 && cap(b) <= maxSpare {
		buffers.Put(&b)
	}
}
