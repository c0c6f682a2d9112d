package simulators

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// patience is how long a test waits for something that will happen at once on an idle machine.
const patience = 20 * time.Second

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()

	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("after %s still not: %s", patience, what)
		}

		<-time.After(5 * time.Millisecond)
	}
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}

	return address
}

// mosquitto returns the path of the broker that the tests run against.
func mosquittoPath(t *testing.T) string {
	t.Helper()

	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}

	if os.Getenv("CI") != "" {
		t.Fatal("mosquitto is not installed, and CI must test against it")
	}

	t.Skip("mosquitto is not installed: the simulators are tested against it")

	return ""
}

// startMosquitto runs a broker at the address until the test ends. Password empty means that everyone may connect.
func startMosquitto(t *testing.T, address, password string) {
	t.Helper()

	path := mosquittoPath(t)
	host, port, _ := net.SplitHostPort(address)
	folder := t.TempDir()
	config := fmt.Sprintf("listener %s %s\npersistence false\nmax_queued_messages 0\nallow_anonymous %t\n", port, host, password == "")

	if password != "" {
		file := filepath.Join(folder, "passwords")
		if out, err := exec.CommandContext(t.Context(), "mosquitto_passwd", "-b", "-c", file, "device", password).CombinedOutput(); err != nil {
			t.Skipf("mosquitto_passwd: %v: %s", err, out)
		}

		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}

		config += "password_file " + file + "\n"
	}

	// Mosquitto drops root's rights and must be able to read its files.
	if os.Geteuid() == 0 {
		config += "user root\n"
	}

	file := filepath.Join(folder, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, path, "-c", file)

	var output strings.Builder

	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		cancel()
		_ = command.Wait()

		if t.Failed() {
			t.Logf("mosquitto: %s", output.String())
		}
	})

	eventually(t, "mosquitto listens", func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return false
		}

		return conn.Close() == nil
	})
}

// listener collects what a subscriber of its own gets.
type listener struct {
	client mqtt.Client

	mu       sync.Mutex
	messages map[string][]string // topic to payloads, in order
}

// listen subscribes to everything with a client that is not of this package.
func listen(t *testing.T, address string) *listener {
	t.Helper()

	l := &listener{messages: make(map[string][]string)}
	options := mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID("listener").SetAutoReconnect(false)
	l.client = mqtt.NewClient(options)

	if token := l.client.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}

	token := l.client.Subscribe("#", 1, func(_ mqtt.Client, m mqtt.Message) {
		l.mu.Lock()
		defer l.mu.Unlock()

		l.messages[m.Topic()] = append(l.messages[m.Topic()], string(m.Payload()))
	})
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}

	t.Cleanup(func() { l.client.Disconnect(250) })

	return l
}

// of returns the payloads of a topic.
func (l *listener) of(topic string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()

	return append([]string(nil), l.messages[topic]...)
}

// count returns how many messages came on topics that end so.
func (l *listener) count(suffix string) int {
	l.mu.Lock()
	defer l.mu.Unlock()

	sum := 0

	for topic, payloads := range l.messages {
		if strings.HasSuffix(topic, suffix) {
			sum += len(payloads)
		}
	}

	return sum
}

// run starts work and returns a function that ends it and waits for it.
func run(t *testing.T, work func(context.Context) error) func() error {
	t.Helper()

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)

	go func() { done <- work(ctx) }()

	stop := sync.OnceValue(func() error {
		cancel()

		return <-done
	})

	t.Cleanup(func() { _ = stop() })

	return stop
}
