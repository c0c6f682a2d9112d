package disklog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pulso/bridge/eventlog"
)

// Names in a log's folder.
const (
	identityName = "disklog.json"
	lockName     = "LOCK"
	tmpSuffix    = ".tmp"

	formatName    = "pulso disklog"
	formatVersion = 1
	maxEpochs     = 1024
	bootIDPath    = "/proc/sys/kernel/random/boot_id"
)

// An epoch is one life of the log: it begins at offset First and ends where the next one begins.
type epoch struct {
	Epoch uint64 `json:"epoch"`
	First uint64 `json:"first"`
}

// An identity is what the folder's identity file says.
type identity struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Epochs are in the order of their lives, which is that of First.
	Epochs []epoch `json:"epochs"`
	// Next is an offset that the log has reached: the offset after the newest event when the file was written.
	Next uint64 `json:"next"`
	// Boot is the machine's boot id at the last opening; empty where the system has none.
	Boot string `json:"boot"`
	// Clean says that the log was closed, all of it on the disk, and not opened since.
	Clean bool `json:"clean"`
}

func newIdentity() identity {
	return identity{
		Format: formatName, Version: formatVersion, Clean: true, Boot: bootID(),
		Epochs: []epoch{{Epoch: eventlog.NewEpoch()}},
	}
}

// parseIdentity is the inverse of encode.
func parseIdentity(data []byte) (identity, error) {
	var id identity
	if err := json.Unmarshal(data, &id); err != nil || id.Format != formatName {
		return identity{}, fmt.Errorf("%w: %s does not name the format %q", ErrNotOurs, identityName, formatName)
	}
	if id.Version > formatVersion {
		return identity{}, fmt.Errorf("%w: version %d, this one knows up to %d", ErrNewerVersion, id.Version, formatVersion)
	}
	if id.Version < 1 || len(id.Epochs) == 0 {
		return identity{}, fmt.Errorf("%w: %s has no version or no epoch", ErrDamaged, identityName)
	}
	for i, e := range id.Epochs {
		if e.Epoch == 0 || i > 0 && e.First < id.Epochs[i-1].First {
			return identity{}, fmt.Errorf("%w: %s has its epochs in disorder", ErrDamaged, identityName)
		}
	}
	id.Next = max(id.Next, id.last().First)
	return id, nil
}

func (id *identity) encode() ([]byte, error) {
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", identityName, err)
	}
	return append(data, '\n'), nil
}

func (id *identity) save(dir string) error {
	data, err := id.encode()
	if err != nil {
		return err
	}
	return writeDurably(filepath.Join(dir, identityName), bytes.NewReader(data))
}

func (id *identity) last() epoch { return id.Epochs[len(id.Epochs)-1] }

// begin starts a new epoch at an offset. The oldest are forgotten when there are too many.
func (id *identity) begin(first uint64) {
	known := func(n uint64) bool {
		for _, e := range id.Epochs {
			if e.Epoch == n {
				return true
			}
		}
		return false
	}
	n := eventlog.NewEpoch()
	for known(n) {
		n = eventlog.NewEpoch()
	}
	id.Epochs = append(id.Epochs, epoch{Epoch: n, First: first})
	id.Epochs = id.Epochs[max(0, len(id.Epochs)-maxEpochs):]
}

// MarkRestored makes the next opening of the log in a folder begin a new epoch. It is for a copy that takes the place of
// a log which went on after the copy was made: positions of what came after must not pass for those of other events.
// The log must not be open. Errors are those of [Open].
func MarkRestored(dir string) error {
	err := markRestored(dir)
	if err != nil {
		return fmt.Errorf("mark log in %s as restored: %w", dir, err)
	}
	return nil
}

func markRestored(dir string) error {
	id, fresh, err := loadIdentity(dir)
	if err != nil || fresh {
		return err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	id.Clean, id.Boot = false, ""
	return errors.Join(id.save(dir), lock.Close())
}

// loadIdentity reads a folder's identity; fresh is true where the folder is empty and has none yet.
func loadIdentity(dir string) (id identity, fresh bool, err error) {
	data, err := os.ReadFile(filepath.Join(dir, identityName))
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(), true, checkEmpty(dir)
	}
	if err != nil {
		return identity{}, false, fmt.Errorf("read identity: %w", err)
	}
	id, err = parseIdentity(data)
	return id, false, err
}

// checkEmpty returns ErrNotOurs if the folder holds what a log did not leave there before its first identity was whole,
// ErrDamaged if that is segments. A mounted file system brings its lost+found.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read folder: %w", err)
	}
	segment := func(e fs.DirEntry) bool { return filepath.Ext(e.Name()) == segmentExt }
	if i := slices.IndexFunc(entries, segment); i >= 0 {
		return fmt.Errorf("%w: log identity %s is missing, but %s is there: put %[2]s back from a backup of this folder, "+
			"or move the folder's files elsewhere to begin a new log", ErrDamaged, identityName, entries[i].Name())
	}
	for _, e := range entries {
		switch e.Name() {
		case lockName, identityName + tmpSuffix, "lost+found":
		default:
			return fmt.Errorf("%w: it has no %s, but %s", ErrNotOurs, identityName, e.Name())
		}
	}
	return nil
}

// bootID names the running of the operating system that this process is in; empty where that cannot be known.
func bootID() string {
	data, err := os.ReadFile(bootIDPath)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
