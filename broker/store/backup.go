package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// Backup writes a copy of the database as it is now into a file that does not exist yet, whole and on the disk when it
// returns nil. While the store is open this is the only way to copy it. Commit waits meanwhile, some milliseconds for each
// megabyte. Errors: ErrClosed, ErrFull, the context's as of the call, or the system's.
func (s *Store) Backup(ctx context.Context, path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.db == nil:
		return ErrClosed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o640)
	if err != nil {
		return s.explain("back up", err)
	}
	st, err := s.db.prepare("VACUUM INTO ?")
	if err == nil {
		err = errors.Join(st.exec(path), st.close())
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return s.explain("back up", errors.Join(err, os.Remove(path)))
	}
	return nil
}
