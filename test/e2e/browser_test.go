package e2e

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// playwright runs a spec of the dashboard against a hub, in a real browser. Screenshots go to bin/e2e.
func playwright(t *testing.T, spec, url, mqtt string, environ ...string) {
	t.Helper()
	need(t, "chromium")
	need(t, "mosquitto_pub")
	web := filepath.Join(root, "dashboard", "web")
	runner := filepath.Join(web, "node_modules", ".bin", "playwright")
	if _, err := os.Stat(runner); err != nil {
		missing(t, "the dashboard's packages are not installed: npm --prefix dashboard/web ci")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, runner, "test", spec)
	cmd.Dir = web
	results := filepath.Join(root, "bin", "e2e", strings.TrimSuffix(spec, ".spec.ts"))
	cmd.Env = append(os.Environ(), "PULSO_URL="+url, "PULSO_MQTT="+mqtt, "PULSO_RESULTS="+results, "PULSO_BIN="+binary)
	cmd.Env = append(cmd.Env, environ...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("playwright: %v", err)
	}
}

// What devices publish appears on the page, live, in a real browser.
func TestBrowser(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir())
	playwright(t, "live.spec.ts", "http://"+h.http, h.mqtt)
}

// The demo prints its address and has devices with moving charts on the page.
func TestDemo(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "demo", "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = newLogFile(t)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(`http://\S+`)
	url := ""
	for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
		url = address.FindString(lines.Text())
	}
	if url == "" {
		t.Fatal("the demo printed no address")
	}
	playwright(t, "demo.spec.ts", url, "")
	playwright(t, "dashboard.spec.ts", url, "")
	playwright(t, "access.spec.ts", url, "")
	if err := cmd.Cancel(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the demo ended with %v", err)
	}
}
