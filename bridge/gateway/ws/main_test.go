package ws_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/gateway"
	"pulso/bridge/gateway/ws"
	"pulso/bridge/room"
	"pulso/bridge/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A hub is a server with everything from the log to the socket but the decoders: each topic's payload is one reading.
type hub struct {
	t       testing.TB
	log     *memlog.Log
	rooms   *room.Registry
	gateway *gateway.Gateway
	server  *httptest.Server
	metrics *prometheus.Registry
	stop    func()
	handler http.Handler

	appending sync.Mutex
	mu        sync.Mutex
	refuse    error
	series    map[string]*event.Series
	presence  []string
}

// newHub starts a hub. The Gateway and Rooms of the configurations are filled in.
func newHub(t testing.TB, cfg ws.Config, gw gateway.Config, rc room.Config) *hub {
	t.Helper()
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{t: t, log: log, series: make(map[string]*event.Series), metrics: prometheus.NewRegistry()}
	_, next := log.Bounds()
	rc.Past = h
	h.rooms = room.New(rc, next)
	gw.Rooms, gw.Publisher, gw.Presence, gw.Metrics = h.rooms, h, h, h.metrics
	gw.Node, gw.Version = "node", "test"
	h.gateway = gateway.New(gw)
	cfg.Gateway = h.gateway
	handler := ws.New(cfg)
	h.handler, h.server = handler, httptest.NewServer(handler)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{h.rooms.Run, handler.Run} {
		wg.Go(func() { _ = run(ctx) })
	}
	h.stop = sync.OnceFunc(func() {
		stopping, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		if err := h.gateway.Stop(stopping); err != nil {
			t.Errorf("stop: %v", err)
		}
		cancel()
		wg.Wait()
		h.server.Close()
	})
	t.Cleanup(h.stop)
	return h
}

// Ingest implements gateway.Publisher.
func (h *hub) Ingest(_ context.Context, m event.Event, done func(event.Position, error)) error {
	h.mu.Lock()
	refuse := h.refuse
	h.mu.Unlock()
	if refuse != nil {
		done(event.Position{}, refuse)
		return nil
	}
	done(h.publish(m.Topic, m.Payload), nil)
	return nil
}

func (h *hub) publish(topic string, payload []byte) event.Position {
	h.appending.Lock()
	defer h.appending.Unlock()
	batch := []event.Event{{Topic: topic, Payload: payload, Time: time.Now().UnixNano()}}
	if err := h.log.Append(batch, false); err != nil {
		h.t.Error(err)
		return event.Position{}
	}
	h.rooms.Offer(h.decode(batch))
	return batch[0].Next()
}

func (h *hub) decode(events []event.Event) []event.Decoded {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]event.Decoded, len(events))
	for i, e := range events {
		out[i] = event.Decoded{Event: e, JSON: json.Valid(e.Payload)}
		v, err := strconv.ParseFloat(string(e.Payload), 64)
		if err != nil {
			continue
		}
		s := h.series[e.Topic]
		if s == nil {
			s = &event.Series{ID: uint32(len(h.series) + 1), Device: e.Topic, Name: "n", Topic: e.Topic}
			h.series[e.Topic] = s
		}
		out[i].Metrics = []event.Metric{{Series: s, Value: v}}
	}
	return out
}

func (h *hub) Read(from event.Position, limit int) ([]event.Decoded, error) {
	events, err := h.log.Read(from, limit)
	return h.decode(events), err
}

func (h *hub) Last(topic string, before event.Position, limit int) ([]event.Decoded, error) {
	events, err := h.log.Last(topic, before, limit)
	return h.decode(events), err
}

func (h *hub) Bounds() (first, next event.Position) { return h.log.Bounds() }

func (h *hub) Topics(filters, _ []string, _ event.Scope, limit int) ([]string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var topics []string
	for topic := range h.series {
		if event.MatchAny(filters, topic) && len(topics) < limit {
			topics = append(topics, topic)
		}
	}
	return topics, false
}

