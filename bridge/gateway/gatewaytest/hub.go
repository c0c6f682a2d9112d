package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulso/bridge"
	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/disklog"
	"pulso/bridge/gateway"
	"pulso/bridge/room"
	"pulso/bridge/view/chat"
	"pulso/bridge/view/devices"
	"pulso/bridge/view/topics"
	"pulso/bridge/wire"
)

// Config of a Hub; zero is a hub as it comes.
type Config struct {
	// Log is a log on disk in a folder of the test's unless it is set.
	Log     eventlog.Log
	Rooms   room.Config
	Gateway gateway.Config
	Limits  Limits
}

// A Hub is everything from the log to the socket: log, bridge, decoders, rooms, gateway and one or more transports.
type Hub struct {
	t       testing.TB
	log     eventlog.Log
	bridge  *bridge.Bridge
	metrics *prometheus.Registry

	mu      sync.Mutex
	offered event.Position // what the rooms have been given
	more    *sync.Cond     // that it has grown

	// Gateway is for tests of what the script does not ask.
	Gateway *gateway.Gateway
	// Addr is where the hub listens, HOST:PORT.
	Addr string
	// Stop ends all sessions with shutdown and the hub with them.
	Stop func()
}

// Start starts a hub that serves transports on one TCP port until the test ends.
func Start(t testing.TB, cfg Config, services ...Service) *Hub {
	t.Helper()
	h := &Hub{t: t, log: cfg.Log, metrics: prometheus.NewRegistry()}
	h.more = sync.NewCond(&h.mu)
	if h.log == nil {
		log, err := disklog.Open(disklog.Config{Dir: t.TempDir(), Sync: disklog.SyncOS})
		if err != nil {
			t.Fatal(err)
		}
		h.log = log
	}
	decoder, err := decode.New(decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if h.bridge, err = bridge.New(bridge.Config{Log: h.log, Decoder: decoder}); err != nil {
		t.Fatal(err)
	}
	view, err := topics.New(topics.Config{})
	if err != nil {
		t.Fatal(err)
	}
	people, err := chat.New(chat.Config{})
	if err != nil {
		t.Fatal(err)
	}
	things, err := devices.New(devices.Config{Intern: h.bridge.Intern})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Rooms.Past = bridge.Past{Bridge: h.bridge, FindTopics: view.Topics}
	cfg.Rooms.Sources = map[wire.Form]room.Source{wire.FormTopics: view, wire.FormDevices: things, wire.FormChat: people}
	cfg.Gateway.Presence = people
	_, next := h.log.Bounds()
	rooms := room.New(cfg.Rooms, next)
	cfg.Gateway.Rooms, cfg.Gateway.Publisher, cfg.Gateway.Metrics = rooms, h.bridge, h.metrics
	cfg.Gateway.Node, cfg.Gateway.Version = "node", "test"
	h.Gateway = gateway.New(cfg.Gateway)
	for _, apply := range []bridge.FollowerFunc{view.Apply, people.Apply, things.Apply} {
		h.bridge.Follow(apply)
	}
	h.bridge.Follow(rooms)
	h.bridge.Follow(bridge.FollowerFunc(h.follow))
	h.serve(cfg.Limits, services, rooms.Run)
	return h
}

// serve runs the parts until the test ends.
func (h *Hub) serve(l Limits, services []Service, rooms func(context.Context) error) {
	mux := http.NewServeMux()
	transports := map[string]func(context.Context) error{}
	for _, s := range services {
		if _, there := transports[s.Name]; !there {
			transports[s.Name] = s.Serve(mux, h.Gateway, l)
		}
	}
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	h.Addr = server.Listener.Addr().String()
	feeding, stopFeeding := context.WithCancel(context.Background())
	serving, stopServing := context.WithCancel(context.Background())
	var feeders, servers sync.WaitGroup
	feeders.Go(func() { _ = h.bridge.Run(feeding) })
	servers.Go(func() { _ = rooms(serving) })
	for _, run := range transports {
		if run != nil {
			servers.Go(func() { _ = run(serving) })
		}
	}
	h.Stop = sync.OnceFunc(func() {
		stopFeeding()
		feeders.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Gateway.Stop(ctx); err != nil {
			h.t.Errorf("stop the gateway: %v", err)
		}
		stopServing()
		servers.Wait()
		server.Close()
		if err := h.log.Close(); err != nil {
			h.t.Errorf("close the log: %v", err)
		}
	})
	h.t.Cleanup(h.Stop)
}

// follow comes after the rooms.
func (h *Hub) follow(batch []event.Decoded) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.offered = batch[len(batch)-1].Next()
	h.more.Broadcast()
}

