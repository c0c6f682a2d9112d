package source

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"pulso/bridge/event"
	"pulso/internal/replace"
)

// saved is what of one source outlives the process.
type saved struct {
	// ClientID is the MQTT client id: with another, the broker would keep messages for a session that nobody returns to.
	ClientID string `json:"client_id"`
	// URL is the broker that the rest is about.
	URL string `json:"url"`
	// Session says that the broker had a session of ours, Filters what it is subscribed to.
	Session bool     `json:"session"`
	Filters []string `json:"filters"`
	// NoShare says that the broker has no shared subscriptions, so that Filters are plain ones.
	NoShare bool `json:"no_share,omitempty"`
	// Seen is when the broker was last known to be connected, in milliseconds since the Unix epoch; 0: never.
	Seen int64 `json:"seen"`
	// Forwarded is the place in the log up to which everything for the broker has reached it.
	Forwarded event.Position `json:"forwarded"`
}

// A keeper holds what is saved of a source and writes it to its file, if it has one.
type keeper struct {
	path string // empty: nowhere

	mu      sync.Mutex
	now     saved
	changed bool

	writing sync.Mutex
}

// openKeeper reads what was saved. dir is the folder for all sources, empty for nowhere.
func openKeeper(dir string, r *Remote) (*keeper, error) {
	k := &keeper{}
	if dir != "" {
		k.path = filepath.Join(dir, fileName(r.Name))
		text, err := os.ReadFile(k.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("source %s: %w", r.Name, err)
		default:
			if err := json.Unmarshal(text, &k.now); err != nil {
				return nil, fmt.Errorf("source %s: %s is damaged: restore it, or move it away: the broker is then a new one, "+
					"and what it keeps for this hub is lost: %w", r.Name, k.path, err)
			}
		}
	}
	if k.now.ClientID == "" {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("source %s: client id: %w", r.Name, err)
		}
		// 22 characters: every broker takes up to 23 [MQTT-3.1.3-5].
		k.now.ClientID, k.changed = "pulso-"+hex.EncodeToString(b[:]), true
	}
	if k.now.URL != r.URL { // another broker: the cursor stays, what was said of the session does not
		k.now.URL, k.now.Session, k.now.Filters, k.now.NoShare, k.now.Seen = r.URL, false, nil, false, 0
		k.changed = true
	}
	return k, nil
}

// fileName is a name as a file's: what is left of it, and a sum that tells apart what would look the same.
func fileName(name string) string {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(name)) // it never fails
	plain := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '.' {
			return c
		}
		return '_'
	}, name)
	return fmt.Sprintf("%s-%08x.json", plain, sum.Sum32())
}

func (k *keeper) get() saved {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// set changes what is saved; write brings it to the disk.
func (k *keeper) set(change func(*saved)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.now)
	k.changed = true
}

// write makes what was set survive, wholly or not at all: a new file in the place of the old one.
func (k *keeper) write() error {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.mu.Lock()
	now, changed := k.now, k.changed
	k.changed = false
	k.mu.Unlock()
	if !changed || k.path == "" {
		return nil
	}
	err := replaceFile(k.path, now)
	if err != nil {
		k.mu.Lock()
		k.changed = true
		k.mu.Unlock()
	}
	return err
}

func replaceFile(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	return replace.File(path, append(text, '\n'))
}