// Join and Leave implement gateway.Presence.
func (h *hub) Join(_, name string, filters []string, _ event.Scope) {
	h.note("join " + name + " " + strings.Join(filters, ","))
}
func (h *hub) Leave(string) { h.note("leave") }

func (h *hub) note(s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.presence = append(h.presence, s)
}

// closed counts sessions that ended with a code.
func (h *hub) closed(code string) int { return h.counted("pulso_gateway_sessions_closed_total", code) }

// counted is what a metric with one label has counted.
func (h *hub) counted(name, label string) int {
	families, err := h.metrics.Gather()
	if err != nil {
		h.t.Error(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == label {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

// eventually polls for at most ten seconds.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("not within ten seconds: %s", what)
			return
		}
	}
}

// A client is a real WebSocket client.
type client struct {
	*websocket.Conn

	t testing.TB
}

func (h *hub) dial() *client {
	h.t.Helper()
	return h.dialTo(h.server)
}

// dialTo connects to a server, with TLS where it has that.
func (h *hub) dialTo(server *httptest.Server) *client {
	h.t.Helper()
	d := websocket.Dialer{Subprotocols: []string{wire.Subprotocols[wire.JSON]}}
	if server.TLS != nil {
		d.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		d.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	}
	conn, resp, err := d.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = resp.Body.Close()
	h.t.Cleanup(func() { _ = conn.Close() })
	return &client{conn, h.t}
}

func (c *client) send(command string) {
	c.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(command)); err != nil {
		c.t.Fatalf("send %.100s: %v", command, err)
	}
}

// A message is anything that the hub says.
type message struct {
	ID       uint64 `json:"id"`
	Room     uint64 `json:"room"`
	Position string `json:"position"`
	Welcome  *struct {
		Session string `json:"session"`
		Node    string `json:"node"`
		Version string `json:"version"`
		Now     int64  `json:"now"`
	} `json:"welcome"`
	Subscribed *struct {
		Room      uint64 `json:"room"`
		Position  string `json:"position"`
		Recovered bool   `json:"recovered"`
	} `json:"subscribed"`
	Unsubscribed *struct {
		Room uint64 `json:"room"`
	} `json:"unsubscribed"`
	Published *struct {
		Position string `json:"position"`
	} `json:"published"`
	Pong *struct {
		Now int64 `json:"now"`
	} `json:"pong"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Retry   bool   `json:"retry"`
	} `json:"error"`
	Snapshot *message `json:"snapshot"`
	Events   []struct {
		Payload json.RawMessage `json:"payload"`
	} `json:"events"`
	Values [][]float64 `json:"values"`
}

// receive returns the next message.
func (c *client) receive() message {
	c.t.Helper()
	m, err := c.tryReceive()
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

func (c *client) tryReceive() (m message, err error) {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, raw, err := c.ReadMessage()
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		c.t.Fatalf("%v in %s", err, raw)
	}
	return m, nil
}

// ask sends a command and returns the reply; frames before it are dropped.
func (c *client) ask(command string) message {
	c.t.Helper()
	c.send(command)
	for {
		if m := c.receive(); m.Room == 0 {
			return m
		}
	}
}

// wantClose reads until the hub closes and checks the code.
func (c *client) wantClose(code wire.CloseCode) []message {
	c.t.Helper()
	var before []message
	for {
		m, err := c.tryReceive()
		if err == nil {
			before = append(before, m)
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != int(code) || closed.Text != code.Info().Name {
			c.t.Errorf("want close code %d, got %v", code, err)
		}
		return before
	}
}

// refused dials with a header and returns the HTTP status.
func (h *hub) refused(subprotocols []string, header http.Header) int {
	h.t.Helper()
	d := websocket.Dialer{Subprotocols: subprotocols}
	conn, resp, err := d.Dial("ws"+strings.TrimPrefix(h.server.URL, "http"), header)
	if err == nil {
		_ = conn.Close()
	}
	if resp == nil {
		h.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

var errFull = errors.Join(errors.New("no space left on device"), eventlog.ErrFailed)
