package gatewaytest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"pulso/bridge/gateway"
	"pulso/bridge/gateway/poll"
	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// Poll is the transport of package poll.
func Poll() Factory {
	return Factory{
		Name: "polling", Polls: true,
		Service: Service{Name: "poll", Serve: func(mux *http.ServeMux, g *gateway.Gateway, l Limits) func(context.Context) error {
			h := poll.New(poll.Config{Gateway: g, Silence: l.Silence})
			mux.Handle("/api/v1/poll", h)
			return h.Run
		}},
		Dial: func(h *Hub) (Client, error) {
			return &poller{url: "http://" + h.Addr + "/api/v1/poll", http: &http.Client{
				Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * patience,
			}}, nil
		},
	}
}

// A poller polls when something is to be sent or received, and not else.
type poller struct {
	url, token string
	http       *http.Client
	n          int
	inbox      []Message
	closed     *ClosedError
	cut        bool
}

// Cut leaves the session to itself.
func (c *poller) Cut() { c.cut = true }

func (c *poller) Send(command string) error {
	if !json.Valid([]byte(command)) {
		return fmt.Errorf("a poll carries JSON: %.100q", command)
	}
	return c.poll(0, command)
}

func (c *poller) Receive() (Message, error) {
	for end := time.Now().Add(patience); len(c.inbox) == 0; {
		switch {
		case c.closed != nil:
			return Message{}, c.closed
		case time.Now().After(end):
			return Message{}, fmt.Errorf("nothing came within %v", patience)
		}
		if err := c.poll(time.Until(end)); err != nil {
			return Message{}, err
		}
	}
	m := c.inbox[0]
	c.inbox = c.inbox[1:]
	return m, nil
}

func (c *poller) poll(wait time.Duration, commands ...string) error {
	switch {
	case c.cut:
		return fmt.Errorf("poll %d: cut off", c.n)
	case c.closed != nil:
		return c.closed
	}
	c.n++
	// Put together by hand: a payload is to arrive byte for byte.
	body := fmt.Sprintf(`{"n":%d,"commands":[%s],"wait":%d}`, c.n, strings.Join(commands, ","), wait.Milliseconds())
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.url, strings.NewReader(body))
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set(web.SessionHeader, c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p, err := readProblem(resp)
		switch {
		case err != nil:
			return err
		case p.Close == 0:
			return fmt.Errorf("poll %d: %s: %s", c.n, p.Code, p.Detail)
		}
		c.closed = &ClosedError{p.Close}
		return c.closed
	}
	return c.take(resp)
}

// take takes the messages of an answer.
func (c *poller) take(resp *http.Response) error {
	var answer struct {
		N        int               `json:"n"`
		Session  string            `json:"session"`
		Messages []json.RawMessage `json:"messages"`
		Closed   *struct {
			Code wire.CloseCode `json:"code"`
			Name string         `json:"name"`
		} `json:"closed"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("answer %d: %w", c.n, err)
	}
	if answer.N != c.n || (answer.Session != "") != (c.token == "") {
		return fmt.Errorf("answer %d of session %q to poll %d", answer.N, answer.Session, c.n)
	}
	if c.token == "" {
		c.token = answer.Session
	}
	for _, raw := range answer.Messages {
		m, err := FromJSON(raw)
		if err != nil {
			return err
		}
		c.inbox = append(c.inbox, m)
	}
	if answer.Closed != nil {
		c.closed = &ClosedError{answer.Closed.Code}
	}
	return nil
}
