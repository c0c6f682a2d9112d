// Package client is an MQTT client that dies: it publishes and subscribes with persistent sessions, keeps its half of the
// session state over the death of the hub and over its own, and books in a ledger everything that happens.
//
// A client's state (messages in flight with their packet identifiers, identifiers of QoS 2 messages received and not
// released) stands for files: it is written before the client acts by it, and all that a client remembers in its next life.
// When a client is doomed, it dies between two such steps: after it has written and before it has sent, after it has sent and
// before the next write. Then its connection is reset, and what it had not flushed is gone.
package client

import (
	"errors"
	"sync/atomic"
)

// errDied: the client was doomed, and its time has come.
var errDied = errors.New("the client is killed")

// A fate counts the steps that a client has left to live.
type fate struct{ left atomic.Int64 }

// doom lets the client die after so many more steps, at least one.
func (f *fate) doom(steps int) { f.left.Store(int64(max(1, steps))) }

// step returns errDied if the client dies here: what should follow does not happen.
func (f *fate) step() error {
	for {
		left := f.left.Load()
		if left == 0 {
			return nil
		}
		if f.left.CompareAndSwap(left, left-1) {
			if left == 1 {
				return errDied
			}
			return nil
		}
	}
}
