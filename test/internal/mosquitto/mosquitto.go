// Package mosquitto runs Mosquitto, other people's broker, and its clients for tests.
package mosquitto

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pulso/test/internal/hub"
)

// A Broker is a Mosquitto of one test. Its port and its data stay the same when it is started again.
type Broker struct {
	Addr string // host:port

	tb     testing.TB
	file   string
	data   string
	out    bytes.Buffer
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start starts a Mosquitto that keeps sessions over a restart, and waits until it listens. Lines are added to its
// configuration, behind its listener's; unless one of them says otherwise, everyone may connect. Without the program the test
// is skipped.
func Start(tb testing.TB, lines ...string) *Broker {
	tb.Helper()
	b := &Broker{tb: tb, Addr: hub.FreePort(tb), file: filepath.Join(tb.TempDir(), "mosquitto.conf"), data: tb.TempDir()}
	host, port, err := net.SplitHostPort(b.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	conf := []string{
		"listener " + port + " " + host, "persistence true", "persistence_location " + b.data + "/",
		"max_queued_messages 0", "max_inflight_messages 100",
	}
	conf = append(conf, lines...)
	if !strings.Contains(strings.Join(lines, "\n"), "allow_anonymous") {
		conf = append(conf, "allow_anonymous true")
	}
	if os.Geteuid() == 0 { // else it becomes a user who cannot read the test's files
		conf = append(conf, "user root")
	}
	if err := os.WriteFile(b.file, []byte(strings.Join(conf, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	b.Again()
	tb.Cleanup(func() {
		b.end(os.Kill)
		if tb.Failed() {
			out := b.out.String()
			tb.Logf("Mosquitto's last output:\n%s", out[max(0, len(out)-4<<10):])
		}
	})
	return b
}

// Again starts a broker that was stopped or killed, and waits until it listens.
func (b *Broker) Again() {
	b.tb.Helper()
	b.cmd = exec.Command(hub.Program(b.tb, "mosquitto"), "-c", b.file)
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
	if err := b.cmd.Start(); err != nil {
		b.tb.Fatal(err)
	}
	b.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // it is killed, mostly
		close(exited)
	}(b.cmd, b.exited)
	hub.Eventually(b.tb, 20*time.Second, "Mosquitto listens", func() error {
		c, err := net.Dial("tcp", b.Addr)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// Stop asks the broker to end; it saves its sessions.
func (b *Broker) Stop() { b.end(syscall.SIGTERM) }

// Kill ends the broker at once; what it has not saved is gone.
func (b *Broker) Kill() { b.end(os.Kill) }

// Forget throws away what a broker that has ended had saved.
func (b *Broker) Forget() {
	b.tb.Helper()
	if err := os.RemoveAll(filepath.Join(b.data, "mosquitto.db")); err != nil {
		b.tb.Fatal(err)
	}
}

func (b *Broker) end(how os.Signal) {
	_ = b.cmd.Process.Signal(how) // it may have ended
	<-b.exited
}

// Sub is a mosquitto_sub that prints "topic payload" for each message. It returns the lines.
func (b *Broker) Sub(args ...string) <-chan string {
	b.tb.Helper()
	host, port, _ := net.SplitHostPort(b.Addr)
	args = append([]string{"-oL", hub.Program(b.tb, "mosquitto_sub"), "-d", "-h", host, "-p", port, "-F", "M %t %p"}, args...)
	cmd := exec.Command(hub.Program(b.tb, "stdbuf"), args...)
	lines := make(chan string, 10_000)
	ready := make(chan struct{})
	cmd.Stdout = &splitter{line: func(line string) {
		if strings.HasPrefix(line, "Subscribed (mid:") {
			close(ready)
		}
		if text, ok := strings.CutPrefix(line, "M "); ok {
			lines <- text
		}
	}}
	if err := cmd.Start(); err != nil {
		b.tb.Fatal(err)
	}
	b.tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		b.tb.Fatal("mosquitto_sub did not subscribe")
	}
	return lines
}

// Pub runs a mosquitto_pub and waits for its end.
func (b *Broker) Pub(args ...string) {
	b.tb.Helper()
	host, port, _ := net.SplitHostPort(b.Addr)
	if out, err := exec.Command(hub.Program(b.tb, "mosquitto_pub"), append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput(); err != nil {
		b.tb.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}

// A splitter hands on whole lines.
type splitter struct {
	line func(string)
	rest []byte
}

// Write implements [io.Writer].
func (s *splitter) Write(p []byte) (int, error) {
	s.rest = append(s.rest, p...)
	for {
		i := bytes.IndexByte(s.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		s.line(string(s.rest[:i]))
		s.rest = s.rest[i+1:]
	}
}

// Passwords writes a password file for the broker with one user, and returns its name.
func Passwords(tb testing.TB, user, password string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "passwords")
	if out, err := exec.Command(hub.Program(tb, "mosquitto_passwd"), "-b", "-c", file, user, password).CombinedOutput(); err != nil {
		tb.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	return file
}
