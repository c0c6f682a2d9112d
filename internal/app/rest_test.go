package app

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call makes a request and returns its status.
func call(t *testing.T, method, url, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	return resp.StatusCode
}

// TestDeletedDeviceStaysDeleted deletes one of two devices, and starts the hub again: with what its views have saved, and with
// nothing of theirs, as where they are built from the log anew.
func TestDeletedDeviceStaysDeleted(t *testing.T) {
	cfg := inMemory(t)
	cfg.Data = t.TempDir()
	check := func(url string) {
		t.Helper()
		for path, want := range map[string]int{
			"/api/v1/devices/d1": http.StatusNotFound, "/api/v1/devices/d2": http.StatusOK,
		} {
			if status, body := get(t, url+path, ""); status != want {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		if _, body := get(t, url+"/api/v1/export", ""); strings.Contains(body, "d1") || !strings.Contains(body, "d2") {
			t.Errorf("the history has %s", body)
		}
	}
	t.Run("live", func(t *testing.T) {
		url := "http://" + runHub(t, cfg).HTTPAddr()
		for _, device := range []string{"d1", "d2"} {
			if status := call(t, http.MethodPost, url+"/api/v1/publish?topic=devices/"+device+"/t&qos=1", `{"x":1}`); status != http.StatusOK {
				t.Fatal(status)
			}
		}
		if status := call(t, http.MethodDelete, url+"/api/v1/devices/d1", ""); status != http.StatusNoContent {
			t.Fatal(status)
		}
		check(url)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, url+"/api/v1/devices/d2", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", "https://elsewhere.example")
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("a foreign page deletes: %s", resp.Status)
		}
	})
	t.Run("again", func(t *testing.T) { check("http://" + runHub(t, cfg).HTTPAddr()) })
	snapshots, err := filepath.Glob(filepath.Join(cfg.Data, "*", "*.snapshot"))
	if err != nil || len(snapshots) == 0 {
		t.Fatalf("%d snapshots, %v", len(snapshots), err)
	}
	for _, s := range snapshots {
		if err := os.Remove(s); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("from the log", func(t *testing.T) { check("http://" + runHub(t, cfg).HTTPAddr()) })
}
