package disklog

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge/eventlog"
)

// Sync says what a durable commit waits for.
type Sync string

// The settings of Sync.
const (
	// SyncFsync: the batch is on the disk (fdatasync) before Append returns. It survives loss of power.
	SyncFsync Sync = "fsync"
	// SyncOS: the batch is with the operating system before Append returns. It survives the end of the process; loss of
	// power costs about the last SyncInterval.
	SyncOS Sync = "os"
)

// Bounds of the settings.
const (
	maxEventBytes   = 64 << 20 // also the longest record that is ever believed to be one
	minSegmentBytes = 4 << 10
	maxSegmentBytes = 1 << 30 // places in a segment have 32 bits
)

// ErrConfig is wrapped by the errors of Open that a setting causes.
var ErrConfig = errors.New("invalid configuration")

// A Config says where a log is kept and how.
type Config struct {
	// Dir is the log's own folder; it is made if absent.
	Dir string
	// Sync is what a durable commit waits for; empty: SyncFsync.
	Sync Sync
	// SyncInterval is the longest time that a batch without durable (or any batch with SyncOS) stays off the disk; 0:
	// one second.
	SyncInterval time.Duration
	// SegmentBytes is the size in bytes at which a new segment begins, 4 KiB to 1 GiB; 0: 64 MiB. Retention drops whole
	// segments.
	SegmentBytes int64
	// RetainBytes bounds the folder's size in bytes, at one segment more; 0: 10 GiB, negative: no bound.
	RetainBytes int64
	// RetainAge is how long events are held, at most an eighth longer; 0: 30 days, negative: for ever.
	RetainAge time.Duration
	// MaxEventBytes bounds one event as it is stored, in bytes, at most 64 MiB; 0: [eventlog.DefaultEventBytes].
	MaxEventBytes int
	// Logger gets what an operator has to know; nil: nothing is logged.
	Logger *slog.Logger
	// Metrics gets the log's metrics; nil: they are not registered.
	Metrics prometheus.Registerer

	// open opens segment files; tests put a failing disk here.
	open func(path string, flag int) (file, error)
	// walkFirst stands for the constant of that name.
	walkFirst int
}

func (c Config) withDefaults() (Config, error) {
	setDefault(&c.Sync, SyncFsync)
	setDefault(&c.SyncInterval, time.Second)
	setDefault(&c.SegmentBytes, 64<<20)
	setDefault(&c.RetainBytes, 10<<30)
	setDefault(&c.RetainAge, 30*24*time.Hour)
	setDefault(&c.MaxEventBytes, eventlog.DefaultEventBytes)
	setDefault(&c.walkFirst, walkFirst)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.open == nil {
		c.open = func(path string, flag int) (file, error) { return openFile(path, flag) }
	}
	switch {
	case c.Dir == "":
		return c, fmt.Errorf("%w: no folder for the log", ErrConfig)
	case c.Sync != SyncFsync && c.Sync != SyncOS:
		return c, fmt.Errorf("%w: sync %q: either %q or %q", ErrConfig, c.Sync, SyncFsync, SyncOS)
	case c.SyncInterval < 0:
		return c, fmt.Errorf("%w: sync interval %s", ErrConfig, c.SyncInterval)
	case c.SegmentBytes < minSegmentBytes || c.SegmentBytes > maxSegmentBytes:
		return c, fmt.Errorf("%w: segment of %d bytes: %d to %d", ErrConfig, c.SegmentBytes, minSegmentBytes, maxSegmentBytes)
	case c.MaxEventBytes < 0 || c.MaxEventBytes > maxEventBytes:
		return c, fmt.Errorf("%w: events of %d bytes: at most %d", ErrConfig, c.MaxEventBytes, maxEventBytes)
	}
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func openFile(path string, flag int) (*diskFile, error) {
	f, err := os.OpenFile(path, flag, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	return &diskFile{f}, nil
}
