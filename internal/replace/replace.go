// Package replace writes small files such that after a crash either the old or the new content is there, whole.
package replace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// File replaces the content of a file, or makes it, readable by the user alone. It is on the disk when File returns nil.
// Its error names the file.
func File(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return nil
}