// Publish stores a message, as a device would have it stored, and returns the position after it when the rooms have it.
func (h *Hub) Publish(topic string, payload []byte) event.Position {
	h.t.Helper()
	stored := make(chan event.Position, 1)
	m := event.Event{Time: time.Now().UnixNano(), Topic: topic, Client: "device", Payload: payload}
	err := h.bridge.Ingest(context.Background(), m, func(pos event.Position, err error) {
		if err != nil {
			h.t.Errorf("publish: %v", err)
		}
		stored <- pos
	})
	if err != nil {
		h.t.Errorf("publish: %v", err)
		return event.Position{}
	}
	pos := <-stored
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.offered.Offset < pos.Offset {
		h.more.Wait()
	}
	return pos
}

// telemetry is what the script's device says: a number that counts.
const telemetry = "devices/d1/telemetry"

// Number publishes a number of the script's device.
func (h *Hub) Number(n int) event.Position {
	return h.Publish(telemetry, fmt.Appendf(nil, `{"n":%d}`, n))
}

// Counted is what the gateway's metric of a name has counted for the value of its one label.
func (h *Hub) Counted(name, label string) int {
	h.t.Helper()
	families, err := h.metrics.Gather()
	if err != nil {
		h.t.Error(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == label {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

// Closed is how many sessions have ended with a code.
func (h *Hub) Closed(name string) int { return h.Counted("pulso_gateway_sessions_closed_total", name) }

// Eventually waits until something holds.
func (h *Hub) Eventually(what string, holds func() bool) {
	h.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			h.t.Errorf("not within %v: %s", patience, what)
			return
		}
	}
}

// A peer is a client with a test's way to talk.
type peer struct {
	Client

	t      testing.TB
	lastID int
	stash  []Message // what came before a reply
}

// dial connects, or the test is over.
func (h *Hub) dial(f Factory) *peer {
	h.t.Helper()
	c, err := f.Dial(h)
	if err != nil {
		h.t.Fatalf("%s: %v", f.Name, err)
	}
	h.t.Cleanup(c.Cut)
	return &peer{Client: c, t: h.t}
}

// send sends a command that is written without its id.
func (p *peer) send(command string) (id int) {
	p.t.Helper()
	p.lastID++
	if err := p.Send(fmt.Sprintf(`{"id":%d,%s}`, p.lastID, command)); err != nil {
		p.t.Fatalf("send %.100s: %v", command, err)
	}
	return p.lastID
}

// next is the next message, be it one that came before a reply.
func (p *peer) next() Message {
	p.t.Helper()
	if len(p.stash) > 0 {
		m := p.stash[0]
		p.stash = p.stash[1:]
		return m
	}
	m, err := p.Receive()
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// ask sends a command and returns the reply to it.
func (p *peer) ask(command string) Message {
	p.t.Helper()
	id := p.send(command)
	for {
		m, err := p.Receive()
		if err != nil {
			p.t.Fatalf("reply to %.100s: %v", command, err)
		}
		if m.ID == uint64(id) {
			return m
		}
		p.stash = append(p.stash, m)
	}
}

// subscribe subscribes and returns the reply, which there has to be.
func (p *peer) subscribe(what string) Subscribed {
	p.t.Helper()
	m := p.ask(`"subscribe":` + what)
	if m.Subscribed == nil {
		p.t.Fatalf("subscribe %s: %+v, %+v", what, m, m.Error)
	}
	return *m.Subscribed
}

// refused asks and returns the error's code, empty where there is none.
func (p *peer) refused(command string) string {
	p.t.Helper()
	m := p.ask(command)
	if m.Error == nil {
		return ""
	}
	if m.Error.Message == "" {
		p.t.Errorf("%s: an error without a word", command)
	}
	return m.Error.Code
}

// farewell reads until the hub closes the session, and returns the code.
func (p *peer) farewell() wire.CloseCode {
	p.t.Helper()
	for {
		_, err := p.Receive()
		if closed := (*ClosedError)(nil); errors.As(err, &closed) {
			return closed.Code
		}
		if err != nil {
			p.t.Errorf("waiting for a farewell: %v", err)
			return 0
		}
	}
}
