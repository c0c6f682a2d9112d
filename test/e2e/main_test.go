// Package e2e tests the whole binary as its users run it: real processes, real MQTT clients, a real browser.
package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binary is the program under test, root the repository.
var binary, root string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pulso-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	root, _ = filepath.Abs("../..")
	binary = filepath.Join(dir, "pulso")
	build := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", binary, "./cmd/pulso")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A hub is a running `pulso serve`.
type hub struct {
	t          *testing.T
	cmd        *exec.Cmd
	log        *logFile
	mqtt, http string
	exited     chan error
}

// serve starts a hub on a data folder and waits until it is ready. It is killed at the test's end, if it still runs.
func serve(t *testing.T, data string) *hub {
	t.Helper()
	return serveOn(t, data, freePort(t), freePort(t))
}

func serveOn(t *testing.T, data, mqtt, http string, more ...string) *hub {
	t.Helper()
	h := &hub{t: t, mqtt: mqtt, http: http, log: newLogFile(t), exited: make(chan error, 1)}
	h.cmd = exec.Command(binary, append([]string{"serve", "--mqtt", mqtt, "--http", http, "--data", data}, more...)...)
	h.cmd.Stdout, h.cmd.Stderr = h.log, h.log
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { h.exited <- h.cmd.Wait() }()
	t.Cleanup(func() {
		h.kill()
		if t.Failed() {
			t.Logf("the hub's log:\n%s", h.log.String())
		}
	})
	h.waitReady()
	return h
}

func (h *hub) waitReady() {
	h.t.Helper()
	eventually(h.t, 20*time.Second, "the hub is ready", func() error { return httpOK("http://" + h.http + "/readyz") })
}

// kill ends the process at once and waits for its end.
func (h *hub) kill() {
	_ = h.cmd.Process.Kill() // it may have ended
	err := <-h.exited
	h.exited <- err
}

// stop asks the process to end and returns how long that took and what it said.
func (h *hub) stop() (time.Duration, error) {
	began := time.Now()
	if err := h.cmd.Process.Signal(os.Interrupt); err != nil {
		return 0, err
	}
	select {
	case err := <-h.exited:
		h.exited <- err
		return time.Since(began), err
	case <-time.After(30 * time.Second):
		return time.Since(began), context.DeadlineExceeded
	}
}

// pulso runs another command of the binary and returns what it printed.
func pulso(t *testing.T, timeout time.Duration, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	return string(out), err
}

// freePort returns a loopback address that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// eventually waits until check returns nil.
func eventually(t *testing.T, timeout time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v: %v", what, timeout, err)
		}
		time.Sleep(20 * time.Millisecond) // the interval of polling
	}
}

// need finds a program; where it is missing the test is skipped, but not in CI.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(t, program+" is not installed")
	}
	return path
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// shared returns the path of a file of the test data beside the project.
func shared(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("PULSO_SHARED")
	if dir == "" {
		dir = filepath.Join(root, "..", "shared")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("test data beside the project is absent (PULSO_SHARED): %v", err)
	}
	return path
}

// A logFile gathers a process's output.
type logFile struct{ *os.File }

func newLogFile(t *testing.T) *logFile {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &logFile{f}
}

func (l *logFile) String() string {
	b, _ := os.ReadFile(l.Name())
	return strings.TrimSpace(string(b))
}
