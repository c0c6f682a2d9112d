package attack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// A talker is a screen's connection, of which one says and reads what one likes.
type talker struct {
	*websocket.Conn
}

// A reply is what the hub says to a command.
type reply struct {
	ID    uint64 `json:"id"`
	Error struct {
		Code  string `json:"code"`
		Retry bool   `json:"retry"`
	} `json:"error"`
	Subscribed struct {
		Room      uint64 `json:"room"`
		Position  string `json:"position"`
		Recovered bool   `json:"recovered"`
		Reason    string `json:"reason"`
	} `json:"subscribed"`
	Viewers struct {
		Count   int      `json:"count"`
		Present [][]any  `json:"present"`
		Joined  [][]any  `json:"joined"`
		Left    []string `json:"left"`
		Sampled bool     `json:"sampled"`
	} `json:"viewers"`
	Pong *struct{} `json:"pong"`
}

// talk connects to the stream. The connection is closed when the test is over.
func (s *siege) talk(subprotocol string) (*talker, error) {
	from := &net.TCPAddr{IP: net.ParseIP(s.address())}
	d := websocket.Dialer{
		Subprotocols: []string{subprotocol}, HandshakeTimeout: 5 * time.Second, EnableCompression: true,
		NetDial: func(network, addr string) (net.Conn, error) {
			dialer := net.Dialer{LocalAddr: from, Timeout: 5 * time.Second}
			return dialer.Dial(network, addr)
		},
	}
	c, resp, err := d.Dial("ws://"+s.h.HTTP+"/ws", http.Header{})
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { _ = c.Close() })
	c.EnableWriteCompression(false)
	return &talker{c}, nil
}

// mustTalk is talk where there is no reason to refuse.
func (s *siege) mustTalk() *talker {
	s.t.Helper()
	c, err := s.talk("pulso.v1.json")
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// say sends a message.
func (c *talker) say(kind int, message string) error {
	_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	return c.WriteMessage(kind, []byte(message))
}

// next is the next message, whatever it is.
func (c *talker) next() (r reply, err error) {
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, raw, err := c.ReadMessage()
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("%.100s: %w", raw, err)
	}
	return r, nil
}

// ask sends a command with the id and reads up to the reply to it.
func (c *talker) ask(id uint64, command string) (reply, error) {
	if err := c.say(websocket.TextMessage, command); err != nil {
		return reply{}, err
	}
	for {
		r, err := c.next()
		if err != nil || r.ID == id {
			return r, err
		}
	}
}

// farewell reads up to the end, for at most 20 seconds, and returns the close code, or 0 if the connection ended without one.
func (c *talker) farewell() int {
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		_, _, err := c.ReadMessage()
		if closed, is := errors.AsType[*websocket.CloseError](err); is {
			return closed.Code
		}
		if err != nil {
			return 0
		}
	}
}

// leave is a farewell that the client says.
func (c *talker) leave() {
	_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	_ = c.Close()
}
