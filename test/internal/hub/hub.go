// Package hub runs the real binary for tests that see it from outside only: through its ports, its output and /proc.
package hub

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var binary string

// Main runs the tests with the binary that PULSO_BIN names, or one built from this tree, and returns the exit status. It is
// to be called from TestMain.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pulso-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binary = os.Getenv("PULSO_BIN"); binary == "" {
		binary = filepath.Join(dir, "pulso")
		err = build(binary)
	}
	if err == nil && os.Getenv(accountsEnv) != "" {
		err = makeAccounts(filepath.Join(dir, "accounts"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(to string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", to, "./cmd/pulso")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

var errNoRoot = errors.New("no folder above this one holds cmd/pulso")

// Root is the folder of the repository, found from the working directory upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "pulso")); err == nil {
			return dir, nil
		}
	}
	return "", errNoRoot
}

// A Hub is a `pulso serve` of one test. Its ports and its data stay the same when it is started again.
type Hub struct {
	MQTT, HTTP string // addresses, host:port

	tb     testing.TB
	args   []string
	prefix []string
	out    *os.File
	cmd    *exec.Cmd
	exited chan error
}

// An Option changes how a hub is started.
type Option func(*Hub)

// Flags adds flags of `pulso serve`.
func Flags(flags ...string) Option {
	return func(h *Hub) { h.args = append(h.args, flags...) }
}

// Bridge makes it a `pulso bridge`, a hub without a broker of its own, with these flags.
func Bridge(flags ...string) Option {
	return func(h *Hub) {
		data := h.args[slices.Index(h.args, "--data")+1]
		h.MQTT = ""
		h.args = append([]string{"bridge", "--http", h.HTTP, "--data", data}, flags...)
	}
}

// Under starts the hub by another program, as in `prlimit --nofile=100 pulso serve`. The program must become the hub (exec).
func Under(command ...string) Option {
	return func(h *Hub) { h.prefix = command }
}

// Start starts a hub and waits until it is ready. It is killed at the test's end; what it said is logged if the test failed.
func Start(tb testing.TB, options ...Option) *Hub {
	tb.Helper()
	h := &Hub{tb: tb, MQTT: FreePort(tb), HTTP: FreePort(tb)}
	h.args = []string{"serve", "--mqtt", h.MQTT, "--http", h.HTTP, "--data", tb.TempDir()}
	for _, o := range options {
		o(h)
	}
	var err error
	if h.out, err = os.CreateTemp(tb.TempDir(), "output"); err != nil {
		tb.Fatal(err)
	}
	h.Again()
	tb.Cleanup(func() {
		h.Kill()
		if tb.Failed() {
			out := h.Output()
			tb.Logf("the hub's last output:\n%s", out[max(0, len(out)-8<<10):])
		}
		_ = h.out.Close()
	})
	return h
}

// Again starts a hub that was stopped or killed, and waits until it is ready.
func (h *Hub) Again() {
	h.tb.Helper()
	if err := giveAccounts(h.args[slices.Index(h.args, "--data")+1]); err != nil {
		h.tb.Fatal(err)
	}
	command := append(slices.Clone(h.prefix), append([]string{binary}, h.args...)...)
	h.exited = make(chan error, 1)
	h.cmd = exec.Command(command[0], command[1:]...)
	h.cmd.Stdout, h.cmd.Stderr = h.out, h.out
	if err := h.cmd.Start(); err != nil {
		h.tb.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(h.cmd, h.exited)
	Eventually(h.tb, 30*time.Second, "the hub is ready", func() error {
		if err := h.Alive(); err != nil {
			h.tb.Fatalf("the hub did not start: %v\n%s", err, h.Output())
		}
		return h.Ready()
	})
}

// Ready asks /readyz; nil means that the hub serves.
func (h *Hub) Ready() error {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get("http://" + h.HTTP + "/readyz")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("readyz: %s", res.Status)
	}
	return nil
}

// Alive returns how the process ended, or nil while it runs.
func (h *Hub) Alive() error {
	select {
	case err := <-h.exited:
		h.exited <- err
		return fmt.Errorf("the hub ended: %w", orExit(err))
	default:
		return nil
	}
}

var errExit = errors.New("exit status 0")

func orExit(err error) error {
	if err == nil {
		return errExit
	}
	return err
}

// Kill ends the process at once (SIGKILL) and waits for its end.
func (h *Hub) Kill() {
	_ = h.cmd.Process.Kill() // it may have ended
	err := <-h.exited
	h.exited <- err
}

// Stop asks the process to end (SIGTERM) and fails the test if it does not do so properly within 30 seconds.
func (h *Hub) Stop() {
	h.tb.Helper()
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		h.tb.Fatal(err)
	}
	select {
	case err := <-h.exited:
		h.exited <- err
		if err != nil {
			h.tb.Fatalf("the hub stopped with %v", err)
		}
	case <-time.After(30 * time.Second):
		h.tb.Fatal("the hub did not stop within 30 s")
	}
}

// Pid is the process id.
func (h *Hub) Pid() int { return h.cmd.Process.Pid }

// Output is what the process and its predecessors wrote to their standard output and error.
func (h *Hub) Output() string {
	b, _ := os.ReadFile(h.out.Name())
	return string(b)
}

// RSS returns the bytes of memory that process pid has resident.
func RSS(pid int) (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}

// CPU returns the processor time, user and system, that process pid has used so far.
func CPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold spaces. utime and stime are the 12th and 13th fields behind it, in ticks of 10 ms.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// given are the ports that FreePort has returned.
var given sync.Map

// FreePort returns a loopback address that nobody uses. Its port is none of those that the system gives to connections, so
// that it is still free when a server that was stopped is started again, and no other that this process was given.
func FreePort(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(22_000)))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		if _, again := given.LoadOrStore(addr, true); !again {
			return addr
		}
	}
	tb.Fatal("no free port")
	return ""
}

// Eventually waits until check returns nil, and fails the test if it does not do so in time.
func Eventually(tb testing.TB, timeout time.Duration, what string, check func() error) {
	tb.Helper()
	for deadline := time.Now().Add(timeout); ; {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not after %v: %v", what, timeout, err)
		}
		time.Sleep(20 * time.Millisecond) // the interval of polling
	}
}

// Missing skips the test because something is not installed; where CI is set it fails instead.
func Missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") != "" {
		tb.Fatal(what)
	}
	tb.Skip(what)
}

// Program finds a program, also where administrators keep theirs, or calls Missing.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	Missing(tb, name+" is not installed")
	return ""
}
