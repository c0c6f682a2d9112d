package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// mqttJS is MQTT.js in Node.js, as the dashboard's tests have it installed.
type mqttJS struct {
	version   int
	websocket bool
}

// A jsMessage is a message as mqttjs.cjs reads and writes it.
type jsMessage struct {
	Topic      string         `json:"topic"`
	Payload    []byte         `json:"payload"`
	QoS        byte           `json:"qos"`
	Retain     bool           `json:"retain"`
	Properties map[string]any `json:"properties,omitempty"`
}

// A jsOrder is what mqttjs.cjs is to do.
type jsOrder struct {
	URL         string               `json:"url"`
	Options     map[string]any       `json:"options"`
	Will        *jsMessage           `json:"will,omitempty"`
	Filters     map[string]jsOptions `json:"filters,omitempty"`
	Properties  map[string]any       `json:"properties,omitempty"` // of SUBSCRIBE
	Unsubscribe []string             `json:"unsubscribe,omitempty"`
	Messages    []jsMessage          `json:"messages,omitempty"`
}

type jsOptions struct {
	QoS byte `json:"qos"`
}

func (j *mqttJS) order(h *hub.Hub) *jsOrder {
	o := &jsOrder{URL: "mqtt://" + h.MQTT, Options: map[string]any{"protocolVersion": j.version, "clean": true}}
	if who := mqtt.Default; who.User != "" {
		o.Options["username"], o.Options["password"] = who.User, who.Password
	}
	if j.websocket {
		o.URL = "ws://" + h.HTTP + "/mqtt"
	}
	return o
}

func jsOf(m *message) jsMessage {
	return jsMessage{Topic: m.topic, Payload: m.payload, QoS: m.qos, Retain: m.retained}
}

func (j *mqttJS) open(t *testing.T, h *hub.Hub, c connection) *receiver {
	t.Helper()
	r := newReceiver()
	o := j.order(h)
	o.Options["clean"] = !c.persistent
	if c.id != "" {
		o.Options["clientId"] = c.id
	}
	if c.persistent && j.version == 5 {
		o.Options["properties"] = map[string]any{"sessionExpiryInterval": 3600}
	}
	if c.will != nil {
		w := jsOf(c.will)
		o.Will = &w
	}
	o.Filters = map[string]jsOptions{}
	for _, f := range c.filters {
		o.Filters[f] = jsOptions{QoS: c.qos}
	}
	o.Unsubscribe = c.unsubscribe
	p := o.run(t, func(m *jsMessage) { r.messages <- message{m.Topic, m.Payload, m.QoS, m.Retain} })
	granted(t, p.await(`"granted"`), c)
	r.disconnect = func() {
		fmt.Fprintln(p.stdin, "end")
		p.wait()
	}
	r.cut = p.kill
	return r
}

func granted(t *testing.T, line string, c connection) {
	t.Helper()
	var said struct {
		Granted []jsOptions `json:"granted"`
	}
	if err := json.Unmarshal([]byte(line), &said); err != nil {
		t.Fatal(err)
	}
	if len(said.Granted) != len(c.filters) {
		t.Errorf("%d subscriptions granted, want %d", len(said.Granted), len(c.filters))
	}
	for _, g := range said.Granted {
		if g.QoS != c.qos {
			t.Errorf("granted with 0x%02x, want QoS %d", g.QoS, c.qos)
		}
	}
}

func (j *mqttJS) publish(t *testing.T, h *hub.Hub, messages ...message) {
	t.Helper()
	o := j.order(h)
	for _, m := range messages {
		o.Messages = append(o.Messages, jsOf(&m))
	}
	o.run(t, func(*jsMessage) {}).await(`"done"`)
}

// run starts the program with its order.
func (o *jsOrder) run(t *testing.T, received func(*jsMessage)) *program {
	t.Helper()
	root, err := hub.Root()
	if err != nil {
		t.Fatal(err)
	}
	web := filepath.Join(root, "dashboard", "web")
	if _, err := os.Stat(filepath.Join(web, "node_modules", "mqtt")); err != nil {
		hub.Missing(t, "MQTT.js is not installed (make web installs it): "+err.Error())
	}
	p := run(t, func(line string) bool {
		var m jsMessage
		if json.Unmarshal([]byte(line), &m) != nil || m.Topic == "" {
			return false
		}
		received(&m)
		return true
	}, hub.Program(t, "node"), "mqttjs.cjs", web)
	if err := json.NewEncoder(p.stdin).Encode(o); err != nil {
		t.Fatal(err)
	}
	return p
}
