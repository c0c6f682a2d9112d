package history

import (
	"context"
	"crypto/rand"
	"errors"
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
	// runningFile is there while a storage is open.
	runningFile = "running"
	// chunkDir is the storage's folder of what is in its write-ahead log, too, in the form in which it is queried.
	chunkDir = "chunks_head"
	// longestBlock is the longest time that one block of the storage covers.
	longestBlock = 31 * 24 * time.Hour
)

// open opens the storage in the folder of the configuration, or in a temporary one.
func (v *View) open() error {
	if err := v.makeDir(); err != nil {
		return err
	}
	crashed, err := v.beginRunning()
	if err == nil {
		err = v.openStorage()
	}
	if err != nil {
		return errors.Join(err, v.removeTemporary())
	}
	if err := v.identify(); err != nil {
		return errors.Join(err, v.shut())
	}
	if crashed {
		// Its log of late samples refers to chunks that the crash may have taken. Blocks need neither.
		if err := v.db.CompactOOOHead(context.Background()); err != nil {
			return errors.Join(err, v.shut())
		}
	}
	for _, b := range v.db.Blocks() {
		v.uncleaned = v.uncleaned || b.Meta().Stats.NumTombstones > 0
	}
	return nil
}

func (v *View) makeDir() (err error) {
	if v.keep {
		return os.MkdirAll(v.dir, 0o750)
	}
	v.dir, err = os.MkdirTemp("", "pulso-history-")
	return err
}

// shut closes the storage and removes a temporary one.
func (v *View) shut() error {
	err := v.db.Close()
	if err == nil && v.keep {
		err = os.Remove(filepath.Join(v.dir, runningFile))
	}
	return errors.Join(err, v.removeTemporary())
}

// beginRunning notes that the storage is open, and reports whether it was when its process ended. Then its chunks are not
// to be relied on: they are buffered in memory, and the storage may take those of a later life for them. All that is in
// them is in the write-ahead logs, too.
func (v *View) beginRunning() (crashed bool, err error) {
	if !v.keep {
		return false, nil
	}
	file := filepath.Join(v.dir, runningFile)
	_, err = os.Stat(file)
	switch {
	case err == nil:
		return true, errors.Join(os.RemoveAll(filepath.Join(v.dir, chunkDir)), v.rewriteLate())
	case errors.Is(err, os.ErrNotExist):
		return false, replace.File(file, nil)
	default:
		return false, err
	}
}

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
	o.NewCompactorFunc = newCompactor
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
func (v *View) openStorage() error {
	err := v.openRepaired()
	if err == nil || !isDamage(err) {
		return err
	}
	v.logger.Error("the newest hours of the history are damaged; they are set aside and read from the log again", "error", err)
	for _, part := range []string{"wal", wlog.WblDirName, chunkDir} {
		from := filepath.Join(v.dir, part)
		aside := from + ".damaged"
		if err := os.RemoveAll(aside); err != nil {
			return err
		}
		if err := os.Rename(from, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return v.openRepaired()
}

// openRepaired opens the storage, and once more if there was something to repair, as after a kill in the middle of a write:
// where the log of all samples is repaired, that of late ones is not read at all.
func (v *View) openRepaired() (err error) {
	logger := slog.New(quiet{v.logger.Handler()})
	const attempts = 3 // each of the two logs may have been damaged
	for range attempts {
		figures := prometheus.NewRegistry()
		if v.db, err = tsdb.Open(v.dir, logger, figures, v.options(), nil); err != nil {
			return err
		}
		repaired, err := wasRepaired(figures)
		if err != nil {
			return errors.Join(err, v.db.Close())
		}
		if !repaired {
			return nil
		}
		if err := errors.Join(v.db.Close(), os.RemoveAll(filepath.Join(v.dir, chunkDir))); err != nil {
			return err
		}
	}
	return errors.New("the storage's write-ahead logs are damaged however often they are repaired")
}

// wasRepaired reports whether the storage has met damage while it was opened.
func wasRepaired(figures prometheus.Gatherer) (bool, error) {
	families, err := figures.Gather()
	if err != nil {
		return false, err
	}
	for _, f := range families {
		if f.GetName() == "prometheus_tsdb_wal_corruptions_total" {
			return f.GetMetric()[0].GetCounter().GetValue() > 0, nil
		}
	}
	return false, errors.New("the storage does not count its repairs")
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
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
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
