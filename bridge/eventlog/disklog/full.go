package disklog

import (
	"errors"
	"fmt"
	"syscall"

	"pulso/bridge/eventlog"
)

// errSync marks the failure of an fsync: what it has left on the disk is unknown, also where it says that there is no room.
var errSync = errors.New("sync")

// errUndo marks that what a failed write has left could not be taken away again.
var errUndo = errors.New("cannot be undone")

// noRoom reports whether a write failed for want of room and has left nothing, so that it may be tried again.
func noRoom(err error) bool {
	return (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) && !errors.Is(err, errSync) && !errors.Is(err, errUndo)
}

// undone is the error of a write that failed and then was undone, or not.
func (l *Log) undone(err, undoErr error) error {
	if undoErr == nil {
		return err
	}
	return fmt.Errorf("%w, and %w: %w", err, errUndo, undoErr)
}

// outcome notes how an attempt to write has ended and returns the error that Append gives for it.
func (l *Log) outcome(err error) error {
	switch {
	case err == nil:
	case noRoom(err):
		l.metrics.full.Inc()
		err = fmt.Errorf("%w: %w", eventlog.ErrFull, err)
	default:
		return l.fail(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = err
	return err
}

// saveIdentity writes the folder's identity if the opening found no room for it: nothing is stored before it is there, as
// it says which positions are good after a crash.
func (l *Log) saveIdentity() error {
	if !l.unsaved {
		return nil
	}
	if err := l.identity.save(l.cfg.Dir); err != nil {
		return err
	}
	l.unsaved = false
	return nil
}

// retryIdentity notices that there is room again after an opening without, also when nothing is appended.
func (l *Log) retryIdentity() {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if l.unsaved && l.broken() == nil {
		_ = l.outcome(l.saveIdentity()) // Err says it
	}
}
