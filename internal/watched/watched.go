// Package watched keeps small JSON files that several processes change: a hub that runs, and commands beside it.
package watched

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"pulso/internal/replace"
)

// A File is looked at again and again. It is not safe for concurrent use.
type File struct {
	path string
	most int64
	read bool
	at   stamp
}

// New is of the file of a path, of which at most so many bytes are read. The path may be empty, and the file need not be there: what
// it says is nil then.
func New(path string, most int64) *File { return &File{path: path, most: most} }

// stamp tells one content from another without reading it.
type stamp struct {
	modified time.Time
	size     int64
	inode    uint64
}

// Read returns the content, where it is another one than at the last Read that had no error; the first Read always does. The error
// names the file.
func (f *File) Read() (text []byte, changed bool, err error) {
	at, err := stampOf(f.path)
	if err != nil || f.read && at == f.at {
		return nil, false, err
	}
	if text, err = readAll(f.path, f.most); err != nil {
		return nil, false, err
	}
	f.at, f.read = at, true
	return text, true, nil
}

// Forget has the next Read return the content, changed or not: the last was no good.
func (f *File) Forget() { f.read = false }

// stampOf is the zero stamp for a file that is not there.
func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if path == "" || isNotThere(err) {
		return stamp{}, nil
	}
	if err != nil {
		return stamp{}, err
	}
	s := stamp{modified: info.ModTime(), size: info.Size()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = sys.Ino
	}
	return s, nil
}

func isNotThere(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func readAll(path string, most int64) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if isNotThere(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return text, err
}

// Strictly reads JSON into a value: no unknown members, nothing behind it. No text, as of a file that is not there, leaves the
// value as it is; text that is empty is an error.
func Strictly(text []byte, into any) error {
	if text == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("there is more behind the first value")
	}
	return nil
}

// Edit changes a file: change gets what it says and returns what it is to say, as JSON. Nobody sees it half written, and of two who
// change it at one time the second goes on from what the first wrote. The file is its owner's alone.
func Edit(path string, most int64, change func(text []byte) (any, error)) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // which frees it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	before, err := readAll(path, most)
	if err != nil {
		return err
	}
	after, err := change(before)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(after, "", " ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return replace.File(path, append(text, '\n'))
}
