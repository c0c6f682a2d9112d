package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built.folder != "" {
			_ = os.RemoveAll(built.folder) // the system cleans its temporary folder, too
		}

		os.Exit(code)
	}))
}

// built is the program that hubs are started with: the one that PULSO_BIN names, or one built from this tree when the first test asks.
var built struct {
	once         sync.Once
	folder, path string
	err          error
}

func program(t *testing.T) string {
	t.Helper()

	built.once.Do(func() {
		if built.path = os.Getenv("PULSO_BIN"); built.path != "" {
			return
		}

		if built.folder, built.err = os.MkdirTemp("", "pulso-bin-"); built.err != nil { //nolint:usetesting // It serves all tests.
			return
		}

		built.path = filepath.Join(built.folder, "pulso")

		command := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", built.path, "../../cmd/pulso")
		if out, err := command.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})

	if built.err != nil {
		t.Fatal(built.err)
	}

	return built.path
}

// startHub runs a hub until the test ends and returns a target with its addresses.
func startHub(t *testing.T) (*Hub, Target) {
	t.Helper()

	hub, err := StartHub(t.Context(), HubConfig{Program: program(t)})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := hub.Close(); err != nil {
			t.Error(err)
		}
	})

	target := hub.Target(Target{Via: viaAuto, Wire: "json", Form: "events", Delivery: delivEvery, Prefix: "bench"})

	return hub, target
}

// small is a workload with little to do.
func small(t *testing.T, name string, change ...func(*Load)) Workload {
	t.Helper()

	w, ok := WorkloadByName(name)
	if !ok {
		t.Fatalf("no workload %q", name)
	}

	w.Load.Measure, w.Load.Warmup = Duration(time.Second), Duration(200*time.Millisecond)
	w.Load.Subscribers = min(w.Load.Subscribers, 8)
	w.Load.Publishers = min(w.Load.Publishers, 4)
	w.Load.Devices = min(w.Load.Devices, 40)
	w.Load.Rate = min(w.Load.Rate, 400)
	w.Load.Slow = w.Load.Subscribers / 2

	for _, c := range change {
		c(&w.Load)
	}

	return w
}

// measure runs a workload.
func measure(ctx context.Context, t *testing.T, target Target, w Workload) *Result {
	t.Helper()

	b, err := New(Config{Target: target, Workload: w})
	if err != nil {
		t.Fatal(err)
	}

	r, err := b.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}

	return r
}

// mosquitto runs a broker until the test ends, with MQTT over TCP and over WebSocket.
func mosquitto(t *testing.T) (tcp, ws string, pid int) {
	t.Helper()

	path := ""

	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
		}
	}

	if path == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("mosquitto is not installed, and CI must test against it")
		}

		t.Skip("mosquitto is not installed")
	}

	addresses := [2]string{}
	config := "allow_anonymous true\npersistence false\nmax_queued_messages 0\n"

	if os.Geteuid() == 0 {
		config += "user root\n" // it must be able to read its file
	}

	for i := range addresses {
		address, err := freeAddress(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		addresses[i] = address
		config += "listener " + address[len("127.0.0.1:"):] + " 127.0.0.1\n"
	}

	config += "protocol websockets\n"
	file := filepath.Join(t.TempDir(), "mosquitto.conf")

	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, path, "-c", file)

	if err := command.Start(); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		cancel()

		_ = command.Wait() // it was killed
	})

	eventually(t, "mosquitto listens", func() error {
		return errors.Join(reachable(t.Context(), addresses[0]), reachable(t.Context(), addresses[1]))
	})

	return "tcp://" + addresses[0], "ws://" + addresses[1], command.Process.Pid
}

func reachable(ctx context.Context, address string) error {
	d := dialer{}

	conn, err := d.tcp(ctx, address, false)
	if err != nil {
		return err
	}

	return conn.Close()
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()

	for deadline := time.Now().Add(20 * time.Second); ; {
		err := check()
		if err == nil {
			return
		}

		if time.Now().After(deadline) {
			t.Fatalf("%s: not in time: %v", what, err)
		}

		time.Sleep(10 * time.Millisecond) // the interval of polling
	}
}
