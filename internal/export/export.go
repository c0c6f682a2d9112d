// Package export fetches what a hub keeps, as a file: the samples of its history, or the messages of its log.
package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Config says what is fetched. Its tags are read by github.com/alecthomas/kong.
type Config struct {
	// URL is the hub.
	URL string `default:"http://127.0.0.1:8080" env:"PULSO_URL" help:"The hub: the dashboard's address, or its stream."`
	// Token is what the hub knows its caller by, where it has accounts.
	Token string `env:"PULSO_TOKEN" help:"Token for a hub with accounts; better in the environment, where others do not see it."`
	// What is fetched: samples or events.
	What string `default:"samples" enum:"samples,events" help:"What to fetch: samples of the history, or events, which are messages as they came."`
	// Device, Topic and Field are what is wanted; empty: everything. Filter is for events.
	Device string   `help:"Of this device only."`
	Topic  string   `help:"Of this topic only."`
	Filter string   `help:"Of topics that this MQTT filter matches (events)."`
	Field  []string `help:"Of these metrics only, by their whole path (samples)."`
	// From and To are times: RFC 3339, or a duration before now.
	From string `placeholder:"TIME" help:"From this time on: 2026-01-31T13:00:00Z, or so long ago: 24h."`
	To   string `placeholder:"TIME" help:"Up to this time, or so long ago."`
	// Format is how samples are written.
	Format string `default:"" enum:",csv,jsonl" placeholder:"FORMAT" help:"csv or jsonl; by default what the output's name says, else jsonl."`
	// Output is a file, which is there when it is whole; empty: the standard output.
	Output string `short:"o" placeholder:"FILE" help:"Write to this file, which appears when it is whole."`
}

// Run fetches. What goes to no file goes to out.
func (c *Config) Run(ctx context.Context, out io.Writer) error {
	address, err := c.address(time.Now())
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Refusal(response)
	}
	if c.Output == "" {
		return copyWhole(out, response.Body)
	}
	return c.toFile(response.Body)
}

// errCut says that the hub has broken off.
var errCut = errors.New("the export was cut off before its end: the hub's log says why")

func copyWhole(to io.Writer, from io.Reader) error {
	_, err := io.Copy(to, from)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// toFile writes a file beside the output, which takes its place when it is whole and on the disk.
func (c *Config) toFile(from io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(c.Output), "."+filepath.Base(c.Output)+".*")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	err = copyWhole(f, from)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.Output)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("export to %s: %w", c.Output, err), os.Remove(f.Name()))
	}
	return nil
}

// address is what is asked for, by a URL.
func (c *Config) address(now time.Time) (string, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return "", fmt.Errorf("url: %w", err)
	}
	switch u.Scheme {
	case "http", "https":
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return "", fmt.Errorf("url %q: it must begin with http:// or https://", c.URL)
	}
	q := url.Values{"what": {c.What}, "format": {c.format()}}
	for name, value := range map[string]string{"device": c.Device, "topic": c.Topic, "filter": c.Filter} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(c.Field) > 0 {
		q["field"] = c.Field
	}
	for name, value := range map[string]string{"from": c.From, "to": c.To} {
		at, err := instant(value, now)
		if err != nil {
			return "", fmt.Errorf("--%s: %w", name, err)
		}
		if !at.IsZero() {
			q.Set(name, strconv.FormatInt(at.UnixMilli(), 10))
		}
	}
	u.Path, u.RawPath, u.RawQuery, u.Fragment = "/api/v1/export", "", q.Encode(), ""
	return u.String(), nil
}

func (c *Config) format() string {
	switch {
	case c.Format != "":
		return c.Format
	case strings.EqualFold(filepath.Ext(c.Output), ".csv"):
		return "csv"
	default:
		return "jsonl"
	}
}

// instant reads a time, or a duration before now; zero where there is none.
func instant(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d.Abs()), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a time like 2026-01-31T13:00:00Z nor a duration like 24h", s)
	}
	return t, nil
}

// maxRefusal bounds what is read of a refusal, in bytes.
const maxRefusal = 64 << 10

// Refusal is what a hub says instead of an answer, as an error.
func Refusal(r *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRefusal))
	var problem struct {
		Detail string `json:"detail"`
	}
	if err == nil && json.Unmarshal(body, &problem) == nil && problem.Detail != "" {
		return fmt.Errorf("the hub refuses (%s): %s", r.Status, problem.Detail)
	}
	return fmt.Errorf("the hub answers %s", r.Status)
}
