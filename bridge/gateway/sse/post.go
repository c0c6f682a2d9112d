package sse

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"

	"pulso/bridge/gateway"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// A post is where the commands of a session arrive.
type post struct {
	session *gateway.Session
	turn    chan struct{} // one request at a time

	mu   sync.Mutex // held while a command runs
	over bool
}

func newPost(s *gateway.Session) *post { return &post{session: s, turn: make(chan struct{}, 1)} }

// end lets no further command run. The session has ended, so that the one that runs does not take long.
func (p *post) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

// handle runs a command and reports whether it could.
func (p *post) handle(command []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.session.HandleIn(wire.JSON, command)
	}
	return !p.over
}

// ServeCommands takes the commands of a session: POST, with its token in the header Pulso-Session, one command in JSON or
// a list of them. Their replies come in the stream.
func (h *Handler) ServeCommands(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodPost) {
		return
	}
	token := r.Header.Get(web.SessionHeader)
	if token == "" {
		h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "the header %s is missing: its value is in a stream's first event", web.SessionHeader))
		return
	}
	p, found := h.posts.Find(token)
	if !found || !p.session.IsOf(r.Context()) {
		h.refuser.Closed(w, wire.CloseLost)
		return
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-p.session.Done():
		h.refuser.Closed(w, wire.CloseLost)
		return
	case <-r.Context().Done():
		return
	}
	body, release, err := h.bodies.Read(w, r, wire.MaxMessage)
	defer release()
	if err != nil {
		h.refuser.Error(w, err)
		return
	}
	commands, err := split(body)
	if err != nil {
		h.refuser.Error(w, err)
		return
	}
	for _, c := range commands {
		if !p.handle(c) {
			h.refuser.Closed(w, wire.CloseLost)
			return
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

// split takes a list of commands apart. What is none is one command, whatever it is: the session's answer says what is
// wrong with it.
func split(body []byte) ([]json.RawMessage, *wire.Error) {
	if b := bytes.TrimLeft(body, " \t\r\n"); len(b) == 0 || b[0] != '[' {
		return []json.RawMessage{body}, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, wire.Errorf(wire.CodeBadJSON, "a list of commands: %v", err)
	}
	if len(list) > web.MaxCommands {
		return nil, wire.Errorf(wire.CodeTooMany, "%d commands in one request: at most %d", len(list), web.MaxCommands)
	}
	return list, nil
}
