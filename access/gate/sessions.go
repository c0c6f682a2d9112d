package gate

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"pulso/access"
	"pulso/internal/replace"
)

// Bounds of sessions.
const (
	// idleFor is how long a session lasts that nobody uses, lastsFor any.
	idleFor  = 7 * 24 * time.Hour
	lastsFor = 30 * 24 * time.Hour
	// rotateAfter is how long a session has one token, overlap how long the one before is good beside the next: requests may be
	// under way.
	rotateAfter = 24 * time.Hour
	overlap     = time.Minute
	// maxSessions bounds all sessions, maxOwn those of one account: the one that was used least lately makes room.
	maxSessions = 10_000
	maxOwn      = 50
	// saveAfter is how stale the time of the last use may be in the file.
	saveAfter = time.Hour
)

// A session is a person who has logged in. It is known by its token's hash.
type session struct {
	Account string    `json:"account"`
	Proof   []byte    `json:"proof"` // see access.Grant.Secret
	Began   time.Time `json:"began"`
	Rotated time.Time `json:"rotated"`
	Used    time.Time `json:"used"`
	// Ends is when it gives way to the one that has its next token; zero: it is the newest.
	Ends time.Time `json:"ends,omitzero"`

	grant *access.Grant
	// outsider is who has no account. Such a session is not kept in the file: it ends with the process.
	outsider *access.Outsider
}

// sessions are all of them. They are kept in a file, so that a restart logs nobody out.
type sessions struct {
	directory *access.Directory
	otherwise []string // the roles of outsiders who have none
	path      string   // empty: they are not kept
	logger    *slog.Logger
	now       func() time.Time

	mu    sync.Mutex
	known map[string]*session
	saved time.Time
}

func openSessions(d *access.Directory, path string, logger *slog.Logger, now func() time.Time) *sessions {
	s := &sessions{directory: d, path: path, logger: logger, now: now, known: make(map[string]*session)}
	if path == "" {
		return s
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &s.known)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		logger.Warn("the sessions cannot be read: everybody logs in anew", "file", path, "error", err)
	}
	for key, one := range s.known {
		if one == nil {
			delete(s.known, key)
		}
	}
	return s
}

func keyOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// begin begins a session and returns its token, which nobody but the browser has.
func (s *sessions) begin(g *access.Grant) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.makeRoom(g.Account, now)
	proof := g.Secret()
	token := access.NewSecret()
	s.known[keyOf(token)] = &session{
		Account: g.Account, Proof: proof[:], Began: now, Rotated: now, Used: now, grant: g, outsider: g.Outsider(),
	}
	s.save(now)
	return token
}

// makeRoom drops what is over, and what was used least lately where there are too many.
func (s *sessions) makeRoom(account string, now time.Time) {
	own, oldest, oldestOwn := 0, "", ""
	for key, one := range s.known {
		if s.over(one, now) {
			delete(s.known, key)
			continue
		}
		if oldest == "" || one.Used.Before(s.known[oldest].Used) {
			oldest = key
		}
		if one.Account != account {
			continue
		}
		own++
		if oldestOwn == "" || one.Used.Before(s.known[oldestOwn].Used) {
			oldestOwn = key
		}
	}
	switch {
	case own >= maxOwn:
		delete(s.known, oldestOwn)
	case len(s.known) >= maxSessions:
		delete(s.known, oldest)
	}
}

func (s *sessions) over(one *session, now time.Time) bool {
	return now.Sub(one.Used) > idleFor || now.Sub(one.Began) > lastsFor || !one.Ends.IsZero() && now.After(one.Ends)
}

// find returns what the session with a token may do; nil: there is none, or not any more.
func (s *sessions) find(token string) *access.Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	key := keyOf(token)
	one := s.known[key]
	if one == nil {
		return nil
	}
	if s.over(one, now) || !s.renew(one) {
		delete(s.known, key)
		s.save(now)
		return nil
	}
	one.Used = now
	if now.Sub(s.saved) > saveAfter {
		s.save(now)
	}
	return one.grant
}

// renew gives a session a grant that holds, and reports whether it could.
func (s *sessions) renew(one *session) bool {
	if one.grant != nil && one.grant.Holds() {
		return true
	}
	if one.outsider != nil {
		g, err := s.directory.Vouch(one.outsider, s.otherwise)
		one.grant = g
		return err == nil
	}
	if len(one.Proof) != sha256.Size {
		return false
	}
	g, err := s.directory.Of(one.Account, [sha256.Size]byte(one.Proof))
	one.grant = g
	return err == nil
}

// rotate gives an old session another token; empty: it keeps the one that it has.
func (s *sessions) rotate(token string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	one := s.known[keyOf(token)]
	if one == nil || now.Sub(one.Rotated) < rotateAfter || !one.Ends.IsZero() {
		return ""
	}
	next := *one
	next.Rotated = now
	one.Ends = now.Add(overlap)
	fresh := access.NewSecret()
	s.known[keyOf(fresh)] = &next
	s.save(now)
	return fresh
}

// outsiders are the names of those without an account who have logged in, in order.
func (s *sessions) outsiders() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, one := range s.known {
		if one.outsider != nil && (one.grant == nil || one.grant.Holds()) {
			names = append(names, one.Account)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// end ends a session.
func (s *sessions) end(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, keyOf(token))
	s.save(s.now())
}

// save writes the file; mu is held. What cannot be written is said, and tried again with the next change.
func (s *sessions) save(now time.Time) {
	if s.path == "" {
		return
	}
	kept := make(map[string]*session, len(s.known))
	for key, one := range s.known {
		if one.outsider == nil {
			kept[key] = one
		}
	}
	text, err := json.Marshal(kept)
	if err == nil {
		err = replace.File(s.path, text)
	}
	if err != nil {
		s.logger.Error("the sessions cannot be written: after a restart people log in anew", "error", fmt.Sprint(err))
	}
	s.saved = now
}
