// Command go is a client of Pulso's stream: it prints what devices publish, and goes on after an interruption where it was,
// without a hole. docs/PROTOCOL.md tells what can be said.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

// message is what this client wants to know of what the hub says: a reply, or a frame of events with the position after it.
type message struct {
	Position   string
	Events     []event
	Subscribed struct{ Position, Reason string }
	Published  struct{ Position string }
	Gap        struct{ From, To, Reason string }
	Error      struct{ Code, Message string }
}

type event struct {
	Topic   string
	Payload json.RawMessage
	Text    string `json:"payload_text"`   // where it is not JSON
	Base64  string `json:"payload_base64"` // where it is not text
}

var (
	position string // where we are in the stream: what is before it has been printed
	greeted  bool   // the hub has our greeting
	failures int    // attempts in a row that came to nothing
)

// connect holds one connection until it ends, and returns why.
func connect(url, filter string) error {
	conn, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The hub sends a ping every 25 s: where nothing comes for a minute, the network is gone.
	patience := func() error { return conn.SetReadDeadline(time.Now().Add(time.Minute)) }
	pong := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { return errors.Join(patience(), pong(data)) })
	// from: what came after this position comes first. Empty: from now on.
	subscribe := map[string]any{"filters": []string{filter}, "form": "events", "delivery": "every", "from": position}
	err = conn.WriteJSON(map[string]any{"id": 1, "subscribe": subscribe})
	if err == nil && !greeted {
		greeting := map[string]any{"topic": "examples/go", "payload": map[string]string{"hello": "hub"}, "qos": 1}
		err = conn.WriteJSON(map[string]any{"id": 2, "publish": greeting})
	}
	for err == nil {
		var m message
		if err = errors.Join(patience(), conn.ReadJSON(&m)); err == nil {
			m.receive()
		}
	}
	return err
}

func (m *message) receive() {
	failures, greeted = 0, greeted || m.Published.Position != ""
	if m.Error.Code != "" {
		fmt.Fprintf(os.Stderr, "error: %s: %s\n", m.Error.Code, m.Error.Message)
	}
	if m.Subscribed.Reason != "" {
		fmt.Fprintf(os.Stderr, "gap: after %s, of unknown size: the hub has another log\n", position)
	}
	if m.Gap.To != "" {
		fmt.Fprintf(os.Stderr, "gap: what came from %s to %s is lost: %s\n", m.Gap.From, m.Gap.To, m.Gap.Reason)
	}
	for _, e := range m.Events {
		fmt.Println(e.Topic, cmp.Or(string(e.Payload), e.Text, e.Base64))
	}
	position = cmp.Or(m.Subscribed.Position, m.Gap.To, m.Position, position)
}

func main() {
	url := flag.String("url", "ws://127.0.0.1:8080/ws", "where the hub is")
	filter := flag.String("filter", "#", "which topics to print")
	flag.Parse()
	for ; ; failures++ {
		err := connect(*url, *filter)
		if closed := (*websocket.CloseError)(nil); errors.As(err, &closed) && closed.Code >= 4500 {
			fmt.Fprintln(os.Stderr, "the hub does not want this client: it must change before it comes back:", err)
			os.Exit(1)
		}
		// Longer each time, up to half a minute, and by chance, so that a thousand clients do not come back at once.
		wait := rand.N(min(500*time.Millisecond<<min(failures, 10), 30*time.Second))
		fmt.Fprintf(os.Stderr, "%v: next attempt in %v\n", err, wait.Round(time.Millisecond))
		time.Sleep(wait)
	}
}
