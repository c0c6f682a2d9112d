package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"

	"pulso/bridge/decode"
	"pulso/bridge/gateway/understand"
	"pulso/internal/replace"
)

// overrides holds those of the configuration and those that people have set on the dashboard, which count first. It
// implements [understand.Store].
type overrides struct {
	decoder    *decode.Decoder
	configured []decode.Override
	path       string // where they are kept; empty: nowhere

	mu      sync.Mutex
	kept    []decode.Override
	version string
}

// loadOverrides reads those that are kept and gives all to the decoder. A file that is not good is put aside and said so: the
// hub starts without it.
func loadOverrides(d *decode.Decoder, configured []decode.Override, path string, logger *slog.Logger) (*overrides, error) {
	o := &overrides{decoder: d, configured: configured, path: path}
	text, err := readIfThere(path)
	if err != nil {
		return nil, fmt.Errorf("overrides: %w", err)
	}
	var kept []decode.Override
	if text != nil {
		err = json.Unmarshal(text, &kept)
	}
	if err == nil {
		err = o.use(kept)
	}
	if err == nil {
		return o, nil
	}
	aside := path + ".damaged"
	logger.Error("the overrides that were kept are not good: the hub goes on without them", "reason", err, "kept_in", aside)
	return o, errors.Join(os.Rename(path, aside), o.use(nil))
}

func readIfThere(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// use gives overrides to the decoder and takes note of them.
func (o *overrides) use(kept []decode.Override) error {
	if err := o.decoder.Override(slices.Concat(kept, o.configured)); err != nil {
		return err
	}
	o.kept, o.version = kept, versionOf(kept)
	return nil
}

func versionOf(kept []decode.Override) string {
	text, err := json.Marshal(kept)
	if err != nil {
		return ""
	}
	h := fnv.New64a()
	h.Write(text)
	return strconv.FormatUint(h.Sum64(), 36)
}

// Overrides implements [understand.Store].
func (o *overrides) Overrides() (kept, configured []decode.Override, version string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kept, o.configured, o.version
}

// Set implements [understand.Store].
func (o *overrides) Set(kept []decode.Override, version string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if version != o.version {
		return o.version, understand.ErrVersion
	}
	before := o.kept
	if err := o.use(kept); err != nil {
		return o.version, err
	}
	if o.path == "" {
		return o.version, nil
	}
	text, err := json.MarshalIndent(kept, "", "  ")
	if err == nil {
		err = replace.File(o.path, append(text, '\n'))
	}
	if err != nil {
		return o.version, errors.Join(fmt.Errorf("%w: %w", understand.ErrNotSaved, err), o.use(before))
	}
	return o.version, nil
}
