package history

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/tsdb/wlog"
)

// A mark is a place in a write-ahead log: up to it, all is on the disk. Sum is of the bytes before it: they are there as
// long as everything before them is, since a repair drops all that follows what it found damaged.
type mark struct {
	segment, size int64
	sum           uint32
}

// marks are of each of the logs.
type marks [len(logs)]mark

// markBytes is how many bytes before a mark are summed up.
const markBytes = 4096

// logs are the storage's two write-ahead logs: of all samples, and of late ones.
var logs = [...]string{"wal", wlog.WblDirName}

// sync brings the write-ahead logs onto the disk, and returns how far. The storage itself does so only when a segment is
// full.
func (v *View) sync(since marks) (reached marks, err error) {
	for i, name := range logs {
		dir := filepath.Join(v.dir, name)
		first, last, err := wlog.Segments(dir)
		if err != nil {
			return reached, err
		}
		reached[i] = since[i]
		for segment := max(int64(first), since[i].segment); segment <= int64(last); segment++ {
			path := wlog.SegmentName(dir, int(segment))
			size, err := syncFile(path)
			if err == nil && size > 0 {
				reached[i] = mark{segment: segment, size: size}
				reached[i].sum, err = sumBefore(path, size)
			}
			if err != nil && !errors.Is(err, os.ErrNotExist) { // it may just have been made into blocks
				return reached, err
			}
		}
		if _, err := syncFile(dir); err != nil {
			return reached, err
		}
	}
	return reached, nil
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

// sumBefore is the checksum of the bytes before a place in a file.
func sumBefore(path string, place int64) (uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data := make([]byte, min(place, markBytes))
	if _, err := f.ReadAt(data, place-int64(len(data))); err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)), nil
}

// missing is nil if the storage has all up to the marks. What has been made into blocks is no longer in the logs.
func (v *View) missing(known marks) error {
	late := known[len(logs)-1]
	if u := v.lateUntil; u != nil && (late.segment > u.segment || late.segment == u.segment && late.size > u.size) {
		return errors.New("the log of late samples is damaged")
	}
	for i, name := range logs {
		dir := filepath.Join(v.dir, name)
		first, _, err := wlog.Segments(dir)
		if err != nil {
			return err
		}
		if known[i].size == 0 || known[i].segment < int64(first) {
			continue
		}
		path := wlog.SegmentName(dir, int(known[i].segment))
		sum, err := sumBefore(path, known[i].size)
		if err != nil {
			return err
		}
		if sum != known[i].sum {
			return fmt.Errorf("%s is not what it was", path)
		}
	}
	return nil
}
