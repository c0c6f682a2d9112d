package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A message is what the hub sends over /ws, as far as these tests read it.
type message struct {
	ID         uint64              `json:"id"`
	Room       uint64              `json:"room"`
	Position   string              `json:"position"`
	Events     []streamEvent       `json:"events"`
	Snapshot   *message            `json:"snapshot"`
	Gap        json.RawMessage     `json:"gap"`
	Devices    []streamDevice      `json:"devices"`
	Series     [][]json.RawMessage `json:"series"`
	Values     [][]float64         `json:"values"`
	Chat       *streamChat         `json:"chat"`
	Subscribed *struct {
		Position  string `json:"position"`
		Recovered bool   `json:"recovered"`
	} `json:"subscribed"`
	Published *struct {
		Position string `json:"position"`
	} `json:"published"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

type streamEvent struct {
	Topic   string          `json:"topic"`
	Device  string          `json:"device"`
	Payload json.RawMessage `json:"payload"`
	Text    string          `json:"payload_text"`
	Error   string          `json:"error"`
	Will    bool            `json:"will"`
}

type streamDevice struct {
	ID      string              `json:"id"`
	Metrics [][]json.RawMessage `json:"metrics"`
}

type streamChat struct {
	Messages []struct {
		Channel string `json:"channel"`
		From    string `json:"from"`
		Text    string `json:"text"`
		Source  string `json:"source"`
	} `json:"messages"`
	Present []struct {
		Channel string     `json:"channel"`
		Members [][]string `json:"members"`
	} `json:"present"`
}

// A stream is a WebSocket client of the hub.
type stream struct {
	t        *testing.T
	conn     *websocket.Conn
	position string
}

func dial(t *testing.T, h *hub) *stream {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial("ws://"+h.http+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return &stream{t: t, conn: conn}
}

func (s *stream) sendf(format string, args ...any) {
	s.t.Helper()
	if err := s.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)); err != nil {
		s.t.Fatal(err)
	}
}

var errQuiet = errors.New("nothing came")

// next returns the next message. Its position is remembered.
func (s *stream) next(timeout time.Duration) (*message, error) {
	_ = s.conn.SetReadDeadline(time.Now().Add(timeout))
	_, data, err := s.conn.ReadMessage()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errQuiet, err)
	}
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		s.t.Fatalf("the hub sent %.200s: %v", data, err)
	}
	switch {
	case m.Subscribed != nil:
		s.position = m.Subscribed.Position
	case m.Snapshot != nil:
		s.position = m.Snapshot.Position
	case m.Position != "":
		s.position = m.Position
	}
	return &m, nil
}

// until reads messages until done returns true.
func (s *stream) until(timeout time.Duration, done func(m *message) bool) {
	s.t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		m, err := s.next(time.Until(deadline))
		if err != nil {
			s.t.Fatal(err)
		}
		if m.Error != nil {
			s.t.Fatalf("the hub refused: %s: %s", m.Error.Code, m.Error.Message)
		}
		if done(m) {
			return
		}
	}
}

func httpOK(url string) error {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// decodeRow reads the first members of a row.
func decodeRow(t *testing.T, row []json.RawMessage, into ...any) {
	t.Helper()
	for i, p := range into {
		if err := json.Unmarshal(row[i], p); err != nil {
			t.Fatalf("row %s: %v", row, err)
		}
	}
}
