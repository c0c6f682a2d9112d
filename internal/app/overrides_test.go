package app

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"pulso/bridge/decode"
	"pulso/bridge/gateway/understand"
)

func newTestDecoder(t *testing.T) *decode.Decoder {
	t.Helper()
	d, err := decode.New(decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOverridesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "overrides.json")
	configured := []decode.Override{{Filter: "a/#", Name: "configured", Kind: "pump"}}
	o, err := loadOverrides(newTestDecoder(t), configured, path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, _, version := o.Overrides()
	if _, err := o.Set([]decode.Override{{Filter: "a/b", Name: "kept"}}, version); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Set(nil, version); !errors.Is(err, understand.ErrVersion) {
		t.Errorf("an old version: %v", err)
	}
	d := newTestDecoder(t)
	if o, err = loadOverrides(d, configured, path, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if r := d.Report(decode.Input{Topic: "a/b", Payload: []byte("1")}); r.Name != "kept" || r.Kind != "pump" {
		t.Errorf("after a restart: %+v", r)
	}
	_, _, version = o.Overrides()
	if _, err := o.Set([]decode.Override{{Filter: "a/#/b"}}, version); err == nil {
		t.Error("a bad filter was taken")
	}
	if r := d.Report(decode.Input{Topic: "a/b", Payload: []byte("1")}); r.Name != "kept" {
		t.Errorf("after a bad one: %+v", r)
	}
}

func TestDamagedOverridesArePutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "overrides.json")
	if err := os.WriteFile(path, []byte(`[{"filter":"a/#/b"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newTestDecoder(t)
	o, err := loadOverrides(d, []decode.Override{{Filter: "a", Name: "configured"}}, path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if kept, _, _ := o.Overrides(); len(kept) != 0 {
		t.Errorf("%+v", kept)
	}
	if r := d.Report(decode.Input{Topic: "a", Payload: []byte("1")}); r.Name != "configured" {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
}
