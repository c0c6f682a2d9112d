package attack

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// zipBomb is a payload that unpacks to n bytes.
func zipBomb(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(bytes.Repeat([]byte{' '}, n)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A badPayload is one that no device means well with. says is in the problem that is shown of it; empty: it is understood.
type badPayload struct{ name, topic, payload, says string }

func badPayloads(t *testing.T) []badPayload {
	t.Helper()
	const telemetry = "devices/%s/telemetry"
	return []badPayload{
		{"deep", telemetry, strings.Repeat(`{"a":`, 120) + "1" + strings.Repeat("}", 120), "deeper"},
		{"deeplist", telemetry, strings.Repeat("[", 120) + strings.Repeat("]", 120), "deeper"},
		{"proto", telemetry, `{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"temperature":21}`, ""},
		{"html", telemetry, `{"<img src=x onerror=alert(1)>":1,"name":"<script>alert(1)</script>"}`, ""},
		{"bomb", telemetry, zipBomb(t, 256<<20), "unpack"},
		{"broken", telemetry, `{"a":1,"b":`, "not valid JSON"},
		{"protobuf", "spBv1.0/g/DDATA/n/protobuf", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "protobuf"},
		{"length", "spBv1.0/g/DDATA/n/length", "\x12\xff\xff\xff\xff\x0f", "protobuf"},
		{"cbor", telemetry, "\xbf\x61a\x01\x61b\x9f\x01\x02\xff\xff", ""},
		{"cborendless", telemetry, strings.Repeat("\x9f", 5000), "text"},
		{"cborlong", telemetry, "\xbb\x7f\xff\xff\xff\xff\xff\xff\xff", "text"},
		{"nul", telemetry, "\x00\x01\x02", "text"},
		{"huge", telemetry, `{"n":1e999,"m":` + strings.Repeat("9", 4000) + `,"ok":1}`, ""},
		{"many", telemetry, "{" + strings.Repeat(`"a":1,`, 100_000) + `"b":2}`, ""},
	}
}

// report is a device as /api/v1/devices/{id} has it.
type report struct {
	Metrics []struct {
		Name string `json:"name"`
	} `json:"metrics"`
	Events int `json:"events"`
	Topics []struct {
		Problem string `json:"problem"`
		Bytes   int    `json:"bytes"`
	} `json:"topics"`
}

func (s *siege) device(id string) (r report, err error) {
	response, err := s.client().Get("http://" + s.h.HTTP + "/api/v1/devices/" + url.PathEscape(id))
	if err != nil {
		return r, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return r, fmt.Errorf("device %s: %s", id, response.Status)
	}
	err = json.NewDecoder(response.Body).Decode(&r)
	return r, err
}

// publish sends a message of QoS 1 and waits until it is acknowledged.
func (s *siege) publish(c *mqtt.Conn, topic, payload string) error {
	m := mqtt.Publish{Topic: topic, QoS: 1, ID: 1, Payload: []byte(payload)}
	if err := send(c, m.Bytes(c.Version)); err != nil {
		return err
	}
	_, err := c.Expect(mqtt.PUBACK, patience)
	return err
}

// TestBadPayloads: what cannot be read is kept as it came, with the reason, and its device is known.
func TestBadPayloads(t *testing.T) {
	withstand(t, func(s *siege) {
		c := s.connected("bad", mqtt.V311)
		for _, p := range badPayloads(t) {
			topic, id := p.topic, "g/n/"+p.name
			if strings.Contains(topic, "%s") {
				topic, id = fmt.Sprintf(topic, p.name), p.name
			}
			if err := s.publish(c, topic, p.payload); err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
			d, err := s.device(id)
			switch {
			case err != nil:
				t.Errorf("%s: %v", p.name, err)
			case d.Events != 1 || len(d.Topics) != 1 || d.Topics[0].Bytes != len(p.payload):
				t.Errorf("%s: %+v", p.name, d)
			case !strings.Contains(d.Topics[0].Problem, p.says) || p.says == "" && d.Topics[0].Problem != "":
				t.Errorf("%s: the problem is %q", p.name, d.Topics[0].Problem)
			}
		}
	})
}

// TestMetricsWithoutEnd: one device names 10,000 new metrics a second. It has as many as a device may have, what is beyond
// is counted, and nobody else is short of anything.
func TestMetricsWithoutEnd(t *testing.T) {
	withstandWithin(t, 128<<20, func(s *siege) {
		const names, each = 10_000, 100
		c := s.connected("inventive", mqtt.V311)
		var n atomic.Int64
		tick := time.NewTicker(time.Second * each / names)
		defer tick.Stop()
		s.end = time.Now().Add(duration)
		for !s.over() {
			var b strings.Builder
			for range each {
				fmt.Fprintf(&b, `"m%d":1,`, n.Add(1))
			}
			if err := s.publish(c, "devices/inventive/telemetry", "{"+b.String()+`"last":1}`); err != nil {
				t.Fatal(err)
			}
			<-tick.C
		}
		if err := s.publish(c, "devices/modest/telemetry", `{"temperature":21}`); err != nil {
			t.Fatal(err)
		}
		const mostMetrics = 1000
		d, err := s.device("inventive")
		if err != nil || len(d.Metrics) > mostMetrics || len(d.Metrics) < each {
			t.Errorf("%d metrics, %v", len(d.Metrics), err)
		}
		if d, err := s.device("modest"); err != nil || len(d.Metrics) != 1 {
			t.Errorf("the next device: %+v, %v", d, err)
		}
		hub.Eventually(t, 10*time.Second, "what is beyond is counted", func() error {
			if n.Load() > 2*mostMetrics && s.counted(`pulso_history_samples_refused_total{reason="device"}`) == 0 {
				return fmt.Errorf("%d names, none refused", n.Load())
			}
			return nil
		})
	})
}
