package rpc

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"pulso/bridge/gateway"
	"pulso/bridge/wire"
)

// closeTimeout is how long the last messages may take.
const closeTimeout = 800 * time.Millisecond

// stream is one call, a [gateway.Transport].
type stream struct {
	send    func(*response) error
	control *http.ResponseController
	timeout time.Duration

	mu    sync.Mutex
	by    time.Time // when the write under way ends; zero when there is none
	endBy time.Time // when writing ends; zero while the session lives
	code  wire.CloseCode
}

// Write implements [gateway.Transport].
func (t *stream) Write(messages []*wire.Message) error {
	for _, m := range messages {
		by := t.allow()
		if err := t.send(&response{m}); err != nil {
			if !time.Now().Before(by) {
				return fmt.Errorf("send for %v: %w: %w", t.timeout, gateway.ErrSlow, err)
			}
			return fmt.Errorf("%w: %w", gateway.ErrDisconnected, err)
		}
	}
	if len(messages) > 0 {
		t.calm()
	}
	return nil
}

// allow gives a write its time.
func (t *stream) allow() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by = t.endBy; t.by.IsZero() {
		t.by = time.Now().Add(t.timeout)
	}
	_ = t.control.SetWriteDeadline(t.by)
	return t.by
}

// calm takes the deadline back: HTTP/2 would end the stream at it, even if nothing is being written.
func (t *stream) calm() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.by = time.Time{}
	if t.endBy.IsZero() {
		_ = t.control.SetWriteDeadline(time.Time{})
	}
}

// late reports whether a write has had its time: HTTP/2 then ends the stream, and with it the call's context, before the
// write has returned.
func (t *stream) late() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.by.IsZero() && !time.Now().Before(t.by)
}

// Hurry implements [gateway.Transport].
func (t *stream) Hurry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.endBy.IsZero() {
		t.endBy = time.Now().Add(closeTimeout)
		_ = t.control.SetWriteDeadline(t.endBy)
	}
}

// Close implements [gateway.Transport]: the call's status says the code.
func (t *stream) Close(code wire.CloseCode) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.code = code
}

// stay waits until the client or the hub ends the session, and returns the call's status.
func (t *stream) stay(ctx context.Context, s *gateway.Session) error {
	select {
	case <-ctx.Done():
		if t.late() {
			s.Close(wire.CloseSlow)
		}
	case <-s.Done():
	}
	s.End()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.code == 0 {
		return ctx.Err() // the client left, or its time is over
	}
	_ = t.control.SetWriteDeadline(time.Now().Add(closeTimeout))
	return closed(t.code)
}
