package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/view"
	"pulso/bridge/view/hub"
	"pulso/broker"
	"pulso/broker/store"
)

// Time that each step of stopping may take.
const (
	stopBroker  = 2000 * time.Millisecond
	stopGateway = 1500 * time.Millisecond
	stopHTTP    = 500 * time.Millisecond
)

// A task is a part that runs in its own goroutine.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func start(ctx context.Context, run func(context.Context) error) *task {
	ctx, cancel := context.WithCancel(ctx)
	t := &task{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		t.err = run(ctx)
	}()
	return t
}

func (t *task) stop() error {
	t.cancel()
	<-t.done
	return t.err
}

// Run serves until ctx ends, or a part fails, and then stops: no new connections, devices disconnected without wills, the
// log flushed, sessions told to come back, views saved. It returns nil after a clean stop.
func (h *Hub) Run(ctx context.Context) error {
	// The parts end one after the other, not all when ctx does.
	life := context.WithoutCancel(ctx)
	watch := start(life, h.guards.Run)
	views := make([]*task, 0, len(h.runners))
	// What devices have announced comes first: by it the others understand the past.
	for _, runners := range [][]*view.Runner{h.runners[:1], h.runners[1:]} {
		for _, r := range runners {
			views = append(views, start(life, r.Run))
		}
		if err := h.await(ctx, views); err != nil {
			return errors.Join(err, h.stopViews(views), watch.stop(), h.close(life))
		}
	}
	for v := range h.devices.Values([]string{"#"}, nil) {
		h.rooms.Seed(v.Series, v.Time, v.Value)
	}
	pipeline, requests := start(life, h.bridge.Run), start(life, h.ask)
	commands := start(life, h.commands.Run)
	rooms, figures, stream := start(life, h.rooms.Run), start(life, h.figures.Run), start(life, h.stream.Run)
	events, polls := start(life, h.events.Run), start(life, h.polls.Run)
	calls, past := start(life, h.calls.Run), start(life, h.past.Run)
	inlets, outlets := start(life, h.sources.Run), start(life, h.remote.Run)
	mqtt, simulator := start(life, h.runBroker), start(life, h.simulator.Run)
	spaces := start(life, h.followNamespaces)
	accounts, recorder, issuers := start(life, h.accounts.Run), start(life, h.recorder.Run), start(life, h.verifier.Run)
	certs, promised, web := start(life, h.certs.Run), start(life, h.contracts.Run), start(life, h.serveHTTP)
	close(h.ready)
	h.logger.Info("hub is up", "mqtt", h.MQTTAddr(), "http", h.HTTPAddr(), "mqtts", h.cfg.MQTTS, "https", h.cfg.HTTPS,
		"data", h.cfg.Data, "sync", h.cfg.Sync)
	if h.cfg.AllowAnonymous && h.accounts.Enabled() {
		h.logger.Info("allow-anonymous counts for nothing: the hub has users")
	}
	if !h.cfg.AllowAnonymous && !h.accounts.Enabled() {
		how := []any{"to_change", "pulso user add NAME --data " + h.cfg.Data}
		if link := h.setupURL(); link != "" {
			how = append(how, "or_open_once", link)
		}
		h.logger.Info("only this machine can connect, and everybody on it may do everything: the hub has no users", how...)
	}

	select {
	case <-ctx.Done():
	case <-mqtt.done:
	case <-web.done:
	}
	h.logger.Info("hub is stopping")
	// From the devices to the screens: what is on its way still gets through.
	err := errors.Join(
		simulator.stop(), h.stopBroker(life, mqtt), inlets.stop(), requests.stop(), commands.stop(),
		accounts.stop(), spaces.stop(), issuers.stop(), recorder.stop(), pipeline.stop(), past.stop(), h.stopGateway(life),
		stream.stop(), events.stop(), polls.stop(), calls.stop(),
		h.stopHTTP(life), web.stop(), certs.stop(), promised.stop(),
		rooms.stop(), figures.stop(), outlets.stop(), h.stopViews(views), watch.stop(), h.close(life),
	)
	if err == nil {
		h.logger.Info("hub has stopped")
	}
	return err
}

func (h *Hub) runBroker(ctx context.Context) error {
	if h.broker == nil {
		<-ctx.Done()
		return nil
	}
	return h.broker.Run(ctx)
}

func (h *Hub) stopBroker(ctx context.Context, t *task) error {
	if h.broker == nil {
		return t.stop()
	}
	ctx, cancel := context.WithTimeout(ctx, stopBroker)
	defer cancel()
	err := h.broker.Stop(ctx)
	if ended := t.stop(); !errors.Is(ended, broker.ErrStopped) { // it was stopped before it had begun
		err = errors.Join(err, ended)
	}
	return err
}

func (h *Hub) stopGateway(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopGateway)
	defer cancel()
	return h.gateway.Stop(ctx)
}

