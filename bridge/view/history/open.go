package history

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/compression"

	"pulso/internal/replace"
)

const (
	// identityFile holds a random word that names this storage, so that a saved state of another one is recognised.
	identityFile = "identity"
	// deletedFile holds which devices were deleted and when.
	deletedFile = "deleted.json"
	// longestBlock is the longest time that one block of the storage covers.
	longestBlock = 31 * 24 * time.Hour
)

// open opens the storage in the folder of the configuration, or in a temporary one.
func (v *View) open() (err error) {
	if v.keep {
		err = os.MkdirAll(v.dir, 0o750)
	} else {
		v.dir, err = os.MkdirTemp("", "pulso-history-")
	}
	if err != nil {
		return err
	}
	if err := v.openStorage(); err != nil {
		return errors.Join(err, v.removeTemporary())
	}
	if err := errors.Join(v.identify(), v.readDeleted()); err != nil {
		return errors.Join(err, v.shut())
	}
	for _, b := range v.db.Blocks() {
		v.uncleaned = v.uncleaned || b.Meta().Stats.NumTombstones > 0
	}
	return nil
}

// shut closes the storage and removes a temporary one.
func (v *View) shut() error { return errors.Join(v.db.Close(), v.removeTemporary()) }

func (v *View) removeTemporary() error {
	if v.keep {
		return nil
	}
	return os.RemoveAll(v.dir)
}

func (v *View) options() *tsdb.Options {
	o := tsdb.DefaultOptions()
	o.RetentionDuration = v.cfg.RetainAge.Milliseconds()
	o.MaxBytes = v.cfg.RetainBytes
	// A tenth of the age, so that not much more is kept than was asked for.
	o.MaxBlockDuration = max(min(longestBlock.Milliseconds(), o.RetentionDuration/10), o.MinBlockDuration)
	o.OutOfOrderTimeWindow = v.cfg.OutOfOrder.Milliseconds()
	o.WALCompression = compression.Snappy
	// Of what the storage has by default, these are for a hundred thousand series a scrape; a hub's samples come evenly.
	o.StripeSize = 1 << 11
	o.HeadChunksWriteBufferSize = 1 << 20
	if !v.keep {
		o.WALSegmentSize = -1
	}
	return o
}

// openStorage opens the storage. What a crash has damaged is repaired by it, or moved aside: either is found by the marks
// of the saved state, and read from the log again.
func (v *View) openStorage() (err error) {
	logger := slog.New(quiet{v.logger.Handler()})
	v.db, err = tsdb.Open(v.dir, logger, prometheus.NewRegistry(), v.options(), nil)
	if err == nil || !isDamage(err) {
		return err
	}
	v.logger.Error("the newest hours of the history are damaged; they are set aside and read from the log again", "error", err)
	for _, part := range []string{"wal", wlog.WblDirName, "chunks_head"} {
		from := filepath.Join(v.dir, part)
		aside := from + ".damaged"
		if err := os.RemoveAll(aside); err != nil {
			return err
		}
		if err := os.Rename(from, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	v.db, err = tsdb.Open(v.dir, logger, prometheus.NewRegistry(), v.options(), nil)
	return err
}

// isDamage reports whether the storage could not be opened because its write-ahead log could not be repaired.
func isDamage(err error) bool {
	var corrupt *wlog.CorruptionErr
	return errors.As(err, &corrupt) || strings.Contains(err.Error(), "repair corrupted W")
}

// identify reads the storage's name, or gives it one.
func (v *View) identify() error {
	file := filepath.Join(v.dir, identityFile)
	data, err := os.ReadFile(file)
	if err == nil && len(data) > 0 {
		v.identity = string(data)
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	v.identity = rand.Text()
	return replace.File(file, []byte(v.identity))
}

// A mark is a place in a write-ahead log: up to it, all is on the disk.
type mark struct{ segment, size int64 }

// logs are the storage's two write-ahead logs: of all samples, and of late ones.
var logs = [...]string{"wal", wlog.WblDirName}

// sync brings the write-ahead logs onto the disk, and returns how far. The storage itself does so only when a segment is
// full.
func (v *View) sync(since [len(logs)]mark) (marks [len(logs)]mark, err error) {
	for i, name := range logs {
		dir := filepath.Join(v.dir, name)
		first, last, err := wlog.Segments(dir)
		if err != nil {
			return marks, err
		}
		for segment := max(int64(first), since[i].segment); segment <= int64(last); segment++ {
			size, err := syncFile(wlog.SegmentName(dir, int(segment)))
			if errors.Is(err, os.ErrNotExist) {
				continue // it has just been made into blocks
			}
			if err != nil {
				return marks, err
			}
			marks[i] = mark{segment, size}
		}
		if _, err := syncFile(dir); err != nil {
			return marks, err
		}
	}
	return marks, nil
}

// syncFile brings a file, or a folder's entries, onto the disk and returns what size it had before.
func syncFile(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, fmt.Errorf("sync %s: %w", path, err)
	}
	return info.Size(), nil
}

// has reports whether the storage still has all up to the marks. What has been made into blocks is no longer in the logs.
func (v *View) has(marks [len(logs)]mark) error {
	for i, name := range logs {
		dir := filepath.Join(v.dir, name)
		first, _, err := wlog.Segments(dir)
		if err != nil {
			return err
		}
		if marks[i].segment < int64(first) {
			continue
		}
		info, err := os.Stat(wlog.SegmentName(dir, int(marks[i].segment)))
		if err != nil {
			return err
		}
		if info.Size() < marks[i].size {
			return fmt.Errorf("%s is %d bytes long, not %d", info.Name(), info.Size(), marks[i].size)
		}
	}
	return nil
}

// Bytes is the size of the storage on disk.
func (v *View) Bytes() int64 {
	if v.enter() != nil {
		return 0
	}
	defer v.leave()
	size := v.db.Head().Size()
	for _, b := range v.db.Blocks() {
		size += b.Size()
	}
	return size
}

// bounds are the times of the oldest and the newest sample in milliseconds; false if there is none.
func (v *View) bounds() (oldest, newest int64, some bool) {
	head := v.db.Head()
	oldest, newest = min(head.MinTime(), head.MinOOOTime()), max(head.MaxTime(), head.MaxOOOTime())
	for _, b := range v.db.Blocks() {
		oldest, newest = min(oldest, b.MinTime()), max(newest, b.MaxTime()-1)
	}
	return oldest, newest, oldest <= newest && oldest != math.MaxInt64
}

// A quiet handler passes what the storage says in the course of its work on as details.
type quiet struct{ slog.Handler }

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, lowered(level))
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error { //nolint:gocritic // the interface's
	r.Level = lowered(r.Level)
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

func lowered(level slog.Level) slog.Level {
	if level == slog.LevelInfo {
		return slog.LevelDebug
	}
	return level
}
