package app

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestSimulatorRunsInsideOfTheHub(t *testing.T) {
	told := make(chan string, 1)
	cfg := inMemory(t)
	cfg.Simulate = func(ctx context.Context, mqttAddress string) error {
		told <- mqttAddress
		<-ctx.Done()
		return nil
	}
	h := runHub(t, cfg)
	ask := func(method, origin string, want int) (running bool) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+h.HTTPAddr()+"/api/v1/simulator", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if origin != "" {
			req.Header.Set("Origin", origin)
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
		var got struct {
			Running bool `json:"running"`
		}
		if err := json.Unmarshal(body, &got); err != nil || resp.StatusCode != want {
			t.Errorf("%s: %s %s, want %d", method, resp.Status, body, want)
		}
		return got.Running
	}
	ask(http.MethodPost, "https://elsewhere.example", http.StatusForbidden)
	if !ask(http.MethodPost, "http://"+h.HTTPAddr(), http.StatusAccepted) {
		t.Error("it does not run")
	}
	if got := <-told; got != h.MQTTAddr() {
		t.Errorf("the fleet is to connect to %s", got)
	}
	// The test ends with it running: the hub stops it.
}

func TestConfigurationSaysNothingOfTheSimulator(t *testing.T) {
	cfg := inMemory(t)
	cfg.Simulate = func(context.Context, string) error { return nil }
	if text, err := cfg.YAML(); err != nil || strings.Contains(strings.ToLower(text), "simulate") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestOwnAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:1883": "127.0.0.1:1883", "[::]:1883": "127.0.0.1:1883", "0.0.0.0:1": "127.0.0.1:1", "[::1]:1883": "[::1]:1883",
	} {
		if got := ownAddress(addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
