// Package app joins the parts to a hub: it checks the configuration, opens the log, builds broker, bridge, views, rooms
// and gateways on it, and starts and stops them in their order.
//
// Life: [New] opens and binds everything, so that what is wrong is said at once; [Hub.Run] works until its context ends
// and then stops within about five seconds.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pulso/access"
	"pulso/access/audit"
	"pulso/access/gate"
	"pulso/access/jwt"
	"pulso/bridge"
	"pulso/bridge/command"
	"pulso/bridge/decode"
	"pulso/bridge/event"
	"pulso/bridge/eventlog"
	"pulso/bridge/eventlog/disklog"
	"pulso/bridge/gateway"
	"pulso/bridge/gateway/boards"
	"pulso/bridge/gateway/commands"
	"pulso/bridge/gateway/poll"
	"pulso/bridge/gateway/promapi"
	"pulso/bridge/gateway/rest"
	"pulso/bridge/gateway/rpc"
	"pulso/bridge/gateway/simulate"
	"pulso/bridge/gateway/sse"
	"pulso/bridge/gateway/understand"
	"pulso/bridge/gateway/web"
	"pulso/bridge/gateway/ws"
	"pulso/bridge/remotewrite"
	"pulso/bridge/room"
	"pulso/bridge/view"
	"pulso/bridge/view/chat"
	"pulso/bridge/view/devices"
	"pulso/bridge/view/facts"
	"pulso/bridge/view/history"
	"pulso/bridge/view/hub"
	"pulso/bridge/view/topics"
	"pulso/bridge/wire"
	"pulso/broker"
	"pulso/broker/limit"
	"pulso/broker/store"
	"pulso/contract"
	"pulso/contract/api"
	"pulso/source"
)

// A Hub is the whole program but its command line.
type Hub struct {
	cfg      Config
	logger   *slog.Logger
	version  string
	registry *prometheus.Registry

	log     eventlog.Log
	logErr  func() error
	store   *store.Store // of the broker; nil where nothing is kept
	guards  *guards
	sources *source.Sources
	bridge  *bridge.Bridge
	broker  *broker.Broker // nil where the hub has none of its own
	devices *devices.View
	topics  *topics.View
	chat    *chat.View
	history *history.View
	queries *promapi.Handler // PromQL on the history
	remote  *remotewrite.Writer
	rest    *rest.Handler
	decoder *decode.Decoder
	figures *hub.View
	runners []*view.Runner // the first is that of the decoder's facts
	views   *view.Group
	rooms   *room.Registry
	gateway *gateway.Gateway
	stream  *ws.Handler
	events  *sse.Handler
	polls   *poll.Handler
	calls   *rpc.Handler
	publish *web.Publisher
	past    *pasts
	// requests are those to devices that wait to be published.
	requests chan decode.Request
	// simulator lets people start simulated devices.
	simulator *simulate.Handler
	// sent is what became of commands, commands sends them, and commanding serves both.
	sent       *command.View
	commands   *command.Sender
	commanding *commands.Handler
	// understand serves the overrides and how messages are read.
	understand *understand.Handler
	overrides  *overrides
	boards     *boards.Handler
	// contracts are what devices have promised, promises tells of them.
	contracts *contract.Book
	promises  *api.Handler
	origins   *origins
	// foreign refuses the forms of other sites' pages.
	foreign *http.CrossOriginProtection
	// accounts are who may do what, gate stands before all requests.
	accounts *access.Directory
	verifier *jwt.Verifier
	gate     *gate.Gate
	// records are the audit's, recorder puts them into the log, audited tells them.
	records  *audit.View
	notes    *audit.Notes
	recorder *recorder
	audited  *audit.Handler
	refuser  *web.Refuser

	listener net.Listener
	secured  net.Listener // nil: no TLS
	certs    *certificates
	server   *http.Server
	ready    chan struct{}
}

