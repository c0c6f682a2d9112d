package rpc

import (
	"net/http"
	"sync"
	"time"
)

// piece is how many bytes a client must take in the time that a write may last: who takes less is slow, however it is spread.
const piece = 16 << 10

// A pacer is the [http.ResponseWriter] of a call that is a stream: it gives each piece that is written a time of its own, so that a
// client who takes large messages slowly is served, and one who takes nothing is not waited for.
type pacer struct {
	http.ResponseWriter

	control *http.ResponseController
	timeout time.Duration

	mu     sync.Mutex
	by     time.Time // when the write under way ends; zero when there is none
	endBy  time.Time // when writing ends; zero while the session lives
	failed bool      // nothing can be written any more
	slow   bool      // because a write had used up its time
}

func newPacer(w http.ResponseWriter, timeout time.Duration) *pacer {
	return &pacer{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout}
}

// stay lifts the server's times, which are for requests that are answered at once.
func (p *pacer) stay() {
	_ = p.control.SetReadDeadline(time.Time{})
	_ = p.control.SetWriteDeadline(time.Time{})
}

// Unwrap is for [http.ResponseController].
func (p *pacer) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// Write implements [io.Writer].
func (p *pacer) Write(b []byte) (written int, err error) {
	for first := true; first || len(b) > 0; first = false {
		p.allow()
		n, err := p.ResponseWriter.Write(b[:min(piece, len(b))])
		written += n
		if err != nil {
			return written, p.fail(err)
		}
		b = b[n:]
	}
	return written, nil
}

// FlushError is for [http.ResponseController].
func (p *pacer) FlushError() error {
	p.allow()
	return p.fail(p.control.Flush())
}

// Flush implements [http.Flusher].
func (p *pacer) Flush() { _ = p.FlushError() }

// fail keeps in mind why a write failed, if it did: others may be tried after it.
func (p *pacer) fail(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && !p.failed {
		p.failed, p.slow = true, p.over()
	}
	return err
}

// over reports whether the write under way has used up its time.
func (p *pacer) over() bool { return !p.by.IsZero() && !time.Now().Before(p.by) }

// allow gives a write its time.
func (p *pacer) allow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed {
		return
	}
	if p.by = p.endBy; p.by.IsZero() {
		p.by = time.Now().Add(p.timeout)
	}
	_ = p.control.SetWriteDeadline(p.by)
}

// calm takes the time back when all is written: HTTP/2 would end the stream at it, even if nothing is being written.
func (p *pacer) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.by = time.Time{}
	if p.endBy.IsZero() {
		_ = p.control.SetWriteDeadline(time.Time{})
	}
}

// late reports whether a write has used up its time: HTTP/2 then ends the stream, and with it the call's context, before the write
// has returned.
func (p *pacer) late() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed {
		return p.slow
	}
	return p.over()
}

// hurry gives all that is still to be written its time, a write that is under way included.
func (p *pacer) hurry(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endBy = time.Now().Add(d)
	_ = p.control.SetWriteDeadline(p.endBy)
}
