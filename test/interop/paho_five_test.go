package interop

import (
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// pahoFive is github.com/eclipse/paho.golang, MQTT 5: autopaho, with its session in memory.
type pahoFive struct{}

func (*pahoFive) open(t *testing.T, h *hub.Hub, c connection) *receiver {
	t.Helper()
	r := newReceiver()
	f := startFive(t, h, func(cfg *autopaho.ClientConfig) {
		cfg.ClientID = c.id
		cfg.CleanStartOnInitialConnection = !c.persistent
		if c.persistent {
			cfg.SessionExpiryInterval = 3600
		}
		if c.will != nil {
			cfg.WillMessage = &paho.WillMessage{Topic: c.will.topic, Payload: c.will.payload, QoS: c.will.qos, Retain: c.will.retained}
		}
		cfg.OnPublishReceived = append(cfg.OnPublishReceived, func(p paho.PublishReceived) (bool, error) {
			r.messages <- message{p.Packet.Topic, p.Packet.Payload, p.Packet.QoS, p.Packet.Retain}
			return true, nil
		})
	})
	for _, filter := range c.filters {
		f.subscribe(&paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: c.qos}}})
	}
	if len(c.unsubscribe) > 0 {
		if _, err := f.Unsubscribe(f.ctx, &paho.Unsubscribe{Topics: c.unsubscribe}); err != nil {
			t.Fatal(err)
		}
	}
	r.disconnect, r.cut = f.leave, f.cut
	return r
}

func (*pahoFive) publish(t *testing.T, h *hub.Hub, messages ...message) {
	t.Helper()
	f := startFive(t, h, nil)
	defer f.leave()
	for _, m := range messages {
		f.publish(&paho.Publish{Topic: m.topic, Payload: m.payload, QoS: m.qos, Retain: m.retained})
	}
}

// A five is an MQTT 5 client with all that autopaho can do.
type five struct {
	*autopaho.ConnectionManager

	t       *testing.T
	ctx     context.Context //nolint:containedctx // That of the test.
	cancel  context.CancelFunc
	line    cuttable
	leaving atomic.Bool
	connack atomic.Pointer[paho.Connack] // the last
}

// startFive connects with the configuration that configure has made of the default.
func startFive(t *testing.T, h *hub.Hub, configure func(*autopaho.ClientConfig)) *five {
	t.Helper()
	f := &five{t: t}
	f.ctx, f.cancel = context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(f.cut)
	cfg := autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{{Scheme: "mqtt", Host: h.MQTT}},
		KeepAlive:                     30,
		ConnectUsername:               mqtt.Default.User,
		ConnectPassword:               []byte(mqtt.Default.Password),
		CleanStartOnInitialConnection: true,
		ReconnectBackoff:              autopaho.NewConstantBackoff(100 * time.Millisecond),
		AttemptConnection: func(context.Context, autopaho.ClientConfig, *url.URL) (net.Conn, error) {
			return f.line.open(h.MQTT)
		},
		OnConnectionUp:   func(_ *autopaho.ConnectionManager, c *paho.Connack) { f.connack.Store(c) },
		OnConnectionDown: func() bool { return !f.leaving.Load() },
	}
	cfg.PacketTimeout = patience
	if configure != nil {
		configure(&cfg)
	}
	var err error
	if f.ConnectionManager, err = autopaho.NewConnection(f.ctx, cfg); err != nil {
		t.Fatal(err)
	}
	wait, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	if err := f.AwaitConnection(wait); err != nil {
		t.Fatal(err)
	}
	hub.Eventually(t, patience, "CONNACK", func() error {
		if f.connack.Load() == nil {
			return errNoConnack
		}
		return nil
	})
	return f
}

// leave sends DISCONNECT.
func (f *five) leave() {
	f.leaving.Store(true)
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	_ = f.Disconnect(ctx) // it may be gone
}

// cut ends the connection without DISCONNECT, for good.
func (f *five) cut() {
	f.leaving.Store(true)
	f.line.cut()
	f.cancel()
	if f.ConnectionManager != nil {
		<-f.Done()
	}
}

func (f *five) publish(p *paho.Publish) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	if _, err := f.Publish(ctx, p); err != nil {
		f.t.Fatalf("publish to %s: %v", p.Topic, err)
	}
}

func (f *five) subscribe(s *paho.Subscribe) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	ack, err := f.Subscribe(ctx, s)
	if err != nil {
		f.t.Fatalf("subscribe: %v", err)
	}
	for i, code := range ack.Reasons {
		if code != s.Subscriptions[i].QoS {
			f.t.Errorf("%s granted with 0x%02x, want QoS %d", s.Subscriptions[i].Topic, code, s.Subscriptions[i].QoS)
		}
	}
}
