package rest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pulso/bridge/event"
	"pulso/bridge/gateway/rest"
)

type device struct {
	ID, Name, Kind, Status, Client string
	First, Last, Interval          int64
	Events, Undecodable            uint64
	Metrics                        []struct {
		Name, Unit, Topic string
		Value             float64
		Time              int64
	}
	Texts     []struct{ Name, Value string }
	Announced map[string]string
	Topics    []struct {
		Topic, Format, Problem string
		Time                   int64
		Why                    []string
		Bytes                  int
		Payload                any
		Text                   *string `json:"payload_text"`
		Base64                 []byte  `json:"payload_base64"`
		Omitted                bool
	}
}

type devicesPage struct {
	Devices []device
	Next    string
}

func TestDevice(t *testing.T) {
	h := start(t, nil)
	h.says("devices/d1/telemetry", `{"temperature":21.5,"mode":"eco"}`)
	h.says("devices/d1/telemetry", `{"temperature":22,"mode":"off"}`)
	h.says("devices/d1/raw", "\xff\xfe\x00")
	d := get[device](h, "/api/v1/devices/d1")
	if d.ID != "d1" || d.Status != "online" || d.Client != "c" || d.First != began.UnixMilli() || d.Events != 3 {
		t.Errorf("%+v", d)
	}
	if len(d.Metrics) != 1 || d.Metrics[0].Name != "temperature" || d.Metrics[0].Value != 22 || d.Metrics[0].Topic != "devices/d1/telemetry" {
		t.Errorf("metrics %+v", d.Metrics)
	}
	if len(d.Texts) != 1 || d.Texts[0].Value != "off" {
		t.Errorf("texts %+v", d.Texts)
	}
	if len(d.Topics) != 2 || d.Topics[0].Format != "json" || len(d.Topics[0].Why) == 0 || d.Topics[0].Time != began.UnixMilli()+1000 {
		t.Fatalf("topics %+v", d.Topics)
	}
	if payload, ok := d.Topics[0].Payload.(map[string]any); !ok || payload["mode"] != "off" {
		t.Errorf("payload %+v", d.Topics[0].Payload)
	}
	if string(d.Topics[1].Base64) != "\xff\xfe\x00" || d.Topics[1].Bytes != 3 {
		t.Errorf("payload %+v", d.Topics[1])
	}
	then := get[device](h, "/api/v1/devices/d1?to="+began.Format(time.RFC3339))
	if payload, ok := then.Topics[0].Payload.(map[string]any); !ok || payload["mode"] != "eco" || then.Topics[1].Time != 0 {
		t.Errorf("until the first message: %+v", then.Topics)
	}
	h.refused("/api/v1/devices/d1?to=soon", http.StatusBadRequest, "bad_command")
	h.refused("/api/v1/devices/d2", http.StatusNotFound, "not_found")
	h.refused("/api/v1/devices/d1?x=1", http.StatusBadRequest, "bad_command")
	if response, _ := h.ask(http.MethodPost, "/api/v1/devices/d1"); response.StatusCode != http.StatusMethodNotAllowed {
		t.Error(response.Status)
	}
}

// TestTopicOfManyDevices shows of a topic that several devices share the newest message of the one asked for.
func TestTopicOfManyDevices(t *testing.T) {
	h := start(t, nil)
	h.append(event.Event{Topic: "devices/d1/telemetry", Payload: []byte(`{"t":1}`)})
	large := `{"text":"` + strings.Repeat("x", 300<<10) + `"}`
	h.says("devices/d1/large", large)
	h.says("devices/d1/z", "7")
	d := get[device](h, "/api/v1/devices/d1")
	if len(d.Topics) != 3 || !d.Topics[1].Omitted || d.Topics[1].Bytes != len(large) || d.Topics[1].Payload != nil || d.Topics[2].Payload != 7.0 {
		t.Errorf("%+v", d.Topics)
	}
}

func TestDevicesAreFiltered(t *testing.T) {
	h := start(t, nil)
	for _, id := range []string{"Pump-1", "pump-2", "fridge"} {
		h.says("devices/"+id+"/telemetry", `{"x":1}`)
	}
	h.append(event.Event{Topic: "devices/fridge/status", Kind: event.KindWill, Payload: []byte("offline"), Client: "c"})
	for query, want := range map[string]string{
		"":                       "[Pump-1 fridge pump-2]",
		"?q=PUMP":                "[Pump-1 pump-2]",
		"?q=nothing":             "[]",
		"?status=offline":        "[fridge]",
		"?status=online&q=mp-2":  "[pump-2]",
		"?after=Pump-1":          "[fridge pump-2]",
		"?after=zzz":             "[]",
		"?limit=1":               "[Pump-1]",
		"?limit=1&after=Pump-1":  "[fridge]",
		"?limit=1000&after=pump": "[pump-2]",
	} {
		page := get[devicesPage](h, "/api/v1/devices"+query)
		got := make([]string, len(page.Devices))
		for i, d := range page.Devices {
			got[i] = d.ID
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?status=gone", "?colour=red", "?q=a&q=b", "?limit=-1"} {
		h.refused("/api/v1/devices"+query, http.StatusBadRequest, "bad_command")
	}
}

// TestPagesAddUp goes through the pages of devices and topics, whatever their size: all come, in order, none twice.
func TestPagesAddUp(t *testing.T) {
	h := start(t, nil)
	var ids []string
	for i := range 57 {
		id := fmt.Sprintf("d%d", i*i%101)
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		h.says("devices/"+id+"/t", "1")
	}
	slices.Sort(ids)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 70).Draw(t, "size")
		var got, names []string
		for after, pages := "", 0; ; pages++ {
			page := get[devicesPage](h, fmt.Sprintf("/api/v1/devices?limit=%d&after=%s", size, after))
			for _, d := range page.Devices {
				got = append(got, d.ID)
			}
			if after = page.Next; after == "" {
				break
			}
			if pages > len(ids) || len(page.Devices) != size {
				t.Fatalf("page %d has %d devices", pages, len(page.Devices))
			}
		}
		for after := ""; ; {
			page := get[struct {
				Topics []struct{ Topic string }
				Next   string
			}](h, fmt.Sprintf("/api/v1/topics?limit=%d&filter=devices/%%23&after=%s", size, url.QueryEscape(after)))
			for _, topic := range page.Topics {
				names = append(names, strings.Split(topic.Topic, "/")[1])
			}
			if after = page.Next; after == "" {
				break
			}
		}
		slices.Sort(names) // by the whole topic they come in another order
		if !slices.Equal(got, ids) || !slices.Equal(names, ids) {
			t.Fatalf("got %s and %s, want %s", got, names, ids)
		}
	})
}

