package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Hub is a server of our own, in a child process, with a folder that is gone when it ends.
type Hub struct {
	mqtt, http string // addresses
	folder     string
	command    *exec.Cmd
	said       *tailBuffer
	exited     chan struct{}
	exit       error // once exited is closed
}

// HubConfig says how a hub is started.
type HubConfig struct {
	// Program is a pulso: it is started as `Program serve --mqtt … --http … --data …`.
	Program string
	// Procs is its GOMAXPROCS; 0 leaves it to the hub.
	Procs int
	// Args are further flags of serve.
	Args []string
}

// How long a hub may take to begin, and to end.
const (
	hubStart = 30 * time.Second
	hubStop  = 15 * time.Second
)

// StartHub starts a hub on free ports of the loopback interface and returns when it is ready. Close must be called.
func StartHub(ctx context.Context, cfg HubConfig) (*Hub, error) {
	h := &Hub{said: &tailBuffer{}, exited: make(chan struct{})}

	for _, address := range []*string{&h.mqtt, &h.http} {
		var err error
		if *address, err = freeAddress(ctx); err != nil {
			return nil, fmt.Errorf("free port for a hub: %w", err)
		}
	}

	var err error
	if h.folder, err = os.MkdirTemp("", "pulso-bench-"); err != nil {
		return nil, fmt.Errorf("folder for a hub: %w", err)
	}

	args := append([]string{"serve", "--mqtt", h.mqtt, "--http", h.http, "--data", h.folder, "--verbosity", "warn"}, cfg.Args...)
	h.command = exec.CommandContext(context.WithoutCancel(ctx), cfg.Program, args...) //nolint:gosec // that is what it is for
	h.command.Stdout, h.command.Stderr = h.said, h.said
	ownGroup(h.command)

	if cfg.Procs > 0 {
		h.command.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(cfg.Procs))
	}

	if err := h.command.Start(); err != nil {
		_ = os.RemoveAll(h.folder)

		return nil, fmt.Errorf("start a hub: %w", err)
	}

	go func() {
		h.exit = h.command.Wait()
		close(h.exited)
	}()

	if err := h.ready(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}

	return h, nil
}

// Target fills in where the hub is.
func (h *Hub) Target(t Target) Target {
	t.MQTT, t.HTTP, t.PID = "tcp://"+h.mqtt, "http://"+h.http, h.command.Process.Pid
	t.URL, t.Metrics = "", ""

	return t
}

// Close asks the hub to end, waits for it, and removes its folder.
func (h *Hub) Close() error {
	_ = h.command.Process.Signal(os.Interrupt) // it may have ended

	select {
	case <-h.exited:
	case <-time.After(hubStop):
		_ = h.command.Process.Kill()

		<-h.exited
	}

	err := os.RemoveAll(h.folder)
	if h.exit != nil {
		err = errors.Join(fmt.Errorf("the hub ended with %w: %s", h.exit, h.said.String()), err)
	}

	return err
}

func (h *Hub) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, hubStart)
	defer cancel()

	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()

	for {
		if h.answers(ctx) {
			return nil
		}

		select {
		case <-ticker.C:
		case <-h.exited:
			return fmt.Errorf("the hub of --self did not start: %s", h.said.String())
		case <-ctx.Done():
			return fmt.Errorf("the hub of --self is not ready: %w: %s", ctx.Err(), h.said.String())
		}
	}
}

func (h *Hub) answers(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.http+"/readyz", http.NoBody)
	if err != nil {
		return false
	}

	answer, err := metricsClient.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()

	_, err = io.Copy(io.Discard, answer.Body)

	return err == nil && answer.StatusCode == http.StatusOK
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}

	return l.Addr().String(), l.Close()
}

// A tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	mu   sync.Mutex
	text []byte
}

// maxTail is how much of it, in bytes.
const maxTail = 2 << 10

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.text = append(b.text, p...)
	b.text = b.text[max(0, len(b.text)-maxTail):]

	return len(p), nil
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()

	return strings.TrimSpace(string(b.text))
}
