package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	pageBytes = 4096
	// maxCheckBytes is the size up to which a database that was not closed is looked through when it is opened.
	maxCheckBytes = 64 << 20
)

// pragmas set a connection up. They hold the file alone for as long as it is open, which also spares the shared memory
// file; leave the writing back of the write-ahead log to the store; and keep at most 4 MiB of pages in memory.
const pragmas = `
PRAGMA busy_timeout = 0;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA page_size = 4096;
PRAGMA cell_size_check = ON;
PRAGMA trusted_schema = OFF;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -4096;
PRAGMA journal_mode = WAL;
PRAGMA wal_autocheckpoint = 0;
PRAGMA journal_size_limit = 33554432;
`

func walPath(path string) string { return path + "-wal" }

// Open opens the database, or makes it if there is none. Errors: ErrLocked, ErrCorrupt, ErrNewer, ErrFull, or the system's.
// Nothing of a damaged database is thrown away, and none is ever taken for a new one.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	s := &Store{cfg: cfg, unwritten: cfg.maxUnwritten}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if cfg.Path != "" {
		var err error
		if s.path, err = filepath.Abs(cfg.Path); err != nil {
			return nil, fmt.Errorf("open %s: %w", cfg.Path, err)
		}
		if err := s.ensure(); err != nil {
			return nil, s.explain("open", err)
		}
	}
	closed := fileSize(walPath(s.path)) == 0
	if err := s.open(s.path, closed); err != nil {
		return nil, s.explain("open", err)
	}
	s.metrics = newMetrics(s.Size)
	if err := s.metrics.register(cfg.Metrics); err != nil {
		return nil, errors.Join(err, s.do.close(), s.db.close())
	}
	return s, nil
}

// ensure makes the database if there is none. It is made under another name and gets its own when it is whole, so that
// an empty file, or a write-ahead log without its database, is damage and never an opening that was cut short: SQLite
// would take either for a new database.
func (s *Store) ensure() error {
	info, err := os.Stat(s.path)
	switch {
	case err == nil && info.Size() == 0:
		return fmt.Errorf("%w: the file is empty", ErrCorrupt)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case fileSize(walPath(s.path)) > 0:
		return fmt.Errorf("%w: the file is gone, but its write-ahead log is there", ErrCorrupt)
	}
	name := s.path + ".new"
	if err := errors.Join(remove(name), remove(walPath(name))); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := s.open(name, true); err != nil {
		return err
	}
	err = errors.Join(s.do.truncate.exec(), s.do.close(), s.db.close())
	s.db, s.do = nil, nil
	if err != nil {
		return err
	}
	if err := os.Rename(name, s.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.path))
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// open sets s.db and s.do, or neither.
func (s *Store) open(path string, closed bool) error {
	db, err := connect(path, s.cfg.vfs)
	if err != nil {
		return err
	}
	do, err := s.setUp(db, closed)
	if err != nil {
		return errors.Join(err, db.close())
	}
	s.db, s.do = db, do
	return nil
}

func (s *Store) setUp(db *database, closed bool) (*statements, error) {
	sync := "PRAGMA synchronous = NORMAL"
	if s.cfg.Sync {
		// The last two are what fsync takes on macOS.
		sync = "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON"
	}
	if err := db.exec(pragmas + sync); err != nil {
		return nil, err
	}
	if err := migrate(db); err != nil {
		return nil, err
	}
	// What an earlier process left in the write-ahead log may be readable and yet not be on the disk, if its fsync failed:
	// before anything is built on it, it goes into the database file.
	if err := db.exec(truncateWAL); err != nil && code(err) != codeFull {
		return nil, err
	}
	if !closed && fileSize(s.path) <= maxCheckBytes {
		if err := check(db); err != nil {
			return nil, err
		}
	}
	return prepareStatements(db)
}

// check looks whether the database's structure is whole.
func check(db *database) error {
	return db.query("PRAGMA quick_check(1)", func(r *row) error {
		if found := r.text(0); r.err == nil && found != "ok" {
			return fmt.Errorf("%w: %s", ErrCorrupt, found)
		}
		return r.err
	})
}
