package app

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"pulso/bridge/view/hub"
	"pulso/source"
)

// A Source is a broker that messages are taken from.
type Source = source.Remote

// checkSources says what is wrong with the brokers that messages are taken from, by their place in the list.
func (c *Config) checkSources(bad func(key, format string, args ...any)) {
	if len(c.Sources) == 0 && c.MQTT == NoBroker {
		bad("sources", "a hub without a broker of its own (mqtt: %s) needs one to take messages from", NoBroker)
	}
	if len(c.Sources) > source.MaxRemotes {
		bad("sources", "%d brokers, at most %d", len(c.Sources), source.MaxRemotes)
		return
	}
	names := map[string]int{}
	for i := range c.Sources {
		r := &c.Sources[i]
		for _, err := range parts(r.Check()) {
			key, text := "", err.Error()
			if e := (*source.RemoteError)(nil); errors.As(err, &e) {
				key, text = "."+e.Key, e.Text
			}
			bad(fmt.Sprintf("sources[%d]%s", i, key), "%s", text)
		}
		name := r.EffectiveName()
		if first, taken := names[name]; taken {
			bad(fmt.Sprintf("sources[%d].name", i), "%q is the name of sources[%d] already", name, first)
		}
		names[name] = i
	}
}

// parts are the errors that were joined.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

func (h *Hub) buildSources() (err error) {
	dir := ""
	if h.cfg.Data != InMemory {
		dir = filepath.Join(h.cfg.Data, "sources")
	}
	h.sources, err = source.New(source.Config{
		Sink: h.admitted(false), Log: h.log, Remotes: h.cfg.Sources, Dir: dir, MaxPacket: int(h.cfg.MaxPacket),
		OnLoss: func(l source.Loss) {
			reason := hub.UnknownAway
			if l.Forgotten {
				reason = hub.UnknownForgotten
			}
			h.figures.Missed(hub.Missed{Time: l.Time, Client: l.Source, Reason: reason})
		},
		Logger: h.logger.With("part", "source"), Metrics: h.registry,
	})
	return err
}

// deviceAddr is where devices are to connect: here, or at the first of the brokers that messages are taken from.
func (h *Hub) deviceAddr() string {
	if h.broker != nil {
		return h.MQTTAddr()
	}
	return h.cfg.Sources[0].Address()
}

// remarks is what is wrong beyond this hub, or with what can be made up for from the log, a line each. The hub is ready
// nevertheless: it can store and serve what it has.
func (h *Hub) remarks() []hub.Problem {
	var away, refused []string
	for _, s := range h.sources.States() {
		switch {
		case s.Problem == "":
		case s.Connected:
			refused = append(refused, fmt.Sprintf("source %s: %s", s.Name, s.Problem))
		default:
			away = append(away, fmt.Sprintf("source %s: not connected since %s: %s", s.Name, s.Since.UTC().Format(time.RFC3339), s.Problem))
		}
	}
	var out []hub.Problem
	if err := h.history.Err(); err != nil {
		out = append(out, hub.Problem{Kind: hub.HistoryBehind, Text: "history: " + err.Error()})
	}
	if len(away) > 0 {
		out = append(out, hub.Problem{Kind: hub.SourceAway, Text: strings.Join(away, "; ")})
	}
	if len(refused) > 0 {
		out = append(out, hub.Problem{Kind: hub.SourceRefused, Text: strings.Join(refused, "; ")})
	}
	if text := h.certs.remark(time.Now()); text != "" {
		out = append(out, hub.Problem{Kind: hub.Certificate, Text: text})
	}
	return out
}
