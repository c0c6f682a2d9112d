package interop

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// pahoClassic is github.com/eclipse/paho.mqtt.golang, MQTT 3.1 and 3.1.1.
type pahoClassic struct{ version uint }

// serial numbers the clients that have no name: MQTT 3.1 has no empty ones.
var serial atomic.Int64

func (p *pahoClassic) options(h *hub.Hub, id string) *paho.ClientOptions {
	if id == "" && p.version == 3 {
		id = fmt.Sprint("nameless-", serial.Add(1))
	}
	return paho.NewClientOptions().AddBroker("tcp://" + h.MQTT).SetProtocolVersion(p.version).SetClientID(id).
		SetUsername(mqtt.Default.User).SetPassword(mqtt.Default.Password).
		SetMaxReconnectInterval(200 * time.Millisecond).SetConnectTimeout(patience).SetWriteTimeout(patience)
}

func (p *pahoClassic) open(t *testing.T, h *hub.Hub, c connection) *receiver {
	t.Helper()
	r := newReceiver()
	line := &cuttable{}
	o := p.options(h, c.id).SetCleanSession(!c.persistent).SetCustomOpenConnectionFn(line.dial).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			r.messages <- message{m.Topic(), m.Payload(), m.Qos(), m.Retained()}
		})
	if c.will != nil {
		o.SetBinaryWill(c.will.topic, c.will.payload, c.will.qos, c.will.retained)
	}
	cl := paho.NewClient(o)
	settled(t, "connect", cl.Connect())
	for _, f := range c.filters {
		token := cl.Subscribe(f, c.qos, nil)
		settled(t, "subscribe to "+f, token)
		if granted, ok := token.(*paho.SubscribeToken); !ok || granted.Result()[f] != c.qos {
			t.Errorf("%s granted with %v, want QoS %d", f, token, c.qos)
		}
	}
	if len(c.unsubscribe) > 0 {
		settled(t, "unsubscribe", cl.Unsubscribe(c.unsubscribe...))
	}
	r.disconnect = func() { cl.Disconnect(250) }
	r.cut = func() {
		line.cut()
		cl.Disconnect(0)
	}
	t.Cleanup(r.cut)
	return r
}

func (p *pahoClassic) publish(t *testing.T, h *hub.Hub, messages ...message) {
	t.Helper()
	cl := paho.NewClient(p.options(h, ""))
	settled(t, "connect", cl.Connect())
	defer cl.Disconnect(250)
	tokens := make([]paho.Token, len(messages))
	for i, m := range messages {
		tokens[i] = cl.Publish(m.topic, m.qos, m.retained, m.payload)
	}
	for _, token := range tokens {
		settled(t, "publish", token)
	}
}

func settled(t *testing.T, what string, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatalf("%s: nothing within %v", what, patience)
	}
	if err := token.Error(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// A cuttable is a line to a server that can be cut for good.
type cuttable struct {
	mu   sync.Mutex
	conn net.Conn
	gone bool
}

var errCut = errors.New("the line is cut")

func (c *cuttable) dial(u *url.URL, _ paho.ClientOptions) (net.Conn, error) { return c.open(u.Host) }

func (c *cuttable) open(addr string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil, errCut
	}
	var err error
	c.conn, err = net.DialTimeout("tcp", addr, patience)
	return c.conn, err
}

func (c *cuttable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	if c.conn != nil {
		c.conn.Close()
	}
}
