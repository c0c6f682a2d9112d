package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// database returns the files of a store after n batches, closed or as kill -9 leaves it.
func filesAfter(t *testing.T, n int, closed bool) map[string][]byte {
	t.Helper()
	path := newPath(t)
	s := mustOpen(t, Config{Path: path})
	for i := 1; i <= n; i++ {
		mustCommit(t, s, numbered(i))
	}
	if closed {
		mustClose(t, s)
		return readFiles(t, path)
	}
	defer mustClose(t, s)
	return readFiles(t, path)
}

// TestRefused: what is damaged, foreign or newer is told by name, and is still there afterwards.
func TestRefused(t *testing.T) {
	whole := filesAfter(t, 20, true)["db"]
	left := filesAfter(t, 20, false)
	edited := func(query string) func(t *testing.T) map[string][]byte {
		return func(t *testing.T) map[string][]byte {
			path := writeFiles(t, map[string][]byte{"db": whole})
			db, err := connect(path, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.exec(query), db.close()); err != nil {
				t.Fatal(err)
			}
			return readFiles(t, path)
		}
	}
	files := func(db, wal []byte) func(*testing.T) map[string][]byte {
		return func(*testing.T) map[string][]byte { return map[string][]byte{"db": db, "wal": wal} }
	}
	for name, test := range map[string]struct {
		files func(*testing.T) map[string][]byte
		want  error
	}{
		"newer":              {edited("PRAGMA user_version = 99"), ErrNewer},
		"another program's":  {edited("PRAGMA application_id = 1"), ErrCorrupt},
		"no version":         {edited("PRAGMA user_version = 0"), ErrCorrupt},
		"negative version":   {edited("PRAGMA user_version = -1"), ErrCorrupt},
		"a table is gone":    {edited("DROP TABLE sessions"), nil},
		"empty":              {files(nil, nil), ErrCorrupt},
		"empty beside a log": {files(nil, left["wal"]), ErrCorrupt},
		"text":               {files([]byte(strings.Repeat("no database\n", 1000)), nil), ErrCorrupt},
		"header":             {files(append([]byte{0}, whole[1:]...), nil), ErrCorrupt},
		"cut":                {files(whole[:len(whole)/2], nil), ErrCorrupt},
		"cut in page 1":      {files(whole[:1000], nil), ErrCorrupt},
		"zeroes":             {files(append(slices.Clone(whole[:4096]), make([]byte, len(whole)-4096)...), nil), ErrCorrupt},
		"not closed, zeroes": {files(append(slices.Clone(left["db"][:4096]), make([]byte, len(left["db"])-4096)...), nil), ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			before := test.files(t)
			path := writeFiles(t, before)
			s, err := Open(t.Context(), Config{Path: path})
			if err == nil {
				_, err = loaded(t.Context(), s)
				mustClose(t, s)
			}
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("%v", err)
			}
			if after := readFiles(t, path)["db"]; !bytes.Equal(before["db"], after) {
				t.Errorf("the file was changed")
			}
		})
	}
	path := writeFiles(t, left)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Path: path}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without its database: %v", err)
	}
}

// TestFlippedBytes: a database of which any byte has changed opens or is refused, and neither hangs nor panics; it never
// comes up empty.
func TestFlippedBytes(t *testing.T) {
	whole := filesAfter(t, 20, true)["db"]
	rounds, refused := 80, 0
	if testing.Short() {
		rounds = 30
	}
	for i := range rounds {
		b := slices.Clone(whole)
		for range 1 + rand.IntN(4) {
			at := rand.IntN(len(b))
			if i%2 == 0 {
				at = rand.IntN(len(b)/pageBytes)*pageBytes + rand.IntN(100) // where a page says what it is
			}
			b[at] ^= byte(1 + rand.IntN(255))
		}
		s, err := Open(t.Context(), Config{Path: writeFiles(t, map[string][]byte{"db": b})})
		if err == nil {
			var m *state
			if m, err = loaded(t.Context(), s); err == nil && len(m.Sessions)+len(m.Retained)+len(m.Subscriptions) == 0 {
				t.Error("came up empty")
			}
			mustCloseDamaged(t, s)
		}
		if err != nil {
			refused++
		}
	}
	t.Logf("%d of %d refused", refused, rounds)
}

func mustCloseDamaged(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil && !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

// TestTornWAL cuts the write-ahead log, or flips a byte in it, anywhere: what opens are the batches before that place.
func TestTornWAL(t *testing.T) {
	const batches = 12
	// ends are the lengths of the log after each batch.
	path := newPath(t)
	s := mustOpen(t, Config{Path: path})
	ends := []int{0}
	for n := 1; n <= batches; n++ {
		mustCommit(t, s, numbered(n))
		ends = append(ends, int(fileSize(walPath(path))))
	}
	left := readFiles(t, path)
	mustClose(t, s)
	rounds := 40
	if testing.Short() {
		rounds = 20
	}
	for i := range rounds {
		at := rand.IntN(len(left["wal"]))
		wal := slices.Clone(left["wal"])
		if i%2 == 0 {
			wal = wal[:at]
		} else {
			wal[at] ^= byte(1 + rand.IntN(255))
		}
		want := 0
		for want < batches && ends[want+1] <= at {
			want++
		}
		s := mustOpen(t, Config{Path: writeFiles(t, map[string][]byte{"db": left["db"], "wal": wal})})
		mustHold(t, s, numberedState(want))
		mustCommit(t, s, numbered(want+1))
		mustClose(t, s)
	}
}
