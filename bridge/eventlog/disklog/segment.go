package disklog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"sync/atomic"
)

// The layout of a segment's header; FORMAT.md has it as a table.
const (
	segmentHeader = 64
	segmentMagic  = "PULSOSEG"
	atVersion     = 8
	atHeaderLen   = 12
	atBase        = 16
	atEpoch       = 24
	atCreated     = 32
	atHeaderCRC   = segmentHeader - 4

	segmentExt  = ".seg"
	offsetsExt  = ".idx"
	topicsExt   = ".tix"
	segmentName = "%020d"

	scanBytes = 1 << 20
)

// A segment is one file of the log and its indexes. The fields from end on are guarded by Log.mu while the segment is
// the active one, and constant after.
type segment struct {
	base uint64
	path string // without extension
	// live is the index in memory, until it is on the disk.
	live    atomic.Pointer[liveIndex]
	dropped bool // by retention; guarded by handles.mu
	// noted says that the log has told of damage here.
	noted atomic.Bool
	// reindexed says that the topic index has been built anew because of damage.
	reindexed atomic.Bool

	end         uint64 // offset after the newest event
	size        int64  // bytes of whole records, and the header
	indexBytes  int64
	first, last int64 // times of the oldest and the newest event; zero if there is none
}

func newSegment(dir string, base uint64) *segment {
	return &segment{base: base, end: base, size: segmentHeader, path: filepath.Join(dir, fmt.Sprintf(segmentName, base))}
}

func (s *segment) segPath() string     { return s.path + segmentExt }
func (s *segment) offsetsPath() string { return s.path + offsetsExt }
func (s *segment) topicsPath() string  { return s.path + topicsExt }

func (s *segment) bytes() int64 { return s.size + s.indexBytes }

// noteTime widens the segment's times. Arrival times may step back with the machine's clock.
func (s *segment) noteTime(t int64) {
	if s.first == 0 || t < s.first {
		s.first = t
	}
	s.last = max(s.last, t)
}

func appendSegmentHeader(b []byte, base, epoch uint64, created int64) []byte {
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, segmentHeader)
	b = binary.LittleEndian.AppendUint64(b, base)
	b = binary.LittleEndian.AppendUint64(b, epoch)
	b = binary.LittleEndian.AppendUint64(b, uint64(created))
	b = append(b, make([]byte, atHeaderCRC-atCreated-8)...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// checkSegmentHeader returns an error that wraps errDamaged or ErrNewerVersion unless b is the header of a segment with
// that base.
func checkSegmentHeader(b []byte, base uint64) error {
	switch {
	case len(b) < segmentHeader || !bytes.HasPrefix(b, []byte(segmentMagic)):
		return fmt.Errorf("%w: no segment's header", errDamaged)
	case binary.LittleEndian.Uint32(b[atHeaderCRC:]) != crc32.Checksum(b[:atHeaderCRC], castagnoli):
		return fmt.Errorf("%w: header's checksum", errDamaged)
	case binary.LittleEndian.Uint32(b[atVersion:]) > formatVersion:
		return fmt.Errorf("%w: segment of version %d", ErrNewerVersion, binary.LittleEndian.Uint32(b[atVersion:]))
	case binary.LittleEndian.Uint32(b[atHeaderLen:]) != segmentHeader || binary.LittleEndian.Uint64(b[atBase:]) != base:
		return fmt.Errorf("%w: header of another segment", errDamaged)
	}
	return nil
}

// scan reads the records of a segment's file one after another, the first with the offset end at the place size, and
// calls each with every valid one and its place. It returns what comes after the last of them and why it is no record:
// nil at the end of the file, else an error that wraps errShort or errDamaged. failed is an error of reading, or of each.
func scan(
	f io.ReaderAt, end uint64, size int64, each func(r record, place int64) error,
) (nextEnd uint64, nextSize int64, why, failed error) {
	buf := make([]byte, scanBytes)
	for {
		n, err := f.ReadAt(buf, size)
		if err != nil && !errors.Is(err, io.EOF) {
			return end, size, nil, fmt.Errorf("scan: %w", err)
		}
		whole := n < len(buf) // the rest of the file
		b := buf[:n]
		for len(b) > 0 {
			r, err := cutRecord(b, end)
			if errors.Is(err, errShort) && !whole {
				break
			}
			if err != nil {
				return end, size, err, nil
			}
			if err := each(r, size); err != nil {
				return end, size, nil, err
			}
			end, size, b = end+1, size+int64(len(r)), b[len(r):]
		}
		if whole {
			return end, size, nil, nil
		}
		if len(b) == n {
			buf = make([]byte, recordBound(buf))
		}
	}
}

// recordBound is how much must be read for the record that b begins with, whose length is known to be sound.
func recordBound(b []byte) int {
	n, _, err := peek(b)
	if err != nil {
		return scanBytes
	}
	return max(n, scanBytes)
}
