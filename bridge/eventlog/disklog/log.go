// Package disklog is the log engine that is built in: it keeps events in files of one folder, without any other program.
//
// Events are in segments, files that only grow; each has an index by offset and one by topic. FORMAT.md describes every
// file byte by byte. A commit is one write and, if it is durable, one fdatasync, so that a batch costs about what a
// single event costs.
//
// # Life cycle
//
// [Open] takes the folder for this process, repairs what a crash has left and starts two goroutines: one seals segments
// that have ended, the other syncs and applies retention. [Log.Close] waits for both. One goroutine appends; any number read, wait and trim at once.
//
// # What a crash costs
//
// A process that is killed loses nothing that Append has returned for. Loss of power loses, with SyncFsync, at most
// about the last SyncInterval of batches that were not durable and, with SyncOS, of all batches. The opening after it
// begins a new epoch, as events that were already handed on may be gone. What is cut from the log's end is said by
// [Log.Recovery], a log line and a metric.
//
// # Damage
//
// Bytes that changed on the disk are found by checksums. At the log's end they are saved to a file of their own and cut,
// and a new epoch begins. Within the log, what can no longer be read is passed over: Read gives a TrimmedError with
// Damaged set, whose First is where the log goes on, and everything after stays readable. Indexes are built anew from
// the records.
//
// # Failure
//
// A batch for which there is no room on the disk is cut off again, Append says [eventlog.ErrFull], and the next append may
// find room. A log opens on a full disk too, for reading; see [Open] for what needs room nevertheless.
//
// After any other failed write, an fsync that failed, or a cut that failed, the log is read-only until it is opened again:
// see [Log.Err]. The failed batch is cut off as far as the disk lets it.
package disklog

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
)

// Errors of Open. Each comes with the folder and the reason.
var (
	// ErrLocked: another process has the folder open.
	ErrLocked = errors.New("folder is in use by another process")
	// ErrNotOurs: the folder holds something else than a log.
	ErrNotOurs = errors.New("folder is not a log")
	// ErrNewerVersion: the log was written by a newer version of this program.
	ErrNewerVersion = errors.New("log is of a newer version")
	// ErrNotWritable: the folder cannot be made or written to.
	ErrNotWritable = errors.New("folder is not writable")
	// ErrDamaged: the log's files contradict each other in a way that needs a person's decision.
	ErrDamaged = errors.New("log is damaged")
)

// A Log is an [eventlog.Log] in a folder.
type Log struct {
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	dirLock  *os.File
	identity identity // constant from Open to Close
	recovery Recovery
	handles  handles
	signal   eventlog.Signal
	readers  sync.Pool

	// appendMu is held by who changes the log's end.
	appendMu sync.Mutex
	buf      []byte
	places   []uint32
	active   *segment
	end      *handle // the active segment's, acquired

	dirty   bool // the active segment has changes that nobody has begun to sync
	unsaved bool // the identity is not on the disk yet

	// syncMu lets one sync run at a time, so that none succeeds while another is failing.
	syncMu sync.Mutex

	// mu guards what readers look at. The slice's elements never change.
	mu       sync.RWMutex
	segments []*segment
	next     uint64
	bytes    int64
	failed   error
	full     error // why the last append found no room; nil if it found some
	closed   bool

	// maintainMu is held by who seals or drops segments.
	maintainMu sync.Mutex
	sealing    chan sealJob
	stop       chan struct{}
	ticks      sync.WaitGroup // the goroutine of tick
	seals      sync.WaitGroup // the goroutine of sealAll
}

var _ eventlog.Log = (*Log)(nil)

// Recovery returns what the opening found and did.
func (l *Log) Recovery() Recovery { return l.recovery }

// Err returns nil while the log takes appends, else an error that wraps [eventlog.ErrFailed] or [eventlog.ErrClosed]; or
// [eventlog.ErrFull] while the last append found no room: then the next one may.
func (l *Log) Err() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.brokenLocked(); err != nil {
		return err
	}
	return l.full
}

// broken returns nil unless the log takes no more appends whatever happens.
func (l *Log) broken() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.brokenLocked()
}

func (l *Log) brokenLocked() error {
	if l.closed {
		return eventlog.ErrClosed
	}
	return l.failed
}

// Size is the bytes of segments and indexes on the disk.
func (l *Log) Size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.bytes
}

// Bounds implements [eventlog.Log].
func (l *Log) Bounds() (first, next event.Position) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.position(l.first()), l.position(l.next)
}

// first is the offset of the oldest event held; mu is held.
func (l *Log) first() uint64 { return l.segments[0].base }

// position is the place before an offset's event.
func (l *Log) position(offset uint64) event.Position {
	epochs := l.identity.Epochs
	i := len(epochs) - 1
	for i > 0 && offset < epochs[i].First {
		i--
	}
	return event.Position{Epoch: epochs[i].Epoch, Offset: offset}
}

// check returns ErrEpoch unless p is a place that this log has reached; mu is held.
func (l *Log) check(p event.Position) error {
	end := l.next
	for _, e := range slices.Backward(l.identity.Epochs) {
		if e.Epoch != p.Epoch {
			end = e.First
			continue
		}
		if p.Offset < e.First || p.Offset > end {
			return fmt.Errorf("%w: epoch of %s has offsets %d to %d", eventlog.ErrEpoch, p, e.First, end)
		}
		return nil
	}
	return fmt.Errorf("%w: %q", eventlog.ErrEpoch, p)
}

// fail notes the first failure of a write or sync and returns the error that all appends get from now on.
func (l *Log) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = fmt.Errorf("%w: %w", eventlog.ErrFailed, err)
		l.metrics.failed.Inc()
		l.log.Error("the log has failed and takes no more events until it is opened again", "folder", l.cfg.Dir, "error", err)
	}
	return l.failed
}

// Close implements [eventlog.Log].
func (l *Log) Close() error {
	if !l.markClosed() {
		return eventlog.ErrClosed
	}
	l.signal.Wake()
	close(l.stop)
	l.ticks.Wait()
	close(l.sealing)
	l.seals.Wait()

	err := l.syncFile(l.end.file)
	l.identity.Clean = err == nil
	if errors.Is(err, eventlog.ErrFailed) {
		err = nil // that has been said
	}
	l.identity.Next = l.next
	saveErr := l.identity.save(l.cfg.Dir)
	if noRoom(saveErr) {
		l.log.Warn("no room to note that the log was closed: after a restart of the machine a new epoch begins", "error", saveErr)
		saveErr = nil
	}
	err = errors.Join(err, saveErr)
	l.free()
	if err != nil {
		return fmt.Errorf("close log in %s: %w", l.cfg.Dir, err)
	}
	return nil
}

// markClosed reports false if the log was closed already. After it nobody appends or rolls.
func (l *Log) markClosed() bool {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	open := !l.closed
	l.closed = true
	return open
}

// free gives back what Open took.
func (l *Log) free() {
	l.handles.close()
	if l.end != nil {
		l.handles.release(l.end)
	}
	l.metrics.unregister(l.cfg.Metrics)
	_ = l.dirLock.Close()
}
