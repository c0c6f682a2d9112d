package remotewrite

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"pulso/bridge/event"
	"pulso/internal/replace"
)

// A target's files are NAME.position, the place of what is to be read next in the wire's form and, behind a space, the offset at
// which what may have been sent ends; and NAME.kinds, the kinds that devices have told before it, as a JSON object.
func (s *sender) file(suffix string) string {
	return filepath.Join(s.config.Dir, url.PathEscape(s.name)+suffix)
}

// maxFile bounds what is read of a file.
const maxFile = 64 << 20

// load returns the saved position; the zero one where there is none.
func (s *sender) load() (event.Position, error) {
	if s.config.Dir == "" {
		return event.Position{}, nil
	}
	text, err := os.ReadFile(s.file(".position"))
	if errors.Is(err, os.ErrNotExist) {
		return event.Position{}, nil
	}
	if err != nil {
		return event.Position{}, err
	}
	place, end, _ := strings.Cut(string(text), " ")
	at, err := event.ParsePosition(place)
	if err == nil {
		s.until, err = strconv.ParseUint(end, 10, 64)
	}
	if err != nil {
		return event.Position{}, fmt.Errorf("%s: %w", s.file(".position"), err)
	}
	data, err := os.ReadFile(s.file(".kinds"))
	if err == nil && len(data) <= maxFile {
		err = json.Unmarshal(data, &s.mapper.Kinds)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) { // they are told again
		s.logger.Warn("kinds of devices are not known to remote write until they are told again", "error", err)
	}
	if s.mapper.Kinds == nil {
		s.mapper.Kinds = map[string]string{}
	}
	return at, nil
}

// save saves where the sender is if that has changed. The kinds that it needs are saved before it.
func (s *sender) save() error {
	text := fmt.Sprintf("%s %d", s.at, s.until)
	if s.config.Dir == "" || text == s.saved {
		return nil
	}
	if err := os.MkdirAll(s.config.Dir, 0o700); err != nil {
		return fmt.Errorf("save the position of remote write: %w", err)
	}
	if s.learned != s.mapper.Learned {
		data, err := json.Marshal(s.mapper.Kinds)
		if err == nil {
			err = replace.File(s.file(".kinds"), data)
		}
		if err != nil {
			return fmt.Errorf("save the kinds of devices for remote write: %w", err)
		}
		s.learned = s.mapper.Learned
	}
	if err := replace.File(s.file(".position"), []byte(text)); err != nil {
		return fmt.Errorf("save the position of remote write: %w", err)
	}
	s.saved = text
	return nil
}
