package crash

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"pulso/test/internal/hub"
	"pulso/test/internal/mqtt"
)

// A teller publishes the numbers from 0 on as readings of one device, and notes which of them were acknowledged.
type teller struct {
	device       string
	told         int
	acknowledged []bool
}

// tell publishes at QoS 1, a few at a time, until the connection breaks.
func (d *teller) tell(addr string) {
	conn, err := mqtt.Open(addr, "", &mqtt.Connect{ID: d.device})
	if err != nil {
		return
	}
	defer conn.Close()
	const window = 20
	for {
		first := d.told
		for i := range window {
			payload := fmt.Appendf(nil, `{"number":%d,"half":%g,"power_W":%d}`, d.told, float64(d.told)/2, d.told%100)
			m := mqtt.Publish{Topic: "devices/" + d.device + "/telemetry", Payload: payload, QoS: 1, ID: i + 1}
			if _, err := conn.Write(m.Bytes(conn.Version)); err != nil {
				return
			}
			d.told++
			d.acknowledged = append(d.acknowledged, false)
		}
		for range window {
			body, err := conn.Expect(mqtt.PUBACK, 10*time.Second)
			if err != nil || len(body) < 2 {
				return
			}
			d.acknowledged[first+int(body[0])<<8+int(body[1])-1] = true
		}
	}
}

// TestHistoryOverKill kills the hub ten times while devices tell it numbers, and then asks PromQL for them: what was
// acknowledged is there once, and nothing is there twice.
func TestHistoryOverKill(t *testing.T) {
	rng := random(t)
	h := hub.Start(t)
	tellers := make([]*teller, 4)
	for i := range tellers {
		tellers[i] = &teller{device: fmt.Sprint("teller-", i)}
	}
	for range 10 {
		var telling sync.WaitGroup
		for _, d := range tellers {
			telling.Go(func() { d.tell(h.MQTT) })
		}
		time.Sleep(100*time.Millisecond + time.Duration(rng.Int64N(int64(400*time.Millisecond))))
		h.Kill()
		telling.Wait()
		h.Again()
	}
	acknowledged := 0
	for _, d := range tellers {
		for metric, scale := range map[string]float64{"number": 1, "half": 2} {
			there := make(map[int]int)
			for _, value := range samples(t, h, fmt.Sprintf(`%s{device=%q}[1h]`, metric, d.device)) {
				there[int(value*scale)]++
			}
			for n, known := range d.acknowledged {
				if there[n] > 1 || known && there[n] == 0 {
					t.Fatalf("%s of %s: %d is there %d times; acknowledged: %v", metric, d.device, n, there[n], known)
				}
			}
		}
		for _, known := range d.acknowledged {
			if known {
				acknowledged++
			}
		}
	}
	t.Logf("%d messages acknowledged over ten kills", acknowledged)
	if acknowledged < 1000 {
		t.Errorf("only %d messages acknowledged", acknowledged)
	}
}

// samples asks for the samples of all series that a selector finds.
func samples(t *testing.T, h *hub.Hub, selector string) (values []float64) {
	t.Helper()
	// Samples of one millisecond are moved on: none by more than ten minutes.
	at := time.Now().Add(10 * time.Minute).Unix()
	u := fmt.Sprintf("http://%s/api/v1/query?time=%d&query=%s", h.HTTP, at, url.QueryEscape(selector))
	res, err := http.Get(u)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Error string `json:"error"`
		Data  struct {
			Result []struct {
				Values [][2]any `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", selector, res.Status, answer.Error, err)
	}
	for _, series := range answer.Data.Result {
		for _, pair := range series.Values {
			text, ok := pair[1].(string)
			if !ok {
				t.Fatalf("%v is no value", pair)
			}
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
	}
	return values
}
