package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/gorilla/websocket"

	"pulso/bridge/eventlog"
	"pulso/bridge/view/hub"
	"pulso/bridge/wire"
)

// figures reads the hub form until what it says holds.
func figures(t *testing.T, h *Hub, what string, holds func(f *hubForm) bool) {
	t.Helper()
	c, err := dialWebSocket(t, h, "/ws", wire.Subprotocols[wire.JSON])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"subscribe":{"form":"hub"}}`)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		_, text, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("waited in vain for %s: %v", what, err)
		}
		var m struct {
			Hub      *hubForm `json:"hub"`
			Snapshot struct {
				Hub *hubForm `json:"hub"`
			} `json:"snapshot"`
		}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		if f := m.Hub; f != nil && holds(f) || m.Snapshot.Hub != nil && holds(m.Snapshot.Hub) {
			return
		}
	}
}

type hubForm struct {
	Sessions int `json:"sessions"`
	Behind   int `json:"behind"`
	Gaps     int `json:"gaps"`
	Missed   []struct {
		Client string `json:"client"`
		Reason string `json:"reason"`
		From   string `json:"from"`
		To     string `json:"to"`
		Events int    `json:"events"`
	} `json:"missed"`
	Problems []struct {
		Since int64  `json:"since"`
		Kind  string `json:"kind"`
		Text  string `json:"text"`
	} `json:"problems"`
}

func device(t *testing.T, h *Hub, id string) paho.Client {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + h.MQTTAddr()).SetClientID(id).
		SetCleanSession(false).SetAutoReconnect(false).SetOrderMatters(false))
	settle(t, c.Connect())
	return c
}

func settle(t *testing.T, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(20*time.Second) || token.Error() != nil {
		t.Fatalf("MQTT: %v", token.Error())
	}
}

// A device that is away for longer than the log reaches back did not get what it was owed, and the screens say so.
func TestMissedIsShown(t *testing.T) {
	cfg := inMemory(t)
	cfg.Data = filepath.Join(t.TempDir(), "data")
	cfg.Sync, cfg.SegmentSize, cfg.RetainBytes = "os", 64<<10, 1<<20
	h := runHub(t, cfg)

	away := device(t, h, "pump-7")
	settle(t, away.Subscribe("orders/#", 1, nil))
	away.Disconnect(10)
	source := device(t, h, "source")
	defer source.Disconnect(10)
	_, owed := h.log.Bounds()
	for n := 0; ; n++ {
		settle(t, source.Publish("orders/pump-7", 1, false, fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", 60<<10))))
		if now, _ := h.log.Bounds(); now.Offset > owed.Offset+20 { // what of the two clients comes late is within
			break
		}
		if n == 1000 {
			t.Fatal("the log keeps everything")
		}
	}
	figures(t, h, "a session behind", func(f *hubForm) bool { return f.Sessions == 2 && f.Behind == 1 })

	back := device(t, h, "pump-7")
	defer back.Disconnect(10)
	figures(t, h, "what pump-7 missed", func(f *hubForm) bool {
		if len(f.Missed) == 0 || f.Gaps == 0 { // the count is of the last sample
			return false
		}
		m := f.Missed[0]
		if m.Client != "pump-7" || m.Reason != "retention" || m.Events < 10 || m.From == "" || m.To == "" {
			t.Errorf("%+v", m)
		}
		return true
	})
	figures(t, h, "nobody behind", func(f *hubForm) bool { return f.Behind == 0 })
}

// What makes the hub not ready is on the screens, with its kind and its time.
func TestProblemsAreShown(t *testing.T) {
	var trouble atomic.Pointer[error]
	trouble.Store(new(error))
	h := runHub(t, inMemory(t), func(h *Hub) { h.logErr = func() error { return *trouble.Load() } })
	figures(t, h, "no problem", func(f *hubForm) bool { return f.Problems != nil && len(f.Problems) == 0 })
	for kind, err := range map[hub.ProblemKind]error{
		hub.LogFull:   fmt.Errorf("append: %w", eventlog.ErrFull),
		hub.LogFailed: errors.New("no such device"),
	} {
		trouble.Store(&err)
		figures(t, h, string(kind), func(f *hubForm) bool {
			return len(f.Problems) == 1 && f.Problems[0].Kind == string(kind) && f.Problems[0].Since > 0 &&
				strings.Contains(f.Problems[0].Text, err.Error())
		})
	}
}
