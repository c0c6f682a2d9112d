package disklog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"

	"pulso/bridge/eventlog"
)

// maxHandles bounds the sealed segments that are kept open while nobody reads them.
const maxHandles = 128

// A handle is an open segment: its file and, if it is sealed, its indexes. Whoever has acquired it may read from it,
// also when retention has removed the files since.
type handle struct {
	file    file
	offsets offsetIndex
	topics  *topicIndex
	closers []io.Closer

	refs int
	used uint64
	gone bool // not in the table: closed with the last release
}

// indexBytes is the size of the index files.
func (h *handle) indexBytes() int64 {
	return offsetsHeader + int64(len(h.offsets.entries))*offsetsEntry + h.topics.bytes()
}

func (h *handle) close() error {
	errs := make([]error, 0, len(h.closers))
	for _, c := range h.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// handles is the table of open segments. Its methods may be called at once.
type handles struct {
	mu    sync.Mutex
	table map[*segment]*handle // nil once closed
	clock uint64
	load  func(s *segment) (*handle, error)
}

// acquire opens s, or finds it open. live is its index while that is in memory; if nil, the handle has the indexes.
func (t *handles) acquire(s *segment) (h *handle, live *liveIndex, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.table == nil {
		return nil, nil, eventlog.ErrClosed
	}
	if s.dropped {
		return nil, nil, fmt.Errorf("segment %s: %w", s.path, fs.ErrNotExist)
	}
	h = t.table[s]
	if h == nil {
		if h, err = t.load(s); err != nil {
			return nil, nil, err
		}
		t.table[s] = h
	}
	h.refs++
	t.clock++
	h.used = t.clock
	t.evict() // never what is in use, as this one is now
	return h, s.live.Load(), nil
}

// put enters the open file of a segment that is being written and acquires it.
func (t *handles) put(s *segment, f file) *handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := &handle{file: f, closers: []io.Closer{f}, refs: 1}
	t.table[s] = h
	return h
}

func (t *handles) release(h *handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.refs--
	if h.gone && h.refs == 0 {
		_ = h.close()
	}
}

// sealed lets go of the index in memory: from now on acquire gives the one on the disk.
func (t *handles) sealed(s *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.live.Store(nil)
	t.drop(s)
}

// remove is forget for a segment whose files are about to go: it is not opened again.
func (t *handles) remove(s *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.dropped = true
	t.drop(s)
}

// forget closes s when its last reader is done.
func (t *handles) forget(s *segment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(s)
}

// close forgets every segment and opens none any more.
func (t *handles) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.table {
		t.drop(s)
	}
	t.table = nil
}

func (t *handles) drop(s *segment) {
	h := t.table[s]
	if h == nil {
		return
	}
	delete(t.table, s)
	h.gone = true
	if h.refs == 0 {
		_ = h.close()
	}
}

// evict closes what has not been used for the longest time.
func (t *handles) evict() {
	for len(t.table) > maxHandles {
		var oldest *segment
		used := uint64(math.MaxUint64)
		for s, h := range t.table {
			if h.refs == 0 && h.used < used {
				oldest, used = s, h.used
			}
		}
		if oldest == nil {
			return
		}
		t.drop(oldest)
	}
}

// load opens a sealed segment. Indexes that are missing or damaged are built anew.
func (l *Log) load(s *segment) (*handle, error) {
	f, err := l.cfg.open(s.segPath(), os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	h := &handle{file: f, closers: []io.Closer{f}}
	err = l.loadIndexes(s, h)
	if errors.Is(err, errDamaged) || errors.Is(err, fs.ErrNotExist) {
		err = l.rebuild(s, h, err)
	}
	if err != nil {
		_ = h.close()
		return nil, err
	}
	return h, nil
}

func (l *Log) loadIndexes(s *segment, h *handle) error {
	data, err := os.ReadFile(s.offsetsPath())
	if err != nil {
		return fmt.Errorf("offset index: %w", err)
	}
	x, err := parseOffsetIndex(data, s.base)
	if err != nil {
		return err
	}
	f, err := os.Open(s.topicsPath())
	if err != nil {
		return fmt.Errorf("topic index: %w", err)
	}
	var topics *topicIndex
	info, err := f.Stat()
	if err == nil {
		topics, err = openTopicIndex(f, info.Size(), s.base, x.size)
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	h.offsets, h.topics, h.closers = x, topics, append(h.closers, f)
	return nil
}
