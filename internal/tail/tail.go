// Package tail follows a hub's stream and prints it: a line an event, for people or for programs.
package tail

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"pulso/bridge/decode"
	"pulso/bridge/wire"
)

// Config says what is followed. Its tags are read by github.com/alecthomas/kong.
type Config struct {
	// Filters are MQTT filters.
	Filters []string `arg:"" optional:"" name:"filter" default:"#" help:"MQTT filters; # by default."`
	// URL is the hub's stream.
	URL string `default:"ws://127.0.0.1:8080/ws" env:"PULSO_URL" help:"The hub: its stream, or the dashboard's address."`
	// Token is what the hub knows its caller by, where it has accounts.
	Token string `env:"PULSO_TOKEN" help:"Token for a hub with accounts; better in the environment, where others do not see it."`
	// History is how many of the newest events of each topic come first.
	History int `short:"n" default:"0" help:"Begin with the newest N events of each topic."`
	// From is a position to begin after, or "start"; empty is now.
	From string `placeholder:"POSITION" help:"Begin after this position, or at the log's start with: start."`
	// Limit ends after so many events; 0 does not.
	Limit int `help:"End after so many events; 0 for never."`
}

// frame is what tail reads of the hub's messages.
type frame struct {
	ID         *uint64       `json:"id"`
	Position   string        `json:"position"`
	Events     []streamEvent `json:"events"`
	Snapshot   *frame        `json:"snapshot"`
	Subscribed *struct {
		Position  string `json:"position"`
		Recovered bool   `json:"recovered"`
		Reason    string `json:"reason"`
	} `json:"subscribed"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Retry   bool   `json:"retry"`
	} `json:"error"`
	Gap *struct {
		From   string `json:"from"`
		To     string `json:"to"`
		Events uint64 `json:"events"`
		Reason string `json:"reason"`
	} `json:"gap"`
}

type streamEvent struct {
	Topic   string          `json:"topic"`
	Device  string          `json:"device,omitempty"`
	Time    int64           `json:"time"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Text    *string         `json:"payload_text,omitempty"`
	Base64  []byte          `json:"payload_base64,omitempty"`
	Error   string          `json:"error,omitempty"`
	Will    bool            `json:"will,omitempty"`
	// Metrics and Texts are what this program decoded.
	Metrics map[string]float64 `json:"metrics,omitempty"`
	Texts   map[string]string  `json:"texts,omitempty"`
}

func (e *streamEvent) bytes() []byte {
	switch {
	case e.Payload != nil:
		return e.Payload
	case e.Text != nil:
		return []byte(*e.Text)
	default:
		return e.Base64
	}
}

// errEnough ends a tail that has a limit.
var errEnough = errors.New("enough")

// Run follows the hub until ctx ends, and comes back to it when the connection breaks. Coloured lines are for people, JSON
// lines for programs.
func (c *Config) Run(ctx context.Context, out io.Writer, coloured bool) error {
	decoder, err := decode.New(decode.Config{})
	if err != nil {
		return err
	}
	t := &tail{cfg: c, decoder: decoder, out: bufio.NewWriter(out), coloured: coloured, position: c.From}
	const firstPause, longestPause = 250 * time.Millisecond, 8 * time.Second
	pause := firstPause
	for {
		began := time.Now()
		err := t.follow(ctx)
		if errors.Is(err, errEnough) || ctx.Err() != nil {
			return nil //nolint:nilerr // whoever ended it wants to hear of nothing
		}
		var refused *wire.Error
		if !t.connected || errors.As(err, &refused) {
			return err // never been there: the address is wrong, or the hub is not up; or the hub does not want it
		}
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		fmt.Fprintf(os.Stderr, "pulso: %v; again in %v\n", err, pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

type tail struct {
	cfg       *Config
	decoder   *decode.Decoder
	result    decode.Result
	out       *bufio.Writer
	coloured  bool
	position  string
	connected bool
	seen      int
}

func (t *tail) follow(ctx context.Context) error {
	address, err := streamURL(t.cfg.URL)
	if err != nil {
		return err
	}
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocols[wire.JSON]}, HandshakeTimeout: 10 * time.Second}
	header := http.Header{}
	if t.cfg.Token != "" {
		header.Set("Authorization", "Bearer "+t.cfg.Token)
	}
	conn, resp, err := dialer.DialContext(ctx, address, header)
	if err != nil {
		if resp != nil && resp.StatusCode == http.StatusUnauthorized {
			return fmt.Errorf("connect to %s: the hub wants a token: PULSO_TOKEN, made by `pulso token NAME`", address)
		}
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	_ = resp.Body.Close()
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	subscribe := map[string]any{"filters": t.cfg.Filters, "form": "events", "delivery": "every", "from": t.position}
	if t.position == "" {
		subscribe["history"] = t.cfg.History
	}
	if err := conn.WriteJSON(map[string]any{"id": 1, "subscribe": subscribe}); err != nil {
		return err
	}
	for {
		var f frame
		_, r, err := conn.NextReader()
		if err == nil {
			err = json.NewDecoder(r).Decode(&f)
		}
		if err != nil {
			return err
		}
		if err := errors.Join(t.take(&f), t.out.Flush()); err != nil {
			return err
		}
	}
}

func (t *tail) take(f *frame) error {
	switch {
	case f.Error != nil:
		return &wire.Error{Code: f.Error.Code, Message: f.Error.Message, Retry: f.Error.Retry}
	case f.Subscribed != nil:
		t.connected = true
		t.position = f.Subscribed.Position
		if f.Subscribed.Reason != "" {
			fmt.Fprintf(os.Stderr, "pulso: the position is not of this hub's log (%s): going on from now\n", f.Subscribed.Reason)
		}
		return nil
	case f.Gap != nil:
		t.position = f.Gap.To
		fmt.Fprintf(os.Stderr, "pulso: gap from %s to %s, %d events: %s\n", f.Gap.From, f.Gap.To, f.Gap.Events, f.Gap.Reason)
		return nil
	case f.Snapshot != nil:
		f = f.Snapshot
	}
	for i := range f.Events {
		if err := t.print(&f.Events[i]); err != nil {
			return err
		}
	}
	if f.Position != "" {
		t.position = f.Position
	}
	return nil
}

func (t *tail) print(e *streamEvent) error {
	t.decoder.Decode(decode.Input{Topic: e.Topic, Payload: e.bytes(), Time: e.Time * int64(time.Millisecond)}, &t.result)
	if t.coloured {
		t.printPretty(e)
	} else if err := t.printJSON(e); err != nil {
		return err
	}
	if t.seen++; t.seen == t.cfg.Limit {
		return errEnough
	}
	return nil
}

func (t *tail) printJSON(e *streamEvent) error {
	e.Metrics = make(map[string]float64, len(t.result.Readings))
	for _, r := range t.result.Readings {
		e.Metrics[r.Name] = r.Value
	}
	e.Texts = make(map[string]string, len(t.result.Texts))
	for _, x := range t.result.Texts {
		e.Texts[x.Name] = x.Value
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = t.out.Write(append(line, '\n'))
	return err
}

// streamURL makes the address of the stream from what a person has: that, the dashboard's address, or host and port.
func streamURL(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "ws://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("--url: %w", err)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	case "ws", "wss":
	default:
		return "", fmt.Errorf("--url %q: want ws://HOST:PORT/ws or the address of the dashboard", text)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/ws"
	}
	return u.String(), nil
}
