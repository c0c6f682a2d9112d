// Package store keeps what the MQTT broker must not forget and the log does not say: sessions with their subscriptions
// and messages in flight, shared subscriptions, retained messages, delayed wills, and the checkpoint up to which the log
// is reflected in them. It gathers and decides nothing: the broker hands it batches, and each is one transaction.
//
// Everything is in one SQLite database in WAL mode, which the store holds alone as long as it is open. Calls are safe
// from any goroutine and done one after the other; the store starts no goroutine.
package store

import (
	"context"
	"errors"

	"pulso/bridge/event"
)

// Errors of the store.
var (
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store is closed")
	// ErrFull: there is no room to store the batch. Nothing of it is stored and it may be tried again.
	ErrFull = errors.New("no room for the store")
	// ErrFailed: reading, writing or fsync failed and what is on the disk is unknown. The store takes no more until it is
	// opened again by a new process: nothing is written any more, not even by Close.
	ErrFailed = errors.New("store has failed")
	// ErrLocked: another process, or another Store, has the database open.
	ErrLocked = errors.New("store is in use")
	// ErrCorrupt: the database is damaged, or is none.
	ErrCorrupt = errors.New("store is damaged")
	// ErrNewer: the database was written by a newer version of the program.
	ErrNewer = errors.New("store is of a newer version")
)

// A Store is an open database.
type Store struct{}

// Open opens the database, or makes it if there is none. Errors: ErrLocked, ErrCorrupt, ErrNewer, ErrFull, or the system's.
// A damaged database is left as it is.
func Open(_ context.Context, _ Config) (*Store, error) { return nil, errors.ErrUnsupported }

// Commit stores a batch in one transaction, all or nothing. When it returns nil, the batch survives the end of the
// process and, with Config.Sync, loss of power. The context is looked at before the transaction begins and never within
// it. Errors: ErrFull (nothing stored, may be tried again), ErrFailed (unknown whether it is stored; so says every later
// Commit, which stores nothing), ErrClosed, the context's; any other means that nothing was stored.
func (s *Store) Commit(_ context.Context, _ *Batch) error { return errors.ErrUnsupported }

// Load hands all that is stored to the functions of to, sessions in any order, and returns the checkpoint, zero if there
// was none yet.
func (s *Store) Load(_ context.Context, _ Loader) (checkpoint event.Position, err error) {
	return checkpoint, errors.ErrUnsupported
}

// Err returns what made the store fail (it wraps ErrFailed), else nil.
func (s *Store) Err() error { return nil }

// Size is the bytes that the database takes on the disk, its write-ahead log included, or in memory.
func (s *Store) Size() int64 { return 0 }

// Close writes everything into the database file and frees it. Calls after it get ErrClosed.
func (s *Store) Close() error { return nil }