func (h *Hub) stopHTTP(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopHTTP)
	defer cancel()
	if err := h.server.Shutdown(ctx); err != nil {
		return h.server.Close() // whoever is still being served is cut off
	}
	return nil
}

// await returns when the views know what the log holds.
func (h *Hub) await(ctx context.Context, views []*task) error {
	for i, started := range views {
		select {
		case <-h.runners[i].CaughtUp():
		case <-started.done:
			return fmt.Errorf("view could not start: %w", started.err)
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// stopViews stops the views. The history, which may be waiting for room on the disk, gives up first.
func (h *Hub) stopViews(views []*task) error {
	h.views.Flush()
	h.history.Stop()
	return stopAll(views)
}

func stopAll(tasks []*task) error {
	var wg sync.WaitGroup
	errs := make([]error, len(tasks))
	for i, t := range tasks {
		wg.Go(func() { errs[i] = t.stop() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// close frees what New opened.
func (h *Hub) close(ctx context.Context) error {
	var errs []error
	if h.broker != nil {
		ctx, cancel := context.WithTimeout(ctx, stopBroker)
		defer cancel()
		errs = append(errs, h.broker.Stop(ctx))
	}
	for _, l := range []net.Listener{h.listener, h.secured} {
		if l != nil {
			_ = l.Close() // closed already after a clean stop
		}
	}
	if h.store != nil {
		if err := h.store.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the store of sessions: %w", err))
		}
	}
	errs = append(errs, h.closeHistory()) //nolint:contextcheck // what is in memory goes to the disk, or is read from the log again
	if h.log != nil {
		if err := h.log.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the log: %w", err))
		}
	}
	return errors.Join(errs...)
}

// problems is why the hub is not ready, a line each.
func (h *Hub) problems() []string {
	var out []string
	select {
	case <-h.ready:
	default:
		out = append(out, "views: still reading the log")
	}
	for _, f := range h.failures() {
		out = append(out, f.Text)
	}
	return out
}

// failures is what stores nothing at present.
func (h *Hub) failures() []hub.Problem {
	var out []hub.Problem
	failed := h.logErr()
	if err := cmp.Or(failed, h.bridge.Err()); err != nil {
		kind := hub.LogSlow
		switch {
		case errors.Is(err, eventlog.ErrFull):
			kind = hub.LogFull
		case failed != nil || errors.Is(err, eventlog.ErrFailed):
			kind = hub.LogFailed
		}
		out = append(out, hub.Problem{Kind: kind, Text: "log: " + err.Error()})
	}
	if h.broker == nil {
		return out
	}
	if err := h.broker.Err(); err != nil {
		kind := hub.StoreFailed
		if errors.Is(err, store.ErrFull) {
			kind = hub.StoreFull
		}
		out = append(out, hub.Problem{Kind: kind, Text: err.Error()})
	}
	return out
}

// sample asks the parts for the hub's figures.
func (h *Hub) sample() hub.Sample {
	var s hub.Sample
	s.Total, s.Online, s.Stale, s.Offline = h.devices.Counts()
	s.Screens = h.gateway.Sessions()
	s.Problems = append(h.failures(), h.remarks()...)
	if h.broker != nil {
		stats := h.broker.Stats()
		s.Connections, s.Sessions, s.Behind = stats.Connections, stats.Sessions, stats.Behind
		for _, d := range stats.Drops {
			s.Drops = append(s.Drops, hub.Count{Reason: d.Reason, Count: d.Count})
		}
	}
	t := h.bridge.Traffic()
	s.Events, s.Bytes, s.Undecodable = t.Events, t.Bytes, t.Undecodable
	s.P50, s.P99 = time.Duration(t.P50), time.Duration(t.P99)
	s.Device = hub.Percentiles{P50: time.Duration(t.DeviceP50), P99: time.Duration(t.DeviceP99)}
	s.Screen.P50, s.Screen.P99, s.Painting = h.gateway.Painted()
	_, s.Frames, s.Gaps = h.rooms.Stats()
	s.Log.First, s.Log.Next = h.log.Bounds()
	s.Log.Durable = h.durable()
	if sized, ok := h.log.(interface{ Size() int64 }); ok {
		s.Log.Bytes = uint64(max(0, sized.Size()))
	}
	return s
}

// part is what there is of what a scope sees.
func (h *Hub) part(scope event.Scope) (p hub.Part) {
	p.Total, p.Online, p.Stale, p.Offline = h.devices.CountsFor(scope)
	p.Events = h.topics.RateFor(scope)
	return p
}

// durable is how safe the log is, as the wire has it.
func (h *Hub) durable() string {
	if h.cfg.Data == InMemory {
		return "memory"
	}
	return h.cfg.Sync
}

func nodeName(epoch uint64) string { return strconv.FormatUint(epoch, 36) }

// Ask asks a hub's health address and returns what it says is wrong.
func Ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask the hub: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the hub: %w", err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the hub is not well (%s): %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return nil
}
