package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"pulso/bridge/event"
	"pulso/bridge/view/devices"
)

// keep gives the hub messages that arrived at times of the past, and waits until they are stored.
func keep(t testing.TB, h *Hub, messages ...event.Event) {
	t.Helper()
	for i := range messages {
		if err := h.bridge.Ingest(t.Context(), messages[i], nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.bridge.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, next := h.log.Bounds()
	for _, r := range h.runners {
		if err := r.Reach(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
}

// counting is a device that says 0, 1, 2, … a second apart.
func counting(begin time.Time, n int) []event.Event {
	out := make([]event.Event, n)
	for i := range out {
		out[i] = event.Event{
			Time: begin.Add(time.Duration(i) * time.Second).UnixNano(), Topic: "devices/d1/telemetry", Client: "d1",
			Payload: fmt.Appendf(nil, `{"count":%d}`, i),
		}
	}
	return out
}

type pastMessage struct {
	Welcome *struct {
		Now int64 `json:"now"`
	} `json:"welcome"`
	Pong *struct {
		Now int64 `json:"now"`
	} `json:"pong"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Events   []pastEvent   `json:"events"`
	Snapshot *pastSnapshot `json:"snapshot"`
}

type pastEvent struct {
	Time    int64           `json:"time"`
	Payload json.RawMessage `json:"payload"`
}

type pastSnapshot struct {
	Events []pastEvent `json:"events"`
}

func dialPast(t testing.TB, h *Hub, from time.Time, more string) *websocket.Conn {
	t.Helper()
	url := fmt.Sprintf("ws://%s/ws/past?from=%d%s", h.HTTPAddr(), from.UnixMilli(), more)
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatalf("%v: %v", err, resp)
	}
	_ = resp.Body.Close() // of a handshake: it is empty
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func sayPast(t testing.TB, c *websocket.Conn, command string) {
	t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(command)); err != nil {
		t.Fatal(err)
	}
}

// hearPast reads until a message is the wanted one.
func hearPast(t *testing.T, c *websocket.Conn, what string, wanted func(m *pastMessage) bool) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		_, data, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var m pastMessage
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatalf("%s: %v: %s", what, err, data)
		}
		if wanted(&m) {
			return
		}
	}
}

func TestPastIsShownAsItWas(t *testing.T) {
	h := runHub(t, inMemory(t))
	begin := time.Now().Add(-2 * time.Minute)
	keep(t, h, counting(begin, 100)...)
	from := begin.Add(40*time.Second + 500*time.Millisecond)
	c := dialPast(t, h, from, "&speed=60")
	sayPast(t, c, `{"id":1,"hello":{}}`)
	hearPast(t, c, "welcome", func(m *pastMessage) bool {
		if m.Welcome == nil {
			return false
		}
		if off := m.Welcome.Now - from.UnixMilli(); off < 0 || off > 20_000 {
			t.Errorf("the past's now is %d ms from what was asked for", off)
		}
		return true
	})
	sayPast(t, c, `{"id":2,"publish":{"topic":"chat/all","payload":{"text":"hello"},"qos":1}}`)
	hearPast(t, c, "refusal", func(m *pastMessage) bool {
		return m.Error != nil && m.Error.Code == "forbidden" && strings.Contains(m.Error.Message, "this is the past")
	})
	sayPast(t, c, `{"id":3,"subscribe":{"filters":["#"],"form":"events","delivery":"every","history":1}}`)
	last := -1
	hearPast(t, c, "the newest", func(m *pastMessage) bool {
		events := m.Events
		if m.Snapshot != nil {
			events = append(m.Snapshot.Events, events...)
		}
		for _, e := range events {
			var payload struct {
				Count int `json:"count"`
			}
			if err := json.Unmarshal(e.Payload, &payload); err != nil {
				t.Fatal(err)
			}
			if last >= 0 && payload.Count != last+1 {
				t.Errorf("%d follows %d", payload.Count, last)
			}
			last = payload.Count
			if want := begin.Add(time.Duration(last) * time.Second).UnixMilli(); e.Time != want {
				t.Errorf("%d is of %d, want %d", last, e.Time, want)
			}
		}
		return last == 99
	})
	for caughtUp := false; !caughtUp; {
		sayPast(t, c, `{"id":4,"ping":{}}`)
		hearPast(t, c, "pong", func(m *pastMessage) bool {
			caughtUp = m.Pong != nil && time.Now().UnixMilli()-m.Pong.Now < 1000
			return m.Pong != nil
		})
	}
	keep(t, h, counting(time.Now(), 1)...)
	hearPast(t, c, "the present", func(m *pastMessage) bool { return len(m.Events) > 0 })
}

func TestPastStandsStillAtSpeedZeroAndKnowsWhatWas(t *testing.T) {
	h := runHub(t, inMemory(t))
	begin := time.Now().Add(-3 * time.Hour)
	old := counting(begin, 10)
	fleet := counting(begin.Add(2*time.Hour+50*time.Minute), 100)
	for i := range fleet {
		fleet[i].Topic, fleet[i].Client = "devices/d2/telemetry", "d2"
	}
	keep(t, h, append(old, fleet...)...)
	at := time.Unix(0, fleet[50].Time).Add(time.Millisecond)
	p, err := newReplay(t.Context(), h, journey{from: at.UnixNano()})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]struct {
		status string
		value  float64
	}{"d1": {"stale", 9}, "d2": {"online", 50}} {
		d, found := p.devices.Device(id)
		if !found || d.Status.String() != want.status {
			t.Errorf("%s: %v, %v, want %s", id, found, d.Status, want.status)
		}
		value := math.NaN()
		for v := range p.devices.Values([]string{"#"}, []string{id}) {
			value = v.Value
		}
		if value != want.value {
			t.Errorf("%s: %v, want %v", id, value, want.value)
		}
	}
	p.step(time.Minute, time.Now())
	if !p.clock().Equal(at) {
		t.Errorf("the clock is at %s, want %s", p.clock(), at)
	}
	p.speed, p.until = 10, at.Add(5*time.Second).UnixNano()
	p.step(time.Minute, time.Now())
	if want := at.Add(5 * time.Second); !p.clock().Equal(want) || p.count.Events == 0 {
		t.Errorf("the clock is at %s, want %s", p.clock(), want)
	}
}

func TestPastBeforeTheFirstBeginsAtTheFirst(t *testing.T) {
	h := runHub(t, inMemory(t))
	first := time.Now().Add(-time.Minute)
	keep(t, h, counting(first, 3)...)
	p, err := newReplay(t.Context(), h, journey{from: 1, speed: 1})
	if err != nil || p.from != first.UnixNano() {
		t.Fatalf("it begins at %d, want %d: %v", p.from, first.UnixNano(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newReplay(ctx, h, journey{from: time.Now().UnixNano(), speed: 1}); err == nil {
		t.Error("nobody waits for it, and it was built")
	}
}

func TestPastIsBounded(t *testing.T) {
	h := runHub(t, inMemory(t))
	keep(t, h, counting(time.Now().Add(-time.Minute), 3)...)
	get := func(path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.HTTPAddr()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for _, query := range []string{
		"", "?from=", "?from=yesterday", "?from=-1", "?from=9999999999999999", "?from=2&to=1", "?from=1&to=x", "?from=1&speed=61",
		"?from=1&speed=-1", "?from=1&speed=NaN", "?from=1&speed=fast",
	} {
		if status, body := get("/ws/past" + query); status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", query, status, body)
		}
	}
	var open []*websocket.Conn
	for range maxPasts {
		open = append(open, dialPast(t, h, time.Now().Add(-time.Hour), ""))
	}
	for range 100 {
		if status, body := get("/ws/past?from=1"); status != http.StatusServiceUnavailable || !strings.Contains(body, "4 screens") {
			t.Fatalf("%d %s", status, body)
		}
	}
	if status, body := get("/api/v1/past"); status != http.StatusOK || !strings.Contains(body, `"open":4`) {
		t.Errorf("%d %s", status, body)
	}
	for _, c := range open {
		_ = c.NetConn().Close()
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, body := get("/api/v1/past"); strings.Contains(body, `"open":0`) {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(body)
		}
		time.Sleep(10 * time.Millisecond)
	}
	dialPast(t, h, time.Now(), "") // the hub stops while it is open
}

// deviceState is what a screen tells of a device.
type deviceState struct {
	status string
	last   int64
	values map[string]float64
}

func statesOf(v *devices.View) map[string]deviceState {
	out := map[string]deviceState{}
	page, _ := v.List(devices.Query{Limit: 1000})
	for i := range page {
		d := &page[i]
		state := deviceState{d.Status.String(), d.Last.UnixNano(), map[string]float64{}}
		for value := range v.Values([]string{"#"}, []string{d.ID}) {
			state.values[value.Series.Name] = value.Value
		}
		out[d.ID] = state
	}
	return out
}

// What a live hub knew at a moment is what the past tells of it, although much has happened since: devices that spoke, went
// with their will, were cut off, and came.
func TestPastEqualsWhatWasLive(t *testing.T) {
	h := runHub(t, inMemory(t))
	random := rand.New(rand.NewPCG(1, 2))
	moment := time.Now().Add(-10 * time.Minute)
	said := 0
	speak := func() event.Event {
		moment = moment.Add(time.Duration(random.IntN(500)) * time.Millisecond)
		id := fmt.Sprintf("m%d", random.IntN(20))
		e := event.Event{Time: moment.UnixNano(), Client: id}
		switch random.IntN(20) {
		case 0:
			e.Kind = event.KindConnected
		case 1:
			e.Kind, e.Payload = event.KindDisconnected, []byte("lost")
		default:
			said++
			e.Topic, e.Payload = "devices/"+id+"/telemetry", fmt.Appendf(nil, `{"count":%d,"twice":%d}`, said, 2*said)
		}
		return e
	}
	type seen struct {
		at     time.Time
		states map[string]deviceState
	}
	var live []seen
	for range 5 {
		batch := make([]event.Event, 80)
		for i := range batch {
			batch[i] = speak()
		}
		keep(t, h, batch...)
		live = append(live, seen{moment.Add(time.Microsecond), statesOf(h.devices)})
		moment = moment.Add(time.Millisecond)
	}
	for _, want := range live {
		p, err := newReplay(t.Context(), h, journey{from: want.at.UnixNano(), speed: 1})
		if err != nil {
			t.Fatal(err)
		}
		got := statesOf(p.devices)
		for id, was := range want.states {
			is := got[id]
			// The live hub got all of it at once, and later: whom it found stale meanwhile is by another clock.
			if is.status != "offline" && was.status != "offline" {
				is.status = was.status
			}
			if !reflect.DeepEqual(is, was) {
				t.Errorf("%s at %s: %v, want %v", id, want.at, is, was)
			}
		}
		if len(got) != len(want.states) {
			t.Errorf("%d devices, want %d", len(got), len(want.states))
		}
	}
}