// New opens the data folder, binds the ports and builds the hub. What it opened is closed again if it fails. The context
// is for New alone.
func New(ctx context.Context, cfg Config, logger *slog.Logger, version string) (*Hub, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	h := &Hub{cfg: cfg, logger: logger, version: version, registry: prometheus.NewRegistry(), ready: make(chan struct{})}
	h.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if h.guards, err = newGuards(&cfg, logger, h.registry); err != nil {
		return nil, err
	}
	log, viewDir, err := h.openLog()
	if err != nil {
		return nil, err
	}
	h.log = log
	if err := h.build(ctx, viewDir); err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	return h, nil
}

func (h *Hub) build(ctx context.Context, viewDir string) error {
	if err := h.buildAccess(); err != nil {
		return err
	}
	if err := h.buildBridge(viewDir); err != nil { //nolint:contextcheck // what the history finds after a crash is dealt with whole
		return err
	}
	if err := h.buildCommands(); err != nil {
		return err
	}
	if h.cfg.MQTT != NoBroker {
		if err := h.buildBroker(ctx); err != nil {
			return err
		}
	}
	if err := h.buildSources(); err != nil {
		return err
	}
	if err := h.buildRemoteWrite(); err != nil {
		return err
	}
	if err := h.bind(ctx); err != nil {
		return err
	}
	h.figures = hub.New(hub.Config{Sample: h.sample, Part: h.part, Version: h.version, MQTT: h.deviceAddr(), HTTP: h.HTTPAddr()})
	past := bridge.Past{Bridge: h.bridge, FindTopics: h.findTopics}
	_, next := h.log.Bounds()
	h.rooms = room.New(room.Config{
		Past: past,
		Sources: map[wire.Form]room.Source{
			wire.FormDevices: h.devices, wire.FormTopics: h.topics, wire.FormHub: h.figures, wire.FormChat: h.chat,
		},
		Metrics: h.registry,
	}, next)
	h.gateway = gateway.New(gateway.Config{
		Rooms: h.rooms, Publisher: h.admitted(true), Presence: h.chat, Node: nodeName(next.Epoch), Version: h.version,
		MaxSessions: h.cfg.MaxSessions, Admit: h.admitStream, OnSubscribe: h.streamed,
		Logger: h.logger.With("part", "gateway"), Metrics: h.registry,
	})
	h.stream = ws.New(ws.Config{Gateway: h.gateway, CheckOrigin: h.checkOrigin, Logger: h.logger.With("part", "ws")})
	h.events = sse.New(sse.Config{Gateway: h.gateway, Metrics: h.registry})
	h.polls = poll.New(poll.Config{Gateway: h.gateway, Metrics: h.registry})
	h.calls = rpc.New(rpc.Config{Gateway: h.gateway, Logger: h.logger.With("part", "rpc"), Metrics: h.registry})
	h.publish = web.NewPublisher(h.gateway, h.registry)
	h.past = newPasts(h)
	h.refuser = web.NewRefuser(h.registry, "pulso_http_refused_total")
	if err := h.buildRest(); err != nil {
		return err
	}
	h.audited = audit.NewHandler(h.records, h.catch, h.registry)
	h.buildSimulator()
	h.promises = h.newPromises()
	h.origins, h.foreign = newOrigins(h.checkOrigin, h.registry), http.NewCrossOriginProtection()
	h.server = h.newServer()
	// Those who hear of a batch, in this order: devices first, then screens, then the views.
	if h.broker != nil {
		h.bridge.Follow(bridge.FollowerFunc(h.broker.Deliver))
	}
	h.bridge.Follow(bridge.FollowerFunc(h.sources.Offer))
	h.bridge.Follow(h.commands)
	h.bridge.Follow(h.rooms)
	h.views = view.NewGroup(h.runners)
	h.bridge.Follow(h.views)
	return nil
}

