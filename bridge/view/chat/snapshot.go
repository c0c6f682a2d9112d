package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"pulso/bridge/event"
)

// The state is one JSON value; channels are the one longest without a message first.
type (
	saved struct {
		Version  int            `json:"version"`
		Channels []savedChannel `json:"channels"`
	}
	savedChannel struct {
		Name     string         `json:"name"`
		Messages []savedMessage `json:"messages"`
	}
	savedMessage struct {
		Position string `json:"position"`
		From     string `json:"from"`
		Text     string `json:"text"`
		Time     int64  `json:"time"`
		Screen   bool   `json:"screen,omitempty"`
	}
)

const savedVersion = 1

// errState is wrapped by what Restore says of a state that Save did not write.
var errState = errors.New("unusable state of the chat view")

// Save implements view.View. Presence is not saved.
func (v *View) Save(w io.Writer) error {
	state := v.copy()
	return json.NewEncoder(w).Encode(state)
}

func (v *View) copy() saved {
	v.mu.Lock()
	defer v.mu.Unlock()
	state := saved{Version: savedVersion}
	for e := v.recent.Back(); e != nil; e = e.Prev() {
		c, ok := e.Value.(*channel)
		if !ok || len(c.messages) == 0 {
			continue
		}
		s := savedChannel{Name: c.name}
		for _, m := range c.messages {
			s.Messages = append(s.Messages, savedMessage{m.Position.String(), m.From, m.Text, m.Time, m.Screen})
		}
		state.Channels = append(state.Channels, s)
	}
	return state
}

// Restore implements view.View. Who is present stays so.
func (v *View) Restore(r io.Reader) error {
	var state saved
	err := json.NewDecoder(r).Decode(&state)
	if errors.Is(err, io.EOF) {
		err, state.Version = nil, savedVersion
	}
	if err == nil && state.Version != savedVersion {
		err = fmt.Errorf("version %d", state.Version)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clear()
	for id, c := range v.clients {
		c.spoken = nil
		v.drop(id, c)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	for _, s := range state.Channels {
		if _, ok := channelOf(Prefix + s.Name); !ok {
			continue
		}
		c := v.channel(s.Name, v.version)
		for _, m := range s.Messages[max(0, len(s.Messages)-MaxMessages):] {
			at, err := event.ParsePosition(m.Position)
			if err != nil {
				v.clear()
				return fmt.Errorf("%w: %w", errState, err)
			}
			c.messages = append(c.messages, Message{
				Position: at, From: m.From, Text: m.Text, Time: m.Time, Screen: m.Screen, version: v.version,
			})
		}
	}
	for _, s := range v.screens {
		v.open(s.filters, s.scope, v.version)
	}
	for _, c := range v.clients {
		v.open(c.filters, nil, v.version)
	}
	return nil
}
