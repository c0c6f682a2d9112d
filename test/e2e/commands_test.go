package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// A person sends commands from a device's page, and it says what became of each.
func TestCommandsInBrowser(t *testing.T) {
	t.Parallel()
	h := serve(t, t.TempDir())
	playwright(t, "commands.spec.ts", "http://"+h.http, h.mqtt)
}

// A command that was under way when the hub was killed is told to have timed out, with the reason.
func TestCommandsSurviveKill(t *testing.T) {
	data := t.TempDir()
	h := serve(t, data)
	listener := listen(t, h, "lamp/set")
	defer listener.Disconnect(0)
	url := func() string { return "http://" + h.http + "/api/v1/commands" }
	answer, err := request(http.MethodPost, url(), `{"device":"lamp","topic":"lamp/set","payload_text":"on","qos":1}`)
	if !strings.Contains(answer, `{"id":`) { // 202 is an error to request
		t.Fatalf("%v: %s", err, answer)
	}
	shows := func(what ...string) func() error {
		return func() error {
			answer, err := request(http.MethodGet, url(), "")
			for _, text := range what {
				if err == nil && !strings.Contains(answer, text) {
					return fmt.Errorf("no %s in %s", text, answer)
				}
			}
			return err
		}
	}
	eventually(t, 10*time.Second, "the delivery", shows(`"state":"delivered"`))
	h.kill()
	h = serveOn(t, data, h.mqtt, h.http)
	eventually(t, 10*time.Second, "what became of it", shows(`"state":"timed_out"`, "the hub was restarted", `"from":"127.0.0.1"`))
}

func listen(t *testing.T, h *hub, topic string) paho.Client {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + h.mqtt).SetClientID("lamp").SetAutoReconnect(false))
	for _, token := range []func() paho.Token{c.Connect, func() paho.Token { return c.Subscribe(topic, 1, func(paho.Client, paho.Message) {}) }} {
		if done := token(); !done.WaitTimeout(10*time.Second) || done.Error() != nil {
			t.Fatal(done.Error())
		}
	}
	return c
}
