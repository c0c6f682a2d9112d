package boards

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pulso/internal/replace"
)

// Why a change is refused.
var (
	errNotFound = errors.New("there is no such board")
	errVersion  = errors.New("the board has changed since it was read: read it again")
	errExists   = errors.New("there is a board of this id already")
	errFull     = fmt.Errorf("there are %d boards, and more are not kept: delete one", MaxBoards)
	errNotSaved = errors.New("the board could not be saved")
)

type kept = map[string]*Board

// A store keeps boards in memory and, where it has a path, in a file. Readers never wait for the disk: what they see is never
// changed, but replaced when the file has been.
type store struct {
	path   string // empty: in memory alone
	boards atomic.Pointer[kept]
	// writing is held from the look at a version until what follows from it is on the disk.
	writing sync.Mutex
}

// file is what the file holds.
type file struct {
	Boards []*Board `json:"boards"`
}

// openStore reads what is kept. A file that is damaged is set aside, so that nothing in it is lost or written over, and said so.
func openStore(path string, logger *slog.Logger) (*store, error) {
	s := &store{path: path}
	s.boards.Store(&kept{})
	if path == "" {
		return s, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("boards: %w", err)
	}
	boards, err := parseFile(text)
	if err == nil {
		s.boards.Store(&boards)
		return s, nil
	}
	aside, moveErr := setAside(path)
	if moveErr != nil {
		return nil, fmt.Errorf("boards: %s is damaged (%w) and cannot be set aside: %w", path, err, moveErr)
	}
	logger.Error("the file of the boards is damaged: the hub goes on without them", "file", path, "reason", err, "kept_in", aside)
	return s, nil
}

// setAside gives a file a name that no other has.
func setAside(path string) (string, error) {
	aside := path + ".damaged"
	for i := 2; ; i++ {
		if _, err := os.Lstat(aside); err != nil {
			return aside, os.Rename(path, aside)
		}
		aside = fmt.Sprintf("%s.damaged%d", path, i)
	}
}

func parseFile(text []byte) (kept, error) {
	var f file
	if err := parse(text, &f); err != nil {
		return nil, err
	}
	boards := make(kept, len(f.Boards))
	for i, b := range f.Boards {
		if b == nil || !validID.MatchString(b.ID) || boards[b.ID] != nil {
			return nil, fmt.Errorf("boards[%d].id: is missing, not good or there twice", i)
		}
		if b.Panels == nil {
			b.Panels = []Panel{}
		}
		if err := check(b.Name, b.Panels); err != nil {
			return nil, fmt.Errorf("boards[%d].%w", i, err)
		}
		boards[b.ID] = b
	}
	return boards, nil
}

// list is all boards by name. They must not be changed.
func (s *store) list() []*Board {
	return slices.SortedFunc(maps.Values(*s.boards.Load()), func(a, b *Board) int {
		if byName := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); byName != 0 {
			return byName
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// get is one board, nil where there is none. It must not be changed.
func (s *store) get(id string) *Board { return (*s.boards.Load())[id] }

// put makes a board, or replaces the one of this version. A board that is already as it is wished stays, so that a request whose
// answer was lost can be made again.
func (s *store) put(id string, d *draft) (*Board, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	before := s.get(id)
	switch {
	case before == nil && d.Version != "":
		return nil, errNotFound
	case before == nil && len(*s.boards.Load()) >= MaxBoards:
		return nil, errFull
	case before == nil:
	case d.Version == "":
		return nil, errExists
	case before.Name == d.Name && reflect.DeepEqual(before.Panels, d.Panels):
		return before, nil
	case before.Version != d.Version:
		return nil, errVersion
	}
	b := &Board{ID: id, Name: d.Name, Version: rand.Text()[:12], Changed: time.Now().UnixMilli(), Panels: d.Panels}
	return b, s.change(func(boards kept) { boards[id] = b })
}

// remove deletes a board.
func (s *store) remove(id string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.get(id) == nil {
		return errNotFound
	}
	return s.change(func(boards kept) { delete(boards, id) })
}

// change is called with writing held. What is not on the disk has not happened.
func (s *store) change(how func(kept)) error {
	next := maps.Clone(*s.boards.Load())
	how(next)
	if s.path != "" {
		f := file{slices.SortedFunc(maps.Values(next), func(a, b *Board) int { return strings.Compare(a.ID, b.ID) })}
		text, err := json.Marshal(f)
		if err == nil {
			err = replace.File(s.path, append(text, '\n'))
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errNotSaved, err)
		}
	}
	s.boards.Store(&next)
	return nil
}
