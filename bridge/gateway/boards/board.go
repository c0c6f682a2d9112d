package boards

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Bounds of boards.
const (
	// MaxBoards is how many are kept.
	MaxBoards = 200
	// MaxBody bounds what is sent for one board, in bytes.
	MaxBody = 64 << 10
	// MaxName bounds a board's name and a panel's title, in characters.
	MaxName = 200
	// MaxPanels bounds the panels of a board, MaxSeries the series of a panel.
	MaxPanels = 50
	MaxSeries = 20
	// MaxWidth is how many columns a panel may take.
	MaxWidth = 2
)

// A Board is charts that somebody put beside each other.
type Board struct {
	// ID names it in URLs: small letters, digits and hyphens, at most 64.
	ID string `json:"id"`
	// Name is for people.
	Name string `json:"name"`
	// Version changes with each change; no two states of a board ever have the same.
	Version string `json:"version"`
	// Changed is when it was last changed, in milliseconds since the Unix epoch.
	Changed int64 `json:"changed"`
	// Panels are its charts, in the order in which they are shown. Nil only where a Board is one of a list.
	Panels []Panel `json:"panels,omitempty"`
}

// A Panel is one chart.
type Panel struct {
	// Title may be empty: the series say what it is.
	Title string `json:"title"`
	// Width is how many columns it takes, 1 or 2.
	Width  int      `json:"width"`
	Series []Series `json:"series"`
}

// A Series is one metric of one device.
type Series struct {
	Device string `json:"device"`
	Topic  string `json:"topic"`
	// Field is the metric's whole path, as the history has it.
	Field string `json:"field"`
}

// draft is a board as it is sent.
type draft struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Panels  []Panel `json:"panels"`
}

var validID = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$`)

// parse reads exactly one JSON value, without members that are not known.
func parse(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	return nil
}

// check returns what is wrong with a name and panels, and begins with where.
func check(name string, panels []Panel) error {
	switch {
	case strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > MaxName:
		return fmt.Errorf("name: must have 1 to %d characters", MaxName)
	case panels == nil:
		return errors.New("panels: is missing")
	case len(panels) > MaxPanels:
		return fmt.Errorf("panels: are %d, at most %d are taken", len(panels), MaxPanels)
	}
	for i, p := range panels {
		if err := p.check(); err != nil {
			return fmt.Errorf("panels[%d].%w", i, err)
		}
	}
	return nil
}

func (p *Panel) check() error {
	switch {
	case utf8.RuneCountInString(p.Title) > MaxName:
		return fmt.Errorf("title: must have at most %d characters", MaxName)
	case p.Width < 1 || p.Width > MaxWidth:
		return fmt.Errorf("width: is %d, must be 1 to %d", p.Width, MaxWidth)
	case p.Series == nil:
		return errors.New("series: is missing")
	case len(p.Series) > MaxSeries:
		return fmt.Errorf("series: are %d, at most %d are taken", len(p.Series), MaxSeries)
	}
	seen := make(map[Series]int, len(p.Series))
	for i, s := range p.Series {
		switch {
		case s.Device == "":
			return fmt.Errorf("series[%d].device: is missing", i)
		case s.Topic == "":
			return fmt.Errorf("series[%d].topic: is missing", i)
		case s.Field == "":
			return fmt.Errorf("series[%d].field: is missing", i)
		}
		if before, twice := seen[s]; twice {
			return fmt.Errorf("series[%d]: is the same as series[%d]", i, before)
		}
		seen[s] = i
	}
	return nil
}
