// Package bridge runs the real hub beside Mosquitto: what that acknowledges is in the hub's log, whatever is cut or killed,
// and what screens publish reaches Mosquitto's clients.
package bridge

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"pulso/test/internal/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

// A suite is the tests with the binary that they need.
type suite struct{ m *testing.M }

func (s suite) Run() int {
	defer http.DefaultClient.CloseIdleConnections()
	return hub.Main(s.m)
}

// patience is how long a test waits for something that will happen at once on an idle machine.
const patience = 30 * time.Second

// An event is what the stream says of one.
type event struct {
	Topic   string          `json:"topic"`
	Payload json.RawMessage `json:"payload"`
	Text    string          `json:"payload_text"`
	Retain  bool            `json:"retain"`
}

func (e *event) text() string {
	if e.Text != "" {
		return e.Text
	}
	return strings.Trim(string(e.Payload), `"`)
}

type frame struct {
	Position   string  `json:"position"`
	Events     []event `json:"events"`
	Snapshot   *frame  `json:"snapshot"`
	Subscribed *struct {
		Position string `json:"position"`
	} `json:"subscribed"`
	Published *struct {
		Position string `json:"position"`
	} `json:"published"`
	Error json.RawMessage `json:"error"`
}

// A screen is a WebSocket client of a hub.
type screen struct {
	tb   testing.TB
	conn *websocket.Conn
}

func watch(tb testing.TB, h *hub.Hub) *screen {
	tb.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial("ws://"+h.HTTP+"/ws", nil)
	if err != nil {
		tb.Fatal(err)
	}
	_ = resp.Body.Close()
	tb.Cleanup(func() { conn.Close() })
	return &screen{tb, conn}
}

// ask sends a command and returns the first answer that is one.
func (s *screen) ask(command string, args ...any) *frame {
	s.tb.Helper()
	if err := s.conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, command, args...)); err != nil {
		s.tb.Fatal(err)
	}
	for {
		f := s.next()
		if f.Error != nil {
			s.tb.Fatalf("%s: %s", command, f.Error)
		}
		if f.Subscribed != nil || f.Published != nil {
			return f
		}
	}
}

func (s *screen) next() *frame {
	s.tb.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(patience))
	_, data, err := s.conn.ReadMessage()
	if err != nil {
		s.tb.Fatal(err)
	}
	f := new(frame)
	if err := json.Unmarshal(data, f); err != nil {
		s.tb.Fatalf("%.200s: %v", data, err)
	}
	return f
}

// stored returns what the hub's log holds, from its beginning: topics and payloads with how often each is there.
func stored(tb testing.TB, h *hub.Hub) map[string]int {
	tb.Helper()
	s := watch(tb, h)
	defer s.conn.Close()
	end := s.ask(`{"id":1,"subscribe":{"filters":["#"],"form":"events","delivery":"every"}}`).Subscribed.Position
	epoch, _, _ := strings.Cut(end, ".")
	again := watch(tb, h)
	defer again.conn.Close()
	found := map[string]int{}
	if end == epoch+".0" {
		return found
	}
	again.ask(`{"id":1,"subscribe":{"filters":["#"],"form":"events","delivery":"every","from":%q}}`, epoch+".0")
	for {
		f := again.next()
		if f.Snapshot != nil {
			f = f.Snapshot
		}
		for i := range f.Events {
			found[f.Events[i].Topic+" "+f.Events[i].text()]++
		}
		if f.Position != "" && offset(tb, f.Position) >= offset(tb, end) {
			return found
		}
	}
}

func offset(tb testing.TB, position string) (n uint64) {
	tb.Helper()
	_, digits, _ := strings.Cut(position, ".")
	if _, err := fmt.Sscan(digits, &n); err != nil {
		tb.Fatalf("position %q: %v", position, err)
	}
	return n
}

// metric is the sum of a metric's values over all its labels.
func metric(tb testing.TB, h *hub.Hub, name string) (sum float64) {
	tb.Helper()
	for line := range strings.Lines(get(tb, h, "/metrics")) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &value); err != nil {
			tb.Fatalf("%s: %v", line, err)
		}
		sum += value
	}
	return sum
}

func get(tb testing.TB, h *hub.Hub, path string) string {
	tb.Helper()
	resp, err := http.Get("http://" + h.HTTP + path)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// connected waits until the hub has so many sources connected.
func connected(tb testing.TB, h *hub.Hub, want int) {
	tb.Helper()
	eventually(tb, "the sources are connected", func() bool { return metric(tb, h, "pulso_source_connected") == float64(want) })
}

func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}
