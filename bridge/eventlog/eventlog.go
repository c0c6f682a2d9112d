// Package eventlog is the contract between the bridge and the engines that keep its events: memlog and disklog.
//
// # Contract
//
// A [Log] is one totally ordered sequence of events, numbered by offset without holes. One goroutine appends; any
// number read, at once with it and with each other.
//
// Order: offsets grow by one in the order of the batches and within each batch. An event can be read as soon as Append
// has returned, never before, and then reads the same for as long as retention holds it.
//
// Durability: when Append returns nil after a batch with durable set, the batch is as safe as the engine's setting
// promises (for disklog with its default, it survives loss of power). Without durable, it survives the end of the
// process and reaches the disk within about a second. An engine for which this cannot hold (memlog) says so in its
// package comment.
//
// Errors: when Append returns an error, none of the batch can be read, then or later, and none of it may be
// acknowledged. After an error that wraps [ErrFailed] the log takes no more appends until it is opened again: a write or
// fsync whose outcome is unknown is never tried again. Reading goes on. After one that wraps [ErrFull] it is as if the batch
// had never been given: it, or another, may be appended as soon as there is room.
//
// Buffers: Append copies what it needs before it returns; the caller may reuse the slice, not the payloads' memory while
// events that share it are still in use elsewhere. Events that are read own their memory.
//
// Epochs: a log has an epoch from its first life. An engine that may have lost events that were handed on before (power
// loss without fsync) begins a new epoch at its next opening; it remembers the earlier ones with the offset at which
// each ended, so that positions up to there stay good. Offsets go on counting across epochs.
package eventlog

import (
	"context"
	"errors"
	"fmt"

	"pulso/bridge/event"
)

// Errors that every engine wraps.
var (
	// ErrClosed: the log has been closed.
	ErrClosed = errors.New("log is closed")
	// ErrFailed: an earlier write or fsync failed; the log takes no more appends until it is opened again.
	ErrFailed = errors.New("log has failed")
	// ErrEpoch: the position is of another log's life, or of a future that this log never reached.
	ErrEpoch = errors.New("position is not of this log")
	// ErrFull: there is no room to store the batch. Nothing of it is stored, and the log goes on as soon as there is room
	// again: the same batch may be appended anew.
	ErrFull = errors.New("no room for the log")
	// ErrTooLarge: an event is larger than the engine stores.
	ErrTooLarge = errors.New("event is too large")
)

// A TrimmedError says that the event at a position is no longer held, because of retention or damage.
type TrimmedError struct {
	// From is the position that was asked for.
	From event.Position
	// First is where reading goes on: the oldest position still held or, behind damage, the next one that can be read.
	First event.Position
	// Damaged says that the events between are lost to damage of what the log is stored on, and not dropped by retention.
	Damaged bool
}

// Error implements error.
func (e *TrimmedError) Error() string {
	if e.Damaged {
		return fmt.Sprintf("events at %s are lost to damage: the next that can be read is at %s", e.From, e.First)
	}
	return fmt.Sprintf("retention has passed %s by: the oldest held is %s", e.From, e.First)
}

// A Log keeps events. See the package comment for what it promises.
type Log interface { //nolint:interfacebloat // each of the eight is needed, and an engine without one is no log
	// Append stores batch in its order as one commit and sets each event's Position. It blocks until the batch is
	// stored (and durable, if asked). Only one goroutine may call it at a time. Errors: ErrClosed, ErrFailed,
	// ErrTooLarge and ErrFull (nothing stored, the log goes on), or the engine's own.
	Append(batch []event.Event, durable bool) error
	// Read returns up to limit events from a position on, fewer when about 1 MiB of payload has been gathered; none at
	// the log's end. Errors: ErrEpoch (also for the zero Position), *TrimmedError (with Damaged where events between two
	// others are lost to damage), ErrClosed.
	Read(from event.Position, limit int) ([]event.Event, error)
	// Scan returns, in order, up to limit events from a position on whose topic want accepts, and the position after what it
	// has looked at, from which to go on. It may return fewer, or none, before the log's end: the end is reached when next
	// is what Bounds says. Where the engine has an index by topic, want is called for each topic of a segment about once,
	// and what it does not accept costs nothing; session events have the topic "". want must give the same answer for the
	// same topic and not call the log. Errors as of Read; damage to events that nobody wants need not be one.
	Scan(from event.Position, want func(topic string) bool, limit int) (found []event.Event, next event.Position, err error)
	// Last returns up to limit of the newest events of one topic that are before the position (the zero Position: the
	// end), oldest first; fewer, the newest, when about 1 MiB of payload has been gathered. Events of the topic are
	// found by an index, not by a scan of the log. None where retention has passed the position by. Errors: ErrEpoch,
	// ErrClosed.
	Last(topic string, before event.Position, limit int) ([]event.Event, error)
	// Bounds returns the oldest position held and the position after the newest event. They are equal in an empty log.
	Bounds() (first, next event.Position)
	// Wait returns nil as soon as an event at or after the position can be read, at once if one can already.
	// Errors: ErrEpoch where Read would say so, the context's, ErrClosed.
	Wait(ctx context.Context, from event.Position) error
	// Trim applies retention now: what it may drop is dropped. Engines also do so by themselves.
	Trim() error
	// Close makes everything appended durable and frees the log. Calls after it get ErrClosed.
	Close() error
}
