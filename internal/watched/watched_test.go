package watched

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Of many who change a file at one time none undoes what another did.
func TestEditAtOneTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "file.json")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			err := Edit(path, 1<<20, func(text []byte) (any, error) {
				n := 0
				err := Strictly(text, &n)
				return n + 1, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	text, changed, err := New(path, 1<<20).Read()
	if string(text) != "20\n" || !changed || err != nil {
		t.Fatalf("got %q, %t, %v", text, changed, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.json")
	f := New(path, 10)
	if text, changed, err := f.Read(); len(text) != 0 || !changed || err != nil {
		t.Errorf("a file that is not there: %q, %t, %v", text, changed, err)
	}
	if _, changed, err := f.Read(); changed || err != nil {
		t.Errorf("once more: %t, %v", changed, err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("12345678901")
	for range 2 { // it is looked at again until it is good
		if _, changed, err := f.Read(); changed || err == nil {
			t.Errorf("a file that is too large: %t, %v", changed, err)
		}
	}
	write("1")
	if text, changed, err := f.Read(); string(text) != "1" || !changed || err != nil {
		t.Errorf("got %q, %t, %v", text, changed, err)
	}
}

func TestEditFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.json")
	no := errors.New("no")
	if err := Edit(path, 10, func([]byte) (any, error) { return 1, no }); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	if err := Edit(path, 10, func([]byte) (any, error) { return make(chan int), nil }); err == nil {
		t.Error("a channel was written")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
}

func FuzzStrictly(f *testing.F) {
	for _, s := range []string{"", "{}", `{"a":1}`, `{"b":1}`, "{} {}", "[", `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var v struct{ A int }
		if err := Strictly(text, &v); err == nil && text != nil && !json.Valid(text) {
			t.Errorf("%q was read", text)
		}
	})
}
