package app

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Pages of other origins may use what is for programs only if the configuration says so.
func TestForeignPages(t *testing.T) {
	cfg := inMemory(t)
	cfg.AllowOrigin = []string{"https://friend.example"}
	h := runHub(t, cfg)
	type answer struct {
		status int
		header http.Header
		body   string
	}
	ask := func(method, path, origin string, header ...string) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+h.HTTPAddr()+path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
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
		return answer{resp.StatusCode, resp.Header, string(body)}
	}
	const publish = "/api/v1/publish?topic=a"
	for _, path := range []string{publish, "/sse?filter=a", "/api/v1/session", "/api/v1/poll"} {
		for _, origin := range []string{"https://evil.example", "null", "http://" + h.HTTPAddr() + ".evil.example", "http://[::"} {
			resp := ask(http.MethodPost, path, origin)
			if resp.status != http.StatusForbidden || resp.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s of %s: %d", path, origin, resp.status)
			}
			if resp := ask(http.MethodOptions, path, origin, "Access-Control-Request-Method", "POST"); resp.status != http.StatusForbidden {
				t.Errorf("before %s of %s: %d", path, origin, resp.status)
			}
		}
	}
	own := ask(http.MethodPost, publish, "http://"+h.HTTPAddr())
	if own.status != http.StatusOK || !strings.HasPrefix(own.body, `{"position":"`) {
		t.Errorf("the hub's own page: %d: %s", own.status, own.body)
	}
	before := ask(http.MethodOptions, "/api/v1/session", "https://friend.example",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "pulso-session")
	if before.status != http.StatusNoContent || !strings.Contains(before.header.Get("Access-Control-Allow-Headers"), "Pulso-Session") {
		t.Errorf("before a friend's request: %d %v", before.status, before.header)
	}
	friend := ask(http.MethodPost, publish, "https://friend.example")
	if friend.status != http.StatusOK || friend.header.Get("Access-Control-Allow-Origin") != "https://friend.example" ||
		friend.header.Get("Vary") != "Origin" {
		t.Errorf("a friend's page: %d %v", friend.status, friend.header)
	}
}
