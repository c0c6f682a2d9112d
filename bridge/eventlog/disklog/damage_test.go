package disklog

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDamageIsSaved damages the end of a log of ten events: what is cut is in a file, and an error in the log says so.
func TestDamageIsSaved(t *testing.T) {
	for name, test := range map[string]struct {
		damage  func(t *testing.T, segment string)
		crashed bool // the identity knows of no event
		held    int
		saved   bool
		missing string // as logged; empty: no error
	}{
		"a changed record": {
			func(t *testing.T, s string) { flip(t, s, places(t, readFile(t, s))[4]+40) }, false, 4, true, "events_missing=6",
		},
		"a changed record after a crash": {
			func(t *testing.T, s string) { flip(t, s, places(t, readFile(t, s))[4]+40) }, true, 4, true, "events_missing=unknown",
		},
		"a changed length after a crash": {
			func(t *testing.T, s string) { flip(t, s, places(t, readFile(t, s))[4]+2) }, true, 4, true, "events_missing=unknown",
		},
		"the end cut off": {
			func(t *testing.T, s string) { writeFile(t, s, readFile(t, s)[:places(t, readFile(t, s))[4]+5]) }, false, 4, true,
			"events_missing=6",
		},
		"the end cut off between records": {
			func(t *testing.T, s string) { writeFile(t, s, readFile(t, s)[:places(t, readFile(t, s))[4]]) }, false, 4, false,
			"events_missing=6",
		},
		"torn by a crash": {
			func(t *testing.T, s string) { writeFile(t, s, readFile(t, s)[:len(readFile(t, s))-1]) }, true, 9, false, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, segment, _ := writeLog(t, 10)
			if test.crashed {
				rewriteIdentity(t, dir, func(id *identity) { id.Clean, id.Next = false, 0 })
			}
			test.damage(t, segment)
			damaged := readFile(t, segment)
			var said bytes.Buffer
			l := mustOpen(t, Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&said, nil))})
			r := l.Recovery()
			if held, _ := readThrough(t, l); held != test.held {
				t.Errorf("%d events are left instead of %d", held, test.held)
			}
			if (r.Saved != "") != test.saved {
				t.Fatalf("%+v", r)
			}
			if test.saved && (r.Saved != segment+".damaged" || !bytes.Equal(append(readFile(t, segment), readFile(t, r.Saved)...), damaged)) {
				t.Errorf("what was cut and what is saved in %q differ", r.Saved)
			}
			text := said.String()
			if strings.Contains(text, "ERROR") != (test.missing != "") || !strings.Contains(text, test.missing) || !strings.Contains(text, r.Saved) {
				t.Errorf("said: %s", text)
			}
			appendN(t, l, 3)
			mustClose(t, l)
			l = mustOpen(t, Config{Dir: dir})
			if held, _ := readThrough(t, l); held != test.held+3 || l.Recovery().Cut != 0 {
				t.Errorf("another opening: %d events, %+v", held, l.Recovery())
			}
		})
	}
}

func TestSavedFilesAreBounded(t *testing.T) {
	dir, segment, _ := writeLog(t, 1)
	first := segment + damagedExt
	for i := range maxSaved + 3 {
		rewriteIdentity(t, dir, func(id *identity) { id.Clean, id.Next = false, 0 })
		writeFile(t, segment, append(readFile(t, segment), bytes.Repeat([]byte{byte(i)}, 100)...))
		l := mustOpen(t, Config{Dir: dir})
		saved := l.Recovery().Saved
		mustClose(t, l)
		if got := readFile(t, saved); !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, 100)) {
			t.Fatalf("opening %d: %s has %x", i, saved, got)
		}
		if i == 0 && saved != first {
			t.Fatalf("the first is %s", saved)
		}
		if i < maxSaved {
			if _, err := os.Stat(first); err != nil {
				t.Fatalf("opening %d: %v", i, err)
			}
		}
	}
	all, err := filepath.Glob(segment + damagedExt + "*")
	if err != nil || len(all) != maxSaved {
		t.Errorf("left: %v, %v", all, err)
	}
}

// TestNothingIsCutUnsaved opens a damaged log where what is to be cut cannot be written elsewhere.
func TestNothingIsCutUnsaved(t *testing.T) {
	dir, segment, _ := writeLog(t, 10)
	flip(t, segment, places(t, readFile(t, segment))[4]+40)
	damaged := readFile(t, segment)
	if err := os.MkdirAll(filepath.Join(segment+damagedExt+tmpSuffix, "x"), 0o750); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(Config{Dir: dir}); err == nil {
		mustClose(t, l)
		t.Fatal("opened")
	}
	if !bytes.Equal(readFile(t, segment), damaged) {
		t.Error("the segment has been cut")
	}
}

func TestFullDiskAtOpening(t *testing.T) {
	disk := &faulty{write: fmt.Errorf("write: %w", syscall.ENOSPC)}
	dir := filepath.Join(t.TempDir(), "log")
	_, err := Open(Config{Dir: dir, open: disk.openFile})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space in the file system of "+dir) {
		t.Errorf("open: %v", err)
	}
}
