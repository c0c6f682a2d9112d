package interop

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A program is a client that runs as a process of its own and says on its standard output what happens to it.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // what handle has not taken
	done  chan struct{}
}

// run starts a program. Each line of its output goes to handle, which reports whether it was one for it; the others go to lines,
// as far as there is room.
func run(t *testing.T, handle func(line string) bool, command string, args ...string) *program {
	t.Helper()
	p := &program{t: t, lines: make(chan string, 1000), done: make(chan struct{})}
	p.cmd = exec.Command(command, args...)
	stdin, err1 := p.cmd.StdinPipe()
	stdout, err2 := p.cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	p.stdin = stdin
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stdout, handle)
	t.Cleanup(p.kill)
	return p
}

func (p *program) read(out io.Reader, handle func(string) bool) {
	defer close(p.done)
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if line = strings.TrimSuffix(line, "\n"); line != "" && !handle(line) {
			select {
			case p.lines <- line:
			default:
			}
		}
		if err != nil {
			_ = p.cmd.Wait()
			return
		}
	}
}

// await waits for a line that holds text.
func (p *program) await(text string) string {
	p.t.Helper()
	var seen []string
	timeout := time.After(patience)
	for {
		select {
		case line := <-p.lines:
			if strings.Contains(line, text) {
				return line
			}
			seen = append(seen, line)
		case <-p.done:
			if len(p.lines) == 0 {
				p.t.Fatalf("%s ended without saying %q:\n%s", p.cmd.Path, text, strings.Join(seen, "\n"))
			}
		case <-timeout:
			p.t.Fatalf("%s did not say %q within %v:\n%s", p.cmd.Path, text, patience, strings.Join(seen, "\n"))
		}
	}
}

// stop asks the program to end, which for a client means DISCONNECT, and waits for its end.
func (p *program) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	p.wait()
}

// wait waits for the end and returns the exit status.
func (p *program) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Errorf("%s did not end within %v", p.cmd.Path, patience)
		p.kill()
	}
	return p.cmd.ProcessState.ExitCode()
}

// kill ends the program at once: its connection is cut.
func (p *program) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// rest is what the program said and nobody read, for messages of failure.
func (p *program) rest() string {
	var b strings.Builder
	for {
		select {
		case line := <-p.lines:
			fmt.Fprintln(&b, line)
		default:
			return b.String()
		}
	}
}
