package rpc

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"pulso/bridge/gateway"
	"pulso/bridge/wire"
)

// closeTimeout is how long the last messages may take, and then the status.
const closeTimeout = 800 * time.Millisecond

// stream is one call, a [gateway.Transport].
type stream struct {
	send  func(*response) error
	pacer *pacer
	reads bool // commands, until the session ends
	code  atomic.Int32
}

// Write implements [gateway.Transport].
func (t *stream) Write(messages []*wire.Message) error {
	for _, m := range messages {
		if err := t.send(&response{m}); err != nil {
			if t.pacer.late() {
				return fmt.Errorf("send: %w: %w", gateway.ErrSlow, err)
			}
			return fmt.Errorf("%w: %w", gateway.ErrDisconnected, err)
		}
	}
	if len(messages) > 0 {
		t.pacer.calm()
	}
	return nil
}

// Hurry implements [gateway.Transport]. Nothing more is read, either.
func (t *stream) Hurry() {
	t.pacer.hurry(closeTimeout)
	if t.reads {
		_ = t.pacer.control.SetReadDeadline(time.Now())
	}
}

// Close implements [gateway.Transport]: the call's status says the code.
func (t *stream) Close(code wire.CloseCode) { t.code.Store(int32(code)) }

// stay waits until the client or the hub ends the session, and returns the code for which the hub did, 0 if it was the client.
func (t *stream) stay(ctx context.Context, s *gateway.Session) wire.CloseCode {
	select {
	case <-ctx.Done():
		if t.pacer.late() {
			s.Close(wire.CloseSlow)
		}
	case <-s.Done():
	}
	s.End()
	t.pacer.hurry(closeTimeout)
	return wire.CloseCode(t.code.Load())
}
