package gatewaytest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pulso/bridge/gateway"
	"pulso/bridge/gateway/sse"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

var sseService = Service{Name: "sse", Serve: func(mux *http.ServeMux, g *gateway.Gateway, l Limits) func(context.Context) error {
	h := sse.New(sse.Config{Gateway: g, WriteTimeout: l.Write})
	mux.Handle("/sse", h)
	mux.HandleFunc("/api/v1/session", h.ServeCommands)
	return h.Run
}}

// SSESession is the transport of package sse as a session: commands are posted, everything else is in the stream.
func SSESession() Factory {
	return Factory{Name: "SSE session", Service: sseService, Dial: func(h *Hub) (Client, error) {
		c := newEventSource(h)
		if err := c.open("/sse"); err != nil {
			c.Cut()
			return nil, err
		}
		e, err := c.event()
		if err != nil {
			c.Cut()
			return nil, err
		}
		var session struct {
			Session string `json:"session"`
		}
		if err := json.Unmarshal([]byte(e.data), &session); e.name != "session" || err != nil {
			return nil, fmt.Errorf("the first event is %+v: %w", e, err)
		}
		c.token = session.Session
		return c, nil
	}}
}

// SSEStream is the transport of package sse as a stream of one subscription.
func SSEStream() Factory {
	return Factory{Name: "SSE stream", Service: sseService, Single: true, Dial: func(h *Hub) (Client, error) { return newEventSource(h), nil }}
}

// An eventSource reads one stream, over a connection of its own.
type eventSource struct {
	addr  string
	http  *http.Client
	conn  net.Conn
	body  io.ReadCloser
	lines *bufio.Reader

	token  string    // of a session
	stash  []Message // the error that a request was answered with
	closed *ClosedError
}

func newEventSource(h *Hub) *eventSource {
	c := &eventSource{addr: h.Addr}
	c.http = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, ResponseHeaderTimeout: patience,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialSmall(ctx, network, addr)
			c.conn = conn
			return conn, err
		},
	}}
	return c
}

func (c *eventSource) Cut() {
	if c.conn != nil {
		cutConn(c.conn)
		c.conn = nil
	}
	if c.body != nil {
		_ = c.body.Close()
	}
}

// open requests a stream.
func (c *eventSource) open(path string) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+c.addr+path, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := c.http.Do(req) //nolint:bodyclose // Cut closes it
	if err != nil {
		return err
	}
	c.body, c.lines = resp.Body, bufio.NewReader(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return c.problem(resp)
	}
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		return fmt.Errorf("a stream of %q", kind)
	}
	return nil
}

// problem takes the answer to a request that failed: for an error's sake, as the reply to command 1.
func (c *eventSource) problem(resp *http.Response) error {
	p, err := readProblem(resp)
	if err != nil {
		return err
	}
	if p.Close != 0 {
		c.closed = &ClosedError{p.Close}
		return c.closed
	}
	c.stash = append(c.stash, Message{ID: 1, Error: &Error{p.Code, p.Detail, p.Retry}})
	return nil
}

func readProblem(resp *http.Response) (p web.Problem, err error) {
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(raw, &p); err != nil || p.Status != resp.StatusCode || resp.Header.Get("Content-Type") != "application/problem+json" {
		return p, fmt.Errorf("status %s, %s: %.200s", resp.Status, resp.Header.Get("Content-Type"), raw)
	}
	return p, nil
}

func (c *eventSource) Send(command string) error {
	if c.token != "" {
		return c.post(command)
	}
	if c.body != nil {
		return errors.New("a stream takes no commands")
	}
	var what struct {
		Subscribe wire.Subscribe `json:"subscribe"`
	}
	if err := json.Unmarshal([]byte(command), &what); err != nil {
		return err
	}
	s := what.Subscribe
	q := url.Values{"filter": s.Filters, "device": s.Devices}
	for name, value := range map[string]string{"form": s.FormName, "delivery": s.DeliveryName, "from": s.FromText} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if s.Rate != 0 {
		q.Set("rate", fmt.Sprint(s.Rate))
	}
	if s.History != 0 {
		q.Set("history", strconv.Itoa(s.History))
	}
	if s.Viewers {
		q.Set("viewers", "true")
	}
	if err := c.open("/sse?" + q.Encode()); err != nil && !errors.As(err, new(*ClosedError)) {
		return err
	}
	return nil
}

// post sends a command of a session, on another connection.
func (c *eventSource) post(command string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr+"/api/v1/session", strings.NewReader(command))
	if err != nil {
		return err
	}
	req.Header.Set(web.SessionHeader, c.token)
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusAccepted {
		return nil
	}
	p, err := readProblem(resp)
	if err != nil {
		return err
	}
	if p.Close != 0 {
		return &ClosedError{p.Close}
	}
	return fmt.Errorf("%s: %s", p.Code, p.Detail)
}

func (c *eventSource) Receive() (Message, error) {
	switch {
	case len(c.stash) > 0:
		m := c.stash[0]
		c.stash = c.stash[1:]
		return m, nil
	case c.closed != nil:
		return Message{}, c.closed
	case c.lines == nil:
		return Message{}, errors.New("no stream has begun")
	}
	e, err := c.event()
	if err != nil {
		return Message{}, err
	}
	m, err := FromJSON([]byte(e.data))
	if err != nil {
		return m, err
	}
	switch position := m.place(); {
	case c.token != "" && e.id != "":
		return m, fmt.Errorf("an id in a session: %+v", e)
	case c.token == "" && e.id != "" && e.id != position:
		return m, fmt.Errorf("the id is %s: %s", e.id, e.data)
	case c.token == "" && e.id == "" && m.Position != "":
		return m, fmt.Errorf("a frame without an id: %s", e.data)
	}
	return m, nil
}

// place is where a stream is after the message.
func (m *Message) place() string {
	switch {
	case m.Subscribed != nil:
		return m.Subscribed.Position
	case m.Snapshot != nil:
		return m.Snapshot.At
	case m.Gap != nil:
		return m.Gap.To
	default:
		return m.Position
	}
}

// A serverSent is one event.
type serverSent struct{ id, name, data string }

// event reads one event, by the rules of the HTML standard (9.2.6).
func (c *eventSource) event() (e serverSent, err error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	data := 0
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" && data > 0 {
			break
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			if data++; data > 1 {
				e.data += "\n"
			}
			e.data += value
		case "", "retry": // a comment, and how long to wait
		default:
			return e, fmt.Errorf("a line that is none of an event: %.100q", line)
		}
	}
	if e.name != "close" {
		return e, nil
	}
	var farewell struct {
		Code wire.CloseCode `json:"code"`
		Name string         `json:"name"`
	}
	if err := json.Unmarshal([]byte(e.data), &farewell); err != nil || farewell.Name != farewell.Code.Info().Name {
		return e, fmt.Errorf("the farewell is %+v: %w", e, err)
	}
	c.closed = &ClosedError{farewell.Code}
	return e, c.closed
}
