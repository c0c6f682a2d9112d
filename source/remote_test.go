package source

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	good := Remote{URL: "tcp://broker:1883"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	t.Setenv("SOURCE_TEST_PASSWORD", "hidden")
	none := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		key    string
		change func(r *Remote)
	}{
		{"from", func(r *Remote) { r.URL = "" }},
		{"from", func(r *Remote) { r.URL = "broker:1883" }},
		{"from", func(r *Remote) { r.URL = "http://broker" }},
		{"from", func(r *Remote) { r.URL = "tcp://" }},
		{"from", func(r *Remote) { r.URL = "tcp://broker/path" }},
		{"from", func(r *Remote) { r.URL = "tcp://user:canary@broker" }},
		{"from", func(r *Remote) { r.URL = "tcp://user:canary@broker:x y" }},
		{"from", func(r *Remote) { r.URL = "tcp://user@broker" }},
		{"from", func(r *Remote) { r.Insecure = true }},
		{"name", func(r *Remote) { r.Name = "a\nb" }},
		{"name", func(r *Remote) { r.Name = strings.Repeat("x", 65) }},
		{"filter", func(r *Remote) { r.Filters = []string{"a/#/b"} }},
		{"filter", func(r *Remote) { r.Filters = []string{"a", "a"} }},
		{"filter", func(r *Remote) { r.Filters = []string{"$share/g/a"} }},
		{"filter", func(r *Remote) { r.Filters = []string{"$SYS/#"} }},
		{"filter", func(r *Remote) { r.Filters = make([]string, 300) }},
		{"prefix", func(r *Remote) { r.Prefix = "a/#" }},
		{"prefix", func(r *Remote) { r.Prefix = "$SYS/" }},
		{"share", func(r *Remote) { r.Share = "a/b" }},
		{"password-file", func(r *Remote) { r.PasswordFile, r.PasswordEnv = none, "SOURCE_TEST_PASSWORD" }},
		{"password-file", func(r *Remote) { r.PasswordFile = none }},
		{"password-env", func(r *Remote) { r.PasswordEnv = "SOURCE_TEST_NONE" }},
		{"ca-file", func(r *Remote) { r.URL, r.CAFile = "tls://broker", none }},
		{"ca-file", func(r *Remote) { r.URL, r.CAFile = "tls://broker", "remote.go" }},
		{"cert-file", func(r *Remote) { r.URL, r.CertFile = "wss://broker/mqtt", none }},
		{"cert-file", func(r *Remote) { r.URL, r.CertFile, r.KeyFile = "mqtts://broker", none, none }},
		{"protocol", func(r *Remote) { r.Protocol = "3.1" }},
		{"session-expiry", func(r *Remote) { r.SessionExpiry = -time.Second }},
		{"receive-maximum", func(r *Remote) { r.ReceiveMaximum = 65536 }},
		{"keep-alive", func(r *Remote) { r.KeepAlive = time.Millisecond }},
	} {
		r := good
		c.change(&r)
		err := r.Check()
		e := (*RemoteError)(nil)
		if !errors.As(err, &e) || e.Key != c.key {
			t.Errorf("%+v: %v, want something about %s", r, err, c.key)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("the password is told: %v", err)
		}
	}
}

func TestPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("a b\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOURCE_TEST_PASSWORD", "")
	for want, r := range map[string]Remote{"a b": {PasswordFile: file}, "": {PasswordEnv: "SOURCE_TEST_PASSWORD"}} {
		if got, err := r.password(); err != nil || got == nil || string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

// A damaged file is not thrown away, and names that look alike have files of their own.
func TestSaved(t *testing.T) {
	dir := t.TempDir()
	r := Remote{URL: "tcp://a", Name: "plant 1/a"}
	if fileName("a/b") == fileName("a_b") {
		t.Error("two names, one file")
	}
	k, err := openKeeper(dir, &r)
	if err != nil {
		t.Fatal(err)
	}
	id := k.get().ClientID
	k.set(func(s *saved) { s.Session, s.Seen = true, 5 })
	if err := k.write(); err != nil {
		t.Fatal(err)
	}
	if k, err = openKeeper(dir, &r); err != nil || k.get().ClientID != id || !k.get().Session {
		t.Errorf("%+v, %v", k, err)
	}
	moved := r
	moved.URL = "tcp://b"
	if k, err = openKeeper(dir, &moved); err != nil || k.get().Session || k.get().Seen != 0 {
		t.Errorf("%+v, %v: what was said of another broker", k, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if err := os.WriteFile(k.path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openKeeper(dir, &r); err == nil || !strings.Contains(err.Error(), k.path) {
		t.Errorf("a damaged file: %v", err)
	}
}
