package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/gorilla/websocket"

	"pulso/bridge/decode"
	"pulso/bridge/wire"
)

type tailCmd struct {
	Filters []string `arg:"" optional:"" name:"filter" default:"#" help:"MQTT filters; # by default."`

	URL     string `default:"ws://127.0.0.1:8080/ws" env:"PULSO_URL" help:"The hub's stream."`
	History int    `short:"n" default:"0" help:"Begin with the newest N events of each topic."`
	From    string `placeholder:"POSITION" help:"Begin after this position, or at the log's start with: start."`
	JSON    bool   `help:"JSON lines also in a terminal."`
	Limit   int    `help:"End after so many events; 0 for never."`
}

// tailFrame is what tail reads of the hub's messages.
type tailFrame struct {
	ID         *uint64     `json:"id"`
	Position   string      `json:"position"`
	Events     []tailEvent `json:"events"`
	Snapshot   *tailFrame  `json:"snapshot"`
	Subscribed *struct {
		Position  string `json:"position"`
		Recovered bool   `json:"recovered"`
		Reason    string `json:"reason"`
	} `json:"subscribed"`
	Error *wire.Error `json:"error"`
	Gap   *struct {
		From   string `json:"from"`
		To     string `json:"to"`
		Events uint64 `json:"events"`
		Reason string `json:"reason"`
	} `json:"gap"`
}

type tailEvent struct {
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

func (e *tailEvent) bytes() []byte {
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

// Run follows the hub until ctx ends, and comes back to it when the connection breaks.
func (c *tailCmd) Run(ctx context.Context) error {
	decoder, err := decode.New(decode.Config{})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	t := &tail{cmd: c, decoder: decoder, out: out, pretty: !c.JSON && isTerminal(os.Stdout), position: c.From}
	const firstPause, longestPause = 250 * time.Millisecond, 8 * time.Second
	pause := firstPause
	for {
		began := time.Now()
		err := t.follow(ctx)
		switch {
		case errors.Is(err, errEnough) || ctx.Err() != nil:
			return nil
		case !t.connected:
			return err // never been there: the address is wrong, or the hub is not up
		case errors.As(err, new(*wire.Error)):
			return err
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
	cmd       *tailCmd
	decoder   *decode.Decoder
	result    decode.Result
	out       *bufio.Writer
	pretty    bool
	position  string
	connected bool
	seen      int
}

func (t *tail) follow(ctx context.Context) error {
	if _, err := url.Parse(t.cmd.URL); err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	dialer := websocket.Dialer{Subprotocols: []string{wire.Subprotocol}, HandshakeTimeout: 10 * time.Second}
	conn, resp, err := dialer.DialContext(ctx, t.cmd.URL, nil)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", t.cmd.URL, err)
	}
	_ = resp.Body.Close()
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	subscribe := map[string]any{"filters": t.cmd.Filters, "form": "events", "delivery": "every", "from": t.position}
	if t.position == "" {
		subscribe["history"] = t.cmd.History
	}
	if err := conn.WriteJSON(map[string]any{"id": 1, "subscribe": subscribe}); err != nil {
		return err
	}
	for {
		var f tailFrame
		_, r, err := conn.NextReader()
		if err == nil {
			err = json.NewDecoder(r).Decode(&f)
		}
		if err != nil {
			return err
		}
		if err := t.take(&f); err != nil {
			return err
		}
		if err := t.out.Flush(); err != nil {
			return err
		}
	}
}

func (t *tail) take(f *tailFrame) error {
	switch {
	case f.Error != nil:
		return f.Error
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

func (t *tail) print(e *tailEvent) error {
	t.decoder.Decode(decode.Input{Topic: e.Topic, Payload: e.bytes(), Time: e.Time * int64(time.Millisecond)}, &t.result)
	if t.pretty {
		t.printPretty(e)
	} else if err := t.printJSON(e); err != nil {
		return err
	}
	if t.seen++; t.seen == t.cmd.Limit {
		return errEnough
	}
	return nil
}

func (t *tail) printJSON(e *tailEvent) error {
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

// Colours of a terminal.
const (
	faint = "\x1b[2m"
	blue  = "\x1b[34m"
	green = "\x1b[32m"
	red   = "\x1b[31m"
	plain = "\x1b[0m"
)

func (t *tail) printPretty(e *tailEvent) {
	fmt.Fprintf(t.out, "%s%s%s %s%s%s", faint, time.UnixMilli(e.Time).Format("15:04:05.000"), plain, blue, clean(e.Topic), plain)
	if e.Will {
		fmt.Fprintf(t.out, " %swill%s", red, plain)
	}
	for _, r := range t.result.Readings {
		fmt.Fprintf(t.out, " %s=%s%v%s%s", clean(r.Name), green, r.Value, clean(r.Unit), plain)
	}
	for _, x := range t.result.Texts {
		fmt.Fprintf(t.out, " %s=%s", clean(x.Name), clean(x.Value))
	}
	if len(t.result.Readings)+len(t.result.Texts) == 0 {
		fmt.Fprintf(t.out, " %s", clean(string(e.bytes())))
	}
	if e.Error != "" {
		fmt.Fprintf(t.out, " %s%s%s", red, clean(e.Error), plain)
	}
	fmt.Fprintln(t.out)
}
