// Package promtest runs Prometheus, the real one, for tests of what is to work with it.
package promtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// patience bounds waits for a program on a machine that has much else to do.
const patience = 60 * time.Second

// Program finds a program. Where it is not installed the test is skipped; where CI is set it fails.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if cmp.Or(os.Getenv("CI"), "false") != "false" {
		tb.Fatal(name + " is not installed")
	}
	tb.Skip(name + " is not installed: make programs")
	return ""
}

// A Server is a Prometheus of one test. Its port and its data stay the same when it is started again.
type Server struct {
	// URL is where it listens, without a slash at the end.
	URL string

	tb     testing.TB
	addr   string
	args   []string
	out    bytes.Buffer
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start starts a Prometheus with a configuration (YAML) and flags, and waits until it is ready.
func Start(tb testing.TB, config string, flags ...string) *Server {
	tb.Helper()
	s := New(tb, config, flags...)
	s.Again()
	return s
}

// New prepares a Prometheus that Again starts.
func New(tb testing.TB, config string, flags ...string) *Server {
	tb.Helper()
	program := Program(tb, "prometheus")
	file := filepath.Join(tb.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	addr := freePort(tb)
	s := &Server{URL: "http://" + addr, tb: tb, addr: addr, args: append([]string{
		program, "--config.file=" + file, "--storage.tsdb.path=" + tb.TempDir(), "--web.listen-address=" + addr,
	}, flags...)}
	tb.Cleanup(func() {
		s.end(os.Kill)
		if tb.Failed() {
			out := s.out.String()
			tb.Logf("Prometheus' last output:\n%s", out[max(0, len(out)-4<<10):])
		}
	})
	return s
}

// freePort returns a loopback address whose port is none of those that the system gives to connections.
func freePort(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(22_000)))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	tb.Fatal("no free port")
	return ""
}

// Again starts a Prometheus that was stopped or killed, and waits until it is ready.
func (s *Server) Again() {
	s.tb.Helper()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // it is killed, mostly
		close(exited)
	}(s.cmd, s.exited)
	Eventually(s.tb, "Prometheus is ready", func() error {
		resp, err := http.Get(s.URL + "/-/ready")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	})
}

// Stop asks it to end, and waits until it has.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(how os.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(how) // it may have ended
	<-s.exited
}

// A Series is one of a query's result: labels, and values by their times in seconds.
type Series struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
	Values [][2]any          `json:"values"`
}

// Query asks an instant query now.
func (s *Server) Query(query string) ([]Series, error) { return Query(s.URL, query) }

// Query asks whoever serves Prometheus' API at a URL.
func Query(base, query string) ([]Series, error) {
	resp, err := http.Get(base + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []Series `json:"result"`
		} `json:"data"`
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %.300s", resp.Status, body)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	return answer.Data.Result, nil
}

// Tool runs promtool and returns what it prints.
func Tool(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := exec.Command(Program(tb, "promtool"), args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("promtool %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// Eventually waits until f returns nil.
func Eventually(tb testing.TB, what string, f func() error) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("not in time: %s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