// newServer makes what serves both HTTP ports.
func (h *Hub) newServer() *http.Server {
	// Every request is small and answered at once: who sends or takes one for longer holds a connection for nothing. Those
	// that become WebSockets or streams, or wait for news, have times of their own.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Protocols: protocols, HTTP2: http2Bounds(),
		Handler: h.routes(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		TLSConfig: h.tlsConfig(false, "h2", "http/1.1"), ErrorLog: slog.NewLogLogger(h.logger.With("part", "http").Handler(), slog.LevelDebug),
	}
}

// kept is the path of a file in the data folder; empty where nothing is kept.
func (h *Hub) kept(name string) string {
	if h.cfg.Data == InMemory {
		return ""
	}
	return filepath.Join(h.cfg.Data, name)
}

func (h *Hub) buildBridge(viewDir string) (err error) {
	h.contracts, err = contract.Open(contract.Config{
		Path: h.kept(contractsFile), Logger: h.logger.With("part", "contracts"), Metrics: h.registry,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", contractsFile, err)
	}
	decoder, err := decode.New(decode.Config{Metrics: h.registry})
	if err != nil {
		return err
	}
	decoder.Namespaces(h.namespaces()) // before the views read the past
	overrides, err := loadOverrides(decoder, h.cfg.Decode, h.kept("overrides.json"), h.logger)
	if err != nil {
		return err
	}
	h.boards, err = boards.New(boards.Config{
		Path: h.kept("boards.json"), Sees: h.seesSeries, Logger: h.logger.With("part", "boards"), Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	h.decoder, h.overrides = decoder, overrides
	h.understand = understand.New(understand.Config{Store: overrides, Decoder: decoder, Metrics: h.registry})
	h.requests = make(chan decode.Request, maxWaitingRequests)
	h.bridge, err = bridge.New(bridge.Config{
		Log: h.log, Decoder: decoder, Requests: h.requests, Logger: h.logger.With("part", "bridge"), Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	h.devices, err = devices.New(devices.Config{
		Intern: h.bridge.Intern, MaxDevices: h.cfg.MaxDevices, Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	if h.topics, err = topics.New(topics.Config{Metrics: h.registry}); err != nil {
		return err
	}
	if h.chat, err = chat.New(chat.Config{Metrics: h.registry}); err != nil {
		return err
	}
	// One set of metrics serves all runners: the label "view" tells them apart.
	h.sent = command.NewView()
	for _, v := range []view.View{facts.New(decoder), h.devices, h.topics, h.chat, h.sent, h.records} {
		r, err := view.New(view.Config{
			View: v, Log: h.log, Decode: h.bridge.Decode, Dir: viewDir, Logger: h.logger.With("part", "view"), Metrics: h.registry,
		})
		if err != nil {
			return err
		}
		h.runners = append(h.runners, r)
	}
	return h.buildHistory(viewDir)
}

func (h *Hub) buildBroker(ctx context.Context) (err error) {
	if h.store, err = h.openStore(ctx); err != nil {
		return err
	}
	h.broker, err = broker.New(ctx, broker.Config{
		Sink: h.bridge, Log: h.log, Store: h.store, Memory: h.guards.memory,
		Address: h.cfg.MQTT, TLSAddress: h.cfg.MQTTS, TLS: h.tlsConfig(true, "mqtt"), AllowedOrigins: h.cfg.AllowOrigin, Presence: h.chat,
		OnRefused: func(r broker.Refusal) {
			reason := r.Reason
			if r.Detail != "" {
				reason += ": " + r.Detail
			}
			h.figures.Refused(hub.Refusal{Time: r.Time, Remote: r.Remote, Client: r.Client, Reason: reason})
		},
		OnGap: func(g broker.Gap) {
			h.figures.Missed(hub.Missed{Time: g.Time, Client: g.Client, From: g.From, To: g.To, Reason: g.Why})
		},
		OnDelivery: h.delivered, OnSubscribe: h.heard, Admit: h.contracts.Admit, Authenticate: h.authenticate, MayPublish: h.mayWill,
		Logger: h.logger.With("part", "broker"), Metrics: h.registry,

		ConnectTimeout: h.cfg.ConnectTimeout, KeepAlive: h.cfg.KeepAlive, WriteTimeout: h.cfg.WriteTimeout,
		SessionExpiry: h.cfg.SessionExpiry, WriteBuffer: int(h.cfg.WriteBuffer), MaxPacket: int(h.cfg.MaxPacket),
		MaxTopicLevels: h.cfg.MaxTopicLevels, MaxConnections: h.guards.mqttConnections,
		MaxConnectionsPerAddress: h.cfg.MaxConnectionsPerAddress, ConnectRate: h.cfg.ConnectRate,
		ConnectRatePerAddress: h.cfg.ConnectRatePerAddress, ClientMessages: h.cfg.ClientMessages,
		ClientBytes: int(h.cfg.ClientBytes), MaxSessions: h.cfg.MaxMQTTSessions, MaxSubscriptions: h.cfg.MaxSubscriptions,
		MaxQueue: h.cfg.MaxQueue, MaxQueueBytes: int(h.cfg.MaxQueueBytes), MaxInflight: h.cfg.MaxInflight,
		ReceiveMaximum: h.cfg.ReceiveMaximum, MaxRetained: h.cfg.MaxRetained, MaxRetainedBytes: int(h.cfg.MaxRetainedBytes),
	})
	return err
}

// openStore opens the broker's store; nil where the hub keeps nothing.
func (h *Hub) openStore(ctx context.Context) (*store.Store, error) {
	if h.cfg.Data == InMemory {
		return nil, nil //nolint:nilnil // no store is a choice
	}
	s, err := store.Open(ctx, store.Config{
		Path: filepath.Join(h.cfg.Data, "broker.db"), Sync: h.cfg.Sync == string(disklog.SyncFsync),
		Logger: h.logger.With("part", "store"), Metrics: h.registry,
	})
	if err != nil {
		return nil, fmt.Errorf("sessions and retained messages: %w", err)
	}
	return s, nil
}

// bind opens both ports; connections wait until Run.
func (h *Hub) bind(ctx context.Context) error {
	if h.broker != nil {
		if err := h.broker.Listen(ctx); err != nil {
			return err
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", h.cfg.HTTP)
	if err != nil {
		return fmt.Errorf("listen for HTTP on %s: %w", h.cfg.HTTP, err)
	}
	h.listener = h.guards.web.Listen(l)
	if h.cfg.HTTPS == "" {
		return nil
	}
	if l, err = new(net.ListenConfig).Listen(ctx, "tcp", h.cfg.HTTPS); err != nil {
		return fmt.Errorf("listen for HTTPS on %s: %w", h.cfg.HTTPS, err)
	}
	h.secured = h.guards.web.Listen(l)
	return nil
}

// tlsConfig is TLS for a port; nil where there is none.
func (h *Hub) tlsConfig(clients bool, protocols ...string) *tls.Config {
	if !h.cfg.hasTLS() {
		return nil
	}
	return h.certs.config(clients, protocols...)
}

// MQTTAddr is the address that MQTT over TCP is on; empty where the hub has no broker of its own.
func (h *Hub) MQTTAddr() string {
	if h.broker == nil {
		return ""
	}
	return h.broker.Addr().String()
}

// HTTPAddr is the address that HTTP is on.
func (h *Hub) HTTPAddr() string { return h.listener.Addr().String() }

// Ready is closed when the views know what the log holds and both ports are served.
func (h *Hub) Ready() <-chan struct{} { return h.ready }

// admitStream reports whether there is memory for another screen.
func (h *Hub) admitStream() bool { return h.guards.memory.Allow(limit.NewStream) }

// findTopics finds the topics of a subscription's history: by device in the registry of devices, else among all topics.
func (h *Hub) findTopics(filters, ids []string, scope event.Scope, limit int) ([]string, bool) {
	if len(ids) > 0 {
		return h.devices.Topics(filters, ids, scope, limit)
	}
	return h.topics.Topics(filters, nil, scope, limit)
}
