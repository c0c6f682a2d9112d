package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	writeChunk    = 16 << 10               // bytes that a peer must take within the write timeout
	lingerTimeout = time.Second            // to write the rest when a connection is closed
	drainTimeout  = 250 * time.Millisecond // for the peer to close after our last packet
	maxSpare      = 64 << 10               // larger write buffers are not kept for reuse
)

var buffers sync.Pool // of *[]byte

// A conn is one client's connection as mochi sees it. Reads go through the guard. Writes never block: they are queued
// and written by a goroutine that lives only while something is queued, so that neither mochi's locks nor the log's
// goroutine ever wait for a socket. Everything queued at once is written at once.
type conn struct {
	net.Conn // the socket

	link  *link
	guard guard

	idle     time.Duration // 1.5 times the keep-alive; 0 for none. Reader's goroutine only, as the next two
	deadline time.Time     // until when the next packet must have been read
	applied  time.Time     // the deadline that the socket has

	mu      sync.Mutex
	out     []byte         // queued packets
	sending int            // bytes that the writer has taken from out
	writing bool           // the writer is running
	closing bool           // nothing more is taken, and reads fail
	writer  sync.WaitGroup // the writer
}

func newConn(nc net.Conn, l *link) *conn {
	c := &conn{Conn: nc, link: l}
	c.guard = guard{src: rawReader{c}, handler: l, maxPacket: l.broker.cfg.MaxPacket}
	c.deadline = time.Now().Add(l.broker.cfg.ConnectTimeout)
	return c
}

// Read implements net.Conn for mochi.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.guard.Read(p)
	if err != nil {
		c.failed(err)
	}
	return n, err
}

// failed takes note of why reading ended, while the client can still be told.
func (c *conn) failed(err error) {
	if v := (*violation)(nil); errors.As(err, &v) {
		c.link.violated(v)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && c.link.established.Load() {
		c.link.end(causeTimeout)
	}
}

// rawReader reads the socket under the deadline that holds.
type rawReader struct{ c *conn }

func (r rawReader) Read(p []byte) (int, error) {
	c := r.c
	if err := c.applyDeadline(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.link.broker.metrics.bytesIn.Add(float64(n))
	return n, err
}

func (c *conn) applyDeadline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return net.ErrClosed
	}
	if c.deadline.IsZero() && c.guard.midPacket() { // without a keep-alive, what was begun must be finished all the same
		c.deadline = time.Now().Add(c.link.broker.cfg.KeepAlive)
	}
	if c.deadline.Equal(c.applied) {
		return nil
	}
	c.applied = c.deadline
	return c.SetReadDeadline(c.deadline)
}

// SetDeadline is called by mochi's reader before each packet, with a time that overflows for some keep-alives. It is
// taken as the wish to begin the keep-alive anew [MQTT-3.1.2-22]; writes have deadlines of their own.
func (c *conn) SetDeadline(time.Time) error {
	c.refresh()
	return nil
}

func (c *conn) refresh() {
	c.deadline = time.Time{}
	if c.idle > 0 {
		c.deadline = time.Now().Add(c.idle)
	}
}

// Write queues p, which is one or more whole packets. It implements net.Conn for mochi.
func (c *conn) Write(p []byte) (int, error) {
	if !c.enqueue(p) {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

// enqueue queues whole packets and reports whether the connection takes any. It never blocks.
func (c *conn) enqueue(p []byte) bool {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return false
	}
	if len(c.out)+c.sending > c.link.broker.cfg.WriteBuffer {
		c.mu.Unlock()
		c.link.end(causeSlow)
		return false
	}
	if c.out == nil {
		c.out = borrow()
	}
	c.out = append(c.out, p...)
	start := !c.writing
	if start {
		c.writing = true
		c.writer.Add(1)
	}
	c.mu.Unlock()
	if start {
		go c.write()
	}
	return true
}

// hasRoom reports whether messages may be queued. Acknowledgements may go beyond.
func (c *conn) hasRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out)+c.sending < c.link.broker.cfg.WriteBuffer/4
}

// write is the writer: it writes until nothing is queued.
func (c *conn) write() {
	defer c.writer.Done()
	var spare []byte
	for {
		c.mu.Lock()
		p := c.out
		c.out, c.sending = spare, len(p)
		if len(p) == 0 {
			c.writing = false
			c.out = nil
			c.mu.Unlock()
			keep(spare)
			keep(p)
			return
		}
		c.mu.Unlock()
		if err := c.flush(p); err != nil {
			c.discard(err)
			return
		}
		spare = nil
		if cap(p) <= maxSpare {
			spare = p[:0]
		}
		c.mu.Lock()
		c.sending = 0
		c.mu.Unlock()
		c.link.drained()
	}
}

// borrow returns an empty buffer, and keep gives one back.
func borrow() []byte {
	if b, ok := buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

func keep(b []byte) {
	if cap(b) > 0 && cap(b) <= maxSpare {
		buffers.Put(&b)
	}
}

// flush writes p chunk by chunk, so that a slow peer that makes progress stays.
func (c *conn) flush(p []byte) error {
	c.link.broker.metrics.bytesOut.Add(float64(len(p)))
	for len(p) > 0 {
		n := min(len(p), writeChunk)
		if err := c.setWriteDeadline(); err != nil {
			return err
		}
		if _, err := c.Conn.Write(p[:n]); err != nil {
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
	return c.SetWriteDeadline(time.Now().Add(timeout))
}

// discard ends the connection after a failed write.
func (c *conn) discard(err error) {
	c.mu.Lock()
	c.writing, c.out, c.sending = false, nil, 0
	c.closing = true
	c.mu.Unlock()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.link.end(causeSlow)
	} else {
		c.link.end(causeLost)
	}
	_ = c.Conn.Close() // the write has failed: there is nothing left to lose
}

// Close begins the end: no more is taken, reads fail at once, and what is queued is still written. [conn.finish]
// completes it. It implements net.Conn for mochi.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	c.closing = true
	if c.writing { // the peer has the linger timeout from now on, not the rest of the ordinary one
		_ = c.SetWriteDeadline(time.Now().Add(lingerTimeout))
	}
	return c.SetReadDeadline(time.Unix(1, 0))
}

// finish waits for the writer, gives the peer a moment to read our last packet, which a reset would destroy, and closes
// the socket. The reader must have ended.
func (c *conn) finish() {
	_ = c.Close()
	c.writer.Wait()
	defer func() { _ = c.Conn.Close() }() // it is gone either way
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if c.SetReadDeadline(time.Now().Add(drainTimeout)) == nil {
		_, _ = io.CopyN(io.Discard, c.Conn, 1<<20) // what it says does not matter any more
	}
}
