package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A page's EventSource comes back by itself after the hub was killed and after it was stopped, and misses nothing.
func TestEventSourceInBrowser(t *testing.T) {
	data := t.TempDir()
	h := serve(t, data)
	const phase = 150 // numbers between two ends of the hub
	t.Setenv("PULSO_LAST", fmt.Sprint(3*phase-1))
	var browser sync.WaitGroup
	browser.Go(func() { playwright(t, "eventsource.spec.ts", "http://"+h.http, h.mqtt) })
	defer browser.Wait()
	for n := range 3 * phase {
		switch n {
		case phase / 2: // and not before a page is there
			eventually(t, 2*time.Minute, "a page's stream", func() error { return streamed(h) })
		case phase:
			h.kill()
			h = serveOn(t, data, h.mqtt, h.http)
		case 2 * phase:
			eventually(t, time.Minute, "the page is back", func() error { return streamed(h) })
			if _, err := h.stop(); err != nil {
				t.Fatal(err)
			}
			h = serveOn(t, data, h.mqtt, h.http)
		}
		publishNumber(t, h, n)
	}
}

// streamed is nil when a stream of server-sent events has begun.
func streamed(h *hub) error {
	metrics, err := request(http.MethodGet, "http://"+h.http+"/metrics", "")
	if err == nil && !strings.Contains(metrics, `pulso_gateway_sessions_opened_total{transport="sse"}`) {
		return fmt.Errorf("no stream yet")
	}
	return err
}

func publishNumber(t *testing.T, h *hub, n int) {
	t.Helper()
	if answer, err := request(http.MethodPost, "http://"+h.http+"/api/v1/publish?topic=count&qos=1", fmt.Sprint(n)); err != nil {
		t.Fatalf("publish %d: %v: %s", n, err, answer)
	}
}

func request(method, url, body string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return string(answer), err
}
