package store

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// A Config says where the database is kept and how.
type Config struct {
	// Path is the database file, in a folder that exists; SQLite puts its write-ahead log beside it, with "-wal" behind the
	// name. Empty: the database is in memory and ends with the store.
	Path string
	// Sync makes Commit wait until the batch is on the disk, so that it survives loss of power. Without, it survives the end
	// of the process, and loss of power takes back the last batches, never a part of one.
	Sync bool
	// Logger gets what an operator has to know; nil: nothing is logged.
	Logger *slog.Logger
	// Metrics gets the store's metrics; nil: they are not registered.
	Metrics prometheus.Registerer

	// vfs is the name of SQLite's file system to use; tests put a faulty one here.
	vfs string
	// maxUnwritten is the write-ahead log's length in pages from which on it is written into the database file; 0: 2,000.
	maxUnwritten int64
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.maxUnwritten == 0 {
		c.maxUnwritten = 2000
	}
	return c
}
