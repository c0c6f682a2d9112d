package sse

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"pulso/bridge/gateway"
	"pulso/bridge/wire"
)

const (
	// piece is how many bytes are written at a time: so many have to be taken within the timeout.
	piece = 16 << 10
	// closeTimeout is how long the last messages and the farewell may take.
	closeTimeout = 800 * time.Millisecond
	// maxKept is the largest buffer that is kept for others.
	maxKept = 4 * piece
)

// stream is one client's response, a [gateway.Transport].
type stream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	timeout  time.Duration
	retry    time.Duration
	greeting []byte // of a session
	ids      bool   // events have ids: positions of the one room that there is

	// Of whoever has the writing side.
	started bool // the client has been told that a stream follows
	broken  bool // a write has failed: there is no telling where

	mu    sync.Mutex
	quiet bool      // a sign of life is due
	gone  bool      // the client has left
	endBy time.Time // when writing ends; zero while the session lives
	over  bool      // the response must not be touched any more
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// leave notes that the client has gone: the next write finds out.
func (c *stream) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
}

// keepAlive asks for a sign of life with the next write.
func (c *stream) keepAlive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = true
}

// news takes what has to be known for a write.
func (c *stream) news() (quiet, gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	quiet, c.quiet = c.quiet, false
	return quiet, c.gone
}

// Write implements [gateway.Transport].
func (c *stream) Write(messages []*wire.Message) error {
	quiet, gone := c.news()
	if gone {
		return gateway.ErrDisconnected
	}
	if c.started && !quiet && len(messages) == 0 || !c.started && c.greeting == nil && len(messages) == 0 {
		return nil
	}
	buffer, ok := buffers.Get().(*[]byte)
	if !ok {
		return errors.New("a buffer is none")
	}
	b := c.start((*buffer)[:0])
	if quiet {
		b = append(b, ":\n\n"...)
	}
	var err error
	for i, m := range messages {
		// Of several messages at one position, the last has the id: who has seen only the first has not seen all of it.
		b = appendMessage(b, m, c.ids && (i+1 == len(messages) || messages[i+1].Position() != m.Position()))
		if len(b) >= piece {
			if err = c.put(b); err != nil {
				break
			}
			b = b[:0]
		}
	}
	if err == nil {
		err = c.put(b)
	}
	if err == nil {
		err = c.flush()
	}
	if cap(b) <= maxKept {
		*buffer = b
		buffers.Put(buffer)
	}
	return err
}

// start begins the response.
func (c *stream) start(dst []byte) []byte {
	if c.started {
		return dst
	}
	c.started = true
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would gather events
	dst = appendRetry(dst, c.retry.Milliseconds())
	return append(dst, c.greeting...)
}

// put writes piece by piece.
func (c *stream) put(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), piece)
		by := c.allow()
		if _, err := c.w.Write(p[:n]); err != nil {
			return c.failed(err, by)
		}
		p = p[n:]
	}
	return nil
}

// flush sends what has been written.
func (c *stream) flush() error {
	by := c.allow()
	if err := c.control.Flush(); err != nil {
		return c.failed(err, by)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endBy.IsZero() {
		_ = c.control.SetWriteDeadline(time.Time{}) // HTTP/2 would end the stream at it, even if nothing is being written
	}
	return nil
}

// allow gives a write its time.
func (c *stream) allow() (by time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if by = c.endBy; by.IsZero() {
		by = time.Now().Add(c.timeout)
	}
	_ = c.control.SetWriteDeadline(by)
	return by
}

// failed says why a write that had time until a moment has failed.
func (c *stream) failed(err error, by time.Time) error {
	c.broken = true
	// HTTP/2 ends a stream that is too slow, and says only that it has ended.
	if errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(by) {
		return fmt.Errorf("write for %v: %w", c.timeout, gateway.ErrSlow)
	}
	return fmt.Errorf("%w: %w", gateway.ErrDisconnected, err)
}

// Hurry implements [gateway.Transport].
func (c *stream) Hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.endBy.IsZero() && !c.over {
		c.endBy = time.Now().Add(closeTimeout)
		_ = c.control.SetWriteDeadline(c.endBy)
	}
}

// Close implements [gateway.Transport].
func (c *stream) Close(code wire.CloseCode) {
	c.Hurry()
	if code != 0 && !c.broken {
		if c.put(appendClose(c.start(nil), code)) == nil {
			_ = c.flush() // whether the client hears it is beyond us
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}