// TestHostileIDs asks for, and deletes, devices whose ids are made to confuse whoever puts them into a path, a page or a file.
func TestHostileIDs(t *testing.T) {
	ids := []string{
		"a/b", "/", "//x//", "..", ".", "../../etc/passwd", "%2F", "%", "a b", "?x=1", "#", "<script>alert(1)</script>", `"quoted"`,
		"Küche 🔥", "\u202eevil", "=cmd()", "next\nline", strings.Repeat("long", 500),
	}
	h := start(t, nil)
	for _, id := range ids {
		d := event.Decoded{Device: id, Format: "json"}
		d.Topic, d.Time, d.Client = "t", began.UnixNano(), "c"
		h.devices.Apply([]event.Decoded{d})
	}
	for _, id := range ids {
		path := "/api/v1/devices/" + url.PathEscape(id)
		if id == "." || id == ".." {
			path = "/api/v1/devices/?id=" + id
		}
		if d := get[device](h, path); d.ID != id {
			t.Errorf("%q: %q", id, d.ID)
		}
		if d := get[device](h, "/api/v1/devices/?id="+url.QueryEscape(id)); d.ID != id {
			t.Errorf("%q by query: %q", id, d.ID)
		}
		response, body := h.ask(http.MethodGet, "/api/v1/export?format=csv&device="+url.QueryEscape(id))
		name := response.Header.Get("Content-Disposition")
		name = strings.TrimSuffix(strings.TrimPrefix(name, `attachment; filename="`), `.csv"`)
		if response.StatusCode != http.StatusOK || strings.ContainsAny(name, `"./\;%<>`) {
			t.Errorf("%q: %s %s %s", id, response.Status, name, body)
		}
		if response, body := h.ask(http.MethodDelete, path); response.StatusCode != http.StatusNoContent {
			t.Errorf("delete %q: %s %s", id, response.Status, body)
		}
		if response, _ := h.ask(http.MethodGet, path); response.StatusCode != http.StatusNotFound {
			t.Errorf("%q after its deletion: %s", id, response.Status)
		}
	}
}

func TestDeletedDeviceAndItsSeries(t *testing.T) {
	h := start(t, nil)
	h.says("devices/d1/telemetry", `{"x":1}`)
	h.says("devices/d2/telemetry", `{"x":2}`)
	if response, body := h.ask(http.MethodDelete, "/api/v1/devices/d1"); response.StatusCode != http.StatusNoContent {
		t.Fatalf("%s %s", response.Status, body)
	}
	if _, body := h.ask(http.MethodGet, "/api/v1/history?device=d1"); strings.TrimSpace(body) != `{"series":[]}` {
		t.Error(body)
	}
	if response, _ := h.ask(http.MethodDelete, "/api/v1/devices/d1"); response.StatusCode != http.StatusNotFound {
		t.Errorf("again: %s", response.Status)
	}
	h.says("devices/d1/telemetry", `{"x":3}`)
	if d := get[device](h, "/api/v1/devices/d1"); d.Events != 1 {
		t.Errorf("it has come back: %+v", d)
	}
	if _, body := h.ask(http.MethodGet, "/api/v1/history?device=d1"); !strings.Contains(body, `"last":[3]`) {
		t.Error(body)
	}
	if _, body := h.ask(http.MethodGet, "/api/v1/history?device=d2"); !strings.Contains(body, `"last":[2]`) {
		t.Error(body)
	}
}

func TestWithoutHistoryAndDeletion(t *testing.T) {
	h := start(t, func(c *rest.Config) { c.History, c.Forget = nil, nil })
	h.says("devices/d1/telemetry", `{"x":1}`)
	h.refused("/api/v1/history?device=d1", http.StatusServiceUnavailable, "unavailable")
	h.refused("/api/v1/export", http.StatusServiceUnavailable, "unavailable")
	if response, _ := h.ask(http.MethodDelete, "/api/v1/devices/d1"); response.StatusCode != http.StatusForbidden {
		t.Error(response.Status)
	}
	if _, err := rest.New(rest.Config{}); err == nil {
		t.Error("a Handler of nothing")
	}
}
