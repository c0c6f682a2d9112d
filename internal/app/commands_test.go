package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"pulso/bridge/event"
	"pulso/test/conformance/wire"
)

// told is a command as the hub tells it.
type told struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	From      string `json:"from"`
	To        string `json:"to"`
	Reason    string `json:"reason"`
	Response  string `json:"response"`
	Delivered *int64 `json:"delivered"`
	Took      *int64 `json:"took"`
}

func exchange(ctx context.Context, t *testing.T, method, url, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// send sends a command and returns its id.
func send(t *testing.T, h *Hub, format string, args ...any) string {
	t.Helper()
	status, answer := exchange(t.Context(), t, http.MethodPost, "http://"+h.HTTPAddr()+"/api/v1/commands", fmt.Sprintf(format, args...))
	var c told
	if err := json.Unmarshal(answer, &c); err != nil || status != http.StatusAccepted {
		t.Fatalf("send: %d %s", status, answer)
	}
	return c.ID
}

// becomes waits until a command is in a state.
func becomes(t *testing.T, h *Hub, id, state string) told {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		_, answer := exchange(t.Context(), t, http.MethodGet, "http://"+h.HTTPAddr()+"/api/v1/commands?device=lamp", "")
		var list struct {
			Commands []told `json:"commands"`
		}
		if err := json.Unmarshal(answer, &list); err != nil {
			t.Fatalf("%v: %s", err, answer)
		}
		for _, c := range list.Commands {
			if c.ID == id && c.State == state {
				return c
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("command %s is never %s: %s", id, state, answer)
		}
	}
}

// A client of MQTT 5 answers where it is asked to, by the command's correlation data.
func TestCommandIsAnsweredByResponseTopic(t *testing.T) {
	h := runHub(t, inMemory(t))
	lamp := wire.Dial(t, h.MQTTAddr())
	lamp.Connect(&wire.Connect{ClientID: "lamp"})
	lamp.Subscribe("lamp/in", 1)
	id := send(t, h, `{"device":"lamp","topic":"lamp/in","payload":{"on":true},"qos":1,"from":"Ana\n"}`)
	p := lamp.Expect(wire.PUBLISH)
	if p.Payload != `{"on":true}` || p.Props.Text(wire.ResponseTopic) != event.ResponseTopic || p.Props.Num(wire.MessageExpiry, 0) == 0 {
		t.Errorf("the device got %v %v", p, p.Props)
	}
	if c := becomes(t, h, id, "sent"); c.Delivered != nil || c.From != "Ana (127.0.0.1)" {
		t.Errorf("before its PUBACK: %+v", c)
	}
	lamp.Send(&wire.Ack{Type: wire.PUBACK, ID: p.ID})
	if c := becomes(t, h, id, "delivered"); c.Delivered == nil || c.To != "lamp" {
		t.Errorf("after its PUBACK: %+v", c)
	}
	answer := func(data string) {
		lamp.Publish(&wire.Publish{
			Topic: event.ResponseTopic, Payload: "done", QoS: 1, Props: wire.Properties{wire.Text(wire.CorrelationData, data)},
		})
	}
	answer("of another")
	answer(p.Props.Text(wire.CorrelationData))
	if c := becomes(t, h, id, "acknowledged"); c.Response != "done" || c.Took == nil || *c.Took < 0 {
		t.Errorf("after its answer: %+v", c)
	}
	if _, body := exchange(t.Context(), t, http.MethodGet, "http://"+h.HTTPAddr()+"/api/v1/devices", ""); strings.Contains(string(body), `"pulso`) {
		t.Errorf("the topic of answers has become a device: %s", body)
	}
}

// Devices without MQTT 5 answer by saying what they are in.
func TestCommandIsAnsweredByState(t *testing.T) {
	h := runHub(t, inMemory(t))
	lamp := device(t, h, "lamp")
	defer lamp.Disconnect(0)
	say := func(topic, payload string) { lamp.Publish(topic, 1, false, payload) }
	settle(t, lamp.SubscribeMultiple(map[string]byte{"cmnd/lamp/POWER": 1, "zigbee2mqtt/lamp/set": 1, "lamp/odd": 0}, func(_ paho.Client, m paho.Message) {
		switch m.Topic() {
		case "cmnd/lamp/POWER":
			say("stat/lamp/RESULT", `{"Dimmer":5}`)
			say("stat/lamp/RESULT", `{"POWER":"ON"}`)
		case "zigbee2mqtt/lamp/set":
			say("zigbee2mqtt/lamp", `{"state":"OFF","linkquality":1}`) // what was before
			say("zigbee2mqtt/lamp", `{"linkquality":2}`)
			say("zigbee2mqtt/lamp", `{"state":"ON","linkquality":3}`)
		default:
			say("lamp/heard", `{"a":{"b":1}}`)
			say("lamp/heard", `{"a":{"b":2}}`)
		}
	}))
	for _, c := range []struct{ body, want string }{
		{`{"device":"lamp","topic":"cmnd/lamp/POWER","payload_text":"ON","qos":1}`, `{"POWER":"ON"}`},
		{`{"device":"lamp","topic":"zigbee2mqtt/lamp/set","payload":{"state":"ON"},"qos":1}`, `{"state":"ON","linkquality":3}`},
		{
			`{"device":"lamp","topic":"lamp/odd","payload_base64":"AP8=","expect":{"topic":"lamp/heard","field":"a.b","value":"2"}}`,
			`{"a":{"b":2}}`,
		},
	} {
		if got := becomes(t, h, send(t, h, "%s", c.body), "acknowledged"); got.Response != c.want {
			t.Errorf("%s: %+v, want %s", c.body, got, c.want)
		}
	}
}

func TestCommandWithoutAnswer(t *testing.T) {
	h := runHub(t, inMemory(t))
	id := send(t, h, `{"device":"lamp","topic":"lamp/set","payload_text":"on"}`)
	if c := becomes(t, h, id, "failed"); c.Reason != "no device listens on this topic" {
		t.Errorf("nobody listens: %+v", c)
	}
	kept := send(t, h, `{"device":"lamp","topic":"lamp/kept","payload_text":"on","retain":true,"timeout":1000}`)
	lamp := device(t, h, "lamp")
	settle(t, lamp.Subscribe("lamp/set", 1, func(paho.Client, paho.Message) {}))
	silent := send(t, h, `{"device":"lamp","topic":"lamp/set","payload_text":"on","qos":1,"timeout":1000}`)
	if c := becomes(t, h, silent, "timed_out"); c.Delivered == nil || !strings.Contains(c.Reason, "delivered") {
		t.Errorf("a silent device: %+v", c)
	}
	if c := becomes(t, h, kept, "timed_out"); !strings.Contains(c.Reason, "retained") {
		t.Errorf("retained: %+v", c)
	}
	lamp.Disconnect(0)
	eventually(t, "the hub knows that it is away", func() bool { return h.broker.Stats().Connections == 0 })
	away := send(t, h, `{"device":"lamp","topic":"lamp/set","payload_text":"on","qos":1,"timeout":1000}`)
	if c := becomes(t, h, away, "timed_out"); c.Delivered != nil || c.Reason != "no device has taken it" {
		t.Errorf("a device that is away: %+v", c)
	}
}

// What was under way when the hub ended is told so, and what had ended is as it was.
func TestCommandsOutliveTheHub(t *testing.T) {
	cfg := inMemory(t)
	cfg.Data = filepath.Join(t.TempDir(), "data")
	var ended, open string
	t.Run("first", func(t *testing.T) {
		h := runHub(t, cfg)
		ended = send(t, h, `{"device":"lamp","topic":"lamp/set","payload_text":"on"}`)
		becomes(t, h, ended, "failed")
		lamp := device(t, h, "lamp")
		defer lamp.Disconnect(0)
		settle(t, lamp.Subscribe("lamp/set", 1, func(paho.Client, paho.Message) {}))
		open = send(t, h, `{"device":"lamp","topic":"lamp/set","payload_text":"on","qos":1}`)
		becomes(t, h, open, "delivered")
	})
	h := runHub(t, cfg)
	if c := becomes(t, h, open, "timed_out"); !strings.Contains(c.Reason, "restarted") || c.Delivered == nil {
		t.Errorf("under way: %+v", c)
	}
	becomes(t, h, ended, "failed")
}

func TestCommandsRefused(t *testing.T) {
	h := runHub(t, inMemory(t))
	for body, want := range map[string]string{
		`{"device":"d","topic":"a/+","payload_text":""}`:                                     "topic",
		`{"device":"d","topic":"$SYS/a","payload_text":""}`:                                  "topic",
		`{"topic":"a","payload_text":""}`:                                                    "device",
		`{"device":"d","topic":"a"}`:                                                         "payload",
		`{"device":"d","topic":"a","payload_text":"","timeout":5}`:                           "timeout",
		`{"device":"d","topic":"a","payload_text":"","qos":2}`:                               "qos",
		`{"device":"d","topic":"a","payload_text":"","expect":{"topic":"#"}}`:                "expect.topic",
		`{"device":"d","topic":"a","payload_text":"` + strings.Repeat("x", 256<<10+1) + `"}`: "payload",
	} {
		status, answer := exchange(t.Context(), t, http.MethodPost, "http://"+h.HTTPAddr()+"/api/v1/commands", body)
		if status < 400 || status >= 500 || !strings.Contains(string(answer), `"detail":"`+want) {
			t.Errorf("%.80s: %d %s", body, status, answer)
		}
	}
}

// A hub without a broker sends what one of the brokers it listens to takes, and nothing else.
func TestCommandHasNoWay(t *testing.T) {
	cfg := inMemory(t)
	cfg.MQTT = NoBroker
	cfg.Sources = []Source{{URL: "mqtt://127.0.0.1:1", Prefix: "plant/", Filters: []string{"#"}}}
	h := runHub(t, cfg)
	status, answer := exchange(t.Context(), t, http.MethodPost, "http://"+h.HTTPAddr()+"/api/v1/commands", `{"device":"d","topic":"a/set","payload_text":""}`)
	if status != http.StatusServiceUnavailable || !strings.Contains(string(answer), "no broker of its own") {
		t.Errorf("no way: %d %s", status, answer)
	}
	send(t, h, `{"device":"lamp","topic":"plant/a/set","payload_text":"","timeout":1000}`)
}
