// Package store keeps what the MQTT broker must not forget and the log does not say: sessions with their subscriptions
// and messages in flight, shared subscriptions, retained messages, delayed wills, and the checkpoint up to which the log
// is reflected in them. It gathers and decides nothing: the broker hands it batches, and each is one transaction.
//
// Everything is in one SQLite database in WAL mode, which the store holds alone as long as it is open. After any end of
// the process, and with Config.Sync after loss of power, it has every batch whose Commit returned nil, perhaps the one
// that was under way, and no part of any other. Calls are safe from any goroutine and done one after the other; the store
// starts no goroutine.
package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

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
type Store struct {
	cfg     Config
	path    string // "" in memory
	metrics *metrics
	failed  atomic.Pointer[error]

	mu sync.Mutex
	db *database // nil once closed
	do *statements
	// unwritten is how many pages of the write-ahead log make it due to be written into the database.
	unwritten int64
}

// Close writes everything into the database file and frees it. Calls after it get ErrClosed. Of a store that has failed it
// only lets go: after an fsync that failed, the system may take for written what is not, and SQLite's way of closing would
// build on that. The file then stays locked until the process ends.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return ErrClosed
	}
	s.metrics.unregister(s.cfg.Metrics)
	db := s.db
	s.db = nil
	if s.failed.Load() != nil {
		return nil
	}
	err := s.do.truncate.exec()
	if err = errors.Join(err, s.do.close(), db.close()); err != nil {
		return s.explain("close", err)
	}
	return nil
}

// Err returns what made the store fail (it wraps ErrFailed), else nil.
func (s *Store) Err() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Size is the bytes that the database takes on the disk, its write-ahead log included, or in memory.
func (s *Store) Size() int64 {
	if s.path != "" {
		return fileSize(s.path) + fileSize(walPath(s.path))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return 0
	}
	pages, err := s.db.number("PRAGMA page_count")
	if err != nil {
		return 0
	}
	return pages * pageBytes
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// explain says what an error of SQLite means, what was being done, and what to do about it.
func (s *Store) explain(doing string, err error) error {
	path := s.path
	if path == "" {
		path = "memory"
	}
	switch code(err) {
	case codeFull:
		return fmt.Errorf("%s %s: %w: %w", doing, path, ErrFull, err)
	case codeBusy:
		return fmt.Errorf("%s %s: %w by another program: end that first: %w", doing, path, ErrLocked, err)
	case codeCorrupt, codeNotADB:
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("%s %s: %w. Restore it from a backup; or, to begin without sessions, subscriptions and retained "+
			"messages, move %s and %s elsewhere", doing, path, err, path, walPath(path))
	}
	return fmt.Errorf("%s %s: %w", doing, path, err)
}

// failure is explain, and ends the store where it must not go on.
func (s *Store) failure(doing string, err error) error {
	if c := code(err); c == codeIO || c == codeCorrupt || c == codeNotADB {
		err = fmt.Errorf("%w: %w", ErrFailed, err)
	}
	err = s.explain(doing, err)
	if errors.Is(err, ErrFailed) {
		s.failed.Store(&err)
	}
	return err
}

// Load hands all that is stored to the functions of to, sessions in any order, and returns the checkpoint, zero if there
// was none yet. Commit waits until it is done. Empty lists and payloads come back as nil. Errors: ErrCorrupt, ErrClosed,
// the context's, those of the functions, or the system's.
func (s *Store) Load(ctx context.Context, to Loader) (checkpoint event.Position, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return checkpoint, ErrClosed
	}
	checkpoint, err = load(ctx, s.db, to)
	if err != nil {
		return checkpoint, s.explain("load", err)
	}
	return checkpoint, nil
}
