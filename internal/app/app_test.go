package app

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"pulso/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inMemory is the default configuration, but keeps nothing and takes free ports.
func inMemory(tb testing.TB) Config {
	tb.Helper()
	var cfg Config
	if err := kong.ApplyDefaults(&cfg); err != nil {
		tb.Fatal(err)
	}
	cfg.MQTT, cfg.HTTP, cfg.Data = "127.0.0.1:0", "127.0.0.1:0", InMemory
	return cfg
}

// runHub runs a hub until the test ends, which may prepare it.
func runHub(t testing.TB, cfg Config, prepare ...func(*Hub)) *Hub {
	t.Helper()
	return runLogging(t, cfg, slog.New(slog.DiscardHandler), prepare...)
}

// runLogging is runHub for a hub that says what happens.
func runLogging(t testing.TB, cfg Config, logger *slog.Logger, prepare ...func(*Hub)) *Hub {
	t.Helper()
	h, err := New(t.Context(), cfg, logger, "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range prepare {
		p(h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the hub ended with %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	select {
	case <-h.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("the hub is not ready")
	}
	return h
}

func get(t *testing.T, url, host string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestHubServes(t *testing.T) {
	h := runHub(t, inMemory(t))
	url := "http://" + h.HTTPAddr()
	for path, want := range map[string]string{
		"/": "<title>Pulso</title>", "/devices/d1": "<title>Pulso</title>", "/healthz": "ok", "/readyz": "ok",
		"/metrics": "pulso_bridge_queued 0",
	} {
		if status, body := get(t, url+path, ""); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200q, want %q", path, status, body, want)
		}
	}
	if err := Ask(t.Context(), url+"/readyz"); err != nil {
		t.Error(err)
	}
	if status, _ := get(t, url+"/ws", "rebound.example"); status != http.StatusMisdirectedRequest {
		t.Errorf("a foreign name got %d", status)
	}
	header := http.Header{"Origin": {"https://elsewhere.example"}}
	if _, resp, err := websocket.DefaultDialer.Dial("ws://"+h.HTTPAddr()+"/ws", header); err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign page connected: %v", err)
	} else if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}

// A hub whose log has failed is not ready, and says why.
func TestFailedLogIsNotReady(t *testing.T) {
	h := runHub(t, inMemory(t), func(h *Hub) { h.logErr = func() error { return io.ErrShortWrite } })
	rec := httptest.NewRecorder()
	h.routes().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/readyz", http.NoBody))
	if rec.Code != http.StatusServiceUnavailable || rec.Body.String() != "log: short write\n" {
		t.Errorf("%d %q", rec.Code, rec.Body)
	}
}

func TestKnowsHost(t *testing.T) {
	nobody, err := access.Open(access.Config{})
	if err != nil {
		t.Fatal(err)
	}
	own := Hub{accounts: nobody}
	open := Hub{accounts: nobody, cfg: Config{AllowAnonymous: true, AllowHost: []string{"hub.example.org"}}}
	for _, c := range []struct {
		host      string
		own, open bool
	}{
		{"127.0.0.1:8080", true, true},
		{"localhost", true, true},
		{"[::1]:8080", true, true},
		{"192.168.1.7:8080", false, true},
		{"hub.example.org", false, true},
		{"HUB.example.org:8080", false, true},
		{"rebound.example", false, false},
		{"127.0.0.1.rebound.example:8080", false, false},
		{"", false, false},
	} {
		if own.knowsHost(c.host) != c.own || open.knowsHost(c.host) != c.open {
			t.Errorf("%q: %v and %v, want %v and %v", c.host, own.knowsHost(c.host), open.knowsHost(c.host), c.own, c.open)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{
		"0": 0, "4096": 4096, "64MiB": 64 << 20, "1.5KiB": 1536, "10GB": 1e10, "1 TiB": 1 << 40, "7B": 7,
	} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%s: %d, %v", text, b, err)
		}
		written, err := b.MarshalText()
		var again Bytes
		if err != nil || again.UnmarshalText(written) != nil || again != b {
			t.Errorf("%s: written as %s", text, written)
		}
	}
	for _, text := range []string{"", "x", "-1", "1XB", "1e30TiB", "MiB", "NaN"} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d", text, b)
		}
	}
}
