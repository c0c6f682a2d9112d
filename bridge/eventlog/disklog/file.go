package disklog

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// A file is what the log needs of a segment's file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync returns when the file's content and size are on the disk.
	Sync() error
	Truncate(size int64) error
}

// A diskFile is a file whose Sync spares what reading does not need (times), where the system can.
type diskFile struct{ *os.File }

// Sync implements file.
func (f *diskFile) Sync() error { return datasync(f.File) }

// writeDurably replaces the named file by one that holds data: after a crash either the old one is there or the new one,
// whole.
func writeDurably(path string, data io.Reader) error {
	if err := replace(path, data, (*os.File).Sync); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeRebuildable is writeDurably for a file that is verified when it is read and can be made anew: it does not wait
// for the disk.
func writeRebuildable(path string, data []byte) error {
	return replace(path, bytes.NewReader(data), func(*os.File) error { return nil })
}

func replace(path string, data io.Reader, sync func(*os.File) error) error {
	tmp := path + tmpSuffix
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	_, err = io.Copy(f, data)
	if err == nil {
		err = sync(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("%w of folder %s: %w", errSync, dir, err)
	}
	return nil
}
