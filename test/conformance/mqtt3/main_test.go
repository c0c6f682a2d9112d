// Package mqtt3 tests from the wire that the hub is the server that MQTT 3.1.1 describes, clause by clause, and that clients
// of MQTT 3.1 are served. With CONFORMANCE_BROKER=mosquitto the same tests judge an installed mosquitto instead.
package mqtt3

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pulso/test/conformance/wire"
	"pulso/test/internal/hub"
)

// other is the broker to test in the place of the hub; "" is none.
var other = os.Getenv("CONFORMANCE_BROKER")

func TestMain(m *testing.M) {
	// Most tests wait for a server or for a second to pass, not for a processor.
	_ = flag.Set("test.parallel", "32")
	if other != "" {
		os.Exit(m.Run())
	}
	os.Exit(hub.Main(m))
}

// A server is a broker that runs for a test and the tests beneath it, on ports and data of its own.
type server struct {
	addr, ws string // host:port of MQTT over TCP, URL of MQTT over WebSocket

	stop, kill, again func()
}

// serve starts a server.
func serve(t *testing.T) *server {
	t.Helper()
	switch other {
	case "":
		h := hub.Start(t)
		return &server{addr: h.MQTT, ws: "ws://" + h.HTTP + "/mqtt", stop: h.Stop, kill: h.Kill, again: h.Again}
	case "mosquitto":
		return mosquitto(t)
	default:
		t.Fatalf("CONFORMANCE_BROKER=%s: mosquitto is the only broker besides the hub that these tests know", other)
		return nil
	}
}

// mosquitto starts a mosquitto that keeps what it can keep.
func mosquitto(t *testing.T) *server {
	t.Helper()
	dir, addr, ws := t.TempDir(), hub.FreePort(t), hub.FreePort(t)
	_, port, _ := net.SplitHostPort(addr)
	_, wsPort, _ := net.SplitHostPort(ws)
	config := filepath.Join(dir, "mosquitto.conf")
	lines := fmt.Sprintf("user root\nallow_anonymous true\npersistence true\npersistence_location %s/\nautosave_interval 1\n"+
		"max_queued_messages 0\nlistener %s 127.0.0.1\nlistener %s 127.0.0.1\nprotocol websockets\n", dir, port, wsPort)
	if err := os.WriteFile(config, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	program := hub.Program(t, "mosquitto")
	var cmd *exec.Cmd
	start := func() {
		cmd = exec.Command(program, "-c", config)
		cmd.Stderr = io.Discard
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		hub.Eventually(t, 10*time.Second, "mosquitto listens", func() error {
			for _, a := range []string{addr, ws} {
				conn, err := net.Dial("tcp", a)
				if err != nil {
					return err
				}
				conn.Close()
			}
			return nil
		})
	}
	end := func(signal os.Signal) func() {
		return func() {
			_ = cmd.Process.Signal(signal)
			_ = cmd.Wait()
		}
	}
	start()
	t.Cleanup(func() { end(syscall.SIGKILL)() })
	return &server{addr: addr, ws: "ws://" + ws + "/mqtt", stop: end(syscall.SIGTERM), kill: end(syscall.SIGKILL), again: start}
}

// An env is what a test works with: a server that others use as well, and names that nobody else uses.
type env struct {
	*testing.T
	*server

	base    string
	clients int
}

// newEnv is the env of a test on a server.
func newEnv(t *testing.T, s *server) *env {
	t.Helper()
	return &env{T: t, server: s, base: strings.NewReplacer("/", "-", "+", "_", "#", "_").Replace(t.Name())}
}

// run runs a test within a test, in parallel with others.
func (e *env) run(name string, test func(e *env)) {
	e.Helper()
	e.Run(name, func(t *testing.T) {
		t.Parallel()
		test(newEnv(t, e.server))
	})
}

// topic is a topic, or filter, of this test alone.
func (e *env) topic(rest string) string { return e.base + "/" + rest }

// id is a client id that is used for the first time.
func (e *env) id() string {
	e.clients++
	return fmt.Sprintf("%s-%d", e.base, e.clients)
}

// connect is a CONNECT at MQTT 3.1.1 with a clean session and a client id of its own, changed as wanted.
func (e *env) connect(change ...func(c *wire.Connect)) *wire.Connect {
	c := &wire.Connect{Version: wire.V311, ClientID: e.id()}
	for _, f := range change {
		f(c)
	}
	return c
}

// open is a client that is connected at MQTT 3.1.1.
func (e *env) open(change ...func(c *wire.Connect)) *wire.Client {
	e.Helper()
	return wire.Open(e, e.addr, e.connect(change...))
}

// dial is a client that has said nothing yet, at MQTT 3.1.1.
func (e *env) dial() *wire.Client {
	e.Helper()
	c := wire.Dial(e, e.addr)
	c.Version = wire.V311
	return c
}

// subscriber is a connected client with subscriptions.
func (e *env) subscriber(qos byte, filters ...string) *wire.Client {
	e.Helper()
	c := e.open()
	for _, f := range filters {
		c.Subscribe(f, qos)
	}
	return c
}

// as gives CONNECT a client id.
func as(id string) func(c *wire.Connect) { return func(c *wire.Connect) { c.ClientID = id } }

// lasting gives CONNECT a client id and Clean Session 0.
func lasting(id string) func(c *wire.Connect) {
	return func(c *wire.Connect) { c.ClientID, c.Resume = id, true }
}

// leaving gives CONNECT a will.
func leaving(w *wire.Will) func(c *wire.Connect) { return func(c *wire.Connect) { c.Will = w } }

// refusesConnect wants bytes in the place of a CONNECT to end the connection without a CONNACK.
func (e *env) refusesConnect(what string, b []byte) {
	e.Helper()
	e.run(what, func(e *env) {
		c := e.dial()
		c.SendRaw(b...)
		c.ExpectClose()
	})
}

// refuses wants a packet of a connected client to end the connection.
func (e *env) refuses(what string, b []byte) {
	e.Helper()
	e.run(what, func(e *env) {
		c := e.open()
		c.SendRaw(b...)
		c.ExpectClose()
	})
}

// number names the i-th of many messages.
func number(i int) string { return fmt.Sprintf("%05d", i) }

// numbers names n messages from the first on.
func numbers(first, n int) []string {
	var s []string
	for i := range n {
		s = append(s, number(first+i))
	}
	return s
}
