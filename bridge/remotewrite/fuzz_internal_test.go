package remotewrite

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"pulso/bridge/view/series"
)

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", "-1", "1e9", "99999999999999999999", "Fri, 31 Dec 2027 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:59 GMT"} {
		f.Add(s)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s, now); d < 0 || d > maxRetryAfter {
			t.Fatalf("%q is %v", s, d)
		}
	})
}

// FuzzLoad reads positions that nobody has saved: each is good as it was saved, or an error.
func FuzzLoad(f *testing.F) {
	f.Add("k3f.1042 1100", "{}")
	f.Add("k3f.1042", `{"a":"meter"}`)
	f.Add("", "null")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, position, kinds string) {
		s := &sender{config: Config{Dir: dir}, name: "x", mapper: series.NewMapper(), logger: slog.New(slog.DiscardHandler)}
		if os.WriteFile(s.file(".position"), []byte(position), 0o600) != nil || os.WriteFile(s.file(".kinds"), []byte(kinds), 0o600) != nil {
			t.Fatal("the folder cannot be written to")
		}
		at, err := s.load()
		if err == nil && at.IsZero() || s.mapper.Kinds == nil {
			t.Fatalf("%q is %v; kinds %v", position, at, s.mapper.Kinds)
		}
	})
}
