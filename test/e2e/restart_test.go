package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// What a hub knew is there after a restart, whether it was stopped or killed: devices with their metrics and units, and the
// last 200 messages of a chat channel, from a device and from a person alike.
func TestRestartKeepsViews(t *testing.T) {
	for _, end := range []string{"stopped", "killed"} {
		t.Run(end, func(t *testing.T) {
			data := t.TempDir()
			h := serve(t, data)
			s := dial(t, h)
			for i := range 150 {
				s.sendf(`{"id":1,"publish":{"topic":"chat/general","payload":{"v":1,"from":"Ana","text":"%d"},"qos":1}}`, i)
			}
			s.sendf(`{"id":2,"publish":{"topic":"devices/d1/telemetry","payload":{"temperature":21.5,"temperature_unit":"°C"},"qos":1}}`)
			s.until(10*time.Second, func(m *message) bool { return m.ID == 2 })
			for i := 150; i < 205; i++ {
				if out, err := pulso(t, 10*time.Second, "pub", "--broker", "tcp://"+h.mqtt, "--id", "boiler-1", "chat/general", fmt.Sprint(i)); err != nil {
					t.Fatalf("pub: %v\n%s", err, out)
				}
			}
			if end == "stopped" {
				if _, err := h.stop(); err != nil {
					t.Fatal(err)
				}
			} else {
				h.kill()
			}
			h = serveOn(t, data, h.mqtt, h.http)
			checkChat(t, h)
			checkDevice(t, h)
		})
	}
}

func checkChat(t *testing.T, h *hub) {
	t.Helper()
	s := dial(t, h)
	s.sendf(`{"id":1,"subscribe":{"form":"chat","filters":["chat/+"]}}`)
	s.until(5*time.Second, func(m *message) bool {
		if m.Snapshot == nil {
			return false
		}
		messages := m.Snapshot.Chat.Messages
		if len(messages) != 200 {
			t.Fatalf("%d messages, want the last 200", len(messages))
		}
		for i, c := range messages {
			from, source := "Ana", "screen"
			if i+5 >= 150 {
				from, source = "boiler-1", "mqtt"
			}
			if c.Text != fmt.Sprint(i+5) || c.From != from || c.Source != source {
				t.Fatalf("message %d is %+v, want %d from %s by %s", i, c, i+5, from, source)
			}
		}
		return true
	})
}

func checkDevice(t *testing.T, h *hub) {
	t.Helper()
	s := dial(t, h)
	s.sendf(`{"id":1,"subscribe":{"form":"devices","filters":["#"]}}`)
	s.until(5*time.Second, func(m *message) bool {
		if m.Snapshot == nil {
			return false
		}
		devices := m.Snapshot.Devices
		if len(devices) != 1 || devices[0].ID != "d1" || len(devices[0].Metrics) != 1 {
			t.Fatalf("devices %+v, want d1 with one metric", devices)
		}
		var number float64
		var device, name, unit string
		decodeRow(t, devices[0].Metrics[0], &number, &device, &name, &unit)
		if name != "temperature" || unit != "°C" {
			text, _ := json.Marshal(devices[0].Metrics[0])
			t.Errorf("metric %s, want temperature in °C", text)
		}
		return true
	})
}
