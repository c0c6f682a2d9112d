package examples

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pulso/test/internal/hub"
)

// patience is how long a client may take for anything: it waits up to half a minute between two attempts.
const patience = 60 * time.Second

// A program is one of the examples.
type program struct {
	name string
	// command is what runs it for the stream at url, with the topics that filter selects.
	command func(t *testing.T, url, filter string) []string
}

func programs() []program {
	return []program{{"javascript", javascript}, {"python", python}, {"go", inGo}}
}

// at is a file of the examples.
func at(t *testing.T, name string) string {
	t.Helper()
	root, err := hub.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "examples", name)
}

func javascript(t *testing.T, url, filter string) []string {
	t.Helper()
	node := hub.Program(t, "node")
	command := []string{node}
	if exec.Command(node, "-e", "new WebSocket('ws://127.0.0.1:1').onerror = () => {}").Run() != nil {
		command = append(command, "--experimental-websocket") // Node.js before 22
	}
	return append(command, at(t, "javascript/client.mjs"), url, filter)
}

func python(t *testing.T, url, filter string) []string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-c", "import websockets").Run() == nil {
			return []string{path, at(t, "python/client.py"), url, filter}
		}
	}
	hub.Missing(t, "there is no python3 that has the package websockets")
	return nil
}

func inGo(t *testing.T, url, filter string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "client")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, at(t, "go")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return []string{path, "-url", url, "-filter", filter}
}

// A client is an example that runs.
type client struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	exited chan struct{}
}

func (p *program) run(t *testing.T, address, filter string) *client {
	t.Helper()
	command := p.command(t, "ws://"+address+"/ws", filter)
	c := &client{t: t, cmd: exec.Command(command[0], command[1:]...), stdout: new(output), stderr: new(output), exited: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.Env = c.stdout, c.stderr, append(os.Environ(), "NODE_NO_WARNINGS=1")
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.exited)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it may have ended
		<-c.exited
		if t.Failed() {
			t.Logf("stderr:\n%s", c.stderr)
		}
	})
	return c
}

// await waits until the client has printed a line.
func (c *client) await(line string) {
	c.t.Helper()
	hub.Eventually(c.t, patience, fmt.Sprintf("the client prints %q", line), func() error {
		if !strings.Contains("\n"+c.stdout.String(), "\n"+line+"\n") {
			return fmt.Errorf("it printed %q", tail(c.stdout.String()))
		}
		return nil
	})
}

// ended waits for the client's end and returns its exit status.
func (c *client) ended() int {
	c.t.Helper()
	select {
	case <-c.exited:
	case <-time.After(patience):
		c.t.Fatalf("the client runs on")
	}
	return c.cmd.ProcessState.ExitCode()
}

func tail(s string) string { return s[max(0, len(s)-200):] }

// An output takes what a program writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
