package sse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"pulso/bridge/event"
	"pulso/bridge/eventlog/memlog"
	"pulso/bridge/gateway"
	"pulso/bridge/gateway/sse"
	"pulso/bridge/gateway/web"
	"pulso/bridge/room"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A hub is a log, rooms and a gateway, with payloads that nobody decodes.
type hub struct {
	t       testing.TB
	log     *memlog.Log
	rooms   *room.Registry
	gateway *gateway.Gateway
	server  *httptest.Server
	metrics *prometheus.Registry
	mu      sync.Mutex
}

type settings struct {
	sse     sse.Config
	gateway gateway.Config
	server  func(*http.Server)
	tls     bool
}

func newHub(t testing.TB, c settings) *hub {
	t.Helper()
	log, err := memlog.New(memlog.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{t: t, log: log, metrics: prometheus.NewRegistry()}
	_, next := log.Bounds()
	h.rooms = room.New(room.Config{Past: h}, next)
	c.gateway.Rooms, c.gateway.Publisher, c.gateway.Metrics = h.rooms, h, h.metrics
	h.gateway = gateway.New(c.gateway)
	c.sse.Gateway, c.sse.Metrics = h.gateway, h.metrics
	handler := sse.New(c.sse)
	mux := http.NewServeMux()
	mux.Handle("/sse", handler)
	mux.HandleFunc("/api/v1/session", handler.ServeCommands)
	mux.Handle("/api/v1/publish", web.NewPublisher(h.gateway, h.metrics))
	h.server = httptest.NewUnstartedServer(mux)
	if c.server != nil {
		c.server(h.server.Config)
	}
	if h.server.EnableHTTP2 = c.tls; c.tls {
		h.server.StartTLS()
	} else {
		h.server.Start()
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{h.rooms.Run, handler.Run} {
		wg.Go(func() { _ = run(ctx) })
	}
	t.Cleanup(func() {
		stopping, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		if err := h.gateway.Stop(stopping); err != nil {
			t.Errorf("stop: %v", err)
		}
		cancel()
		wg.Wait()
		h.server.Close()
	})
	return h
}

// Ingest implements gateway.Publisher.
func (h *hub) Ingest(_ context.Context, m event.Event, done func(event.Position, error)) error {
	done(h.publish(m.Topic, m.Payload), nil)
	return nil
}

func (h *hub) publish(topic string, payload []byte) event.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	batch := []event.Event{{Topic: topic, Payload: payload, Time: time.Now().UnixNano()}}
	if err := h.log.Append(batch, false); err != nil {
		h.t.Error(err)
		return event.Position{}
	}
	h.rooms.Offer(undecoded(batch))
	return batch[0].Next()
}

func undecoded(events []event.Event) []event.Decoded {
	out := make([]event.Decoded, len(events))
	for i, e := range events {
		out[i] = event.Decoded{Event: e, JSON: true}
	}
	return out
}

func (h *hub) Read(from event.Position, limit int) ([]event.Decoded, error) {
	events, err := h.log.Read(from, limit)
	return undecoded(events), err
}

func (h *hub) Last(topic string, before event.Position, limit int) ([]event.Decoded, error) {
	events, err := h.log.Last(topic, before, limit)
	return undecoded(events), err
}

func (h *hub) Bounds() (first, next event.Position) { return h.log.Bounds() }

func (*hub) Topics([]string, []string, event.Scope, int) ([]string, bool) { return nil, false }

// counted is what a metric with one label has counted.
func (h *hub) counted(name, label string) int {
	families, err := h.metrics.Gather()
	if err != nil {
		h.t.Error(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("not within ten seconds: %s", what)
			return
		}
	}
}

// A reply is an answer, with its body still to be read.
type reply struct {
	*http.Response

	t     testing.TB
	lines *bufio.Reader
}

// do sends a request over a connection of its own, or over HTTP/2. header are names and values.
func (h *hub) do(method, path, body string, header ...string) *reply {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, method, h.server.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{
		DisableKeepAlives: h.server.TLS == nil, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		cancel()
		_ = resp.Body.Close()
		transport.CloseIdleConnections()
	})
	return &reply{resp, h.t, bufio.NewReader(resp.Body)}
}

// event reads the next event or comment, up to its empty line.
func (r *reply) event() string {
	r.t.Helper()
	var b strings.Builder
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			r.t.Fatalf("%v after %q", err, b.String())
		}
		if line == "\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

// want reads the next event and checks how it begins.
func (r *reply) want(beginning string) string {
	r.t.Helper()
	e := r.event()
	if !strings.HasPrefix(e, beginning) {
		r.t.Fatalf("got %q, want %q…", e, beginning)
	}
	return e
}

// rest is everything until the end.
func (r *reply) rest() string {
	r.t.Helper()
	b, err := io.ReadAll(r.lines)
	if err != nil {
		r.t.Error(err)
	}
	return string(b)
}

func (r *reply) String() string { return fmt.Sprintf("%s: %s", r.Status, r.rest()) }
